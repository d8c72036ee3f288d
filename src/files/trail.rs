//! Where a path leads now, step by step: what must be watched, and what to compare to see that it changed.
//!
//! In: an absolute path. Out: folders to watch and a signature. Only stat(2) and readlink(2): looking changes nothing
//! and makes no notice of its own. Never add here: reading of content.

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Device and inode.
pub(super) type Id = (u64, u64);

/// A folder that something on the way depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) id: Id,
    /// It holds the file, a link or the missing part: a change is seen nowhere else. Else it is only watched for
    /// being moved itself.
    pub(super) vital: bool,
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Folder(Id),
    Link(Id, PathBuf),
    End { id: Id, mode: u32, size: i64, modified: (i64, u64), changed: (i64, u64) },
    Broken(Errno),
}

/// Where a path led when it was looked at. Two equal ones: nothing that matters has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Signature(Vec<Step>);

/// Looks; adds to `folders` what must be watched to learn that the answer changes.
pub(super) fn look(path: &Path, folders: &mut BTreeMap<PathBuf, Folder>) -> Signature {
    let mut walk =
        Walk { at: PathBuf::from("/"), left: VecDeque::new(), links: 0, steps: Vec::new(), folders };
    walk.put_first(path);
    if let Err(errno) = walk.go() {
        walk.note_folder(true);
        walk.steps.push(Step::Broken(errno));
    }
    Signature(walk.steps)
}

struct Walk<'a> {
    /// A real folder: no link in it.
    at: PathBuf,
    left: VecDeque<OsString>,
    links: u32,
    steps: Vec<Step>,
    folders: &'a mut BTreeMap<PathBuf, Folder>,
}

impl Walk<'_> {
    fn put_first(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.left.push_front(name.to_owned()),
                Component::ParentDir => self.left.push_front(OsString::from("..")),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn go(&mut self) -> Result<(), Errno> {
        while let Some(name) = self.left.pop_front() {
            if name == ".." {
                self.at.pop();
                continue;
            }
            let path = self.at.join(&name);
            let stat = rustix::fs::lstat(&path)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => self.follow(&path, id(&stat))?,
                FileType::Directory if !self.left.is_empty() => {
                    self.at = path;
                    self.steps.push(Step::Folder(id(&stat)));
                    self.note_folder(false);
                }
                _ if !self.left.is_empty() => return Err(Errno::NOTDIR),
                kind => {
                    self.note_folder(true);
                    self.steps.push(end(&stat));
                    if kind == FileType::Directory {
                        self.at = path;
                        self.note_folder(true);
                    }
                }
            }
        }
        Ok(())
    }

    fn follow(&mut self, link: &Path, id: Id) -> Result<(), Errno> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let target =
            std::fs::read_link(link).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
        self.note_folder(true);
        if target.is_absolute() {
            self.at = PathBuf::from("/");
        }
        self.put_first(&target);
        self.steps.push(Step::Link(id, target));
        Ok(())
    }

    /// The root cannot be moved, and folders where everybody works (/tmp) are noisy and never moved: both are
    /// watched only where something depends on an entry of theirs.
    fn note_folder(&mut self, vital: bool) {
        let Ok(stat) = rustix::fs::stat(&self.at) else { return };
        let everybodys = stat.st_mode & 0o1000 != 0;
        if vital || !(everybodys || self.at.parent().is_none()) {
            let folder = self.folders.entry(self.at.clone()).or_insert(Folder { id: id(&stat), vital });
            folder.vital |= vital;
            folder.id = id(&stat);
        }
    }
}

fn id(stat: &Stat) -> Id {
    (stat.st_dev, stat.st_ino)
}

/// The change time (ctime) tells what a restored modification time hides; reading does not touch it (inode(7)).
fn end(stat: &Stat) -> Step {
    Step::End {
        id: id(stat),
        mode: stat.st_mode,
        size: stat.st_size,
        modified: (stat.st_mtime, stat.st_mtime_nsec),
        changed: (stat.st_ctime, stat.st_ctime_nsec),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_folder_that_decides_is_vital() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["a", "b/c"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        std::fs::write(base.join("b/c/file"), "x").unwrap();
        symlink("../b/c/file", base.join("a/link")).unwrap();
        let mut folders = BTreeMap::new();
        let before = look(&base.join("a/link"), &mut folders);
        let vital = |name: &str| folders.get(&base.join(name)).map(|folder| folder.vital);
        assert_eq!([vital("a"), vital("b"), vital("b/c")], [Some(true), Some(false), Some(true)]);
        assert_eq!(folders.get(Path::new("/")), None);
        std::fs::read(base.join("a/link")).unwrap();
        assert_eq!(look(&base.join("a/link"), &mut BTreeMap::new()), before, "reading is no change");
        std::fs::write(base.join("b/c/file"), "y").unwrap();
        assert_ne!(look(&base.join("a/link"), &mut BTreeMap::new()), before);
    }

    #[test]
    fn a_missing_part_is_waited_for_in_the_deepest_folder_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let mut folders = BTreeMap::new();
        let missing = look(&base.join("x/y/file"), &mut folders);
        assert!(folders[&base].vital);
        symlink("loop", base.join("loop")).unwrap();
        assert_ne!(look(&base.join("loop"), &mut folders), missing);
    }
}
