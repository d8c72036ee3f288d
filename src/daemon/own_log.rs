//! The supervisor's own log: `sppm.log`, and stderr in the foreground. Written by a thread of its own, so that a slow
//! disk delays nobody; what it cannot take is dropped and counted.

use super::options::Mode;
use rustix::fs::{Mode as FileMode, OFlags};
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// So many lines wait at most.
const WAITING: usize = 4096;
/// Past this size the log is set aside as `sppm.log.1`.
const MAX_SIZE: u64 = 10 * 1024 * 1024;

/// How long a terminal that was stopped, or a disk that hangs, may hold up the end of this process.
const PATIENCE: Duration = Duration::from_secs(1);

enum Item {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(Sender<()>),
}

/// Hands lines to the thread.
#[derive(Clone)]
pub(super) struct OwnLog {
    items: Sender<Item>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

/// One line on its way.
pub(super) struct Entry {
    log: OwnLog,
    bytes: Vec<u8>,
}

impl OwnLog {
    /// Starts the thread and makes it the log of this process. `SPPM_LOG` sets what is logged (`debug`, `sppm=trace`, …).
    pub(super) fn start(path: PathBuf, mode: Mode) -> io::Result<Self> {
        let (items, lines) = mpsc::channel();
        let log = Self { items, counts: Arc::default() };
        let counts = Arc::clone(&log.counts);
        std::thread::Builder::new()
            .name("own-log".to_owned())
            .spawn(move || write(&lines, Sheet::new(path, mode == Mode::Foreground), &counts))?;
        let filter = EnvFilter::try_from_env("SPPM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_target(false)
            .with_timer(Stamp)
            .with_writer(log.clone())
            .finish();
        // Fails only if there is one already, in tests.
        let _ = tracing::subscriber::set_global_default(subscriber);
        Ok(log)
    }

    /// Waits until everything that was logged is written, for a second at most.
    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::channel();
        if self.items.send(Item::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(PATIENCE);
        }
    }

    /// Ends the process when any thread of it panics: one that went on without its launcher or its log pump would look alive
    /// and do nothing, while the keeper has another supervisor ready. A panic of a request ends that request alone.
    pub(super) fn end_on_panic(&self) {
        let log = self.clone();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            tracing::error!("{info}");
            if std::thread::current().name() != Some("control") {
                log.flush();
                std::process::abort();
            }
        }));
    }
}

/// RFC 3339 in UTC, as in `sppm status --json`.
struct Stamp;

impl tracing_subscriber::fmt::time::FormatTime for Stamp {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        write!(w, "{}", humantime::format_rfc3339_millis(std::time::SystemTime::now()))
    }
}

impl<'a> MakeWriter<'a> for OwnLog {
    type Writer = Entry;

    fn make_writer(&'a self) -> Entry {
        Entry { log: self.clone(), bytes: Vec::new() }
    }
}

impl Write for Entry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return;
        }
        let counts = &self.log.counts;
        if counts.waiting.fetch_add(1, Ordering::Relaxed) < WAITING {
            // A thread that is gone writes nothing any more.
            let _ = self.log.items.send(Item::Line(bytes));
        } else {
            counts.waiting.fetch_sub(1, Ordering::Relaxed);
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread's own: where lines go.
struct Sheet {
    path: PathBuf,
    to_stderr: bool,
    /// `None`: it could not be opened; that is tried again at each line.
    file: Option<File>,
    size: u64,
}

impl Sheet {
    fn new(path: PathBuf, to_stderr: bool) -> Self {
        Self { path, to_stderr, file: None, size: 0 }
    }

    fn open(&mut self) {
        (self.file, self.size) = open(&self.path);
    }

    fn write(&mut self, text: &[u8]) {
        if self.to_stderr {
            // A terminal that is gone is no reason to end.
            let _ = io::stderr().write_all(text);
        }
        if !self.file.as_ref().is_some_and(|file| is_at(file, &self.path)) {
            self.open();
        }
        if self.size > MAX_SIZE {
            let _ = std::fs::rename(&self.path, self.path.with_extension("log.1"));
            self.open();
        }
        if let Some(file) = &mut self.file {
            self.size += text.len() as u64;
            // A full disk loses lines of this log, nothing else.
            let _ = file.write_all(text);
        }
    }
}

fn write(items: &Receiver<Item>, mut sheet: Sheet, counts: &Counts) {
    for item in items {
        match item {
            Item::Line(line) => {
                counts.waiting.fetch_sub(1, Ordering::Relaxed);
                let missed = counts.dropped.swap(0, Ordering::Relaxed);
                if missed > 0 {
                    sheet.write(format!("[{missed} lines of this log were dropped]\n").as_bytes());
                }
                sheet.write(&line);
            }
            Item::Flush(done) => {
                // Whoever asked has waited long enough already.
                let _ = done.send(());
            }
        }
    }
}

/// Whether the log is still this file: logrotate and people move and delete it. One look per line is cheap here.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |open: Metadata, named: Metadata| (open.dev(), open.ino()) == (named.dev(), named.ino());
    file.metadata().is_ok_and(|open| path.symlink_metadata().is_ok_and(|named| same(open, named)))
}

/// The log, where it can be had, and its size.
fn open(path: &Path) -> (Option<File>, u64) {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK;
    let mode = FileMode::RUSR | FileMode::WUSR | FileMode::RGRP;
    let file = rustix::fs::open(path, flags, mode).ok().map(File::from);
    let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len());
    (file, size)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Writes lines to `path` as the thread does; `between` runs after each.
    fn log(path: &Path, lines: &[&str], between: impl Fn(usize)) {
        let mut sheet = Sheet::new(path.to_owned(), false);
        for (index, line) in lines.iter().enumerate() {
            sheet.write(line.as_bytes());
            between(index);
        }
    }

    #[test]
    fn a_log_that_was_moved_or_deleted_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("sppm.log"), folder.path().join("old"));
        log(&path, &["one\n", "two\n", "three\n"], |index| match index {
            0 => std::fs::rename(&path, &moved).unwrap(),
            1 => std::fs::remove_file(&path).unwrap(),
            _ => (),
        });
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_large_log_is_set_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sppm.log");
        File::create(&path).unwrap().set_len(MAX_SIZE + 1).unwrap();
        log(&path, &["one\n", "two\n"], |_| ());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(path.with_extension("log.1").metadata().unwrap().len(), MAX_SIZE + 1);
    }

    #[test]
    fn a_log_that_could_not_be_opened_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in/sppm.log");
        log(&path, &["lost\n", "one\n"], |_| std::fs::create_dir_all(path.parent().unwrap()).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
    }
}
