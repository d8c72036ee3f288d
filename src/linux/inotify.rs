//! Notices of names that come and go in one folder (inotify(7)).

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// A queue of notices; non-blocking, readable when there are some.
///
/// # Errors
/// EMFILE: the user has as many as fs.inotify.max_user_instances.
pub fn notices() -> io::Result<OwnedFd> {
    Ok(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?)
}

/// From now on there is a notice when a name in `folder` appears or disappears, or when the folder itself does; what is
/// written into its files makes none. Asking again for the same folder changes nothing.
///
/// # Errors
/// As inotify_add_watch(2): there is no such folder, or no more watches.
pub fn watch_names(notices: impl AsFd, folder: &Path) -> io::Result<()> {
    let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
    let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
    inotify::add_watch(notices, folder, names | itself)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn any(notices: &OwnedFd) -> bool {
        rustix::io::read(notices, &mut [0; 4096]).is_ok()
    }

    #[test]
    fn names_are_told_and_content_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "").unwrap();
        let notices = notices().unwrap();
        watch_names(&notices, folder.path()).unwrap();
        std::fs::write(&one, "text").unwrap();
        assert!(!any(&notices));
        std::fs::rename(&one, &two).unwrap();
        assert!(any(&notices));
        std::fs::remove_file(&two).unwrap();
        assert!(any(&notices) && !any(&notices));
        assert!(watch_names(&notices, &two).is_err());
    }
}
