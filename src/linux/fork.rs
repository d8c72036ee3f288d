//! fork(2) with more to it, where the kernel has clone3(2): the child is born in its cgroup, and comes with its pidfd.
//!
//! To move a process that exists into a cgroup takes a lock that waits for all processors (an RCU grace period, often
//! more than ten milliseconds); to be born there takes none.
//!
//! In: a cgroup's folder. Out: which of the two processes this is. Never add here: what the child does.

use super::stack::Stack;
use rustix::fs::{Mode, OFlags};
use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// clone3(2), since Linux 5.2 and 5.7.
const CLONE_VM: u64 = 0x100;
const CLONE_FILES: u64 = 0x400;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Since Linux 5.5.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// close_range(2), since Linux 5.9.
const CLOSE_RANGE_UNSHARE: usize = 2;

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

/// A cgroup's folder, for a child to be born in. `None`: it cannot be opened.
pub(super) fn open_cgroup(path: &CStr) -> Option<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Forks, into a cgroup if possible, and sharing the descriptors if wanted and possible. For a process with one thread, and
/// for a child that only makes async-signal-safe calls and never returns from its caller: what libc does around its own
/// fork(2) may be missing.
///
/// # Errors
/// As fork(2): no more processes or memory.
pub(super) fn fork(cgroup: Option<&OwnedFd>, share: bool) -> io::Result<Forked> {
    // Refused by older kernels, by filters of system calls, and by cgroups that take nobody: the old way then.
    clone3(cgroup, share).or_else(|_| plain_fork())
}

/// Starts a child in its cgroup that shares descriptors and memory: it need not wait for copies of tables and pages. It begins
/// with `entry(given)` on its stack. All signals are blocked in it, and it has no handlers: one would run in memory that is not
/// its own. What we ignore it still ignores.
///
/// It is as with vfork(2): if the kernel has to kill one for want of memory, it kills all who share it. But nobody waits.
///
/// # Errors
/// As clone3(2); ENOSYS where [`can_share_memory`] is false. Then there is no child.
///
/// # Safety
/// The stack is the child's alone, and it and `given` stay until the child is through with them: exec, or its end. `entry`
/// must make system calls only, and without errno(3).
pub(super) unsafe fn beside(
    cgroup: Option<&OwnedFd>,
    stack: &Stack,
    entry: unsafe extern "C" fn(*const c_void) -> !,
    given: *const c_void,
) -> io::Result<(u32, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    let (lowest, size) = stack.bounds();
    let mut args = CloneArgs {
        flags: CLONE_PIDFD | CLONE_FILES | CLONE_VM | CLONE_CLEAR_SIGHAND,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: lowest,
        stack_size: size,
        ..CloneArgs::default()
    };
    args.enter(cgroup);
    let before = block_signals(u64::MAX);
    // SAFETY: the caller's promise. `args` and `pidfd` outlive the call, and the size is that of `args`.
    let pid =
        unsafe { super::raw::clone_onto((&raw const args).cast(), size_of::<CloneArgs>(), entry, given) };
    block_signals(before);
    let pid = pid.map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the kernel has put a new descriptor there, which is nobody else's.
    Ok((pid as u32, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// Whether [`beside`] works and does no harm. Before Linux 5.16 a child that dumps core takes all with it who share its memory.
pub(super) fn can_share_memory() -> bool {
    let release = rustix::system::uname();
    super::raw::HAS_CLONE_ONTO && is_at_least(&release.release().to_string_lossy(), (5, 16))
}

fn is_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= wanted)
}

/// Blocks these signals and no others (bit 0 is signal 1). Returns what was blocked before.
fn block_signals(set: u64) -> u64 {
    let mut before = 0_u64;
    let [new, old] = [(&raw const set) as usize, (&raw mut before) as usize];
    // SAFETY: both are as large as the kernel's set of signals and live over the call, which cannot fail with them.
    let _ = unsafe {
        super::raw::call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, new, old, size_of::<u64>()])
    };
    before
}

/// Takes a copy of the descriptors below `end` and leaves the others to the parent. Returns an errno(3); then nothing has
/// changed.
pub(super) fn part(end: RawFd) -> Result<(), i32> {
    // In a process that shares its table with nobody nothing from `end` on is in use.
    close_range_with(end, RawFd::MAX, CLOSE_RANGE_UNSHARE)
}

/// Closes what lies between, both included. Only for descriptors that nobody in this process uses any more.
pub(super) fn close_range(first: RawFd, last: RawFd) -> Result<(), i32> {
    close_range_with(first, last, 0)
}

fn close_range_with(first: RawFd, last: RawFd, flags: usize) -> Result<(), i32> {
    // SAFETY: numbers only; the callers say whose descriptors they are.
    unsafe { super::raw::call(libc::SYS_close_range, [first as usize, last as usize, flags, 0]) }.map(drop)
}

/// Whether the kernel knows how to [`part`]. Asked with a range in which no descriptor can be.
pub(super) fn can_part() -> bool {
    part(RawFd::MAX).is_ok()
}

impl CloneArgs {
    fn enter(&mut self, cgroup: Option<&OwnedFd>) {
        if let Some(folder) = cgroup {
            self.flags |= CLONE_INTO_CGROUP;
            self.cgroup = folder.as_raw_fd() as u64;
        }
    }
}

fn clone3(cgroup: Option<&OwnedFd>, share: bool) -> io::Result<Forked> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: if share { CLONE_PIDFD | CLONE_FILES } else { CLONE_PIDFD },
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    args.enter(cgroup);
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

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn a_kernel_is_asked_for_its_age() {
        for (release, wanted) in [
            ("6.18.44-fc", true),
            ("5.16.0", true),
            ("5.16-rc1", true),
            ("5.15.200", false),
            ("5.4.0", false),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(is_at_least(release, (5, 16)), wanted, "{release}");
        }
    }
}
