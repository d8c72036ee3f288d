//! SOCK_SEQPACKET sockets (unix(7)): whole messages, in order, with descriptors. Never add here: what the bytes mean.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest packet that we send or take, in bytes. The kernel refuses more than 212,992 by default.
pub const MAX_PACKET: usize = 64 * 1024;

/// The most descriptors in one packet.
pub const MAX_FDS: usize = 6;

/// Whether a call may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Until it can be done.
    Allowed,
    /// Not at all: EAGAIN instead.
    Never,
}

/// A message that came.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes. None at all: the other end is closed (or sent an empty packet, which we never do).
    pub bytes: Vec<u8>,
    /// Its descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// Bytes or descriptors were lost: too many of them, or no descriptor was free.
    pub cut: bool,
}

/// Two connected ends, close-on-exec.
///
/// # Errors
/// EMFILE and the like.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one packet.
///
/// # Errors
/// EPIPE: the other end is closed. EAGAIN: it is full, and waiting is not allowed. ETOOMANYREFS: too many descriptors on their
/// way. EMSGSIZE: more than [`MAX_PACKET`] bytes.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>], waiting: Waiting) -> io::Result<()> {
    if bytes.len() > MAX_PACKET || fds.len() > MAX_FDS {
        return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let flags = match waiting {
        Waiting::Allowed => SendFlags::NOSIGNAL,
        Waiting::Never => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    };
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes one packet.
///
/// # Errors
/// EAGAIN: there is none, and waiting is not allowed. ECONNRESET: the other end died with packets unread.
pub fn receive(socket: impl AsFd, waiting: Waiting) -> io::Result<Packet> {
    let flags = match waiting {
        Waiting::Allowed => RecvFlags::CMSG_CLOEXEC,
        Waiting::Never => RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    };
    // Its length first: most are a hundred bytes long, and clearing room for the longest would cost more than the question.
    let length = loop {
        match recv(
            &socket,
            &mut [0; 0],
            flags.difference(RecvFlags::CMSG_CLOEXEC) | RecvFlags::PEEK | RecvFlags::TRUNC,
        ) {
            Ok((_, length)) => break length,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut buffer = vec![0; length.min(MAX_PACKET)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags) {
            Ok(message) => break message,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut fds = Vec::new();
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = item {
            fds.extend(rights);
        }
    }
    let cut = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    buffer.truncate(message.bytes);
    Ok(Packet { bytes: buffer, fds, cut })
}

/// Whether the other end of a socket is closed. What it sent before may still be there to read.
pub fn is_closed(socket: impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::new(&socket, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut watched, Some(&at_once));
    polled.is_ok() && watched[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_borders_and_carry_descriptors() {
        let (one, two) = pair().unwrap();
        let memory = super::super::memfd::sealed("test", b"inside").unwrap();
        send(&one, b"first", &[], Waiting::Never).unwrap();
        send(&one, b"second", &[memory.as_fd()], Waiting::Never).unwrap();
        let first = receive(&two, Waiting::Allowed).unwrap();
        assert_eq!((first.bytes.as_slice(), first.fds.len(), first.cut), (&b"first"[..], 0, false));
        let second = receive(&two, Waiting::Never).unwrap();
        assert_eq!(second.bytes, b"second");
        assert_eq!(super::super::memfd::read_sealed(&second.fds[0], 100).unwrap(), b"inside");
        assert_eq!(receive(&two, Waiting::Never).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(!is_closed(&two));
        drop(one);
        assert!(is_closed(&two));
        assert!(receive(&two, Waiting::Allowed).unwrap().bytes.is_empty());
        let big = vec![0; MAX_PACKET + 1];
        assert_eq!(send(&two, &big, &[], Waiting::Never).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
    }
}
