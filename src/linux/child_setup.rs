//! The unsafe room: fork, the set-up of the child, exec.
//!
//! Between fork(2) and execve(2) only async-signal-safe calls are made (signal-safety(7)), on data that was prepared before:
//! no allocation, no lock, no panic. What fails is told as a [`Failure`] through a pipe that closes by itself when the
//! exec succeeds.
//!
//! In: a [`Setup`]. Out: a [`Spawned`]. Never add here: anything that could be done before the fork, or by the program.

pub use super::launch::{Failure, Outcome, Rights, Setup, Spawned, outcome};

use super::fork::{Forked, fork, part};
use super::launch::{APART, RECORD};
use super::low::Row;
use crate::model::{LaunchStage, RlimitKind};
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Pauses after ETXTBSY, where somebody is still writing the program.
const BUSY_RETRIES: u32 = 5;
const BUSY_PAUSE_NANOS: libc::c_long = 200_000_000;

/// Descriptors that a child opens at once, at most: two for its output, its input, the report's new place.
const PLACES: usize = 4;

/// Starts a process. With a row it shares the descriptors until it is [`Outcome::Apart`], and the row must be left alone
/// until that is known, or that it has ended. For a process with one thread (another thread could have a lock of libc's at the fork).
///
/// # Errors
/// `Prepare`: a descriptor could not be had. `Fork`: no more processes or memory. All later failures come by the pipe.
pub fn spawn(setup: &Setup<'_>, row: Option<&mut Row>) -> Result<Spawned, Failure> {
    let prepare = |error: &io::Error| Failure::before_fork(LaunchStage::Prepare, error);
    let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
    let (report, told) = rustix::pipe::pipe_with(flags).map_err(|error| prepare(&error.into()))?;
    // Keeps numbers free, for the pidfd here and for what the child opens: neither must fail once the child exists.
    let mut places = Vec::with_capacity(PLACES);
    for _ in 0..PLACES {
        places.push(rustix::io::fcntl_dupfd_cloexec(&told, 3).map_err(|error| prepare(&error.into()))?);
    }
    let numbers = places.iter().map(AsRawFd::as_raw_fd).collect();
    let prepared = match row {
        Some(row) => {
            row.fill(&told, setup.output).map_err(|error| prepare(&error))?;
            Prepared::in_row(setup, row, numbers)
        }
        None => Prepared::new(*setup, told.as_raw_fd(), numbers),
    };
    let forked = fork(setup.cgroup, prepared.row.is_some())
        .map_err(|error| Failure::before_fork(LaunchStage::Fork, &error))?;
    let (pid, pidfd) = match forked {
        // It makes async-signal-safe calls on memory that was prepared, and never returns.
        Forked::Child { joined, shares } => prepared.run(joined, shares),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(places);
    match pidfd.map_or_else(|| super::pidfd::open(pid), Ok) {
        Ok(pidfd) => Ok(Spawned { pid, pidfd, report }),
        Err(error) => {
            give_up(pid);
            Err(prepare(&error))
        }
    }
}

/// Kills and reaps a child of ours that cannot be watched (no descriptor, no memory): such a one must not be. Only for a
/// child that was just forked and not reaped.
pub fn give_up(pid: u32) {
    let pid = pid.cast_signed();
    // SAFETY: `pid` is our own child that was not reaped: the number is pinned. Both calls take numbers and a null pointer.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

/// `Setup` in the form that system calls take. The pointers point into the `Setup`, which outlives it.
struct Prepared<'a> {
    setup: Setup<'a>,
    argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    limits: Vec<(RlimitKind, libc::rlimit)>,
    has_open_files: bool,
    soft_open_files: libc::rlim_t,
    oom_score_adj: String,
    cgroup_procs: Option<CString>,
    reopen: Option<(CString, CString)>,
    told: RawFd,
    places: Vec<RawFd>,
    /// The first number of its row, and the one behind.
    row: Option<(RawFd, RawFd)>,
}

impl<'a> Prepared<'a> {
    /// With the descriptors of a row in place of their originals.
    fn in_row(setup: &Setup<'a>, row: &'a Row, places: Vec<RawFd>) -> Self {
        let merged = setup.output.is_some_and(|(stdout, stderr)| stdout.as_raw_fd() == stderr.as_raw_fd());
        let output = setup.output.map(|_| row.output(merged));
        let prepared = Self::new(Setup { output, ..*setup }, row.first(), places);
        Self { row: Some((row.first(), row.end())), ..prepared }
    }

    fn new(setup: Setup<'a>, told: RawFd, places: Vec<RawFd>) -> Self {
        let pointers = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let number = |value: Option<u64>| value.map_or(libc::RLIM_INFINITY, |value| value as libc::rlim_t);
        let limits = setup.rlimits.iter().map(|limit| {
            let value = number(limit.value);
            (limit.kind, libc::rlimit { rlim_cur: value, rlim_max: value })
        });
        let by_proc = |fd: BorrowedFd<'_>| {
            CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default()
        };
        let cgroup_procs =
            setup.cgroup.and_then(|folder| CString::new([folder.to_bytes(), b"/cgroup.procs"].concat()).ok());
        Self {
            argv: pointers(setup.argv),
            environment: pointers(setup.environment),
            limits: limits.collect(),
            has_open_files: setup.rlimits.iter().any(|limit| limit.kind == RlimitKind::OpenFiles),
            soft_open_files: number(setup.soft_open_files),
            oom_score_adj: setup.oom_score_adj.map_or_else(String::new, |score| score.to_string()),
            cgroup_procs,
            reopen: setup.output.map(|(stdout, stderr)| (by_proc(stdout), by_proc(stderr))),
            setup,
            told,
            places,
            row: None,
        }
    }

    /// The child's whole life before the program.
    fn run(&self, joined: bool, shares: bool) -> ! {
        let mut told = self.told;
        // Nothing may be opened or closed before: it would be the parent's.
        let parted = self.part(shares).map_err(|errno| (LaunchStage::Prepare, errno));
        let (stage, errno, candidate) = match parted.and_then(|()| self.set_up(joined, &mut told)) {
            Ok(()) => self.execute(),
            Err((stage, errno)) => (stage, errno, 0),
        };
        let mut record = [0_u8; RECORD];
        record[0] = stage as u8;
        record[1] = candidate;
        record[2..].copy_from_slice(&errno.to_le_bytes());
        // SAFETY: `record` lives over the call. _exit(2) runs no handlers, which belong to the parent's memory.
        unsafe {
            libc::write(told, record.as_ptr().cast(), RECORD);
            libc::_exit(127)
        }
    }

    /// Gets descriptors of its own, and lets go of what other children have in their rows: their reports must end with them.
    fn part(&self, shares: bool) -> Result<(), i32> {
        let Some((first, end)) = self.row else { return Ok(()) };
        if shares {
            part(end)?;
        }
        // SAFETY: numbers only; rows begin at 3, and what lies below this one is not for this child. `APART` lives over the call.
        unsafe {
            if first > 3 {
                libc::syscall(libc::SYS_close_range, 3, first - 1, 0);
            }
            libc::write(self.told, [APART].as_ptr().cast(), 1);
        }
        Ok(())
    }

    /// All steps but the exec. `told` is the pipe's number, which changes on the way.
    fn set_up(&self, joined: bool, told: &mut RawFd) -> Result<(), (LaunchStage, i32)> {
        // SAFETY: numbers only: the child's own copies (or none any more) of descriptors that only kept their numbers free. setsid cannot fail: a
        // new child leads no process group.
        unsafe {
            for place in &self.places {
                libc::close(*place);
            }
            libc::setsid();
        }
        if !joined {
            self.join_cgroup();
        }
        let output = self.reopen_output();
        self.set_limits().map_err(|errno| (LaunchStage::Limits, errno))?;
        if let Some(mask) = self.setup.umask {
            // SAFETY: takes and returns a number, never fails.
            unsafe { libc::umask(mask as libc::mode_t & 0o7777) };
        }
        if let Some(rights) = self.setup.rights {
            take_rights(rights).map_err(|errno| (LaunchStage::Identity, errno))?;
        }
        if let Some(directory) = self.setup.directory {
            // SAFETY: a C string that outlives the call.
            check(unsafe { libc::chdir(directory.as_ptr()) })
                .map_err(|errno| (LaunchStage::Directory, errno))?;
        }
        self.open_stdin().map_err(|errno| (LaunchStage::Stdin, errno))?;
        reset_signals();
        self.place_descriptors(output, told).map_err(|errno| (LaunchStage::Prepare, errno))?;
        // Last, because a low limit would get in the way of the steps before.
        self.limit_open_files().map_err(|errno| (LaunchStage::Limits, errno))
    }

    fn join_cgroup(&self) {
        if let Some(path) = &self.cgroup_procs {
            // Not fatal: the tree is then found by walking.
            let _ = write_file(path, b"0");
        }
    }

    /// An own, readable opening of each pipe: who holds a reader gets no EPIPE when the keeper and the supervisor die.
    /// Without /proc the plain write end must do.
    fn reopen_output(&self) -> Option<(RawFd, RawFd)> {
        let (stdout, stderr) = self.setup.output?;
        let (out_path, err_path) = self.reopen.as_ref()?;
        let reopen = |path: &CString, plain: BorrowedFd<'_>| {
            // SAFETY: a C string that outlives the call.
            let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOCTTY) };
            if fd == -1 { plain.as_raw_fd() } else { fd }
        };
        let first = reopen(out_path, stdout);
        let merged = stdout.as_raw_fd() == stderr.as_raw_fd();
        Some((first, if merged { first } else { reopen(err_path, stderr) }))
    }

    fn set_limits(&self) -> Result<(), i32> {
        for (kind, limit) in &self.limits {
            match kind {
                RlimitKind::OpenFiles => raise_hard_open_files(limit)?,
                RlimitKind::Processes => set_limit(libc::RLIMIT_NPROC as i32, limit)?,
                RlimitKind::Core => set_limit(libc::RLIMIT_CORE as i32, limit)?,
            }
        }
        if let Some(nice) = self.setup.nice {
            // SAFETY: numbers only; 0 = this process.
            check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })?;
        }
        if self.setup.oom_score_adj.is_some() {
            write_file(c"/proc/self/oom_score_adj", self.oom_score_adj.as_bytes())?;
        }
        Ok(())
    }

    fn limit_open_files(&self) -> Result<(), i32> {
        for (kind, limit) in &self.limits {
            if *kind == RlimitKind::OpenFiles {
                set_limit(libc::RLIMIT_NOFILE as i32, limit)?;
            }
        }
        if !self.has_open_files {
            let mut now = get_open_files()?;
            now.rlim_cur = self.soft_open_files.min(now.rlim_max);
            set_limit(libc::RLIMIT_NOFILE as i32, &now)?;
        }
        Ok(())
    }

    fn open_stdin(&self) -> Result<(), i32> {
        let Some(path) = self.setup.stdin else { return Ok(()) };
        // A FIFO without a writer must not hold the launch up, a terminal must not become ours.
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
        // SAFETY: a C string that outlives the call; then numbers only.
        unsafe {
            let fd = libc::open(path.as_ptr(), flags);
            check(fd)?;
            check(libc::fcntl(fd, libc::F_SETFL, 0))?;
            check(libc::dup2(fd, 0))
        }
    }

    /// Output to 1 and 2, the handed descriptor to 3, the pipe behind it, all others closed.
    fn place_descriptors(&self, output: Option<(RawFd, RawFd)>, told: &mut RawFd) -> Result<(), i32> {
        // SAFETY: numbers only. The pipe is first moved out of the way of the numbers that are about to be used.
        unsafe {
            let away = libc::fcntl(*told, libc::F_DUPFD_CLOEXEC, 5);
            check(away)?;
            *told = away;
            if let Some((stdout, stderr)) = output {
                check(libc::dup2(stdout, 1))?;
                check(libc::dup2(stderr, 2))?;
            }
            let mut last = 3;
            if let Some(handed) = self.setup.handed {
                let handed = handed.as_raw_fd();
                // dup2 onto itself would leave close-on-exec set.
                check(if handed == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(handed, 3) })?;
                last = 4;
            }
            check(libc::dup3(away, last, libc::O_CLOEXEC))?;
            *told = last;
            close_from(last + 1);
            Ok(())
        }
    }

    /// Tries the candidates as execvp(3) does: a missing one leads to the next, and so does one without permission, which is
    /// remembered. Returns only on failure.
    fn execute(&self) -> (LaunchStage, i32, u8) {
        let mut worst = (libc::ENOENT, 0);
        for (index, path) in self.setup.candidates.iter().enumerate() {
            let errno = self.execute_one(path);
            let index = index.min(usize::from(u8::MAX)) as u8;
            match errno {
                libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG if worst.0 == libc::EACCES => {}
                libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::EACCES => worst = (errno, index),
                _ => return (LaunchStage::Exec, errno, index),
            }
        }
        (LaunchStage::Exec, worst.0, worst.1)
    }

    fn execute_one(&self, path: &CStr) -> i32 {
        for _ in 0..BUSY_RETRIES {
            let errno = self.try_once(path);
            if errno != libc::ETXTBSY {
                return errno;
            }
            let pause = libc::timespec { tv_sec: 0, tv_nsec: BUSY_PAUSE_NANOS };
            // SAFETY: `pause` lives over the call; nanosleep(2) is a plain system call.
            unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
        }
        self.try_once(path)
    }

    fn try_once(&self, path: &CStr) -> i32 {
        // SAFETY: C strings and null-terminated arrays of such, all prepared before the fork. Returns only on failure.
        unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.environment.as_ptr()) };
        errno()
    }
}

fn errno() -> i32 {
    // SAFETY: the location is this thread's own and always valid.
    unsafe { *libc::__errno_location() }
}

fn check(result: i32) -> Result<(), i32> {
    if result == -1 { Err(errno()) } else { Ok(()) }
}

fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), i32> {
    // SAFETY: a C string and a slice that outlive the calls; the descriptor is our own.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(fd)?;
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let result = if written == -1 { Err(errno()) } else { Ok(()) };
        libc::close(fd);
        result
    }
}

fn set_limit(resource: i32, limit: &libc::rlimit) -> Result<(), i32> {
    // SAFETY: `limit` lives over the call. The resource's type differs between libcs, its number does not.
    check(unsafe { libc::setrlimit(resource as _, std::ptr::from_ref(limit)) })
}

fn get_open_files() -> Result<libc::rlimit, i32> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `now` lives over the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut now) })?;
    Ok(now)
}

/// Raising a hard limit takes root's rights, so it is done before they are given up.
fn raise_hard_open_files(wanted: &libc::rlimit) -> Result<(), i32> {
    let mut now = get_open_files()?;
    if wanted.rlim_max <= now.rlim_max {
        return Ok(());
    }
    now.rlim_max = wanted.rlim_max;
    set_limit(libc::RLIMIT_NOFILE as i32, &now)
}

/// Groups, then group, then user (setresuid(2) takes the right to do the others away), then a look whether it is so.
fn take_rights(rights: Rights<'_>) -> Result<(), i32> {
    let Rights { uid, gid, groups } = rights;
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: `groups` outlives the call; the three numbers outlive theirs.
    unsafe {
        check(libc::setgroups(groups.len() as _, groups.as_ptr()))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid))?;
        check(libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved))?;
        let group_right = [real, effective, saved] == [gid; 3];
        check(libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved))?;
        let user_right = [real, effective, saved] == [uid; 3];
        // Whoever gave root's rights up must not get them back.
        let root_again = uid != 0 && libc::setresuid(u32::MAX, 0, u32::MAX) == 0;
        if group_right && user_right && !root_again { Ok(()) } else { Err(libc::EPERM) }
    }
}

/// Ignored signals would stay ignored over the exec (signal(7)); then nothing is blocked any more. The system call is made
/// directly, because libc refuses to touch 32 and 33, which a parent may have left ignored all the same.
fn reset_signals() {
    // SIG_DFL, no flags, no mask: zeros, however the kernel of this machine orders the fields.
    let default = [0_u64; 4];
    let mask_size = size_of::<u64>();
    // SAFETY: `default` is as large as the kernel's struct sigaction, and lives over the calls; so does `none`. KILL and
    // STOP refuse, which is right.
    unsafe {
        let nowhere = std::ptr::null_mut::<u64>();
        for signal in 1..=64 {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nowhere, mask_size);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// close_range(2) is from Linux 5.9; without it everything that we opened ourselves closes at exec anyway.
fn close_from(first: RawFd) {
    // SAFETY: numbers only; nothing in this child uses a descriptor from `first` on any more.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) == -1 {
            for fd in first..4096 {
                libc::close(fd);
            }
        }
    }
}
