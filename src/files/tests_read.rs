//! What stands in a configuration file's place, and who could have put it there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::read::{MAX_BYTES, ReadError, TrustPolicy, read_config};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The tests' own user stands for root, so that they mean something for everybody.
fn strict() -> TrustPolicy {
    TrustPolicy::Only { uids: vec![0, me()], group: None }
}

fn both(path: &Path) -> Result<String, ReadError> {
    let plain = read_config(path, &TrustPolicy::Anyone);
    assert_eq!(plain, read_config(path, &strict()), "both ways of opening agree");
    plain
}

#[test]
fn a_plain_file_is_read_also_through_links() {
    let (_guard, base) = temporary();
    std::fs::create_dir(base.join("real")).unwrap();
    std::fs::write(base.join("real/sppm.yaml"), "programs: {} # é\n").unwrap();
    symlink("real", base.join("folder")).unwrap();
    symlink(base.join("folder/../real/./sppm.yaml"), base.join("link")).unwrap();
    for name in ["real/sppm.yaml", "folder/sppm.yaml", "link", "folder/../link"] {
        assert_eq!(both(&base.join(name)).as_deref(), Ok("programs: {} # é\n"), "{name}");
    }
}

#[test]
fn hostile_things_in_its_place_are_refused_at_once() {
    let (_guard, base) = temporary();
    let path = |name: &str| base.join(name);
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    std::fs::File::create(path("large")).unwrap().set_len(100 << 20).unwrap();
    std::fs::File::create(path("fits")).unwrap().set_len(MAX_BYTES).unwrap();
    std::fs::write(path("latin1"), b"a: b\nname: caf\xe9\n").unwrap();
    symlink("nowhere", path("dangling")).unwrap();
    symlink("loop", path("loop")).unwrap();
    let begin = Instant::now();
    let what = |name| match both(&path(name)) {
        Err(ReadError::NotAFile { what, .. }) => what,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!([what("fifo"), what("folder"), what("socket")], ["a FIFO", "a folder", "a socket"]);
    assert!(matches!(both(&path("large")), Err(ReadError::TooLarge { .. })));
    assert_eq!(both(&path("fits")).unwrap().len() as u64, MAX_BYTES);
    assert!(matches!(both(&path("latin1")), Err(ReadError::NotUtf8 { line: 2, column: 10, .. })));
    assert!(matches!(read_config(&path("dangling"), &strict()), Err(ReadError::Dangling { .. })));
    assert!(matches!(read_config(&path("dangling"), &TrustPolicy::Anyone), Err(ReadError::Dangling { .. })));
    assert!(matches!(both(&path("loop")), Err(ReadError::Failed { .. })));
    let missing = both(&path("no/such/file")).unwrap_err();
    assert_eq!(missing.to_string(), format!("{} does not exist", path("no").display()));
    assert!(matches!(both(&path("latin1/below")), Err(ReadError::Failed { .. })));
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_others_could_write_is_refused_for_root() {
    let (_guard, base) = temporary();
    let folder = base.join("d");
    let file = folder.join("sppm.yaml");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&file, "x").unwrap();
    let refused = |path: &Path, policy: &TrustPolicy| match read_config(path, policy) {
        Ok(_) => None,
        Err(ReadError::Untrusted { place, .. }) => Some(place.0),
        Err(other) => panic!("{other}"),
    };
    mode(&folder, 0o755);
    mode(&file, 0o644);
    assert_eq!(refused(&file, &strict()), None);
    mode(&file, 0o646);
    assert_eq!(refused(&file, &strict()), Some(file.clone()));
    assert_eq!(refused(&file, &TrustPolicy::Anyone), None);
    mode(&file, 0o664);
    assert_eq!(refused(&file, &strict()), Some(file.clone()));
    let gid = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(&file).unwrap());
    let with_group = TrustPolicy::Only { uids: vec![0, me()], group: Some(gid) };
    assert_eq!(refused(&file, &with_group), None, "the group of the control socket may write");
    mode(&file, 0o644);
    mode(&folder, 0o777);
    assert_eq!(refused(&file, &strict()), Some(folder.clone()));
    mode(&folder, 0o1777);
    assert_eq!(refused(&file, &strict()), None, "a sticky folder with an entry of our own is safe");
    symlink(&file, base.join("link")).unwrap();
    mode(&folder, 0o777);
    assert_eq!(refused(&base.join("link"), &strict()), Some(folder.clone()), "also behind a link");
}

#[test]
fn the_owner_of_each_step_counts() {
    if me() != 0 {
        return;
    }
    let (_guard, base) = temporary();
    let (folder, file) = (base.join("d"), base.join("d/sppm.yaml"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&file, "x").unwrap();
    let policy = TrustPolicy::Only { uids: vec![0], group: None };
    let give = |path: &Path, uid: u32| std::os::unix::fs::lchown(path, Some(uid), None).unwrap();
    let place = || match read_config(&file, &policy) {
        Err(ReadError::Untrusted { place, .. }) => Some(place.0),
        other => other.map(|_| None).unwrap(),
    };
    assert_eq!(place(), None);
    give(&file, 4711);
    assert_eq!(place(), Some(file.clone()));
    give(&file, 0);
    give(&folder, 4711);
    assert_eq!(place(), Some(folder.clone()));
    give(&folder, 0);
    mode(&folder, 0o1777);
    let link = folder.join("link");
    symlink(&file, &link).unwrap();
    give(&link, 4711);
    let answer = read_config(&link, &policy);
    assert!(
        matches!(answer, Err(ReadError::Untrusted { .. })),
        "another's link in a sticky folder: {answer:?}"
    );
}

#[test]
fn a_file_that_is_written_all_the_time_is_never_half() {
    let (_guard, base) = temporary();
    let path = base.join("sppm.yaml");
    let versions = ["a".repeat(100_000), "b".repeat(200_000)];
    std::fs::write(&path, &versions[0]).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                super::write_atomic(&path, versions[turn % 2].as_bytes(), 0o644).unwrap();
            }
        });
        for _ in 0..200 {
            let text = read_config(&path, &TrustPolicy::Anyone).unwrap();
            assert!(versions.contains(&text), "{} bytes", text.len());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
