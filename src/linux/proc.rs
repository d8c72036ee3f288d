//! What /proc says of single processes (proc_pid_stat(5)). A pid read here may be another process a moment later: compare
//! the start time, or hold a pidfd, before acting on it.

use std::fs;
use std::io;

/// One line of `/proc/PID/stat`, as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStat {
    /// Process id.
    pub pid: u32,
    /// Its name, at most 15 bytes, as the process itself set it: never to be trusted.
    pub comm: String,
    /// R, S, D, T, t, Z, X …
    pub state: char,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

impl ProcessStat {
    /// Whether it has ended and only waits to be reaped.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads `/proc/PID/stat`.
///
/// # Errors
/// ENOENT or ESRCH: there is no such process (or /proc hides it).
pub fn stat(pid: u32) -> io::Result<ProcessStat> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&bytes).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADMSG))
}

/// Whether an error says that we lack something, and nothing about the process.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// The name may hold spaces and parentheses: the last `)` ends it.
fn parse_stat(bytes: &[u8]) -> Option<ProcessStat> {
    let text = String::from_utf8_lossy(bytes);
    let (head, tail) = text.rsplit_once(')')?;
    let (pid, comm) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    // The kernel prints -1 or 0 where there is none.
    let number = |index: usize| fields.get(index).map(|text| text.parse::<u32>().unwrap_or(0));
    Some(ProcessStat {
        pid: pid.trim().parse().ok()?,
        comm: comm.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

/// When a process started, in clock ticks since boot.
///
/// # Errors
/// As [`stat`].
pub fn start_time(pid: u32) -> io::Result<u64> {
    Ok(stat(pid)?.start_time)
}

/// A process's name.
///
/// # Errors
/// As [`stat`].
pub fn comm(pid: u32) -> io::Result<String> {
    Ok(stat(pid)?.comm)
}

/// Sets this process's name as `ps` shows it (15 bytes). The keeper executes /proc/self/exe, which would show as `exe`.
pub fn set_own_name(name: &std::ffi::CStr) {
    // A failure changes nothing but what ps shows.
    let _ = nix::sys::prctl::set_name(name);
}

/// Puts the calling thread behind the others where processors are short (setpriority(2): on Linux a thread has a nice
/// value of its own).
pub fn be_modest() {
    // Being as quick as the others is no failure.
    if let Ok(now) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, now + 5);
    }
}

/// The children of the calling thread, zombies included; `None` where the kernel does not tell (CONFIG_PROC_CHILDREN).
/// Processes that were reparented to us are listed with the first thread: meant for a process with one thread.
pub fn own_children() -> Option<Vec<u32>> {
    let thread = nix::unistd::gettid();
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/children")).ok()?;
    Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn our_own_entry_is_read() {
        let own = stat(std::process::id()).unwrap();
        assert_eq!(own.pid, std::process::id());
        assert!(own.start_time > 0 && !own.is_dead());
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(stat(4_194_305).is_err());
    }

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let line = b"42 (a) R 1 (b) S 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 123456 0";
        let parsed = parse_stat(line).unwrap();
        assert_eq!((parsed.comm.as_str(), parsed.state, parsed.parent), ("a) R 1 (b", 'S', 7));
        assert_eq!((parsed.group, parsed.session, parsed.start_time), (8, 9, 123_456));
        assert_eq!(parse_stat(b"garbage"), None);
        assert_eq!(parse_stat(b"1 (x) R"), None);
    }
}
