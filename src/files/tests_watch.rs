//! Every way of saving yields a hint; reading yields none.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::watch::Watcher;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Far below the net's 30 s: only a notice can be that quick.
const SOON: Duration = Duration::from_secs(10);

/// No hint for so long: all has been told.
const QUIET: Duration = Duration::from_millis(200);

struct Fixture {
    _guard: tempfile::TempDir,
    base: PathBuf,
    hints: Receiver<()>,
    watcher: Watcher,
}

impl Fixture {
    fn new(path: &str, prepare: impl FnOnce(&Path)) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let base = guard.path().canonicalize().unwrap();
        prepare(&base);
        let (sender, hints) = channel();
        let watcher = Watcher::start(move || sender.send(()).unwrap_or_default()).unwrap();
        watcher.watch(&[base.join(path)]);
        let fixture = Self { _guard: guard, base, hints, watcher };
        fixture.hint("the first watch");
        fixture.settle();
        fixture
    }

    fn hint(&self, why: &str) {
        self.hints.recv_timeout(SOON).unwrap_or_else(|_| panic!("no hint: {why}"));
    }

    /// Swallows the hints that still come.
    fn settle(&self) {
        let end = Instant::now() + SOON;
        while self.hints.recv_timeout(QUIET).is_ok() {
            assert!(Instant::now() < end, "hints without end");
        }
    }

    /// Each act must yield a hint, again and again: a lost watch shows at the second time.
    fn each(&self, what: &str, mut act: impl FnMut(&Path, u32)) {
        for turn in 0..3 {
            act(&self.base, turn);
            self.hint(&format!("{what}, turn {turn}"));
            self.settle();
        }
    }
}

fn write(path: PathBuf, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn plain() -> Fixture {
    Fixture::new("f.yaml", |base| write(base.join("f.yaml"), "start"))
}

#[test]
fn saves_in_place() {
    let fixture = plain();
    fixture.each("truncate and write", |base, turn| write(base.join("f.yaml"), &format!("same size {turn}")));
    fixture.each("cp over", |base, turn| {
        write(base.join("other"), &format!("copy {turn}"));
        std::fs::copy(base.join("other"), base.join("f.yaml")).unwrap();
    });
    fixture.each("the same content again", |base, _| write(base.join("f.yaml"), "copy 2"));
}

#[test]
fn saves_by_rename() {
    let fixture = plain();
    fixture.each("mv over", |base, turn| {
        write(base.join(".f.tmp"), &format!("new {turn}"));
        std::fs::rename(base.join(".f.tmp"), base.join("f.yaml")).unwrap();
    });
    fixture.each("vim: backup, new, remove backup", |base, turn| {
        std::fs::rename(base.join("f.yaml"), base.join("f.yaml~")).unwrap();
        write(base.join("f.yaml"), &format!("vim {turn}"));
        std::fs::remove_file(base.join("f.yaml~")).unwrap();
    });
    fixture.each("sed -i", |base, _| {
        let done = std::process::Command::new("sed").arg("-i").arg("1i x").arg(base.join("f.yaml")).status();
        assert!(done.unwrap().success());
    });
}

#[test]
fn delete_and_create_and_a_folder_in_its_place() {
    let fixture = plain();
    fixture.each("delete", |base, turn| match turn {
        1 => write(base.join("f.yaml"), "back"),
        _ => std::fs::remove_file(base.join("f.yaml")).unwrap(),
    });
    fixture.each("a folder in between", |base, turn| match turn {
        0 => std::fs::create_dir(base.join("f.yaml")).unwrap(),
        1 => std::fs::remove_dir(base.join("f.yaml")).unwrap(),
        _ => write(base.join("f.yaml"), "file"),
    });
}

#[test]
fn the_links_of_a_config_map() {
    let fixture = Fixture::new("f.yaml", |base| {
        std::fs::create_dir(base.join("..1")).unwrap();
        write(base.join("..1/f.yaml"), "one");
        symlink("..1", base.join("..data")).unwrap();
        symlink("..data/f.yaml", base.join("f.yaml")).unwrap();
    });
    fixture.each("..data swapped", |base, turn| {
        let new = format!("..{}", turn + 2);
        std::fs::create_dir(base.join(&new)).unwrap();
        write(base.join(&new).join("f.yaml"), "more");
        symlink(&new, base.join("..data_tmp")).unwrap();
        std::fs::rename(base.join("..data_tmp"), base.join("..data")).unwrap();
        std::fs::remove_dir_all(base.join(format!("..{}", turn + 1))).unwrap();
    });
}

#[test]
fn a_link_into_another_folder() {
    let fixture = Fixture::new("a/f.yaml", |base| {
        std::fs::create_dir_all(base.join("a")).unwrap();
        std::fs::create_dir_all(base.join("b/c")).unwrap();
        write(base.join("b/c/real"), "one");
        symlink("../b/c/real", base.join("a/f.yaml")).unwrap();
    });
    fixture.each("its target by rename", |base, turn| {
        write(base.join("b/c/new"), &turn.to_string());
        std::fs::rename(base.join("b/c/new"), base.join("b/c/real")).unwrap();
    });
    fixture.each("another target", |base, turn| {
        write(base.join(format!("b/{turn}")), "x");
        symlink(format!("../b/{turn}"), base.join("a/new")).unwrap();
        std::fs::rename(base.join("a/new"), base.join("a/f.yaml")).unwrap();
    });
    fixture.each("the newest target", |base, turn| write(base.join("b/2"), &format!("again {turn}")));
}

#[test]
fn a_folder_above_is_moved_and_made_again() {
    let fixture = Fixture::new("a/b/c/f.yaml", |base| {
        std::fs::create_dir_all(base.join("a/b/c")).unwrap();
        write(base.join("a/b/c/f.yaml"), "one");
    });
    for (turn, moved) in ["a/b/c", "a/b", "a"].into_iter().enumerate() {
        std::fs::rename(fixture.base.join(moved), fixture.base.join(format!("old{turn}"))).unwrap();
        fixture.hint(&format!("{moved} renamed"));
        fixture.settle();
        std::fs::create_dir_all(fixture.base.join("a/b/c")).unwrap();
        write(fixture.base.join("a/b/c/f.yaml"), "new");
        fixture.hint(&format!("{moved} made again"));
        fixture.settle();
        write(fixture.base.join("a/b/c/f.yaml"), "written");
        fixture.hint(&format!("written after {moved} was made again"));
        fixture.settle();
    }
}

#[test]
fn a_folder_is_removed_and_made_again_at_once() {
    let fixture = Fixture::new("a/f.yaml", |base| {
        std::fs::create_dir(base.join("a")).unwrap();
        write(base.join("a/f.yaml"), "one");
    });
    fixture.each("removed and made again", |base, turn| {
        std::fs::remove_dir_all(base.join("a")).unwrap();
        std::fs::create_dir(base.join("a")).unwrap();
        write(base.join("a/f.yaml"), &format!("turn {turn}"));
    });
    fixture.each("written afterwards", |base, turn| write(base.join("a/f.yaml"), &format!("later {turn}")));
}

#[test]
fn reading_and_noise_beside_it_are_no_hint() {
    let fixture = plain();
    for _ in 0..50 {
        std::fs::read(fixture.base.join("f.yaml")).unwrap();
        write(fixture.base.join("app.log"), "noise");
    }
    fixture.watcher.watch(&[fixture.base.join("f.yaml")]);
    assert_eq!(fixture.hints.recv_timeout(QUIET * 2), Err(RecvTimeoutError::Timeout));
    assert_eq!(fixture.watcher.method(), "inotify");
    write(fixture.base.join("f.yaml"), "news");
    fixture.hint("it still looks");
}

#[test]
fn a_folder_and_more_paths_can_be_watched() {
    let fixture = plain();
    std::fs::create_dir(fixture.base.join("conf.d")).unwrap();
    fixture.watcher.watch(&[fixture.base.join("f.yaml"), fixture.base.join("conf.d")]);
    fixture.hint("new paths may have changed before they were watched");
    fixture.settle();
    fixture.each("an include comes", |base, turn| write(base.join(format!("conf.d/{turn}.yaml")), "x"));
    fixture.watcher.watch(&[fixture.base.join("conf.d")]);
    write(fixture.base.join("f.yaml"), "no longer of interest");
    assert_eq!(fixture.hints.recv_timeout(QUIET), Err(RecvTimeoutError::Timeout));
}

/// Runs alone in a process of its own, since it takes every descriptor there is.
#[test]
#[ignore = "started by without_notices_it_polls_and_says_so"]
fn alone_without_descriptors() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let guard = tempfile::tempdir().unwrap();
    let path = guard.path().join("f.yaml");
    write(path.clone(), "start");
    let (sender, hints) = channel();
    let watcher = Watcher::start(move || sender.send(()).unwrap_or_default()).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    watcher.watch(std::slice::from_ref(&path));
    hints.recv_timeout(SOON).unwrap();
    drop(taken);
    assert!(watcher.method().starts_with("polling every 2s: inotify cannot be had"), "{}", watcher.method());
    write(path, "changed");
    hints.recv_timeout(SOON).unwrap();
}

#[test]
fn without_notices_it_polls_and_says_so() {
    let name = concat!(module_path!(), "::alone_without_descriptors");
    let name = name.split_once("::").unwrap().1;
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
