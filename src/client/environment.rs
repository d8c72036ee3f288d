//! What the supervisor told this process, through environment variables.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The value of a variable; `None` where it is not set or empty.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The same as a path.
pub(super) fn path(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from)
}

/// Whether a supervisor started this process or one of its ancestors.
///
/// ```
/// // A test is not supervised, so a task marks nothing, and nobody hears that this program is ready.
/// assert!(!sppm::client::supervised());
/// assert!(!sppm::client::ready());
/// ```
#[must_use]
pub fn supervised() -> bool {
    variable("SPPM_RUN").is_some()
}

/// Whether this is the process that the supervisor launched, and not one of its helpers: each instance has a session
/// of its own, which this process leads.
pub(super) fn is_main() -> bool {
    static LEADS: OnceLock<bool> = OnceLock::new();
    *LEADS.get_or_init(|| {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        session(&stat) == Some(std::process::id())
    })
}

/// The session in a line of proc_pid_stat(5): the sixth field, the fourth behind the name, which may hold anything.
fn session(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_session_is_found_behind_any_name() {
        assert_eq!(super::session("12 (a) b (c) S 1 12 34 0 -1 4"), Some(34));
        assert_eq!(super::session(""), None);
        let own = std::fs::read_to_string("/proc/self/stat").unwrap();
        let wanted = said_otherwise();
        assert_eq!(super::session(&own), Some(wanted));
    }

    /// The same by another file of the kernel.
    fn said_otherwise() -> u32 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("NSsid:")).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    }
}
