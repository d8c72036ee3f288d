//! The supervisor's own standard output and error as a place for programs' output (`logs: inherit`).
//!
//! The trouble: the description behind fd 1 is shared with the shell that started us, so it must not be made
//! non-blocking, and a stopped terminal or a full pipe would block the pump. So a pipe or terminal is opened anew
//! through /proc/self/fd, which gives a description of its own; a socket is written with MSG_DONTWAIT. Never add
//! here: buffering or counting.

use super::logfile::cause;
use crate::model::LogStream;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The most that a pipe takes without waiting once poll(2) says it is writable: PIPE_BUF, pipe(7).
const SURE_BYTES: usize = 4096;

/// How a descriptor is written to without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// write(2): the description is non-blocking, or a file.
    Write,
    /// send(2) with MSG_DONTWAIT.
    Send,
    /// Ask poll(2) first, then write little: the description is shared and blocking.
    Ask,
}

/// Opens our own standard output or error for writing without waiting.
///
/// # Errors
/// One sentence for people.
pub(super) fn open(stream: LogStream) -> Result<(OwnedFd, Way), String> {
    match stream {
        LogStream::Stdout => open_own(std::io::stdout().as_fd(), "/proc/self/fd/1"),
        LogStream::Stderr => open_own(std::io::stderr().as_fd(), "/proc/self/fd/2"),
    }
    .map_err(|errno| format!("cannot write to {}: {}", name(stream), cause(errno)))
}

/// What people call it.
pub(super) fn name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stdout => "the supervisor's standard output",
        LogStream::Stderr => "the supervisor's standard error",
    }
}

fn open_own(fd: BorrowedFd<'_>, path: &str) -> Result<(OwnedFd, Way), Errno> {
    let shared = || rustix::io::fcntl_dupfd_cloexec(fd, 3);
    match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
        // A file's offset is shared with our own messages: a description of its own would overwrite them.
        FileType::RegularFile => Ok((shared()?, Way::Write)),
        FileType::Socket => Ok((shared()?, Way::Send)),
        _ => {
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(own) => Ok((own, Way::Write)),
                Err(_) => Ok((shared()?, Way::Ask)),
            }
        }
    }
}

/// Writes some of `bytes`, at least one.
///
/// # Errors
/// AGAIN where nothing can be written now, else what write(2) or send(2) say.
pub(super) fn write_some(fd: &OwnedFd, way: Way, bytes: &[u8]) -> Result<usize, Errno> {
    let once = || match way {
        Way::Write => rustix::io::write(fd, bytes),
        Way::Send => rustix::net::send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
        Way::Ask => match writable_within(fd, Duration::ZERO)? {
            true => rustix::io::write(fd, &bytes[..bytes.len().min(SURE_BYTES)]),
            false => Err(Errno::AGAIN),
        },
    };
    match rustix::io::retry_on_intr(once)? {
        0 => Err(Errno::IO),
        count => Ok(count),
    }
}

/// Waits for room, but not longer than `span`.
///
/// # Errors
/// What poll(2) says.
pub(super) fn writable_within(fd: &OwnedFd, span: Duration) -> Result<bool, Errno> {
    let mut set = [PollFd::new(fd, PollFlags::OUT)];
    let span =
        rustix::time::Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) };
    Ok(rustix::io::retry_on_intr(|| rustix::event::poll(&mut set, Some(&span)))? > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn fill(fd: &OwnedFd, way: Way) -> Errno {
        let bytes = [b'x'; 100_000];
        loop {
            if let Err(errno) = write_some(fd, way, &bytes) {
                return errno;
            }
        }
    }

    #[test]
    fn blocking_descriptors_never_block() {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        assert_eq!(fill(&one, Way::Send), Errno::AGAIN);
        drop(other);
        assert_eq!(fill(&one, Way::Send), Errno::PIPE, "and no SIGPIPE");
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        assert_eq!(fill(&write, Way::Ask), Errno::AGAIN);
        drop(read);
    }

    #[test]
    fn our_own_output_can_be_opened_without_touching_the_shared_description() {
        let before = rustix::fs::fcntl_getfl(std::io::stdout()).unwrap();
        let (_fd, _way) = open(LogStream::Stdout).unwrap();
        assert_eq!(rustix::fs::fcntl_getfl(std::io::stdout()).unwrap(), before);
    }
}
