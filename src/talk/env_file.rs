//! The file that `$SPPM_ENV` names: what PyPI's library `sppm` (2.1.4, `sppm_config.py`) reads when it is imported.
//!
//! Each line is `key=value`; blanks around a line are cut off, an empty line is an error, each of the five keys must be
//! there, all but `timeout` (whole seconds; 0: no end) must be absolute paths. Its `working_lock(bool)` writes the file at `lock`; the
//! others are only used by a script of its own `sppm_start`, which writes both pid files and removes them and the lock at its end.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What stands in it besides the paths of the instance's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// The working lock; `None`: the file `lock` in the instance's folder.
    pub lock: Option<PathBuf>,
    /// Where a script of that library's `sppm_start` logs, besides its standard output.
    pub log: PathBuf,
    /// How long that library's own `--stop` waits for the end of a task, cut to whole seconds; zero: for ever.
    pub timeout: Duration,
}

impl Default for EnvFile {
    /// Its output is logged by us, so its log is nowhere.
    fn default() -> Self {
        Self { lock: None, log: PathBuf::from("/dev/null"), timeout: Duration::ZERO }
    }
}

impl EnvFile {
    /// Its text, for an instance with this folder. Empty where a path has what the format has no way to say (a line break, or a blank
    /// at its end): better none than a wrong one.
    pub(super) fn text(&self, folder: &Path) -> Vec<u8> {
        let lock = self.lock.clone().unwrap_or_else(|| folder.join("lock"));
        let paths = [
            ("pid", folder.join("pid")),
            ("child_pid", folder.join("child_pid")),
            ("lock", lock),
            ("log", self.log.clone()),
        ];
        let mut text = Vec::new();
        for (key, path) in paths {
            let bytes = path.as_os_str().as_bytes();
            if bytes.iter().any(u8::is_ascii_control) || bytes.last().is_some_and(u8::is_ascii_whitespace) {
                return Vec::new();
            }
            text.extend_from_slice(key.as_bytes());
            text.push(b'=');
            text.extend_from_slice(bytes);
            text.push(b'\n');
        }
        text.extend_from_slice(format!("timeout={}\n", self.timeout.as_secs()).as_bytes());
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_the_library_reads() {
        let text = |env: &EnvFile| String::from_utf8(env.text(Path::new("/r/i/web.1"))).unwrap();
        let plain = "pid=/r/i/web.1/pid\nchild_pid=/r/i/web.1/child_pid\nlock=/r/i/web.1/lock\n\
                     log=/dev/null\ntimeout=0\n";
        assert_eq!(text(&EnvFile::default()), plain);
        let lock = Some(PathBuf::from("/srv/my lock"));
        let env = EnvFile { lock, log: "/var/log/x".into(), timeout: Duration::from_millis(2900) };
        assert!(text(&env).ends_with("\nlock=/srv/my lock\nlog=/var/log/x\ntimeout=2\n"));
        for bad in ["/a\nlock=/b", "/a ", "/a\r"] {
            assert_eq!(text(&EnvFile { lock: Some(bad.into()), ..EnvFile::default() }), "");
        }
    }
}
