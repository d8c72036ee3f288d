//! Where a supervisor keeps its things, computed from the path of its configuration alone.
//!
//! In: the path, whether the user is root, the environment. Out: paths. The command finds the socket by
//! these functions even when the file is invalid or gone. Never add here: any look at the file system.

use crate::model::Folders;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The control socket's name below the runtime folder.
pub const SOCKET: &str = "sppm.sock";

/// The folder below the runtime folder that has one folder for each instance, by its label.
pub const INSTANCES: &str = "i";

/// The socket of programs below the runtime folder ($SPPM_SOCKET).
pub const TALK_SOCKET: &str = "talk.sock";

// Where the control socket's path fits, as the check says, so does this one.
const _: () = assert!(TALK_SOCKET.len() <= SOCKET.len());

/// The longest path that a Unix socket can have, in bytes (sun_path of unix(7) less its final NUL).
pub const SOCKET_PATH_MAX: usize = 107;

/// The configuration of the machine's main supervisor.
pub const SYSTEM_CONFIG: &str = "/etc/sppm/sppm.yaml";

/// Root's base folder, which is also the second place where the command looks.
pub const SYSTEM_BASE: &str = "/run/sppm";

/// Eight characters that stand for a configuration's absolute path (40 bits, base 32).
///
/// FNV-1a with a final mix. It names folders that outlive us: it must never change.
pub fn hash8(path: &Path) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in path.as_os_str().as_bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    (0..8).map(|place| char::from(DIGITS[(hash >> (5 * place) & 31) as usize])).collect()
}

/// The folder below which this user's supervisors have their runtime folders.
///
/// `/run/sppm` for root, else `$XDG_STATE_HOME/sppm/run`: XDG_RUNTIME_DIR vanishes at logout, and programs
/// must not.
pub fn base(root: bool, environment: &BTreeMap<String, String>) -> PathBuf {
    match root {
        true => PathBuf::from(SYSTEM_BASE),
        false => state_home(environment).join("sppm/run"),
    }
}

/// Where the supervisor of the configuration `path` leaves a link to its runtime folder.
pub fn by_path(base: &Path, path: &Path) -> PathBuf {
    base.join("by-path").join(hash8(path))
}

/// The three folders of a configuration that does not name them itself.
pub fn defaults(path: &Path, root: bool, environment: &BTreeMap<String, String>) -> Folders {
    if path == Path::new(SYSTEM_CONFIG) {
        return Folders {
            runtime_dir: PathBuf::from("/run/sppm/main"),
            state_dir: PathBuf::from("/var/lib/sppm"),
            log_dir: PathBuf::from("/var/log/sppm"),
        };
    }
    let hash = hash8(path);
    let (state, log) = match root {
        true => (PathBuf::from("/var/lib/sppm"), PathBuf::from("/var/log/sppm")),
        false => {
            let home = state_home(environment).join("sppm");
            (home.join("state"), home.join("log"))
        }
    };
    Folders {
        runtime_dir: base(root, environment).join(&hash),
        state_dir: state.join(&hash),
        log_dir: log.join(&hash),
    }
}

/// `$XDG_STATE_HOME`, else `~/.local/state`. Relative values do not count (XDG base directories, "Basics").
///
/// Without HOME it is below `/`: making it then fails with an error that names the path.
fn state_home(environment: &BTreeMap<String, String>) -> PathBuf {
    absolute_variable(environment, "XDG_STATE_HOME").unwrap_or_else(|| home(environment).join(".local/state"))
}

/// The user's home folder by `$HOME`, else `/`.
pub(crate) fn home(environment: &BTreeMap<String, String>) -> PathBuf {
    absolute_variable(environment, "HOME").unwrap_or_else(|| PathBuf::from("/"))
}

/// A variable that holds an absolute path; relative ones do not count.
pub(crate) fn absolute_variable(environment: &BTreeMap<String, String>, name: &str) -> Option<PathBuf> {
    environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash8(Path::new("/srv/app/sppm.yaml")), hash8(Path::new("/srv/app/sppm.yaml")));
        assert_eq!(hash8(Path::new("/srv/app/sppm.yaml")), "vfjenrsr");
        assert_ne!(hash8(Path::new("/srv/app/sppm.yaml")), hash8(Path::new("/srv/app2/sppm.yaml")));
    }

    #[test]
    fn folders_follow_the_user_and_the_path() {
        let none = BTreeMap::new();
        let system = defaults(Path::new(SYSTEM_CONFIG), true, &none);
        assert_eq!(system.runtime_dir, Path::new("/run/sppm/main"));
        let path = Path::new("/srv/a/sppm.yaml");
        let hash = hash8(path);
        let root = defaults(path, true, &none);
        assert_eq!(root.runtime_dir, Path::new("/run/sppm").join(&hash));
        assert_eq!(root.state_dir, Path::new("/var/lib/sppm").join(&hash));
        let home = BTreeMap::from([("HOME".to_owned(), "/home/u".to_owned())]);
        let user = defaults(path, false, &home);
        assert_eq!(user.runtime_dir, Path::new("/home/u/.local/state/sppm/run").join(&hash));
        let relative = BTreeMap::from([
            ("HOME".to_owned(), "/home/u".to_owned()),
            ("XDG_STATE_HOME".to_owned(), "x".to_owned()),
        ]);
        assert_eq!(base(false, &relative), Path::new("/home/u/.local/state/sppm/run"));
        assert_eq!(by_path(Path::new("/run/sppm"), path), Path::new("/run/sppm/by-path").join(hash));
    }
}
