//! The folders that sppm keeps its own files in: making them, and the check that nobody else could write there.
//!
//! In: an absolute path. Out: the folder, or why it cannot be had or trusted. Never add here: knowledge of what is kept.

use super::read::{ReadError, Shown, TrustPolicy, shown};
use super::walk::{self, Place};
use rustix::fs::{Mode, OFlags};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Why a folder is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// It cannot be reached, or root may not trust it.
    #[error(transparent)]
    Unsafe(#[from] ReadError),
    /// Another user could replace what is in it.
    #[error("{path} is refused: it {why}")]
    Foreign {
        /// The folder.
        path: Shown,
        /// What is unsafe about it.
        why: String,
    },
}

/// Makes a folder with exactly this mode, whatever the umask; one that exists stays as it is. Missing folders above it are
/// made too: root's can be passed through by everybody, a user's only by that user.
///
/// # Errors
/// As mkdir(2) and fchmod(2).
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        let above = if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 };
        make_folder(parent, above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            // On the descriptor: in a folder that others may write, the name could be a link by now.
            let fd = rustix::fs::open(path, OPEN, Mode::empty())?;
            Ok(rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))?)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Checks that only those who are trusted could put something into a folder. For root that means the folder and every one
/// above it; for others that the folder belongs to them (or root), and is not open to everybody.
///
/// # Errors
/// See [`FolderError`].
pub fn check_folder(path: &Path, trust: &TrustPolicy) -> Result<(), FolderError> {
    let failed = |errno| FolderError::Unsafe(walk::failed(path, errno));
    match trust {
        TrustPolicy::Only { uids, group } => {
            let rules = walk::Rules { uids, group: *group };
            let Place { folder, name } = walk::to_file(path, &rules)?;
            let fd = rustix::fs::openat(&folder, &*name, OPEN, Mode::empty()).map_err(failed)?;
            let stat = rustix::fs::fstat(&fd).map_err(failed)?;
            Ok(walk::check_file(&stat, path, &rules)?)
        }
        TrustPolicy::Anyone => {
            let stat = rustix::fs::stat(path).map_err(failed)?;
            let own = rustix::process::geteuid().as_raw();
            let why = if stat.st_uid != own && stat.st_uid != 0 {
                format!("belongs to uid {}, who could replace what sppm keeps there", stat.st_uid)
            } else if stat.st_mode & 0o002 != 0 {
                format!(
                    "can be written by everybody (mode {:04o}; chmod o-w mends it)",
                    stat.st_mode & 0o7777
                )
            } else {
                return Ok(());
            };
            Err(FolderError::Foreign { path: shown(path), why })
        }
    }
}

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn each_level_has_its_mode_whatever_the_umask() {
        let temp = tempfile::tempdir().unwrap();
        let (above, inner) = (temp.path().join("a"), temp.path().join("a/b"));
        make_folder(&inner, 0o711).unwrap();
        assert_eq!(mode(&inner), 0o711);
        let root = rustix::process::geteuid().is_root();
        assert_eq!(mode(&above), if root { 0o755 } else { 0o700 });
        make_folder(&inner, 0o700).unwrap();
        assert_eq!(mode(&inner), 0o711, "one that exists stays as it is");
        fs::write(temp.path().join("file"), "").unwrap();
        assert!(make_folder(&temp.path().join("file/x"), 0o700).is_err());
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("run");
        make_folder(&folder, 0o711).unwrap();
        let own = TrustPolicy::for_this_process(None);
        let policies = [own, TrustPolicy::Anyone];
        for trust in &policies {
            check_folder(&folder, trust).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
            let message = check_folder(&folder, trust).unwrap_err().to_string();
            assert!(message.contains("can be written by everybody (mode 0777"), "{message}");
            fs::set_permissions(&folder, Permissions::from_mode(0o711)).unwrap();
        }
        if chown(&folder, Some(65534), Some(65534)).is_ok() {
            for trust in &policies {
                let message = check_folder(&folder, trust).unwrap_err().to_string();
                assert!(message.contains("belongs to uid 65534"), "{message}");
            }
        }
    }
}
