//! Notices of names that come and go in one folder (inotify(7)).

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use std::io;
use std::mem::MaybeUninit;
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

/// One notice, and then no more, when a name in `folder` comes, goes or leads elsewhere, or when anything is written into
/// its files. Returns the watch's number. Asking again before the notice has come changes nothing; afterwards the number
/// is another. So somebody who writes all the time costs no more than is asked for.
///
/// # Errors
/// As [`watch_names`].
pub fn watch_once(notices: impl AsFd, folder: &Path) -> io::Result<i32> {
    let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
    let content = WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
    let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
    Ok(inotify::add_watch(notices, folder, names | content | itself | WatchFlags::ONESHOT)?)
}

/// Takes a watch away whose notice has not come; its number may be known to nobody any more.
pub fn unwatch(notices: impl AsFd, watch: i32) {
    // EINVAL: its notice came meanwhile, or the folder is gone.
    let _ = inotify::remove_watch(notices, watch);
}

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Something of this watch.
    Of(i32),
    /// More than the queue could hold: it may have been anything.
    Lost,
}

/// Empties the queue, as far as one read of it goes.
///
/// # Errors
/// As read(2); an empty queue is none.
pub fn read_notices(notices: impl AsFd) -> io::Result<Vec<Notice>> {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut reader = Reader::new(notices, &mut buffer);
    let mut found = Vec::new();
    loop {
        match reader.next() {
            Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => found.push(Notice::Lost),
            // The watch ended, as all of these do after their notice.
            Ok(event) if event.events().contains(ReadFlags::IGNORED) => {}
            Ok(event) => found.push(Notice::Of(event.wd())),
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) => return Ok(found),
            Err(error) => return Err(error.into()),
        }
        if reader.is_buffer_empty() {
            return Ok(found);
        }
    }
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
    #[test]
    fn a_watch_for_once_tells_of_content_and_is_silent_until_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one");
        let notices = notices().unwrap();
        let first = watch_once(&notices, folder.path()).unwrap();
        assert_eq!(watch_once(&notices, folder.path()).unwrap(), first);
        assert_eq!(read_notices(&notices).unwrap(), []);
        for _ in 0..100 {
            std::fs::write(&one, "text").unwrap();
        }
        assert_eq!(read_notices(&notices).unwrap(), [Notice::Of(first)]);
        assert_eq!(read_notices(&notices).unwrap(), []);
        let second = watch_once(&notices, folder.path()).unwrap();
        std::fs::write(&one, "other").unwrap();
        assert_eq!(read_notices(&notices).unwrap(), [Notice::Of(second)]);
        let third = watch_once(&notices, folder.path()).unwrap();
        unwatch(&notices, third);
        std::fs::write(&one, "more").unwrap();
        assert_eq!(read_notices(&notices).unwrap(), []);
    }
}
