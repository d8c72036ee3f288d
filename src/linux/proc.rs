//! What /proc says of single processes (proc_pid_stat(5)). A pid read here may be another process a moment later: compare
//! the start time, or hold a pidfd, before acting on it.

use super::pseudo;
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

/// The real user of a process (`Uid` of proc_pid_status(5)); `None` where it is gone.
pub fn user(pid: u32) -> Option<u32> {
    let status = pseudo::text(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How many files a process has open, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Now.
    pub open: u64,
    /// The soft limit.
    pub limit: u64,
}

/// The open files of a process; `None` where it is gone, another user's, or has no limit.
pub fn open_files(pid: u32) -> Option<OpenFiles> {
    let limits = pseudo::text(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let limit = line.split_ascii_whitespace().next()?.parse().ok()?;
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some(OpenFiles { open: u64::try_from(open).ok()?, limit })
}

/// Whether a process ignores a signal (`SigIgn` of proc_pid_status(5)); `None` where it is gone.
pub fn ignores(pid: u32, signal: i32) -> Option<bool> {
    let status = pseudo::text(format!("/proc/{pid}/status")).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    let bit = u32::try_from(signal).ok()?.checked_sub(1)?;
    Some(mask.checked_shr(bit)? & 1 == 1)
}

/// The states of a process's threads, as [`ProcessStat::state`] has them.
///
/// # Errors
/// ENOENT or ESRCH: there is no such process.
pub fn thread_states(pid: u32) -> io::Result<Vec<char>> {
    let mut states = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ended meanwhile has no state.
        let Ok(bytes) = fs::read(entry?.path().join("stat")) else { continue };
        states.extend(parse_stat(&bytes).map(|stat| stat.state));
    }
    Ok(states)
}

/// The numbers that a process has in the pid namespaces below ours, from the outermost to its own (`NSpid` of
/// proc_pid_status(5)); none where it is in ours.
pub fn inner_pids(pid: u32) -> Vec<u32> {
    let status = pseudo::text(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_ascii_whitespace().skip(1).filter_map(|pid| pid.parse().ok()).collect()
}

/// A variable of the environment that a process was executed with; `None` without it, or where it may not be seen.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |one: &[u8]| one.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
    let found = bytes.split(|&byte| byte == 0).find_map(value)?;
    Some(String::from_utf8_lossy(&found).into_owned())
}

/// The user that logged in to the session which a process belongs to, whoever it has become since (pam_loginuid(8));
/// `None` where there was no login or the kernel does not audit.
pub fn login_uid(pid: u32) -> Option<u32> {
    let text = pseudo::text(format!("/proc/{pid}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
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
    let text = pseudo::text(format!("/proc/self/task/{thread}/children")).ok()?;
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
    fn open_files_ignored_signals_and_variables_are_read() {
        let own = std::process::id();
        let files = open_files(own).unwrap();
        assert!(files.open >= 3 && files.limit >= files.open, "{files:?}");
        // Rust's runtime ignores PIPE, and nobody can ignore KILL.
        assert_eq!((ignores(own, libc::SIGPIPE), ignores(own, libc::SIGKILL)), (Some(true), Some(false)));
        assert_eq!(variable(own, "PATH"), std::env::var("PATH").ok());
        assert_eq!(variable(own, "SPPM_NO_SUCH_VARIABLE"), None);
        assert!(open_files(4_194_305).is_none() && ignores(4_194_305, 15).is_none());
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
