//! A file that is held to be known again: whether a path still leads to it (inode(7)).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The file at a path, to be held and compared and nothing else (`O_PATH`). While it is held, its inode number is nobody
/// else's.
///
/// # Errors
/// There is none, as open(2).
pub fn hold_file(path: &Path) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)
}

/// Whether there is this very file at the path.
pub fn leads_to(path: &Path, file: &OwnedFd) -> bool {
    match (rustix::fs::lstat(path), rustix::fs::fstat(file)) {
        (Ok(there), Ok(ours)) => (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn another_file_of_the_same_name_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        std::fs::write(&path, "").unwrap();
        let file = hold_file(&path).unwrap();
        assert!(leads_to(&path, &file));
        std::fs::remove_file(&path).unwrap();
        assert!(!leads_to(&path, &file));
        std::fs::write(&path, "").unwrap();
        assert!(!leads_to(&path, &file));
        assert!(hold_file(&folder.path().join("two")).is_err());
    }
}
