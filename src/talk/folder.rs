//! The folder of an instance, `runtime_dir/i/LABEL`: made anew for each run, removed after it.
//!
//! It belongs to the program's user, so nothing in it is to be trusted. The folder above is ours: whoever owns LABEL cannot change what
//! the name LABEL leads to. The new folder is ours until everything is in it, and given to its user last.

use super::clear::{Clearing, MOST_ENTRIES, names_in};
use super::env_file::EnvFile;
use crate::linux::datagram;
use crate::linux::locks::FileId;
use crate::model::InstanceLabel;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many folders of past runs that could not be removed at once may lie aside, by label. Each later call removes more.
const ASIDE: u32 = 8;

/// Where things are in the folder, as the program sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The folder itself, mode 0700.
    pub folder: PathBuf,
    /// The working lock (`SPPM_LOCK`), unless another is configured.
    pub lock: PathBuf,
    /// The FIFO (`SPPM_NOTIFY`).
    pub notify: PathBuf,
    /// The file for PyPI's library (`SPPM_ENV`).
    pub env: PathBuf,
    /// The socket of sd_notify(3) (`NOTIFY_SOCKET`), where one was wanted.
    pub sd: Option<PathBuf>,
}

impl Places {
    /// Where things are for this instance; nothing is looked at.
    pub fn of(base: &Path, label: &InstanceLabel, want_sd: bool) -> Self {
        let folder = base.join(label.as_str());
        Self {
            lock: folder.join("lock"),
            notify: folder.join("notify"),
            env: folder.join("env"),
            sd: want_sd.then(|| folder.join("sd")),
            folder,
        }
    }
}

/// A folder that was made, and what is to be heard.
#[derive(Debug)]
pub struct Opened {
    /// Where things are.
    pub places: Places,
    /// The FIFO, open for reading and writing: as long as somebody holds this, a writer neither waits nor gets EPIPE. Non-blocking.
    pub fifo: OwnedFd,
    /// The socket of sd_notify(3), non-blocking; who sends is told.
    pub sd: Option<OwnedFd>,
    /// The working lock, open.
    pub lock: OwnedFd,
    /// The lock as it was made: whoever finds it so knows that nobody has written it.
    pub untouched: Untouched,
    /// What an earlier run left, out of the way.
    pub past: Option<Past>,
}

/// The folder of an earlier run. As much of it as may be is removed when this is dropped, and the rest by later calls of [`make`].
#[derive(Debug)]
pub struct Past {
    above: OwnedFd,
    /// `None`: it is left to later calls altogether.
    name: Option<CString>,
}

impl Past {
    fn leave(mut self) {
        self.name = None;
    }
}

impl Drop for Past {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = Clearing::new(MOST_ENTRIES).remove(self.above.as_fd(), name);
        }
    }
}

/// A file's number and when it was made. Its times count in ticks of the kernel, of ten milliseconds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untouched {
    inode: u64,
    modified: (i64, i64),
    /// Of anything about it, its name included.
    changed: (i64, i64),
}

impl Untouched {
    fn of(stat: &rustix::fs::Stat) -> Self {
        Self {
            inode: stat.st_ino,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
        }
    }

    /// Which file this open one is, if it is still as it was made, and has the one name that it was made with. Whoever renamed it in
    /// the very tick in which it was made goes unseen: for what is shown, and not for what is decided.
    pub fn still(&self, file: impl AsFd) -> Option<FileId> {
        let stat = rustix::fs::fstat(file).ok()?;
        let same = self.is_so(&stat) && stat.st_nlink == 1;
        same.then_some(FileId { device: stat.st_dev, inode: stat.st_ino })
    }

    fn is_so(&self, stat: &rustix::fs::Stat) -> bool {
        let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        file && stat.st_size == 0 && Self::of(stat) == *self
    }
}

/// All the folders, by the one that they are in: it is found once.
#[derive(Debug)]
pub struct Folders {
    above: OwnedFd,
}

impl Folders {
    /// Those in `base`, which is made if it is not there; the folder above it must be.
    ///
    /// # Errors
    /// As mkdir(2), open(2).
    pub fn open(base: &Path) -> io::Result<Self> {
        Ok(Self { above: open_base(base)? })
    }

    /// Whether the instance's own working lock is still the one, as it was made.
    pub fn is_untouched(&self, label: &InstanceLabel, untouched: Untouched) -> bool {
        let lock = format!("{}/lock", label.as_str());
        let stat = rustix::fs::statat(&self.above, lock, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| untouched.is_so(&stat))
    }
}

/// Whether folders of the instance's past runs are still to be removed, which [`make`] would go on with.
pub fn has_past(base: &Path, label: &InstanceLabel) -> bool {
    let first = base.join(OsStr::from_bytes(aside(label, 0).to_bytes()));
    rustix::fs::lstat(&first).is_ok()
}

/// Whether the path of the instance's socket does not fit into a socket's address.
pub fn too_long(base: &Path, label: &str) -> bool {
    base.join(label).join("sd").as_os_str().len() > datagram::MAX_PATH
}

/// Makes the folder of a run, with an empty `lock`, the FIFO `notify`, the file `env`, and the socket `sd` if it is wanted;
/// all of mode 0600 and of `owner` (user and group), where that is not who we are. What an earlier run left is [`Past`]. `base`
/// is made if it is not there; the folder above it must be.
///
/// # Errors
/// ENAMETOOLONG: the socket's path ([`too_long`]). EDQUOT: earlier runs left so much that it is not removed yet. EINVAL: the
/// label is no name of a file. EPERM: an owner that is not us, without root's rights. And as mkdir(2).
pub fn make(
    base: &Path,
    label: &InstanceLabel,
    owner: Option<(u32, u32)>,
    want_sd: bool,
    env: &EnvFile,
) -> io::Result<Opened> {
    let name = file_name(label)?;
    if want_sd && too_long(base, label.as_str()) {
        return Err(Errno::NAMETOOLONG.into());
    }
    let above = open_base(base)?;
    let make = || rustix::fs::mkdirat(&above, &name, Mode::RWXU);
    let (made, past) = match make() {
        Err(Errno::EXIST) => {
            let past = put_aside(&above, label)?;
            (make(), past)
        }
        made => (made, None),
    };
    match made.map_err(io::Error::from).and_then(|()| fill(base, &above, label, owner, want_sd, env)) {
        Ok(opened) => Ok(Opened { past, ..opened }),
        Err(error) => {
            // Whoever wanted it may be in a hurry.
            past.into_iter().for_each(Past::leave);
            Err(error)
        }
    }
}

/// Makes what is in the folder, which is there and empty.
fn fill(
    base: &Path,
    above: &OwnedFd,
    label: &InstanceLabel,
    owner: Option<(u32, u32)>,
    want_sd: bool,
    env: &EnvFile,
) -> io::Result<Opened> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(above, file_name(label)?, flags, Mode::empty())?;
    let places = Places::of(base, label, want_sd);
    let owner = owner.filter(|owner| *owner != ours());
    let text = env.text(&places.folder);
    let lock = OwnedFd::from(new_file(&folder, c"lock", owner, &[])?);
    let mut stat = rustix::fs::fstat(&lock)?;
    // What a umask that takes from the owner does to one of them it does to all.
    let exact = Mode::from_raw_mode(stat.st_mode) == PRIVATE;
    if !exact {
        rustix::fs::fchmod(&lock, PRIVATE)?;
        stat = rustix::fs::fstat(&lock)?;
    }
    let untouched = Untouched::of(&stat);
    let env = new_file(&folder, c"env", owner, &text)?;
    let fifo = new_fifo(&folder, owner)?;
    if !exact {
        rustix::fs::fchmod(&env, PRIVATE)?;
        rustix::fs::fchmod(&fifo, PRIVATE)?;
    }
    let sd = if want_sd { Some(new_socket(&folder, owner)?) } else { None };
    // Before the mode: a change of owner may take bits away.
    give(&folder, owner)?;
    rustix::fs::fchmod(&folder, Mode::RWXU)?;
    Ok(Opened { places, fifo, sd, lock, untouched, past: None })
}

/// Opens what a run speaks into once more, where the one who held it is gone: its FIFO as it is, and its socket bound anew under
/// the same path, to which the next message goes.
///
/// # Errors
/// ENOENT: there is no such folder. EINVAL: what is there is no FIFO. And as open(2), bind(2).
pub fn reopen(base: &Path, label: &InstanceLabel, want_sd: bool) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let above = open_base_that_is(base)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(&above, file_name(label)?, flags, Mode::empty())?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fifo = rustix::fs::openat(&folder, c"notify", flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&fifo)?.st_mode) != FileType::Fifo {
        return Err(Errno::INVAL.into());
    }
    let sd = match want_sd {
        true => {
            let stat = rustix::fs::fstat(&folder)?;
            let owner = Some((stat.st_uid, stat.st_gid)).filter(|owner| *owner != ours());
            match rustix::fs::unlinkat(&folder, c"sd", AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            Some(new_socket(&folder, owner)?)
        }
        false => None,
    };
    Ok((fifo, sd))
}

/// Makes an empty working lock outside of the instance's folder, of mode 0600, for `owner` (user and group) where that is not who we
/// are. What is there stays as it is, whatever it is.
///
/// # Errors
/// As open(2): mostly ENOENT, the folder is not there.
pub fn make_lock(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => {
            if let Some((uid, gid)) = owner {
                rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            }
            Ok(())
        }
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes the folder of an instance, after its run's end. What cannot be removed is left for the next run's [`make`].
///
/// # Errors
/// EDQUOT: there is more in it than is removed at once. As unlink(2).
pub fn remove(base: &Path, label: &InstanceLabel) -> io::Result<()> {
    let name = file_name(label)?;
    let above = match open_base_that_is(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut clearing = Clearing::new(MOST_ENTRIES);
    clearing.remove(above.as_fd(), &name)?;
    for index in 0..ASIDE {
        clearing.remove(above.as_fd(), &aside(label, index))?;
    }
    Ok(())
}

/// Removes the folders of all instances that `keep` does not want, a bounded part: for the start of a supervisor, when nothing
/// runs but what it knows of. Folders that are too much to remove at once are left.
///
/// # Errors
/// `base` cannot be read. That there is none is fine.
pub fn sweep(base: &Path, keep: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let above = match open_base_that_is(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut clearing = Clearing::new(MOST_ENTRIES);
    for name in names_in(&above, MOST_ENTRIES)? {
        if !name.to_str().is_ok_and(keep) {
            // What is left is tried again by the next start, and is in nobody's way.
            let _ = clearing.remove(above.as_fd(), &name);
        }
    }
    Ok(())
}

/// A label is one name, and not one of ours that begin with a dot.
fn file_name(label: &InstanceLabel) -> io::Result<CString> {
    let text = label.as_str();
    let good = !text.is_empty() && !text.starts_with('.') && !text.contains('/');
    CString::new(text).ok().filter(|_| good).ok_or_else(|| Errno::INVAL.into())
}

fn aside(label: &InstanceLabel, index: u32) -> CString {
    CString::new(format!(".old.{label}.{index}")).unwrap_or_default()
}

/// The folder of an earlier run makes way at once, whatever is in it.
fn put_aside(above: &OwnedFd, label: &InstanceLabel) -> io::Result<Option<Past>> {
    let name = file_name(label)?;
    let mut clearing = Clearing::new(MOST_ENTRIES);
    for index in 0..ASIDE {
        let beside = aside(label, index);
        // What is there from before goes first: it may be too much for one call, and less is left each time.
        let emptied = clearing.remove(above.as_fd(), &beside);
        if emptied.is_err() {
            continue;
        }
        return match rustix::fs::renameat(above, &name, above, &beside) {
            Ok(()) => Ok(Some(Past { above: above.try_clone()?, name: Some(beside) })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    Err(Errno::DQUOT.into())
}

fn ours() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn open_base(base: &Path) -> io::Result<OwnedFd> {
    match open_base_that_is(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match rustix::fs::mkdirat(CWD, base, Mode::from_raw_mode(0o711)) {
        Ok(()) => {
            let folder = open_base_that_is(base)?;
            // Whatever the umask was: the programs' users must get through.
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o711))?;
            Ok(folder)
        }
        Err(Errno::EXIST) => open_base_that_is(base),
        Err(error) => Err(error.into()),
    }
}

fn open_base_that_is(base: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(base, flags, Mode::empty())?)
}

fn give(file: impl AsFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    Ok(rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
}

const PRIVATE: Mode = Mode::from_raw_mode(0o600);

fn new_file(
    folder: &OwnedFd,
    name: &std::ffi::CStr,
    owner: Option<(u32, u32)>,
    text: &[u8],
) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, name, flags, PRIVATE)?);
    if !text.is_empty() {
        file.write_all(text)?;
    }
    give(&file, owner)?;
    Ok(file)
}

fn new_fifo(folder: &OwnedFd, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    let name = c"notify";
    rustix::fs::mknodat(folder, name, FileType::Fifo, PRIVATE, 0)?;
    // Reading and writing: the open does not wait for another end, and there always is one.
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fifo = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    give(&fifo, owner)?;
    Ok(fifo)
}

fn new_socket(folder: &OwnedFd, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    // The open folder's own name: short whatever its path is, and nobody can lead it elsewhere.
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    path.push(OsStr::from_bytes(b"sd"));
    let socket = datagram::bind(&path)?;
    if let Some((uid, gid)) = owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(folder, c"sd", Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(socket)
}
