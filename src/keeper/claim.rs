//! One keeper per runtime folder: a lock that dies with its holder (flock(2)), and the pid file.
//!
//! In: two paths. Out: a [`Claim`], or who is in the way. The lock file is never removed: whoever waits for it must wait for the
//! same file. Never add here: creating folders, deciding what a refusal means.

use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The folder is ours as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    runtime_dir: PathBuf,
    pid_file: PathBuf,
    _lock: File,
}

/// Why the folder is not ours.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) holder: Option<u32>,
    pub(super) message: String,
}

impl Claim {
    /// Locks the folder and writes the pid file.
    pub(super) fn take(runtime_dir: &Path, pid_file: &Path) -> Result<Self, Refusal> {
        let lock_path = runtime_dir.join("lock");
        let lock = lock(&lock_path)?;
        write_pid_file(pid_file).map_err(|error| refusal("write", pid_file, &error))?;
        Ok(Self { runtime_dir: runtime_dir.to_owned(), pid_file: pid_file.to_owned(), _lock: lock })
    }

    /// A later supervisor claims again: the same folder is ours at once; the pid file may have moved.
    pub(super) fn again(&mut self, runtime_dir: &Path, pid_file: &Path) -> Result<(), Refusal> {
        if runtime_dir != self.runtime_dir {
            let message = format!(
                "this keeper holds {}; another runtime folder needs a restart of sppm",
                self.runtime_dir.display()
            );
            return Err(Refusal { holder: Some(std::process::id()), message });
        }
        if pid_file == self.pid_file && is_ours(pid_file) {
            return Ok(());
        }
        write_pid_file(pid_file).map_err(|error| refusal("write", pid_file, &error))?;
        if pid_file != self.pid_file {
            self.remove_pid_file();
            self.pid_file = pid_file.to_owned();
        }
        Ok(())
    }

    /// Removes the pid file, unless somebody else has put another one there.
    pub(super) fn remove_pid_file(&self) {
        if is_ours(&self.pid_file) {
            // What cannot be removed is a stale pid file: harmless.
            let _ = fs::remove_file(&self.pid_file);
        }
    }
}

fn refusal(verb: &str, path: &Path, error: &io::Error) -> Refusal {
    Refusal { holder: None, message: format!("cannot {verb} {}: {error}", path.display()) }
}

fn lock(path: &Path) -> Result<File, Refusal> {
    // Twice is enough for a folder that is removed and made anew just now; more would be a fight.
    for _ in 0..5 {
        let mut file = open_no_link(path, OFlags::RDWR | OFlags::CREATE, 0o600)
            .map_err(|error| refusal("open", path, &error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(held_by_another(path, &mut file)),
            Err(error) => return Err(refusal("lock", path, &error.into())),
        }
        if is_same_file(&file, path) {
            let pid = std::process::id().to_string();
            // Only for the message of whoever comes second: a failure is no reason not to run.
            let _ = file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0));
            return Ok(file);
        }
    }
    Err(Refusal { holder: None, message: format!("{} is replaced again and again", path.display()) })
}

fn held_by_another(path: &Path, file: &mut File) -> Refusal {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    let holder = read.ok().and_then(|_| text.trim().parse().ok());
    let folder = path.parent().unwrap_or(path).display();
    let message = match holder {
        Some(pid) => format!("another sppm (pid {pid}) already runs in {folder}"),
        None => format!("another sppm already runs in {folder}"),
    };
    Refusal { holder, message }
}

/// Whether the path still names the file that was locked.
fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        (Ok(_) | Err(_), _) => false,
    }
}

fn open_no_link(path: &Path, flags: OFlags, mode: u32) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd: OwnedFd = rustix::fs::open(path, flags, Mode::from_raw_mode(mode))?;
    Ok(fd.into())
}

fn is_ours(pid_file: &Path) -> bool {
    let mut text = String::new();
    let read =
        open_no_link(pid_file, OFlags::RDONLY, 0).and_then(|file| file.take(32).read_to_string(&mut text));
    read.is_ok() && text.trim().parse() == Ok(std::process::id())
}

/// Written beside and renamed over: a reader sees the old file or the whole new one, and a link in its place is
/// replaced, not followed.
fn write_pid_file(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(beside);
    // A leftover of a keeper with our pid that died in the middle.
    let _ = fs::remove_file(&beside);
    let mut file = open_no_link(&beside, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o644)?;
    let written = writeln!(file, "{}", std::process::id()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_second_claim_names_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("x.pid");
        fs::write(&pid_file, "1\n").unwrap(); // stale: harmless
        let claim = Claim::take(dir.path(), &pid_file).unwrap();
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{}\n", std::process::id()));
        let refusal = Claim::take(dir.path(), &pid_file).unwrap_err();
        assert_eq!(refusal.holder, Some(std::process::id()));
        drop(claim);
        Claim::take(dir.path(), &pid_file).unwrap().remove_pid_file();
        assert!(!pid_file.exists());
    }

    #[test]
    fn links_are_not_followed_and_other_pid_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (pid_file, victim) = (dir.path().join("x.pid"), dir.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &pid_file).unwrap();
        let mut claim = Claim::take(dir.path(), &pid_file).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        let moved = dir.path().join("y.pid");
        claim.again(dir.path(), &moved).unwrap();
        assert!(moved.exists() && !pid_file.exists());
        assert!(claim.again(&dir.path().join("other"), &moved).is_err());
        fs::write(&moved, "1\n").unwrap();
        claim.remove_pid_file();
        assert!(moved.exists());
        fs::remove_file(dir.path().join("lock")).unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("lock")).unwrap();
        assert!(Claim::take(dir.path(), &pid_file).is_err());
    }
}
