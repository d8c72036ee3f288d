//! fork(2) with more to it, where the kernel has clone3(2): the child is born in its cgroup, and comes with its pidfd.
//!
//! To move a process that exists into a cgroup takes a lock that waits for all processors (an RCU grace period, often
//! more than ten milliseconds); to be born there takes none.
//!
//! In: a cgroup's folder. Out: which of the two processes this is. Never add here: what the child does.

use rustix::fs::{Mode, OFlags};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// clone3(2), since Linux 5.2 and 5.7.
const CLONE_FILES: u64 = 0x400;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// close_range(2), since Linux 5.9.
const CLOSE_RANGE_UNSHARE: libc::c_uint = 2;

/// `struct clone_args` up to the field of Linux 5.7.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which of the two processes this is.
#[derive(Debug)]
pub(super) enum Forked {
    /// The child.
    Child {
        /// It is in its cgroup already.
        joined: bool,
        /// It shares the parent's descriptors, and must [`part`] from them before it touches any.
        shares: bool,
    },
    /// The parent.
    Parent {
        /// The child's.
        pid: u32,
        /// The child's, close-on-exec. `None`: it is still to be opened.
        pidfd: Option<OwnedFd>,
    },
}

/// Forks, into a cgroup if possible, and sharing the descriptors if wanted and possible. For a process with one thread, and for a child that only makes async-signal-safe calls
/// and never returns from its caller: what libc does around its own fork(2) may be missing.
///
/// # Errors
/// As fork(2): no more processes or memory.
pub(super) fn fork(cgroup: Option<&CStr>, share: bool) -> io::Result<Forked> {
    // Where it cannot be opened, the child will not be able to join it either, and lives without.
    let folder = cgroup.and_then(|path| {
        rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
    });
    // Refused by older kernels, by filters of system calls, and by cgroups that take nobody: the old way then.
    let forked = clone3(folder.as_ref(), share).or_else(|_| plain_fork());
    if let Ok(Forked::Child { .. }) = &forked {
        // It may be the parent's own.
        std::mem::forget(folder);
    }
    forked
}

/// Takes a copy of the descriptors below `end` and leaves the others to the parent. Returns an errno(3); then nothing has
/// changed.
pub(super) fn part(end: RawFd) -> Result<(), i32> {
    // SAFETY: numbers only. In a process that shares its table with nobody nothing from `end` on is in use.
    match unsafe { libc::syscall(libc::SYS_close_range, end, libc::c_uint::MAX, CLOSE_RANGE_UNSHARE) } {
        // SAFETY: the location is this thread's own and always valid.
        -1 => Err(unsafe { *libc::__errno_location() }),
        _ => Ok(()),
    }
}

/// Whether the kernel knows how to [`part`]. Asked with a range in which no descriptor can be.
pub(super) fn can_part() -> bool {
    part(RawFd::MAX).is_ok()
}

fn clone3(cgroup: Option<&OwnedFd>, share: bool) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: if share { CLONE_PIDFD | CLONE_FILES } else { CLONE_PIDFD },
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(folder) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = folder.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM and with no stack of its own the child goes on here, on a copy of all memory, as after fork(2).
    // `args` and `pidfd` outlive the call, and the size is that of `args`. What the child may do is this function's contract.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child { joined: cgroup.is_some(), shares: share }),
        pid => {
            // SAFETY: the kernel has put a new descriptor there, which is nobody else's.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { pid: pid as u32, pidfd: Some(pidfd) })
        }
    }
}

fn plain_fork() -> io::Result<Forked> {
    // SAFETY: what the child may do is this function's contract.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child { joined: false, shares: false }),
        pid => Ok(Forked::Parent { pid: pid.unsigned_abs(), pidfd: None }),
    }
}
