//! Marks in a real file, a real FIFO and under a real lock.

use super::stop::{Stop, StopKind, Wanted};
use super::task::{Marks, Ways};
use super::{flock, notify, state_file};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An instance's folder, with a reader at the FIFO.
struct Place {
    folder: tempfile::TempDir,
    reader: File,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lock"), "").unwrap();
        let fifo = folder.path().join("notify");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let reader = File::options().read(true).write(true).custom_flags(0o4000).open(fifo).unwrap();
        Self { folder, reader }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ways(&self) -> Ways {
        Ways { lock: Some(self.path("lock")), fifo: Some(self.path("notify")), main: true }
    }

    fn busy(&self) -> bool {
        fs::read_to_string(self.path("lock")).unwrap().lines().nth(2) == Some("1")
    }

    /// The lines that have come since the last call.
    fn lines(&self) -> Vec<String> {
        let mut text = Vec::new();
        // Ends with "would block" when it is empty: a FIFO with a writer has no end.
        let _empty = (&self.reader).read_to_end(&mut text);
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn the_file_has_three_lines_and_is_replaced_whole() {
    let place = Place::new();
    let path = place.path("lock");
    let before = fs::metadata(&path).unwrap().ino();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let start = now();
    state_file::write(&path, true).unwrap();
    assert_ne!(fs::metadata(&path).unwrap().ino(), before);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(text.ends_with("\n1\n") && lines.len() == 3, "{text:?}");
    assert_eq!(lines[0], std::process::id().to_string());
    let stamp: f64 = lines[1].parse().unwrap();
    assert!(start - 1.0 <= stamp && stamp <= now() + 1.0, "{stamp}");
    state_file::write(&path, false).unwrap();
    assert!(!place.busy());
    assert_eq!(place.names(), ["lock", "notify"]);
}

#[test]
fn what_a_killed_writer_left_is_replaced_and_a_link_is_not_followed() {
    let place = Place::new();
    let beside = place.path(&format!(".lock.{}.tmp", std::process::id()));
    fs::write(place.path("target"), "keep").unwrap();
    std::os::unix::fs::symlink(place.path("target"), &beside).unwrap();
    state_file::write(&place.path("lock"), true).unwrap();
    assert!(place.busy());
    assert_eq!(fs::read_to_string(place.path("target")).unwrap(), "keep");
    assert!(state_file::write(&place.path("none/lock"), true).is_err());
}

#[test]
fn nested_tasks_and_marks_are_busy_until_the_last() {
    let (place, marks) = (Place::new(), Marks::new());
    let ways = place.ways();
    marks.open(&ways, "outer");
    marks.open(&ways, "");
    marks.close(&ways);
    assert!(place.busy());
    marks.mark(&ways, true);
    marks.close(&ways);
    assert!(place.busy(), "it is marked");
    marks.open(&ways, "");
    marks.mark(&ways, false);
    assert!(place.busy(), "a task is open");
    marks.close(&ways);
    assert!(!place.busy());
    assert_eq!(place.lines(), ["busy outer", "idle"]);
    marks.close(&ways);
    assert!(!place.busy());
}

#[test]
fn a_helper_says_no_text_that_would_outlive_it() {
    let (place, marks) = (Place::new(), Marks::new());
    let ways = Ways { main: false, ..place.ways() };
    marks.open(&ways, "page");
    assert!(place.busy());
    marks.close(&ways);
    assert_eq!(place.lines(), Vec::<String>::new());
}

#[test]
fn the_mark_takes_the_fifo_where_the_file_cannot_be_written() {
    let (place, marks) = (Place::new(), Marks::new());
    let ways = Ways { lock: Some(place.path("gone/lock")), ..place.ways() };
    marks.mark(&ways, true);
    marks.mark(&ways, false);
    assert_eq!(place.lines(), ["busy", "idle"]);
}

#[test]
fn without_a_supervisor_nothing_is_marked() {
    let marks = Marks::new();
    marks.open(&Ways::default(), "x");
    marks.close(&Ways::default());
}

#[test]
fn tasks_without_a_gap_leave_one_now_and_then() {
    let marks = Marks::new();
    let ways = Ways::default();
    let start = Instant::now();
    let mut gaps = 0;
    while start.elapsed() < Duration::from_millis(300) {
        let before = Instant::now();
        marks.open(&ways, "");
        gaps += u32::from(before.elapsed() >= Duration::from_micros(500));
        marks.close(&ways);
    }
    assert!(gaps >= 1, "no gap at all");
    // One each 50 ms; a slow machine may make others look like one.
    assert!(gaps <= 100, "{gaps}");
}

#[test]
fn a_full_fifo_costs_a_line_and_not_the_program() {
    let place = Place::new();
    let fifo = place.path("notify");
    while notify::send_to(&fifo, "beat", "", Duration::ZERO) {}
    assert!(!notify::send_to(&fifo, "ready", "", Duration::from_millis(30)));
    assert!(place.lines().len() > 1000);
    assert!(notify::send_to(&fifo, "ready", "", Duration::ZERO));
}

#[test]
fn room_that_comes_in_time_is_used() {
    let place = Place::new();
    let fifo = place.path("notify");
    while notify::send_to(&fifo, "beat", "", Duration::ZERO) {}
    let path = fifo.clone();
    let writer = std::thread::spawn(move || notify::send_to(&path, "ready", "", Duration::from_secs(20)));
    let mut lines = place.lines();
    while lines.last().is_none_or(|line| line != "ready") {
        lines.extend(place.lines());
        std::thread::yield_now();
    }
    assert!(writer.join().unwrap());
}

#[test]
fn no_reader_and_no_fifo_are_no_error() {
    let place = Place::new();
    assert!(!notify::send_to(&place.path("none"), "ready", "", Duration::ZERO));
    let deaf = place.path("deaf");
    assert!(Command::new("mkfifo").arg(&deaf).status().unwrap().success());
    assert!(!notify::send_to(&deaf, "ready", "", Duration::from_secs(5)));
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

#[test]
fn a_task_holds_the_kernel_lock_and_gives_it_back() {
    let place = Place::new();
    let (path, wanted) = (place.path("lock"), Wanted::new());
    let task = flock::take(&path, &wanted).unwrap();
    let other = open(&path);
    assert!(other.try_lock().is_err(), "it is not held");
    drop(task);
    other.try_lock().unwrap();
}

#[test]
fn a_task_waits_until_nobody_else_holds_the_lock() {
    let place = Place::new();
    let path = place.path("lock");
    let other = open(&path);
    other.lock().unwrap();
    let thread = std::thread::spawn(move || flock::take(&path, &Wanted::new()).is_some());
    // That nothing happens has no event: only one that does not wait would be through by then.
    std::thread::sleep(Duration::from_millis(20));
    assert!(!thread.is_finished(), "it does not wait");
    other.unlock().unwrap();
    assert!(thread.join().unwrap());
}

#[test]
fn a_stop_ends_the_wait_for_the_lock_and_leaves_it_free() {
    let place = Place::new();
    let path = place.path("lock");
    let other = open(&path);
    other.lock().unwrap();
    let wanted = Arc::new(Wanted::new());
    let (waiting, own) = (Arc::clone(&wanted), path.clone());
    let thread = std::thread::spawn(move || flock::take(&own, &waiting).is_none());
    wanted.set(Stop { kind: StopKind::Stop, why: String::new() });
    assert!(thread.join().unwrap(), "it began a task");
    other.unlock().unwrap();
    // The thread that was left alone lets it go as soon as it gets it.
    open(&path).lock().unwrap();
}

#[test]
fn a_lock_that_cannot_be_opened_is_no_error() {
    let place = Place::new();
    assert!(flock::take(&place.path("none"), &Wanted::new()).is_some());
}

#[test]
fn the_first_who_wants_a_stop_is_believed() {
    let wanted = Wanted::new();
    wanted.set(Stop { kind: StopKind::Restart, why: "one".into() });
    wanted.set(Stop { kind: StopKind::Asked, why: "two".into() });
    assert_eq!(wanted.get().unwrap().why, "one");
}
