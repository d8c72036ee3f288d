//! Who holds file locks, as /proc/locks (proc_locks(5)) tells without touching them; and whether it can tell at all.

use super::flock;
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// `st_dev` of stat(2).
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

impl FileId {
    /// Of a reading of stat(2).
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Of an open file.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn of_open(file: impl AsFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(file)?;
        Ok(Self { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// All whole-file locks of one moment.
#[derive(Debug, Default)]
pub struct Locks {
    exclusive: BTreeSet<FileId>,
    shared: BTreeSet<FileId>,
    whole: bool,
}

/// Whether the kernel's list showed a lock of ours on a file of that device, by device; found out once each.
static TOLD: Mutex<BTreeMap<u64, bool>> = Mutex::new(BTreeMap::new());

/// The inode of the first pid namespace (`PROC_PID_INIT_INO` of the kernel's `proc_ns.h`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

impl Locks {
    /// More than this is not read: anybody may take many locks.
    const MOST: u64 = 16 * 1024 * 1024;

    /// Reads the list.
    pub fn read() -> Self {
        let mut text = String::new();
        let read = File::open("/proc/locks").and_then(|file| file.take(Self::MOST).read_to_string(&mut text));
        let mut locks = Self::parse(&text);
        locks.whole = read.is_ok_and(|read| (read as u64) < Self::MOST) && in_first_pid_namespace();
        locks
    }

    /// `1: FLOCK  ADVISORY  WRITE 3668 fe:00:10291434 0 EOF`; a `->` after the number is one who waits.
    fn parse(text: &str) -> Self {
        let mut locks = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace().skip(1);
            if fields.next() != Some("FLOCK") {
                continue;
            }
            let mode = fields.nth(1);
            let Some(file) = fields.nth(1).and_then(parse_file) else { continue };
            match mode {
                Some("WRITE") => drop(locks.exclusive.insert(file)),
                Some("READ") => drop(locks.shared.insert(file)),
                Some(_) | None => {}
            }
        }
        locks
    }

    /// Whether somebody holds an exclusive flock(2) on a file in `folder`. `None`: it cannot be told here. A file system
    /// may go by other numbers in the list than in stat(2) (overlayfs, btrfs); a pid namespace of our own hides locks
    /// whose taker is not in it, or has ended and left them to a child.
    pub fn exclusive(&self, file: FileId, folder: &Path) -> Option<bool> {
        if self.exclusive.contains(&file) {
            return Some(true);
        }
        (self.whole && shows(file.device, folder)).then_some(false)
    }
}

fn parse_file(text: &str) -> Option<FileId> {
    let mut parts = text.splitn(3, ':');
    let major = u32::from_str_radix(parts.next()?, 16).ok()?;
    let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
    let inode = parts.next()?.parse().ok()?;
    Some(FileId { device: rustix::fs::makedev(major, minor), inode })
}

fn in_first_pid_namespace() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == FIRST_PID_NAMESPACE)
}

/// Takes a lock on a file without a name in that folder, and looks whether it is listed under the numbers of stat(2).
fn shows(device: u64, folder: &Path) -> bool {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = told.get(&device) {
        return *known;
    }
    match listed_when_taken(folder) {
        Ok((tested, shown)) => {
            told.insert(tested, shown);
            tested == device && shown
        }
        // Not for ever: the folder may be another user's, or we are short of something.
        Err(_) => false,
    }
}

fn listed_when_taken(folder: &Path) -> io::Result<(u64, bool)> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?);
    let id = FileId::of(&file.metadata()?);
    let taken = flock::try_shared(file.as_fd())?;
    Ok((id.device, taken && Locks::read().shared.contains(&id)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use rustix::fs::FlockOperation;

    #[test]
    fn holders_are_told_from_waiters_readers_and_other_kinds() {
        let text = "1: FLOCK  ADVISORY  WRITE 3668 fe:00:10 0 EOF\n\
                    1: -> FLOCK  ADVISORY  WRITE 3669 fe:00:11 0 EOF\n\
                    2: FLOCK  ADVISORY  READ 3571 fe:00:12 0 EOF\n\
                    3: POSIX  ADVISORY  WRITE 3571 fe:00:13 0 EOF\n\
                    4: OFDLCK ADVISORY  WRITE -1 fe:00:14 0 EOF\n\
                    5: LEASE  ACTIVE    WRITE 3571 fe:00:15 0 EOF\n\
                    6: FLOCK  ADVISORY  WRITE 1 zz:00:16 0 EOF\n7: FLOCK\n\n";
        let locks = Locks::parse(text);
        let id = |inode| FileId { device: rustix::fs::makedev(0xfe, 0), inode };
        assert_eq!(locks.exclusive, BTreeSet::from([id(10)]));
        assert_eq!(locks.shared, BTreeSet::from([id(12)]));
    }

    #[test]
    fn a_lock_is_seen_as_long_as_it_is_held_exclusively() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("lock")).unwrap();
        let id = FileId::of(&file.metadata().unwrap());
        let look = || Locks::read().exclusive(id, folder.path());
        // Not every file system can be told from here; then nothing but a lock that is listed is ever claimed.
        let free = look();
        assert!(free.is_none() || free == Some(false), "{free:?}");
        rustix::fs::flock(&file, FlockOperation::LockExclusive).unwrap();
        assert_eq!(look(), if free.is_some() { Some(true) } else { look() });
        rustix::fs::flock(&file, FlockOperation::LockShared).unwrap();
        assert_eq!(look(), free);
    }

    #[test]
    fn where_it_cannot_be_told_nothing_is_claimed() {
        let locks = Locks { whole: true, ..Locks::default() };
        let nowhere = FileId { device: u64::MAX, inode: 1 };
        assert_eq!(locks.exclusive(nowhere, Path::new("/proc/self")), None);
        let cut = Locks::parse("");
        assert_eq!(cut.exclusive(nowhere, Path::new("/tmp")), None);
    }
}
