//! Control groups, version 2 (cgroups(7)), as far as they name and kill a whole tree. No controllers, no limits.
//!
//! Never add here: any assumption about where the hierarchy is mounted; hybrid systems mount it elsewhere.

use super::pseudo;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder of ours below our own cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    root: PathBuf,
}

impl Cgroups {
    /// Makes `sppm-SUBDIR` below the cgroup that this process is in. `None` where there is no writable version 2 hierarchy.
    /// A folder that exists already is taken over: it is our predecessor's.
    pub fn detect(subdir: &str) -> Option<Self> {
        let own = own_folder()?;
        // A process may be moved only by who can write the nearest common ancestor's list: ours.
        rustix::fs::access(own.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).ok()?;
        let root = own.join(format!("sppm-{subdir}"));
        make(&root).ok()?;
        let usable = rustix::fs::access(root.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok();
        usable.then_some(Self { root })
    }

    /// The folder of ours that holds the runs' folders.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the cgroup of a run, or takes the one that is there.
    ///
    /// # Errors
    /// As mkdir(2); EINVAL for a name with a slash.
    pub fn create(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let path = self.root.join(name);
        make(&path)?;
        Ok(path)
    }

    /// Removes the folder of ours, with whatever empty cgroups are left in it.
    ///
    /// # Errors
    /// EBUSY: processes live there.
    pub fn remove_root(&self) -> io::Result<()> {
        remove(&self.root)
    }
}

/// The live members of a cgroup and of those below it; zombies do not count.
///
/// # Errors
/// ENOENT: there is no such cgroup.
pub fn members(cgroup: &Path) -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for_each_folder(cgroup, &mut |folder| {
        let text = pseudo::text(folder.join("cgroup.procs"))?;
        pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|&pid| pid != 0));
        Ok(())
    })?;
    pids.retain(|&pid| !super::proc::stat(pid).is_ok_and(|stat| stat.is_dead()));
    Ok(pids)
}

/// Whether nothing lives in a cgroup or below it (`populated 0`). One that does not exist is empty.
pub fn is_empty(cgroup: &Path) -> bool {
    match pseudo::text(cgroup.join("cgroup.events")) {
        Ok(text) => text.lines().any(|line| line == "populated 0"),
        Err(error) => is_gone(&error),
    }
}

/// Kills everything in a cgroup and below it at once, forks in flight included (`cgroup.kill`, Linux 5.14).
///
/// # Errors
/// ENOENT: no such cgroup, or an older kernel: kill by walking instead.
pub fn kill(cgroup: &Path) -> io::Result<()> {
    use std::io::Write;
    fs::OpenOptions::new().write(true).open(cgroup.join("cgroup.kill"))?.write_all(b"1")
}

/// Removes a cgroup with all empty ones below it. One that does not exist is no error.
///
/// # Errors
/// EBUSY: processes live there.
pub fn remove(cgroup: &Path) -> io::Result<()> {
    // Most have none below them.
    if fs::remove_dir(cgroup).or_else(missing_is_fine).is_ok() {
        return Ok(());
    }
    let mut folders = Vec::new();
    for_each_folder(cgroup, &mut |folder| {
        folders.push(folder.to_owned());
        Ok(())
    })
    .or_else(missing_is_fine)?;
    for folder in folders.iter().rev() {
        fs::remove_dir(folder).or_else(missing_is_fine)?;
    }
    Ok(())
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if is_gone(&error) { Ok(()) } else { Err(error) }
}

fn make(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
        .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

/// Parents come before their children. A child that is removed meanwhile (programs may have cgroups of their own) is left out.
fn for_each_folder(top: &Path, visit: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut open = vec![top.to_owned()];
    while let Some(folder) = open.pop() {
        match visit(&folder).and_then(|()| children(&folder)) {
            Ok(found) => open.extend(found),
            Err(error) if folder != top && is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// ENODEV: the cgroup was removed while one of its files was open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn own_folder() -> Option<PathBuf> {
    folder_of("self")
}

/// The folder of a process's cgroup; `None` where it cannot be told.
pub fn of(pid: u32) -> Option<PathBuf> {
    folder_of(&pid.to_string())
}

/// The line `0::PATH` of /proc/PID/cgroup, below the mount that /proc/self/mountinfo shows.
fn folder_of(pid: &str) -> Option<PathBuf> {
    let memberships = pseudo::text(format!("/proc/{pid}/cgroup")).ok()?;
    let mounts = pseudo::text("/proc/self/mountinfo").ok()?;
    locate(&memberships, &mounts)
}

fn locate(memberships: &str, mounts: &str) -> Option<PathBuf> {
    let path = Path::new(memberships.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        // proc_pid_mountinfo(5): … root mount-point options … - type source options
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = left.split(' ').skip(3);
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        // A path that climbs is outside of this cgroup namespace.
        let inside = path.strip_prefix(&root).ok().filter(|rest| !rest.starts_with(".."))?;
        Some(if inside.as_os_str().is_empty() { point.into() } else { Path::new(&point).join(inside) })
    })
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_goes_away_under_the_walk_is_left_out() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::create_dir(temp.path().join(name)).unwrap();
        }
        let mut seen = 0;
        for_each_folder(temp.path(), &mut |folder| {
            seen += 1;
            if folder == temp.path() {
                return Ok(());
            }
            fs::remove_dir(folder)?;
            fs::read_to_string(folder.join("cgroup.procs")).map(drop)
        })
        .unwrap();
        assert_eq!(seen, 3);
        assert!(members(&temp.path().join("none")).is_err());
    }

    #[test]
    fn the_hierarchy_is_found_wherever_it_is_mounted() {
        let hybrid = "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                      31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "9:name=systemd:/x\n0::/user.slice/a\n";
        assert_eq!(locate(own, hybrid).unwrap(), Path::new("/sys/fs/cgroup/unified/user.slice/a"));
        assert_eq!(locate("0::/\n", hybrid).unwrap(), Path::new("/sys/fs/cgroup/unified"));
        let bound = "31 30 0:27 /user.slice /mnt/with\\040space rw - cgroup2 x rw\n";
        assert_eq!(locate(own, bound).unwrap(), Path::new("/mnt/with space/a"));
        assert_eq!(locate("0::/../out\n", hybrid), None);
        assert_eq!(locate("1:cpu:/\n", hybrid), None);
        assert_eq!(locate(own, "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"), None);
    }
}
