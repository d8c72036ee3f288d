//! Reading a configuration file: quickly, without blocking, and for root only where nobody else can write.
//!
//! In: an absolute path and whom to trust. Out: its text, or one sentence that says why not. The way to the file is
//! walked folder by folder on descriptors (openat(2)), so that what was checked is what is read. Never add here:
//! parsing, or a fall-back to another file.

use super::walk::{self, Place};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// How often a file that changes while it is read is begun again.
const ATTEMPTS: u32 = 5;

/// Whom the owner of a supervisor trusts to write its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustPolicy {
    /// Not root: the programs get no rights that the reader does not have, so the kernel's own checks are enough.
    Anyone,
    /// Root: only these may be able to write the file, a folder above it, or a link on the way.
    Only {
        /// Owners that are trusted; root (0) belongs here.
        uids: Vec<u32>,
        /// A group that may have write permission: that of `supervisor.api.group`.
        group: Option<u32>,
    },
}

impl TrustPolicy {
    /// The policy for this process: root trusts root (and inside a user namespace, where owners of the outside all
    /// look like the overflow uid, that too: user_namespaces(7)); anybody else needs none.
    pub fn for_this_process(api_group: Option<u32>) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Anyone;
        }
        let mut uids = vec![0];
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let outside = map.split_whitespace().ne(["0", "0", "4294967295"]);
        if let (true, Ok(text)) = (outside, std::fs::read_to_string("/proc/sys/kernel/overflowuid")) {
            uids.extend(text.trim().parse::<u32>());
        }
        Self::Only { uids, group: api_group }
    }
}

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such file, or a folder on the way is missing.
    #[error("{path} does not exist")]
    NotFound {
        /// The part that is missing.
        path: Shown,
    },
    /// A link that leads nowhere.
    #[error("{path} leads through a symbolic link to {target}, which does not exist")]
    Dangling {
        /// The link, as it was asked for.
        path: Shown,
        /// What is missing at its end.
        target: Shown,
    },
    /// A folder, a FIFO, a device.
    #[error("{path} is {what}, not a file")]
    NotAFile {
        /// The path as given.
        path: Shown,
        /// "a folder", "a FIFO" …
        what: &'static str,
    },
    /// Larger than [`MAX_BYTES`].
    #[error("{path} is too large: more than 8 MiB")]
    TooLarge {
        /// The path as given.
        path: Shown,
    },
    /// It was written all the time while it was read.
    #[error("{path} keeps changing while it is read")]
    Changing {
        /// The path as given.
        path: Shown,
    },
    /// Not text.
    #[error("{path} is not UTF-8: the byte in line {line}, column {column} is not part of a character")]
    NotUtf8 {
        /// The path as given.
        path: Shown,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
    },
    /// Somebody who is not trusted could write it.
    #[error("{path} is refused because sppm runs as root: {place} {why}")]
    Untrusted {
        /// The path as given.
        path: Shown,
        /// The file, folder or link that is unsafe.
        place: Shown,
        /// What is unsafe about it, and the mend.
        why: String,
    },
    /// The system said no.
    #[error("cannot read {path}: {cause}")]
    Failed {
        /// Where it failed.
        path: Shown,
        /// Its words.
        cause: String,
    },
}

/// A path that shows its control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(pub PathBuf);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.to_string_lossy().chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => write!(f, "{c}"),
        })
    }
}

pub(super) fn shown(path: &Path) -> Shown {
    Shown(path.to_owned())
}

/// Reads the text of a configuration file.
///
/// # Errors
/// See [`ReadError`]. Never waits for a writer, and never takes more than [`MAX_BYTES`] of memory and one.
pub fn read_config(path: &Path, trust: &TrustPolicy) -> Result<String, ReadError> {
    for _ in 0..ATTEMPTS {
        let file = open(path, trust)?;
        let before = stat(&file, path)?;
        regular(&before, path)?;
        let bytes = read_all(&file, &before, path)?;
        let after = stat(&file, path)?;
        if unchanged(&before, &after) && bytes.len() as i64 == after.st_size {
            return text(bytes, path);
        }
    }
    Err(ReadError::Changing { path: shown(path) })
}

fn open(path: &Path, trust: &TrustPolicy) -> Result<File, ReadError> {
    match trust {
        TrustPolicy::Anyone => match rustix::fs::open(path, READ, Mode::empty()) {
            Ok(fd) => Ok(File::from(fd)),
            Err(errno) => Err(walk::explain(path, errno)),
        },
        TrustPolicy::Only { uids, group } => {
            let rules = walk::Rules { uids, group: *group };
            let Place { folder, name, .. } = walk::to_file(path, &rules)?;
            match rustix::fs::openat(&folder, &*name, READ | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(fd) => {
                    let file = File::from(fd);
                    walk::check_file(&stat(&file, path)?, path, &rules)?;
                    Ok(file)
                }
                Err(Errno::LOOP) => Err(ReadError::Changing { path: shown(path) }),
                Err(errno) => Err(walk::explain(path, errno)),
            }
        }
    }
}

/// NONBLOCK: a FIFO in the file's place must not hold us (open(2)).
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn stat(file: &File, path: &Path) -> Result<Stat, ReadError> {
    rustix::fs::fstat(file).map_err(|errno| walk::failed(path, errno))
}

fn regular(stat: &Stat, path: &Path) -> Result<(), ReadError> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a folder",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink => "a symbolic link",
        FileType::Unknown => "something unknown",
    };
    Err(ReadError::NotAFile { path: shown(path), what })
}

fn read_all(file: &File, stat: &Stat, path: &Path) -> Result<Vec<u8>, ReadError> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let too_large = || ReadError::TooLarge { path: shown(path) };
    if size > MAX_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(size as usize + 1);
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ReadError::Failed { path: shown(path), cause: error.to_string() })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    Ok(bytes)
}

fn unchanged(before: &Stat, after: &Stat) -> bool {
    let key =
        |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
    key(before) == key(after)
}

fn text(bytes: Vec<u8>, path: &Path) -> Result<String, ReadError> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = memchr::memchr_iter(b'\n', good).count() + 1;
        let column = good.len() - memchr::memrchr(b'\n', good).map_or(0, |newline| newline + 1) + 1;
        ReadError::NotUtf8 { path: shown(path), line, column }
    })
}
