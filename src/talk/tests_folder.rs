//! The folder: what is in it, and what a hostile program may have left there.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::{EnvFile, Folders, Opened, has_past, make as make_and_keep, remove, reopen, sweep, too_long};
use crate::model::InstanceLabel;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Rig {
    folder: tempfile::TempDir,
}

/// Whoever makes a folder lets go of what was there before as soon as nobody waits for that.
fn make(
    base: &Path,
    label: &InstanceLabel,
    owner: Option<(u32, u32)>,
    want_sd: bool,
    env: &EnvFile,
) -> std::io::Result<Opened> {
    let opened = make_and_keep(base, label, owner, want_sd, env)?;
    Ok(Opened { past: None, ..opened })
}

impl Rig {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("i")
    }

    fn make(&self) -> std::io::Result<Opened> {
        make(&self.base(), &label(), None, true, &EnvFile::default())
    }

    fn remove(&self) -> std::io::Result<()> {
        remove(&self.base(), &label())
    }

    fn names(&self) -> Vec<String> {
        names(&self.base())
    }

    /// Something outside that must stay, with something in it.
    fn precious(&self) -> PathBuf {
        let precious = self.folder.path().join("precious");
        fs::create_dir_all(precious.join("inner")).unwrap();
        fs::write(precious.join("inner/file"), "kept").unwrap();
        precious
    }
}

fn label() -> InstanceLabel {
    InstanceLabel::recorded("web.1")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn what_a_run_speaks_into_is_opened_once_more() {
    use std::io::{Read, Write};
    let home = tempfile::tempdir().unwrap();
    let base = home.path().join("i");
    let slot = crate::model::Slot::new(crate::model::ProgramName::new("web").unwrap(), 1);
    let label = crate::model::InstanceLabel::of(&slot, false);
    let opened = make(&base, &label, None, true, &EnvFile::default()).unwrap();
    let sender = std::os::unix::net::UnixDatagram::unbound().unwrap();
    drop((opened.fifo, opened.sd));
    let path = opened.places.sd.unwrap();
    assert!(sender.send_to(b"READY=1", &path).is_err());
    let (fifo, sd) = reopen(&base, &label, true).unwrap();
    sender.send_to(b"READY=1", &path).unwrap();
    let mut bytes = [0; 16];
    let read = rustix::net::recv(sd.unwrap(), &mut bytes, rustix::net::RecvFlags::empty()).unwrap();
    assert_eq!(&bytes[..read.0], b"READY=1");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&opened.places.notify)
        .unwrap()
        .write_all(b"ready\n")
        .unwrap();
    let read = std::fs::File::from(fifo).read(&mut bytes).unwrap();
    assert_eq!(&bytes[..read], b"ready\n");
    std::fs::remove_file(&opened.places.notify).unwrap();
    std::fs::write(&opened.places.notify, "").unwrap();
    assert_eq!(reopen(&base, &label, false).unwrap_err().raw_os_error(), Some(libc::EINVAL));
}

#[test]
fn everything_is_there_with_its_mode() {
    let rig = Rig::new();
    let opened = rig.make().unwrap();
    let places = &opened.places;
    assert_eq!(places.folder, rig.base().join("web.1"));
    assert_eq!(names(&places.folder), ["env", "lock", "notify", "sd"]);
    assert_eq!((mode(&rig.base()), mode(&places.folder)), (0o711, 0o700));
    let sd = places.sd.as_ref().unwrap();
    for path in [&places.lock, &places.notify, &places.env, sd] {
        assert_eq!(mode(path), 0o600, "{path:?}");
    }
    assert!(fs::metadata(&places.notify).unwrap().file_type().is_fifo());
    assert!(fs::metadata(sd).unwrap().file_type().is_socket());
    assert_eq!(fs::metadata(&places.lock).unwrap().len(), 0);
    let env = fs::read_to_string(&places.env).unwrap();
    assert!(env.contains(&format!("lock={}\n", places.lock.display())), "{env}");
    rig.remove().unwrap();
    assert_eq!(rig.names(), [""; 0]);
    rig.remove().unwrap();
    let opened = make(&rig.base(), &label(), None, false, &EnvFile::default()).unwrap();
    assert_eq!(names(&opened.places.folder), ["env", "lock", "notify"]);
    assert!(opened.sd.is_none() && opened.places.sd.is_none());
}

#[test]
fn it_belongs_to_the_programs_user() {
    if !root() {
        let other = Some((rustix::process::geteuid().as_raw() + 1, 1));
        assert!(make(&Rig::new().base(), &label(), other, false, &EnvFile::default()).is_err());
        return;
    }
    let rig = Rig::new();
    let opened = make(&rig.base(), &label(), Some((4711, 4712)), true, &EnvFile::default()).unwrap();
    let places = &opened.places;
    for path in [&places.folder, &places.lock, &places.notify, &places.env, places.sd.as_ref().unwrap()] {
        let there = fs::symlink_metadata(path).unwrap();
        assert_eq!((there.uid(), there.gid()), (4711, 4712), "{path:?}");
    }
    assert_eq!(mode(&places.folder), 0o700);
    assert_eq!(fs::metadata(rig.base()).unwrap().uid(), 0);
    // The next run may be another user's.
    let opened = make(&rig.base(), &label(), Some((4713, 4713)), false, &EnvFile::default()).unwrap();
    assert_eq!(fs::metadata(&opened.places.lock).unwrap().uid(), 4713);
    assert_eq!(rig.names(), ["web.1"]);
}

#[test]
fn a_hostile_folder_leads_nowhere() {
    let rig = Rig::new();
    let precious = rig.precious();
    let folder = rig.make().unwrap().places.folder;
    fs::remove_file(folder.join("lock")).unwrap();
    fs::remove_file(folder.join("notify")).unwrap();
    symlink(precious.join("inner/file"), folder.join("lock")).unwrap();
    symlink(&precious, folder.join("notify")).unwrap();
    symlink("/", folder.join("root")).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
    fs::create_dir_all(folder.join("a/b/c")).unwrap();
    symlink(&precious, folder.join("a/b/out")).unwrap();
    fs::hard_link(precious.join("inner/file"), folder.join("a/link")).unwrap();
    for name in ["pipe", "a/pipe", "a/b/c/pipe"] {
        let mode = rustix::fs::Mode::from_raw_mode(0);
        rustix::fs::mknodat(rustix::fs::CWD, folder.join(name), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    for name in ["a/b/c", "a/b", "a", ""] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o0)).unwrap();
    }
    let opened = rig.make().unwrap();
    assert_eq!(names(&opened.places.folder), ["env", "lock", "notify", "sd"]);
    assert_eq!(rig.names(), ["web.1"]);
    assert_eq!(fs::read_to_string(precious.join("inner/file")).unwrap(), "kept");
    assert_eq!(fs::metadata(precious.join("inner/file")).unwrap().nlink(), 1);
}

#[test]
fn a_name_that_is_no_folder_makes_way() {
    let rig = Rig::new();
    let precious = rig.precious();
    fs::create_dir(rig.base()).unwrap();
    symlink(&precious, rig.base().join("web.1")).unwrap();
    let folder = rig.make().unwrap().places.folder;
    assert!(fs::symlink_metadata(&folder).unwrap().is_dir());
    rig.remove().unwrap();
    symlink(&precious, &folder).unwrap();
    rig.remove().unwrap();
    fs::write(&folder, "").unwrap();
    rig.make().unwrap();
    assert_eq!(fs::read_to_string(precious.join("inner/file")).unwrap(), "kept");
    // Nor is a base that is a link taken.
    fs::rename(rig.base(), rig.folder.path().join("j")).unwrap();
    symlink(&precious, rig.base()).unwrap();
    assert!(rig.make().is_err() && rig.remove().is_err());
    assert_eq!(names(&precious), ["inner"]);
}

#[test]
fn depth_costs_neither_stack_nor_descriptors() {
    let rig = Rig::new();
    let folder = rig.make().unwrap().places.folder;
    let name = "d".repeat(200);
    // Far deeper than a path can be: made from within.
    let mut at = fs::File::open(&folder).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&at, &name, rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, &name, flags, rustix::fs::Mode::empty()).unwrap().into();
    }
    drop(at);
    rig.remove().unwrap();
    assert_eq!(rig.names(), [""; 0]);
}

#[test]
fn what_was_there_is_out_of_the_way_at_once_and_removed_when_it_is_let_go_of() {
    let rig = Rig::new();
    fs::write(rig.make().unwrap().places.folder.join("mine"), "x").unwrap();
    let opened = make_and_keep(&rig.base(), &label(), None, true, &EnvFile::default()).unwrap();
    assert!(!opened.places.folder.join("mine").exists());
    assert_eq!(rig.names().len(), 2);
    assert!(has_past(&rig.base(), &label()));
    drop(opened);
    assert_eq!(rig.names().len(), 1);
    assert!(!has_past(&rig.base(), &label()));
}

#[test]
fn a_huge_folder_is_put_aside_and_removed_bit_by_bit() {
    let rig = Rig::new();
    let folder = rig.make().unwrap().places.folder;
    let count = super::clear::MOST_ENTRIES * 5 / 2;
    for number in 0..count {
        fs::write(folder.join(number.to_string()), "").unwrap();
    }
    let began = std::time::Instant::now();
    let opened = rig.make().unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(names(&opened.places.folder), ["env", "lock", "notify", "sd"]);
    assert_eq!(rig.names(), [".old.web.1.0", "web.1"]);
    let left = |rig: &Rig| names(&rig.base().join(".old.web.1.0")).len();
    assert!(left(&rig) < count as usize - 10_000);
    // The next run goes on with it.
    assert!(rig.remove().is_err());
    assert!(left(&rig) < count as usize - 30_000);
    rig.remove().unwrap();
    assert_eq!(rig.names(), [""; 0]);
}

#[test]
fn folders_of_other_users_are_not_entered() {
    if !root() {
        return;
    }
    let rig = Rig::new();
    let owner = Some((4711, 4711));
    let made = || make(&rig.base(), &label(), owner, false, &EnvFile::default());
    let folder = made().unwrap().places.folder;
    // As if the program had moved a folder of somebody else, with content that it could not delete, into its own.
    fs::create_dir_all(folder.join("mine/others")).unwrap();
    fs::write(folder.join("mine/others/file"), "").unwrap();
    for (name, uid) in [("mine", 4711), ("mine/others", 4712)] {
        std::os::unix::fs::chown(folder.join(name), Some(uid), Some(uid)).unwrap();
    }
    made().unwrap();
    assert!(rig.remove().is_err());
    let aside = rig.base().join(".old.web.1.0");
    assert!(aside.join("mine/others/file").exists());
    // A bounded number of times.
    for round in 1..20 {
        let folder = match made() {
            Ok(opened) => opened.places.folder,
            Err(error) => {
                assert_eq!((error.raw_os_error(), round), (Some(libc::EDQUOT), 9));
                break;
            }
        };
        fs::create_dir(folder.join("others")).unwrap();
        fs::write(folder.join("others/file"), "").unwrap();
        std::os::unix::fs::chown(folder.join("others"), Some(4712), Some(4712)).unwrap();
    }
    assert_eq!(rig.names().len(), 9);
}

#[test]
fn who_still_works_in_the_folder_cannot_lead_the_removal_astray() {
    let rig = Rig::new();
    let precious = rig.precious();
    let base = rig.base();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&stop);
    rig.make().unwrap();
    let handle = fs::File::open(base.join("web.1")).unwrap();
    let outside = precious.clone();
    let hostile = std::thread::spawn(move || {
        use rustix::fs::{Mode, mkdirat, openat, renameat, symlinkat};
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let mut at: std::os::fd::OwnedFd = handle.into();
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            // A folder becomes a link to the outside between two looks.
            let _ = mkdirat(&at, "x", Mode::RWXU);
            let _ = mkdirat(&at, "x/inner", Mode::RWXU);
            let _ = symlinkat(&outside, &at, "y");
            let _ = renameat(&at, "x", &at, "z");
            let _ = renameat(&at, "y", &at, "x");
            if let Ok(now) = openat(rustix::fs::CWD, base.join("web.1"), flags, Mode::empty()) {
                at = now;
            }
        }
    });
    for _ in 0..500 {
        // It may lose against somebody who is as quick as we are, not more.
        let _ = rig.make();
        let _ = rig.remove();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    hostile.join().unwrap();
    assert_eq!(fs::read_to_string(precious.join("inner/file")).unwrap(), "kept");
}

#[test]
fn a_sweep_leaves_what_is_wanted() {
    let rig = Rig::new();
    sweep(&rig.base(), &|_| true).unwrap();
    for name in ["a", "b", "c.1"] {
        make(&rig.base(), &InstanceLabel::recorded(name), None, false, &EnvFile::default()).unwrap();
    }
    fs::DirBuilder::new().mode(0o700).create(rig.base().join(".old.a.3")).unwrap();
    sweep(&rig.base(), &|name| name == "b").unwrap();
    assert_eq!(rig.names(), ["b"]);
}

#[test]
fn paths_that_do_not_fit_are_refused_before_anything_is_made() {
    let base = Path::new("/run/sppm/main/i");
    assert!(!too_long(base, "web.1"));
    let fits = 107 - "/run/sppm/main/i".len() - "/".len() - "/sd".len();
    assert!(!too_long(base, &"x".repeat(fits)) && too_long(base, &"x".repeat(fits + 1)));
    let rig = Rig::new();
    let deep = rig.folder.path().join("y".repeat(100));
    let refused = make(&deep, &label(), None, true, &EnvFile::default()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENAMETOOLONG));
    assert!(!deep.exists());
    make(&deep, &label(), None, false, &EnvFile::default()).unwrap();
    for bad in ["", ".", "..", ".old.x.0", "a/b", "a\0b"] {
        let made = make(&deep, &InstanceLabel::recorded(bad), None, false, &EnvFile::default());
        assert_eq!(made.unwrap_err().raw_os_error(), Some(libc::EINVAL), "{bad}");
    }
}

#[test]
fn a_lock_that_was_written_linked_or_replaced_is_not_as_it_was_made() {
    let rig = Rig::new();
    let folders = Folders::open(&rig.base()).unwrap();
    let spoilers: [fn(&Path); 3] = [
        |lock| fs::write(lock, "x").unwrap(),
        |lock| fs::hard_link(lock, lock.with_extension("more")).unwrap(),
        |lock| fs::rename(fs::canonicalize(lock.with_file_name("env")).unwrap(), lock).unwrap(),
    ];
    for spoil in spoilers {
        let Opened { places, lock, untouched, .. } = rig.make().unwrap();
        assert!(untouched.still(&lock).is_some() && folders.is_untouched(&label(), untouched));
        spoil(&places.lock);
        assert_eq!(untouched.still(&lock), None);
    }
    // As long as it is open, its number is nobody else's.
    let Opened { places, lock: _open, untouched, .. } = rig.make().unwrap();
    fs::remove_file(&places.lock).unwrap();
    assert!(!folders.is_untouched(&label(), untouched));
    fs::write(&places.lock, "").unwrap();
    assert!(!folders.is_untouched(&label(), untouched));
}
