//! One place where output goes: a file with its rotation, a FIFO or device, or our own standard output.
//!
//! In: bytes. Out: the same bytes, or a count of those that could not be written and why. A sink that fails is tried
//! again each second, but only when there is output. Never add here: waiting, or knowledge of who writes.

use super::logfile::{self, FileId, Opened, cause};
use super::rotate::{self, Step};
use super::settings::{SinkSettings, SinkTarget};
use super::standard::{self, Way};
use crate::model::LogStream;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a failed sink or rotation is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// How often a file that is being written is compared with its path.
const LOOK: Duration = Duration::from_secs(5);

/// Bytes kept for a reader of a FIFO, pipe or terminal that is slower than the programs for a moment.
const BACKLOG: usize = 1024 * 1024;

/// Which sink: writers of the same path share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SinkKey {
    File(LogPath),
    Standard(LogStream),
}

/// A path in its shortest spelling, so that equal ones have equal bytes: to compare paths part by part takes ten times as long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogPath(Arc<Path>);

impl LogPath {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.components().collect::<PathBuf>().into())
    }
}

impl std::ops::Deref for LogPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Ord for LogPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_os_str().as_bytes().cmp(other.as_os_str().as_bytes())
    }
}

impl PartialOrd for LogPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl SinkKey {
    /// What the outside calls it.
    pub(super) fn target(&self) -> SinkTarget {
        match self {
            Self::File(path) => SinkTarget::File(path.to_path_buf()),
            Self::Standard(_) => SinkTarget::Inherit,
        }
    }
}

/// How its files are kept; see [`SinkSettings`].
struct Sizes {
    max_size: u64,
    max_files: u32,
    mode: u32,
}

impl Sizes {
    fn of(settings: &SinkSettings) -> Self {
        Self { max_size: settings.max_size, max_files: settings.max_files, mode: settings.mode }
    }
}

/// What changed about a sink.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Trouble(String),
    Recovered { dropped: u64 },
    Abandoned,
}

enum Outlet {
    Closed,
    Regular { fd: OwnedFd, id: FileId, size: u64 },
    Stream { fd: OwnedFd, way: Way },
}

struct Failure {
    message: String,
    cause: String,
    retry_at: Instant,
}

pub(super) struct Sink {
    key: SinkKey,
    sizes: Sizes,
    outlet: Outlet,
    at_line_end: bool,
    failure: Option<Failure>,
    dropped: u64,
    backlog: VecDeque<u8>,
    looked_at: Instant,
    /// A failed rotation: go on in the old file until then.
    no_rotation_before: Option<(Instant, String)>,
}

impl Sink {
    /// Opens it at once, so that trouble is known before the first byte.
    pub(super) fn new(key: SinkKey, settings: &SinkSettings, now: Instant, news: &mut Vec<News>) -> Self {
        let mut sink = Self {
            key,
            sizes: Sizes::of(settings),
            outlet: Outlet::Closed,
            at_line_end: true,
            failure: None,
            dropped: 0,
            backlog: VecDeque::new(),
            looked_at: now,
            no_rotation_before: None,
        };
        sink.usable(now, news);
        sink
    }

    /// Takes new sizes; they count from the next byte on.
    pub(super) fn set(&mut self, settings: &SinkSettings) {
        if let (SinkKey::File(path), true) = (&self.key, settings.max_files < self.sizes.max_files) {
            rotate::remove_surplus(path, settings.max_files);
        }
        self.sizes = Sizes::of(settings);
    }

    /// Writes `bytes`, or counts them as dropped.
    pub(super) fn write(&mut self, bytes: &[u8], now: Instant, news: &mut Vec<News>) {
        if !self.usable(now, news) {
            self.dropped += bytes.len() as u64;
            return;
        }
        let written = self.put(bytes, now, news);
        if let Err((rest, errno)) = written {
            self.dropped += rest as u64;
            self.fail(errno, now, news);
        }
    }

    /// Its descriptor, where it is not a regular file.
    pub(super) fn stream(&self) -> Option<&OwnedFd> {
        match &self.outlet {
            Outlet::Stream { fd, .. } => Some(fd),
            Outlet::Closed | Outlet::Regular { .. } => None,
        }
    }

    /// Whether it should be told when its descriptor becomes writable, and which that is.
    pub(super) fn waits_for_room(&self) -> Option<&OwnedFd> {
        self.stream().filter(|_| !self.backlog.is_empty())
    }

    /// Writes what waited for room. No news is good news: what was dropped meanwhile is said at the next write.
    pub(super) fn flush(&mut self, now: Instant, news: &mut Vec<News>) {
        while let (Outlet::Stream { fd, way }, false) = (&self.outlet, self.backlog.is_empty()) {
            let (front, _) = self.backlog.as_slices();
            match standard::write_some(fd, *way, front) {
                Ok(count) => drop(self.backlog.drain(..count)),
                Err(Errno::AGAIN) => return,
                Err(errno) => return self.fail(errno, now, news),
            }
        }
    }

    /// Opens the file anew: somebody has moved it, or says so.
    pub(super) fn reopen(&mut self, now: Instant, news: &mut Vec<News>) {
        if let (SinkKey::File(_), Outlet::Regular { .. } | Outlet::Closed) = (&self.key, &self.outlet) {
            self.outlet = Outlet::Closed;
            if let Some(failure) = &mut self.failure {
                failure.retry_at = now;
            }
            self.usable(now, news);
        }
    }

    /// The last writer is gone: a gap that was not yet told is told now, if that can be, and room is waited for
    /// for at most `patience`. Trouble that is left is over: nobody is concerned any more.
    pub(super) fn close(mut self, patience: Duration, now: Instant, news: &mut Vec<News>) {
        if self.dropped > 0 {
            self.usable(now, news);
        }
        let end = Instant::now() + patience;
        while let Some(fd) = self.waits_for_room() {
            let left = end.saturating_duration_since(Instant::now());
            if !matches!(standard::writable_within(fd, left), Ok(true)) || left.is_zero() {
                break;
            }
            self.flush(now, news);
        }
        if self.failure.is_some() || self.no_rotation_before.is_some() {
            news.push(News::Abandoned);
        }
    }

    /// Makes it ready for bytes if it can be: opened, still at its path, the last gap told.
    fn usable(&mut self, now: Instant, news: &mut Vec<News>) -> bool {
        if self.failure.as_ref().is_some_and(|failure| now < failure.retry_at) || !self.has_room() {
            return false;
        }
        self.look(now);
        if matches!(self.outlet, Outlet::Closed)
            && let Err(message) = self.open()
        {
            self.trouble(message.clone(), message, now, news);
            return false;
        }
        self.failure.is_none() || self.tell_gap(now, news)
    }

    /// After a backlog was too long, all of it goes out before anything new comes in, so the gap is one gap.
    fn has_room(&self) -> bool {
        self.backlog.is_empty() || self.failure.is_none()
    }

    fn open(&mut self) -> Result<(), String> {
        self.outlet = match &self.key {
            SinkKey::Standard(stream) => {
                let (fd, way) = standard::open(*stream)?;
                Outlet::Stream { fd, way }
            }
            SinkKey::File(path) => match logfile::open(path, self.sizes.mode)? {
                Opened::Stream { fd } => Outlet::Stream { fd, way: Way::Write },
                Opened::Regular { fd, id, size, at_line_end } => {
                    self.at_line_end = at_line_end;
                    Outlet::Regular { fd, id, size }
                }
            },
        };
        Ok(())
    }

    /// Every few seconds of writing: is the file still the one at its path, and as long as we think?
    fn look(&mut self, now: Instant) {
        let (SinkKey::File(path), Outlet::Regular { fd, id, size }) = (&self.key, &mut self.outlet) else {
            return;
        };
        if now.duration_since(self.looked_at) < LOOK {
            return;
        }
        self.looked_at = now;
        if logfile::id_at(path) != Some(*id) {
            self.outlet = Outlet::Closed;
        } else if let Ok(stat) = rustix::fs::fstat(&*fd) {
            *size = u64::try_from(stat.st_size).unwrap_or(*size);
        }
    }

    /// The first thing that a sink says when it works again.
    fn tell_gap(&mut self, now: Instant, news: &mut Vec<News>) -> bool {
        let reason = self.failure.as_ref().map_or("", |failure| failure.cause.as_str());
        let start = if self.at_line_end { "" } else { "\n" };
        let note = format!("{start}[sppm: {} bytes dropped: {reason}]\n", self.dropped);
        if self.dropped > 0
            && let Err((_, errno)) = self.put(note.as_bytes(), now, news)
        {
            self.fail(errno, now, news);
            return false;
        }
        self.failure = None;
        news.push(News::Recovered { dropped: std::mem::take(&mut self.dropped) });
        true
    }

    /// Writes all of `bytes`; the error says how many were left and why.
    fn put(&mut self, bytes: &[u8], now: Instant, news: &mut Vec<News>) -> Result<(), (usize, Errno)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = match &mut self.outlet {
                Outlet::Closed => Err(Errno::BADF),
                Outlet::Stream { .. } => {
                    self.put_stream(rest)?;
                    Ok(rest.len())
                }
                Outlet::Regular { fd, size, .. } => {
                    let max = match &self.no_rotation_before {
                        Some((until, _)) if now < *until => 0,
                        Some(_) | None => self.sizes.max_size,
                    };
                    match rotate::next_step(*size, max, self.at_line_end, rest) {
                        Step::Write(count) => standard::write_some(fd, Way::Write, &rest[..count])
                            .inspect(|&count| *size += count as u64),
                        Step::Rotate => {
                            self.rotate(now, news);
                            Ok(0)
                        }
                    }
                }
            };
            let count = written.map_err(|errno| (rest.len(), errno))?;
            if count > 0 {
                self.at_line_end = rest[count - 1] == b'\n';
                rest = &rest[count..];
            }
        }
        Ok(())
    }

    fn put_stream(&mut self, bytes: &[u8]) -> Result<(), (usize, Errno)> {
        let Outlet::Stream { fd, way } = &self.outlet else { return Err((bytes.len(), Errno::BADF)) };
        let mut rest = bytes;
        while self.backlog.is_empty() && !rest.is_empty() {
            match standard::write_some(fd, *way, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err((rest.len(), errno)),
            }
        }
        if self.backlog.len() + rest.len() > BACKLOG {
            return Err((rest.len(), Errno::AGAIN));
        }
        self.backlog.extend(rest);
        Ok(())
    }

    /// Begins a new file; where that fails the old one is gone on with, and it is tried again later.
    fn rotate(&mut self, now: Instant, news: &mut Vec<News>) {
        let (SinkKey::File(path), Outlet::Regular { fd, id, size }) = (&self.key, &mut self.outlet) else {
            return;
        };
        let turned = match self.sizes.max_files {
            0 | 1 => rustix::fs::ftruncate(&*fd, 0).map(|()| Turned::Emptied).map_err(cause),
            _ => turn(path, *id, &self.sizes),
        };
        match turned {
            Ok(Turned::Emptied) => *size = 0,
            Ok(Turned::Anew(fd, id, size)) => self.outlet = Outlet::Regular { fd, id, size },
            Err(reason) => return self.rotation_failed(reason, now, news),
        }
        self.at_line_end = true;
        if self.no_rotation_before.take().is_some() && self.failure.is_none() {
            news.push(News::Recovered { dropped: 0 });
        }
    }

    fn rotation_failed(&mut self, reason: String, now: Instant, news: &mut Vec<News>) {
        let known = self.no_rotation_before.as_ref().is_some_and(|(_, before)| *before == reason);
        if !known {
            let message = format!("cannot rotate {}, going on in the same file: {reason}", self.name());
            news.push(News::Trouble(message));
        }
        self.no_rotation_before = Some((now + RETRY, reason));
    }

    fn fail(&mut self, errno: Errno, now: Instant, news: &mut Vec<News>) {
        let cause = match errno {
            Errno::AGAIN => "its reader is too slow".to_owned(),
            other => cause(other),
        };
        if errno != Errno::AGAIN {
            self.dropped += self.backlog.len() as u64;
            self.backlog.clear();
            self.outlet = Outlet::Closed;
        }
        let message = format!("cannot write {}: {cause}", self.name());
        self.trouble(message, cause, now, news);
    }

    fn trouble(&mut self, message: String, cause: String, now: Instant, news: &mut Vec<News>) {
        if self.failure.as_ref().is_none_or(|failure| failure.message != message) {
            news.push(News::Trouble(message.clone()));
        }
        self.failure = Some(Failure { message, cause, retry_at: now + RETRY });
    }

    fn name(&self) -> String {
        match &self.key {
            SinkKey::File(path) => path.display().to_string(),
            SinkKey::Standard(stream) => standard::name(*stream).to_owned(),
        }
    }
}

enum Turned {
    Emptied,
    Anew(OwnedFd, FileId, u64),
}

/// Renames and opens; on failure the old file stands at its path again.
fn turn(path: &Path, id: FileId, sizes: &Sizes) -> Result<Turned, String> {
    let renamed = logfile::id_at(path) == Some(id);
    if renamed {
        rotate::shift(path, sizes.max_files).map_err(|error| error.to_string())?;
        rotate::remove_surplus(path, sizes.max_files);
    }
    match logfile::open(path, sizes.mode) {
        Ok(Opened::Regular { fd, id, size, .. }) => Ok(Turned::Anew(fd, id, size)),
        Ok(Opened::Stream { .. }) => Err("something else has taken its place".into()),
        Err(message) => {
            if renamed {
                rotate::take_back(path).map_err(|error| error.to_string())?;
            }
            Err(message)
        }
    }
}
