//! The way to a file, folder by folder, with a check of who could change what it leads to.
//!
//! In: an absolute path and rules. Out: the last folder as a descriptor and the name in it, all links resolved. Never
//! add here: reading of content.

use super::read::{ReadError, shown};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Who may be able to write.
pub(super) struct Rules<'a> {
    pub(super) uids: &'a [u32],
    pub(super) group: Option<u32>,
}

/// Where the file is.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
}

struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    /// Others may make entries here, but not touch those of another owner.
    sticky: bool,
}

struct Walk<'a> {
    /// As given, for messages.
    asked: &'a Path,
    rules: &'a Rules<'a>,
    folders: Vec<Folder>,
    left: VecDeque<OsString>,
    links: u32,
}

/// Resolves `path` and checks every folder and link on the way.
///
/// # Errors
/// Something is missing, a loop, or could be changed by somebody who is not trusted.
pub(super) fn to_file(path: &Path, rules: &Rules<'_>) -> Result<Place, ReadError> {
    let mut walk = Walk { asked: path, rules, folders: Vec::new(), left: VecDeque::new(), links: 0 };
    walk.restart()?;
    walk.put_first(path);
    while let Some(name) = walk.left.pop_front() {
        if let Some(place) = walk.step(name)? {
            return Ok(place);
        }
    }
    Err(ReadError::NotAFile { path: shown(path), what: "a folder" })
}

/// The check of the file itself, on the descriptor that is read.
pub(super) fn check_file(stat: &Stat, path: &Path, rules: &Rules<'_>) -> Result<(), ReadError> {
    match rules.objection(stat) {
        Some(why) => Err(ReadError::Untrusted { path: shown(path), place: shown(path), why }),
        None => Ok(()),
    }
}

/// A better word than the errno's: what is missing, where a link leads.
pub(super) fn explain(path: &Path, errno: Errno) -> ReadError {
    match errno {
        Errno::NOENT if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) => {
            let target = std::fs::read_link(path).unwrap_or_default();
            ReadError::Dangling { path: shown(path), target: shown(&target) }
        }
        Errno::NOENT => {
            let missing = path.ancestors().take_while(|part| std::fs::symlink_metadata(part).is_err()).last();
            ReadError::NotFound { path: shown(missing.unwrap_or(path)) }
        }
        Errno::NOTDIR => {
            let file = path
                .ancestors()
                .skip(1)
                .find(|part| std::fs::metadata(part).is_ok_and(|meta| !meta.is_dir()));
            failed(file.unwrap_or(path), errno)
        }
        Errno::NXIO => ReadError::NotAFile { path: shown(path), what: "a socket" },
        other => failed(path, other),
    }
}

pub(super) fn failed(path: &Path, errno: Errno) -> ReadError {
    let text = std::io::Error::from(errno).to_string();
    let cause = text.split(" (os error").next().unwrap_or_default().to_owned();
    ReadError::Failed { path: shown(path), cause }
}

impl Walk<'_> {
    fn restart(&mut self) -> Result<(), ReadError> {
        self.folders.clear();
        let root = Path::new("/");
        let fd = rustix::fs::open(root, FOLDER, Mode::empty()).map_err(|errno| failed(root, errno))?;
        self.enter(fd, root.to_owned())
    }

    fn put_first(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front(OsString::from("..")),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn step(&mut self, name: OsString) -> Result<Option<Place>, ReadError> {
        if name == ".." {
            if self.folders.len() > 1 {
                self.folders.pop();
            }
            return Ok(None);
        }
        let Some(folder) = self.folders.last() else { return Err(failed(self.asked, Errno::NOENT)) };
        let path = folder.path.join(&name);
        let stat = rustix::fs::statat(&folder.fd, &*name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.missing(&path, errno))?;
        if folder.sticky && !self.rules.uids.contains(&stat.st_uid) {
            let why = format!("belongs to uid {} in a folder where everybody may write", stat.st_uid);
            return Err(self.untrusted(&path, why));
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                self.follow(&name)?;
                Ok(None)
            }
            FileType::Directory if !self.left.is_empty() => {
                let fd = rustix::fs::openat(&folder.fd, &*name, FOLDER, Mode::empty())
                    .map_err(|errno| self.missing(&path, errno))?;
                self.enter(fd, path)?;
                Ok(None)
            }
            _ if !self.left.is_empty() => Err(failed(&path, Errno::NOTDIR)),
            _ => Ok(self.folders.pop().map(|folder| Place { folder: folder.fd, name })),
        }
    }

    fn enter(&mut self, fd: OwnedFd, path: PathBuf) -> Result<(), ReadError> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failed(&path, errno))?;
        // S_ISVTX, inode(7): only an entry's owner, the folder's owner and root may rename or remove it.
        let sticky = stat.st_mode & 0o1000 != 0 && self.rules.uids.contains(&stat.st_uid);
        match self.rules.objection(&stat) {
            Some(why) if !sticky => Err(self.untrusted(&path, why)),
            objection => {
                self.folders.push(Folder { fd, path, sticky: objection.is_some() });
                Ok(())
            }
        }
    }

    fn follow(&mut self, name: &OsStr) -> Result<(), ReadError> {
        self.links += 1;
        let folder = self.folders.last().filter(|_| self.links <= MAX_LINKS);
        let Some(folder) = folder else { return Err(failed(self.asked, Errno::LOOP)) };
        let target = rustix::fs::readlinkat(&folder.fd, name, Vec::new())
            .map_err(|errno| failed(&folder.path.join(name), errno))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.as_os_str().as_bytes().starts_with(b"/") {
            self.restart()?;
        }
        self.put_first(&target);
        Ok(())
    }

    fn missing(&self, path: &Path, errno: Errno) -> ReadError {
        match errno {
            Errno::NOENT if self.links > 0 => {
                ReadError::Dangling { path: shown(self.asked), target: shown(path) }
            }
            Errno::NOENT => ReadError::NotFound { path: shown(path) },
            other => failed(path, other),
        }
    }

    fn untrusted(&self, place: &Path, why: String) -> ReadError {
        ReadError::Untrusted { path: shown(self.asked), place: shown(place), why }
    }
}

impl Rules<'_> {
    /// What makes it possible for others to write this file or folder.
    fn objection(&self, stat: &Stat) -> Option<String> {
        let mode = stat.st_mode & 0o7777;
        if !self.uids.contains(&stat.st_uid) {
            return Some(format!("belongs to uid {}, not to root (chown root mends it)", stat.st_uid));
        }
        if mode & 0o002 != 0 {
            return Some(format!("can be written by everybody (mode {mode:04o}; chmod o-w mends it)"));
        }
        if mode & 0o020 != 0 && self.group != Some(stat.st_gid) {
            return Some(format!(
                "can be written by the group {} (mode {mode:04o}; chmod g-w mends it)",
                stat.st_gid
            ));
        }
        None
    }
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
