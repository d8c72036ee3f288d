//! Who is at the other end of a Unix socket, as the kernel noted it at connect(2) (unix(7)).

use rustix::event::{PollFd, PollFlags, Timespec};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The other end's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Process id; 0 where it is outside of our pid namespace.
    pub pid: u32,
}

/// SO_PEERCRED.
///
/// # Errors
/// Not a connected Unix socket.
pub fn credentials(socket: impl AsFd) -> io::Result<PeerCredentials> {
    let credentials = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::PeerCredentials)?;
    let pid = u32::try_from(credentials.pid()).unwrap_or(0);
    Ok(PeerCredentials { uid: credentials.uid(), gid: credentials.gid(), pid })
}

/// Whether the other end is closed, in both directions: nobody hears an answer.
pub fn has_left(socket: impl AsFd) -> bool {
    let mut one = [PollFd::new(&socket, PollFlags::empty())];
    rustix::event::poll(&mut one, Some(&Timespec::default())).is_ok()
        && one[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// The supplementary groups of the other end (SO_PEERGROUPS, Linux 4.13).
///
/// # Errors
/// Not a connected Unix socket; ENOPROTOOPT on an older kernel.
pub fn groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let fd = socket.as_fd().as_raw_fd();
    let mut groups = vec![0_u32; 64];
    loop {
        let mut length = (groups.len() * size_of::<u32>()) as libc::socklen_t;
        // SAFETY: the pointer and `length` describe memory of `groups`, which lives over the call.
        let result = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<u32>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // ERANGE puts the needed length into `length`; at most 65,536 groups exist (NGROUPS_MAX).
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() || count > 65_536 {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn who_has_closed_has_left_and_who_only_listens_has_not() {
        let (one, two) = UnixStream::pair().unwrap();
        two.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!has_left(&one));
        drop(two);
        assert!(has_left(&one));
    }

    #[test]
    fn we_recognise_ourselves() {
        let (one, _two) = UnixStream::pair().unwrap();
        let peer = credentials(&one).unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        let own: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|gid| gid.as_raw()).collect();
        assert_eq!(groups(&one).unwrap(), own);
    }
}
