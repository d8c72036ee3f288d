//! Sealed memory files (memfd_create(2)): how more bytes than a packet holds travel to another process, unchangeable.

use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// A memory file with these bytes that nobody can change any more.
///
/// # Errors
/// EMFILE, ENOMEM and the like.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// All bytes of a sealed memory file.
///
/// # Errors
/// EINVAL: not a memory file, or not sealed (its sender could change it while it is read). EFBIG: longer than `limit` bytes.
pub fn read_sealed(fd: impl AsFd, limit: usize) -> io::Result<Vec<u8>> {
    let seals = rustix::fs::fcntl_get_seals(&fd)?;
    if !seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let file = File::from(fd.as_fd().try_clone_to_owned()?);
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_cannot_be_changed() {
        let fd = sealed("test", b"hello").unwrap();
        assert_eq!(read_sealed(&fd, 5).unwrap(), b"hello");
        assert_eq!(read_sealed(&fd, 4).unwrap_err().raw_os_error(), Some(libc::EFBIG));
        assert!(File::from(fd).write_all(b"x").is_err());
        let plain = tempfile::tempfile().unwrap();
        assert_eq!(read_sealed(&plain, 10).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
