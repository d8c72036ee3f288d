//! Descriptors that arrive by number, over an exec; how many there are.

use super::limits;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

static TAKEN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Takes ownership of a descriptor that this process was started with, and makes it close-on-exec. Each number above
/// 2 can be taken once; call it before anything else opens files, else the number may be somebody else's.
///
/// # Errors
/// EBADF: there is no such descriptor, or it was taken before.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    let bad = || io::Error::from_raw_os_error(libc::EBADF);
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if number <= 2 || taken.contains(&number) {
        return Err(bad());
    }
    // SAFETY: fcntl(2) with F_SETFD takes numbers only; a number that is no descriptor gives EBADF.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(bad());
    }
    taken.insert(number);
    // SAFETY: the descriptor is open (just seen), and nobody else in this process owns it: it came over exec, and is
    // given out once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// How many descriptors this process has: the size of /proc/self/fd (proc(5), Linux 6.2). Older kernels do not tell it, and counting
/// the entries at each launch would cost a thousand programs a second: there it is the lowest number that is free, which a
/// new descriptor gets (open(2)), and those beyond a gap are not seen.
///
/// # Errors
/// EMFILE: there is no free one.
pub fn in_use() -> io::Result<u64> {
    let size = std::fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if size > 0 {
        return Ok(size);
    }
    let next = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
    Ok(u64::try_from(next.as_raw_fd()).unwrap_or(0))
}

/// Makes the table of descriptors large enough for so many, as far as the limit allows. The kernel doubles it when it is full, and
/// where threads share it, whoever opens the file too many then waits for an RCU grace period: some ten milliseconds (`expand_fdtable`
/// of fs/file.c). It never shrinks. An entry takes eight bytes of the kernel's memory.
pub fn make_room(count: u64) {
    let limit = limits::open_files().unwrap_or(u64::MAX);
    let highest = i32::try_from(count.min(limit).saturating_sub(1)).unwrap_or(i32::MAX);
    let Ok(one) = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC) else { return };
    // Where it cannot be had now, it grows when it must.
    let _ = rustix::io::fcntl_dupfd_cloexec(&one, highest);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FDSize` of proc(5): what the table has room for.
    #[allow(clippy::unwrap_used, reason = "tests")]
    fn size() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        line.trim().parse().unwrap()
    }

    #[test]
    fn room_is_made_as_far_as_the_limit_allows() {
        let wanted = limits::open_files().map_or(2000, |limit| limit.min(2000));
        make_room(wanted);
        let made = size();
        assert!(made >= wanted, "{made}");
        make_room(10);
        assert_eq!(size(), made, "it never shrinks");
    }

    #[test]
    fn what_is_not_there_cannot_be_taken() {
        for number in [-1, 0, 2, 1_000_000] {
            assert!(inherited(number).is_err());
        }
    }
}
