//! Removing what a program left in its folder. The program may be hostile, and some of it may still live and work against us.
//!
//! Everything goes by descriptor and name: no path is followed, no link, and nothing but folders is ever opened. What lies deep
//! is moved up first, so neither the stack nor the number of descriptors grows with the depth.
//!
//! Never add here: a path that is made of more than one name.

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// How many entries one clearing may touch: about a tenth of a second.
pub(super) const MOST_ENTRIES: u32 = 20_000;

/// How often a name for something that is moved up may be taken.
const NAMES: u32 = 100;

/// One clearing: what it may still do.
#[derive(Debug)]
pub(super) struct Clearing {
    left: u32,
    names: u64,
}

impl Clearing {
    pub(super) fn new(entries: u32) -> Self {
        Self { left: entries, names: 0 }
    }

    /// Removes `name` of `parent`, whatever it is, with everything below it. That there is nothing is fine.
    ///
    /// # Errors
    /// EDQUOT: there is more than this clearing may remove; what is gone is gone. EXDEV: something is mounted there. EPERM: a
    /// folder below is of another user than the top. As unlink(2).
    pub(super) fn remove(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        if unlink(parent, name)? {
            return Ok(());
        }
        let (top, of_top) = open_folder(parent, name, None)?;
        loop {
            let (mut seen, mut gone, mut trouble) = (false, false, None);
            for entry in names_in(&top, self.left)? {
                self.spend()?;
                seen = true;
                match self.remove_below(top.as_fd(), &of_top, &entry) {
                    Ok(()) => gone = true,
                    Err(error) if error.raw_os_error() == Some(libc::EDQUOT) => return Err(error),
                    Err(error) => trouble = Some(error),
                }
            }
            match trouble {
                Some(error) if !gone => return Err(error),
                Some(_) | None if seen => {}
                Some(_) | None => break,
            }
        }
        remove_folder(parent, name)
    }

    fn spend(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(io::Error::from_raw_os_error(libc::EDQUOT))?;
        Ok(())
    }

    /// Removes one entry of the top. The folders in a folder come up into the top instead, for its next look.
    fn remove_below(&mut self, top: BorrowedFd<'_>, of_top: &Of, name: &CStr) -> io::Result<()> {
        if unlink(top, name)? {
            return Ok(());
        }
        match remove_folder(top, name) {
            Err(error) if is(&error, Errno::NOTEMPTY) || is(&error, Errno::EXIST) => {}
            result => return result,
        }
        let (folder, _) = open_folder(top, name, Some(of_top))?;
        for entry in names_in(&folder, self.left)? {
            self.spend()?;
            if !unlink(folder.as_fd(), &entry)? {
                self.move_up(top, of_top, folder.as_fd(), &entry)?;
            }
        }
        match remove_folder(top, name) {
            // Somebody fills it while we empty it: the next look goes on.
            Err(error) if is(&error, Errno::NOTEMPTY) || is(&error, Errno::EXIST) => Ok(()),
            result => result,
        }
    }

    fn move_up(
        &mut self,
        top: BorrowedFd<'_>,
        of_top: &Of,
        folder: BorrowedFd<'_>,
        name: &CStr,
    ) -> io::Result<()> {
        // A folder that may not be written cannot be moved. Opening it makes it writable, where that is needed and allowed.
        match open_folder(folder, name, Some(of_top)) {
            Err(error) if is(&error, Errno::NOENT) || is(&error, Errno::NOTDIR) => return Ok(()),
            result => drop(result?),
        }
        for _ in 0..NAMES {
            self.names += 1;
            let up = CString::new(format!(".up.{}", self.names)).unwrap_or_default();
            match rustix::fs::renameat(folder, name, top, &up) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // The name is taken: by a folder with something in it, or by a file.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::ISDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EEXIST))
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// Removes anything but a folder. Returns whether it is gone; a folder is not.
fn unlink(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        // unlink(2): EISDIR is what Linux says for a folder, EPERM what POSIX wants.
        Err(Errno::ISDIR) => Ok(false),
        Err(error @ (Errno::PERM | Errno::ACCESS)) => {
            let there = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if is_folder(&there) { Ok(false) } else { Err(error.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

fn is_folder(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir()
}

fn remove_folder(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whose a folder is, and on which file system it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Of {
    device: (u32, u32),
    user: u32,
}

/// Opens a folder without following a link, and sees to it that its owner, where that is us, may work in it. Below a top,
/// only what is of the top's user (root's top: of anybody) and on its file system is opened: else a program could move what is
/// another's into its own folder, and have it removed with our rights.
fn open_folder(parent: BorrowedFd<'_>, name: &CStr, top: Option<&Of>) -> io::Result<(OwnedFd, Of)> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(parent, name, OFlags::PATH | flags, Mode::empty())?;
    let stat = rustix::fs::statx(&handle, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    let of = Of { device: (stat.stx_dev_major, stat.stx_dev_minor), user: stat.stx_uid };
    if let Some(top) = top {
        if is_mounted(&stat) || of.device != top.device {
            return Err(Errno::XDEV.into());
        }
        if top.user != 0 && of.user != top.user {
            return Err(Errno::PERM.into());
        }
    }
    let we = rustix::process::geteuid().as_raw();
    if we != 0 && of.user == we && stat.stx_mode & 0o700 != 0o700 {
        // fchmod(2) takes no O_PATH descriptor. This link leads to the open folder itself, whatever its name is now.
        let itself = format!("/proc/self/fd/{}", handle.as_raw_fd());
        rustix::fs::chmod(itself, Mode::RWXU)?;
    }
    Ok((rustix::fs::openat(&handle, c".", OFlags::RDONLY | flags, Mode::empty())?, of))
}

/// Whether it is where something is mounted; Linux 5.8 tells. Before, a bind mount of the same file system is not seen.
fn is_mounted(stat: &Statx) -> bool {
    stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
        && stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
}

/// The names in a folder, at most so many and one: nobody can make us keep more.
pub(super) fn names_in(folder: &OwnedFd, most: u32) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
        if names.len() > most as usize {
            break;
        }
    }
    Ok(names)
}
