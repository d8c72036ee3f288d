//! Which kind of file system a path lies on: whether the kernel tells of changes that others make there.
//!
//! In: a path. Out: [`FsKind`]. Never add here: anything but a reading of statfs(2).

use std::io;
use std::path::Path;

/// What to expect of change notices there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// Of this machine: every change is told.
    Local,
    /// Of another machine or a host below us: its changes are not told.
    Network,
    /// Served by a program: it depends on that program.
    Fuse,
}

impl FsKind {
    /// Whether changes made elsewhere are seen only by looking.
    pub fn needs_polling(self) -> bool {
        match self {
            Self::Local => false,
            Self::Network | Self::Fuse => true,
        }
    }
}

/// `f_type` of statfs(2) for file systems of other machines or hosts: NFS, SMB, SMB2, CIFS, 9P, AFS, AFS of the
/// kernel's client, Coda, NCP, Ceph, GFS2, OCFS2, Lustre, BeeGFS, vboxsf, vmhgfs.
const REMOTE: [u64; 16] = [
    0x6969,
    0x517B,
    0xFE53_4D42,
    0xFF53_4D42,
    0x0102_1997,
    0x5346_414F,
    0x6B41_4653,
    0x7375_7245,
    0x564C,
    0x00C3_6400,
    0x0116_1970,
    0x7461_636F,
    0x0BD0_0BD0,
    0x1983_0326,
    0x786F_4256,
    0xBACB_ACBC,
];

/// FUSE_SUPER_MAGIC; virtiofs has the same.
const FUSE: u64 = 0x6573_5546;

/// The kind of the file system that `path` (followed if it is a link) lies on.
///
/// # Errors
/// statfs(2): the path does not exist, or a folder on the way may not be entered.
pub fn fs_kind(path: &Path) -> io::Result<FsKind> {
    // The magic numbers are 32 bits wide; f_type is signed on some machines and would be widened with its sign.
    let magic = u64::from(rustix::fs::statfs(path)?.f_type as u32);
    Ok(match magic {
        FUSE => FsKind::Fuse,
        other if REMOTE.contains(&other) => FsKind::Network,
        _ => FsKind::Local,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_temporary_folder_is_local_and_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(fs_kind(folder.path()).unwrap(), FsKind::Local);
        assert!(fs_kind(&folder.path().join("none")).is_err());
    }
}
