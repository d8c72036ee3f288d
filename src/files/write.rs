//! Writing a small file whole or not at all.
//!
//! In: path, bytes, mode. Out: the file, or the old one untouched. Never add here: locking or formats.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes `bytes` beside `path`, flushes them to the disk and renames them over it: a reader sees the old content or
/// the new, also after a crash. A link at `path` is replaced, not followed. `mode` is exact, whatever the umask.
///
/// # Errors
/// Any step fails (open(2), write(2), fsync(2), rename(2)); the old file is untouched and nothing is left behind.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (temporary, file) = create_beside(path)?;
    let written = fill(file, bytes, mode).and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    sync_parent(path);
    Ok(())
}

/// As [`write_atomic`], but nothing is flushed to the disk: it is whole after a crash of the process, not after one of
/// the machine. For what a reboot makes worthless anyway, on threads that must not wait for a disk.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_unflushed(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let written = file.write_all(bytes).and_then(|()| {
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        std::fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    loop {
        let mut temporary = OsString::from(".");
        temporary.push(name);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        temporary.push(format!(".{}-{number}.new", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&temporary, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => return Ok((temporary, File::from(fd))),
            // Left by a process of the same number that died; the counter makes this end.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn fill(mut file: File, bytes: &[u8], mode: u32) -> io::Result<()> {
    file.write_all(bytes)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    file.sync_all()
}

/// Makes the rename itself last. Some file systems cannot do it for folders; the file is whole either way.
fn sync_parent(path: &Path) {
    if let Some(parent) = path.parent()
        && let Ok(folder) = File::open(parent)
    {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn replaces_whole_with_the_mode_asked_for_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        write_atomic(&path, b"one", 0o640).unwrap();
        write_atomic(&path, b"two", 0o666).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o666);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("state"));
        std::fs::write(&victim, "mine").unwrap();
        symlink(&victim, &path).unwrap();
        write_atomic(&path, b"ours", 0o600).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
        let blocked = folder.path().join("folder");
        std::fs::create_dir_all(blocked.join("full")).unwrap();
        assert!(write_atomic(&blocked, b"x", 0o600).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
