//! Datagram sockets with a path (unix(7)) on which each message says who sent it, as sd_notify(3) wants them.
//! Never add here: what the bytes mean.

use super::peer::PeerCredentials;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest path that a socket can have, in bytes (`sun_path` with its closing NUL).
pub const MAX_PATH: usize = 107;

/// The most descriptors that the kernel lets a message carry (SCM_MAX_FD).
const MOST_FDS: usize = 253;

/// Eight-byte words of room for all of them and the credentials, with their headers.
const CONTROL: usize = (MOST_FDS * 4 + size_of::<libc::ucred>()) / 8 + 16;

/// A message that came.
#[derive(Debug)]
pub struct Datagram {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Who sent it, as the kernel says. The pid is 0 where it is outside of our pid namespace.
    pub sender: PeerCredentials,
    /// Its descriptors, close-on-exec. To close one may take as long as its sender likes (SO_LINGER, FUSE).
    pub fds: Vec<OwnedFd>,
    /// Bytes were lost: it was longer than the buffer.
    pub cut: bool,
}

/// A socket at this path, non-blocking, close-on-exec, of mode 0600; credentials come with each message (SO_PASSCRED).
///
/// # Errors
/// EADDRINUSE: something is at the path. ENAMETOOLONG, and as open(2).
pub fn bind(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    // The file at the path gets the mode that the socket has.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
    rustix::net::sockopt::set_socket_passcred(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// From now on nobody can send anything to this socket, whoever else holds it. What is in it can still be received.
///
/// # Errors
/// Not a socket.
pub fn refuse_more(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::shutdown(socket, Shutdown::Read)?)
}

/// Who is sent messages.
#[derive(Debug)]
pub struct Recipient {
    socket: OwnedFd,
    address: SocketAddrUnix,
}

impl Recipient {
    /// The one at this path, or, where the name begins with `@`, of that name in the abstract namespace. It need not be there yet.
    ///
    /// # Errors
    /// EINVAL: neither a full path nor such a name. ENAMETOOLONG, EMFILE.
    pub fn named(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] if !name.is_empty() => SocketAddrUnix::new_abstract_name(name)?,
            [b'/', ..] => SocketAddrUnix::new(name)?,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        Ok(Self { socket, address })
    }

    /// Sends one message, now or not at all. The recipient is looked for anew each time.
    ///
    /// # Errors
    /// EAGAIN: it has too many unread. ENOENT, ECONNREFUSED: it is not there.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::io::retry_on_intr(|| rustix::net::sendto(&self.socket, bytes, flags, &self.address))?;
        Ok(())
    }
}

/// Takes one message; `None`: there is none, or none can come any more.
///
/// # Errors
/// Not a socket, ENOMEM.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let mut control = [0_u64; CONTROL];
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeroes are a valid `msghdr`: null pointers and lengths of 0. Its padding is private, so it cannot be written out.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let fd = socket.as_fd().as_raw_fd();
    let count = loop {
        // SAFETY: `header` points at `vector` (over `buffer`) and `control`, with their true lengths; all outlive the call.
        let count =
            unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) };
        if let Ok(count) = usize::try_from(count) {
            break count;
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            error => return Err(error),
        }
    };
    let (sender, fds) = take_control(&header);
    // A message of no bytes has a sender all the same; the end of a socket that was shut has not.
    let Some(sender) = sender else { return Ok(None) };
    let bytes = buffer.get(..count).unwrap_or(buffer).to_vec();
    Ok(Some(Datagram { bytes, sender, fds, cut: header.msg_flags & libc::MSG_TRUNC != 0 }))
}

/// What came beside the bytes.
fn take_control(header: &libc::msghdr) -> (Option<PeerCredentials>, Vec<OwnedFd>) {
    let (mut sender, mut fds) = (None, Vec::new());
    // SAFETY: recvmsg(2) has filled `header`, and its control buffer lives as long as the caller's borrow. The macros stay
    // within `msg_controllen`; each message is as long as `cmsg_len` says, and is read unaligned. Each descriptor was made
    // for us by this message and is taken once.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            let data = libc::CMSG_DATA(at);
            let length = ((*at).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            match ((*at).cmsg_level, (*at).cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                    let from = data.cast::<libc::ucred>().read_unaligned();
                    let pid = u32::try_from(from.pid).unwrap_or(0);
                    sender = Some(PeerCredentials { uid: from.uid, gid: from.gid, pid });
                }
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for index in 0..length / size_of::<i32>() {
                        fds.push(OwnedFd::from_raw_fd(data.cast::<i32>().add(index).read_unaligned()));
                    }
                }
                (_, _) => {}
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    (sender, fds)
}

/// Whether closing this descriptor is known to be quick: it is a pipe, and no file system or protocol has a say in it.
pub fn closes_quickly(fd: impl AsFd) -> bool {
    rustix::pipe::fcntl_getpipe_size(fd).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage};
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixDatagram;

    fn send(from: &UnixDatagram, bytes: &[u8], fds: &[std::os::fd::BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(fds));
        rustix::net::sendmsg(from, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
    }

    #[test]
    fn a_message_tells_its_sender_and_brings_all_its_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sd");
        let socket = bind(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (mut buffer, other) = ([0; 8], UnixDatagram::unbound().unwrap());
        assert!(receive(&socket, &mut buffer).unwrap().is_none());
        other.connect(&path).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send(&other, b"READY=1", &[writer.as_fd(); 253]);
        send(&other, b"", &[]);
        send(&other, b"123456789", &[]);
        refuse_more(&socket).unwrap();
        assert!(other.send(b"late").is_err());
        drop(writer);
        let first = receive(&socket, &mut buffer).unwrap().unwrap();
        assert_eq!((first.bytes.as_slice(), first.fds.len(), first.cut), (&b"READY=1"[..], 253, false));
        assert_eq!(first.sender.pid, std::process::id());
        assert_eq!(first.sender.uid, rustix::process::geteuid().as_raw());
        for fd in &first.fds {
            assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        drop(first);
        // All copies of the writing end are closed.
        assert_eq!(rustix::io::read(&reader, &mut [0]).unwrap(), 0);
        assert!(receive(&socket, &mut buffer).unwrap().unwrap().bytes.is_empty());
        assert!(receive(&socket, &mut buffer).unwrap().unwrap().cut);
        assert!(receive(&socket, &mut buffer).unwrap().is_none());
    }

    #[test]
    fn a_recipient_is_a_path_or_an_abstract_name_and_is_never_waited_for() {
        use std::os::linux::net::SocketAddrExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sd");
        let to = Recipient::named(path.as_os_str()).unwrap();
        assert_eq!(to.send(b"early").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        let socket = bind(&path).unwrap();
        to.send(b"READY=1").unwrap();
        let (mut buffer, own) = ([0; 8], std::process::id());
        let got = receive(&socket, &mut buffer).unwrap().unwrap();
        assert_eq!((got.bytes.as_slice(), got.sender.pid), (&b"READY=1"[..], own));
        let full = std::iter::repeat_with(|| to.send(b"x")).take(100_000).find_map(Result::err).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(socket);
        assert_eq!(to.send(b"late").unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));

        let name = format!("sppm-test-{own}");
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let hearing = UnixDatagram::bind_addr(&address).unwrap();
        Recipient::named(OsStr::new(&format!("@{name}"))).unwrap().send(b"READY=1").unwrap();
        assert_eq!(hearing.recv(&mut buffer).unwrap(), 7);
        for wrong in ["", "@", "relative", "vsock:2:1"] {
            assert!(Recipient::named(OsStr::new(wrong)).is_err(), "{wrong:?}");
        }
        assert!(Recipient::named(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
    }

    #[test]
    fn only_pipes_are_known_to_close_quickly() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(closes_quickly(&reader));
        assert!(!closes_quickly(UnixDatagram::unbound().unwrap()));
        assert!(!closes_quickly(tempfile::tempfile().unwrap()));
    }
}
