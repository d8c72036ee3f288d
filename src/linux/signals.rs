//! Signals as something to read (signalfd(2)), and what this process ignores.

use crate::model::Signal;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Signals that arrive at a descriptor instead of interrupting anything.
#[derive(Debug)]
pub struct SignalQueue {
    fd: SignalFd,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Which.
    pub signal: Signal,
    /// Where from: `si_code` of sigaction(2); positive = the kernel (a terminal's key among them), else a process.
    pub code: i32,
    /// The sender's pid, where a process sent it; with SIGCHLD the child's.
    pub pid: u32,
    /// The sender's real user id, where a process sent it.
    pub uid: u32,
}

impl SignalQueue {
    /// Blocks these signals in the calling thread and collects them. For a process with one thread.
    ///
    /// # Errors
    /// EMFILE and the like.
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in signals {
            set.add(to_nix(*signal)?);
        }
        nix::sys::signal::sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Self { fd })
    }

    /// The next signal; `None`: no more for now. Equal signals that came together are one.
    ///
    /// # Errors
    /// As read(2).
    pub fn next(&self) -> io::Result<Option<Caught>> {
        let Some(info) = self.fd.read_signal()? else { return Ok(None) };
        let signal = i32::try_from(info.ssi_signo).ok().and_then(Signal::from_number);
        let signal = signal.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADMSG))?;
        Ok(Some(Caught { signal, code: info.ssi_code, pid: info.ssi_pid, uid: info.ssi_uid }))
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Ignores a signal in this process and, over an exec, in its children unless they reset it.
///
/// # Errors
/// EINVAL: KILL and STOP.
pub fn ignore(signal: Signal) -> io::Result<()> {
    set(to_nix(signal)?, SigHandler::SigIgn, SaFlags::empty())
}

/// Sends a signal to a whole process group. Its leader must be pinned (alive, or a zombie that was not reaped), so that the
/// number is nobody else's. Returns whether there was anybody to get it.
///
/// # Errors
/// EPERM: none of them may be signalled.
pub fn signal_group(leader: u32, signal: Signal) -> io::Result<bool> {
    let Ok(group) = i32::try_from(leader) else { return Ok(false) };
    // 0 and 1 mean our own group, and everybody.
    if group <= 1 {
        return Ok(false);
    }
    // SAFETY: kill(2) takes numbers only. (nix has the call without the real-time signals that users may name.)
    if unsafe { libc::kill(-group, signal.number()) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        error => Err(error),
    }
}

/// Children's ends are told and their zombies stay; stops and continues are not told. Whoever started us may have
/// left SIGCHLD ignored, which would reap them behind our back.
///
/// # Errors
/// As sigaction(2).
pub fn want_child_exits() -> io::Result<()> {
    set(NixSignal::SIGCHLD, SigHandler::SigDfl, SaFlags::SA_NOCLDSTOP)
}

/// Whether a signal is ignored, as by nohup(1) or for a background job of a shell.
pub fn is_ignored(signal: Signal) -> bool {
    ignored().is_some_and(|mask| mask >> (signal.number() - 1) & 1 == 1)
}

/// All that are ignored; bit 0 is signal 1. With 32 and 33, of which libc says nothing. `None`: there is no /proc.
pub(super) fn ignored() -> Option<u64> {
    let status = super::pseudo::text("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn set(signal: NixSignal, handler: SigHandler, flags: SaFlags) -> io::Result<()> {
    let action = SigAction::new(handler, flags, SigSet::empty());
    // SAFETY: only SIG_DFL and SIG_IGN are ever set here: no code of ours runs in a handler.
    unsafe { nix::sys::signal::sigaction(signal, &action) }?;
    Ok(())
}

fn to_nix(signal: Signal) -> io::Result<NixSignal> {
    Ok(NixSignal::try_from(signal.number())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_group_gets_real_time_signals_too() {
        use std::os::unix::process::{CommandExt, ExitStatusExt};
        let mut child = std::process::Command::new("/bin/sleep").arg("60").process_group(0).spawn().unwrap();
        let real_time = Signal::from_number(libc::SIGRTMIN() + 3).unwrap();
        assert!(signal_group(child.id(), real_time).unwrap());
        assert_eq!(child.wait().unwrap().signal(), Some(real_time.number()));
        for nobody in [0, 1, u32::MAX] {
            assert!(!signal_group(nobody, real_time).unwrap());
        }
    }

    #[test]
    fn ignored_signals_are_seen() {
        let unused = Signal::from_number(23).unwrap();
        assert!(!is_ignored(unused));
        ignore(unused).unwrap();
        assert!(is_ignored(unused));
        assert!(ignore(Signal::KILL).is_err());
    }
}
