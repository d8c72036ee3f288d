//! Processes by descriptor: a pidfd names one process for ever, a pid only while somebody pins it (pidfd_open(2)).

use crate::model::{Exit, Signal};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A descriptor for the process that has this pid now, close-on-exec.
///
/// # Errors
/// ESRCH: there is none. EINVAL: `pid` is 0 or not a process. EMFILE: no descriptor left.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(to_pid(pid)?, PidfdFlags::empty())?)
}

/// Sends a signal. Returns whether there was still somebody to get it (a zombie counts).
///
/// # Errors
/// EPERM: not permitted.
pub fn send_signal(pidfd: impl AsFd, signal: Signal) -> io::Result<bool> {
    signal_number(&pidfd, signal.number())
}

/// Whether the process, or its zombie, is still there. A reaped one is not.
///
/// # Errors
/// EBADF and the like.
pub fn exists(pidfd: impl AsFd) -> io::Result<bool> {
    signal_number(&pidfd, 0)
}

fn signal_number(pidfd: &impl AsFd, number: i32) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: pidfd_send_signal(2) takes numbers and a null siginfo, and touches no memory of ours. (rustix has the call
    // without signal 0 and without the real-time signals that users may name.)
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd, number, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ESRCH) => Ok(false),
        // Signal 0 to somebody else's process: it is there all the same.
        Some(libc::EPERM) if number == 0 => Ok(true),
        Some(_) | None => Err(error),
    }
}

/// How our child ended, without reaping it: its zombie keeps the pid. `None`: it has not ended.
///
/// # Errors
/// ECHILD: not our child, or reaped already.
pub fn peek(pidfd: impl AsFd) -> io::Result<Option<Exit>> {
    wait(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
}

/// Reaps our child if it has ended, never waits.
///
/// # Errors
/// ECHILD: not our child, or reaped already.
pub fn reap(pidfd: impl AsFd) -> io::Result<Option<Exit>> {
    wait(pidfd, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
}

/// Reaps one child by number, if it has ended. Only for children that have no pidfd.
///
/// # Errors
/// ECHILD: not our child.
pub fn reap_pid(pid: u32) -> io::Result<Option<Exit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::Pid(to_pid(pid)?), options)?;
    Ok(status.map(|status| to_exit(&status)))
}

fn wait(pidfd: impl AsFd, options: WaitIdOptions) -> io::Result<Option<Exit>> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(status) => return Ok(status.map(|status| to_exit(&status))),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn to_exit(status: &WaitIdStatus) -> Exit {
    if let Some(code) = status.exit_status() {
        return Exit::Code((code & 0xff) as u8);
    }
    let signal = status.terminating_signal().and_then(Signal::from_number);
    signal.map_or(Exit::Unknown, |signal| Exit::Signal { signal, core: status.dumped() })
}

fn to_pid(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::zombie_processes, reason = "tests: reaped by pidfd")]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn an_exit_can_be_peeked_at_again_and_again_and_is_reaped_once() {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "read x; exit 3"]).stdin(std::process::Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert_eq!(peek(&pidfd).unwrap(), None);
        assert!(exists(&pidfd).unwrap());
        drop(child.stdin.take());
        rustix::event::poll(&mut [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)], None)
            .unwrap();
        assert_eq!(peek(&pidfd).unwrap(), Some(Exit::Code(3)));
        assert_eq!(peek(&pidfd).unwrap(), Some(Exit::Code(3)));
        assert_eq!(reap(&pidfd).unwrap(), Some(Exit::Code(3)));
        assert_eq!(reap(&pidfd).unwrap_err().raw_os_error(), Some(libc::ECHILD));
        assert!(!send_signal(&pidfd, Signal::TERM).unwrap());
    }

    #[test]
    fn a_signal_and_its_core_are_told() {
        let child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pidfd = open(child.id()).unwrap();
        assert!(send_signal(&pidfd, Signal::TERM).unwrap());
        rustix::event::poll(&mut [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)], None)
            .unwrap();
        assert_eq!(reap(&pidfd).unwrap(), Some(Exit::Signal { signal: Signal::TERM, core: false }));
        assert_eq!(open(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
