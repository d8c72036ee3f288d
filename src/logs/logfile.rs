//! Opening a log file: never through a link, never waiting, its folders made where they are missing.
//!
//! In: path and mode. Out: a descriptor and what it is. Never add here: writing, or any opinion about content.

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Which file a descriptor or a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    /// Of an answer of stat(2).
    pub(super) fn of(stat: &Stat) -> Self {
        Self { dev: stat.st_dev, ino: stat.st_ino }
    }
}

/// What the path turned out to be.
pub(super) enum Opened {
    /// A file, so long already, its last byte a newline (or none at all) or not.
    Regular { fd: OwnedFd, id: FileId, size: u64, at_line_end: bool },
    /// A FIFO or a device: written to without waiting, never rotated.
    Stream { fd: OwnedFd },
}

/// Opens `path` to append to it.
///
/// # Errors
/// One sentence for people with path and cause.
pub(super) fn open(path: &Path, mode: u32) -> Result<Opened, String> {
    let fd = match open_at(path, mode) {
        Err(Errno::NOENT) => {
            make_parents(path)?;
            open_at(path, mode)
        }
        answer => answer,
    };
    let fd = fd.map_err(|errno| format!("cannot open {}: {}", path.display(), why_not(path, errno)))?;
    let stat = rustix::fs::fstat(&fd)
        .map_err(|errno| format!("cannot stat {}: {}", path.display(), cause(errno)))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Opened::Stream { fd });
    }
    let (id, size) = (FileId::of(&stat), u64::try_from(stat.st_size).unwrap_or(0));
    Ok(Opened::Regular { fd, id, size, at_line_end: ends_with_newline(path, id, size) })
}

/// The file that `path` names now, not following a link.
pub(super) fn id_at(path: &Path) -> Option<FileId> {
    rustix::fs::lstat(path).ok().map(|stat| FileId::of(&stat))
}

/// The text of an errno(3) without its number.
pub(super) fn cause(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// NONBLOCK: a FIFO without a reader must answer ENXIO instead of waiting (open(2)); files do not mind it.
fn open_at(path: &Path, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(mode))
}

/// Root's log folders are for all to look into, a user's are for that user.
fn make_parents(path: &Path) -> Result<(), String> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let mode = if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(parent)
        .map_err(|error| format!("cannot make the folder {}: {error}", parent.display()))
}

fn why_not(path: &Path, errno: Errno) -> String {
    match errno {
        Errno::LOOP if is_link(path) => {
            "it is a symbolic link, and logs are not written through links".into()
        }
        Errno::NXIO => "it is a FIFO that nobody reads, or a socket".into(),
        Errno::ISDIR => "it is a folder".into(),
        other => cause(other),
    }
}

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())
}

/// Where the last byte cannot be read, a line end is assumed: the worst that follows is a note glued to a line.
fn ends_with_newline(path: &Path, id: FileId, size: u64) -> bool {
    if size == 0 {
        return true;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let last = || -> Result<bool, Errno> {
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        if FileId::of(&rustix::fs::fstat(&fd)?) != id {
            return Ok(true);
        }
        let mut byte = [0u8; 1];
        let count = rustix::io::pread(&fd, &mut byte, size - 1)?;
        Ok(count == 0 || byte[0] == b'\n')
    };
    last().unwrap_or(true)
}
