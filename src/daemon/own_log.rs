//! The supervisor's own log: `sppm.log`, and stderr in the foreground. Written by a thread of its own, so that a slow
//! disk delays nobody; what it cannot take is dropped and counted.

use super::options::Mode;
use rustix::fs::{Mode as FileMode, OFlags};
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// So many lines wait at most.
const WAITING: usize = 4096;
/// Past this size the log is set aside as `sppm.log.1`.
const MAX_SIZE: u64 = 10 * 1024 * 1024;

enum Item {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Hands lines to the thread.
#[derive(Clone)]
pub(super) struct OwnLog {
    items: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

/// One line on its way.
pub(super) struct Entry {
    log: OwnLog,
    bytes: Vec<u8>,
}

impl OwnLog {
    /// Starts the thread and makes it the log of this process. `SPPM_LOG` sets what is logged (`debug`, `sppm=trace`, …).
    pub(super) fn start(path: PathBuf, mode: Mode) -> io::Result<Self> {
        let (items, lines) = mpsc::sync_channel(WAITING);
        let log = Self { items, dropped: Arc::default() };
        let dropped = Arc::clone(&log.dropped);
        std::thread::Builder::new()
            .name("own-log".to_owned())
            .spawn(move || write(&lines, &path, mode == Mode::Foreground, &dropped))?;
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

    /// Waits until everything that was logged is written.
    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.items.send(Item::Flush(done)).is_ok() {
            let _ = wait.recv();
        }
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
        if let Err(TrySendError::Full(_)) = self.log.items.try_send(Item::Line(bytes)) {
            self.log.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(items: &Receiver<Item>, path: &Path, to_stderr: bool, dropped: &AtomicU64) {
    let mut file: Option<File> = None;
    let mut size = 0;
    for item in items {
        let line = match item {
            Item::Line(line) => line,
            Item::Flush(done) => {
                let _ = done.send(());
                continue;
            }
        };
        let missed = dropped.swap(0, Ordering::Relaxed);
        let note = (missed > 0).then(|| format!("[{missed} lines of this log were dropped]\n"));
        for text in note.iter().map(String::as_bytes).chain([line.as_slice()]) {
            if to_stderr {
                // A terminal that is gone is no reason to end.
                let _ = io::stderr().write_all(text);
            }
            if !file.as_ref().is_some_and(|file| is_at(file, path)) {
                (file, size) = open(path);
            }
            if size > MAX_SIZE {
                let _ = std::fs::rename(path, path.with_extension("log.1"));
                (file, size) = open(path);
            }
            if let Some(file) = &mut file {
                size += text.len() as u64;
                // A full disk loses lines of this log, nothing else.
                let _ = file.write_all(text);
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
        let (items, queue) = mpsc::sync_channel(8);
        std::thread::scope(|scope| {
            scope.spawn(move || write(&queue, path, false, &AtomicU64::new(0)));
            for (index, line) in lines.iter().enumerate() {
                items.send(Item::Line(line.as_bytes().to_vec())).unwrap();
                let (done, wait) = mpsc::sync_channel(1);
                items.send(Item::Flush(done)).unwrap();
                wait.recv().unwrap();
                between(index);
            }
            drop(items);
        });
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
}
