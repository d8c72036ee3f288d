//! Every open sink, shared by those who write into the same place, and its news with the runs it concerns.
//!
//! In: who joins, writes, leaves. Out: [`LogEvent`]s to be told. Never add here: pipes or lines.

use super::settings::{LogEvent, SinkSettings, SinkTarget};
use super::sink::{LogPath, News, Sink, SinkKey};
use crate::model::{LogStream, RunId};
use rustix::event::epoll::{self, EventData, EventFlags};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Set in epoll's word for a sink that waits for room.
pub(super) const SINK_BIT: u64 = 1 << 63;

struct Shared {
    sink: Sink,
    key: SinkKey,
    /// A run is here once for each of its streams.
    runs: Vec<RunId>,
    /// Registered for room.
    waiting: bool,
}

pub(super) struct Sinks {
    epoll: Arc<OwnedFd>,
    /// Boxed: a node of the tree has room for eleven, and most would be empty.
    all: BTreeMap<u64, Box<Shared>>,
    by_key: BTreeMap<SinkKey, u64>,
    next: u64,
    news: Vec<LogEvent>,
}

impl Sinks {
    pub(super) fn new(epoll: Arc<OwnedFd>) -> Self {
        Self { epoll, all: BTreeMap::new(), by_key: BTreeMap::new(), next: SINK_BIT, news: Vec::new() }
    }

    /// A run's stream begins to write here; `None` = discard. The newest settings hold for all who share it.
    pub(super) fn join(
        &mut self,
        run: RunId,
        stream: LogStream,
        settings: SinkSettings,
        now: Instant,
    ) -> Option<u64> {
        let key = match &settings.target {
            SinkTarget::File(path) => SinkKey::File(LogPath::new(path)),
            SinkTarget::Inherit => SinkKey::Standard(stream),
            SinkTarget::Discard => return None,
        };
        if let Some(id) = self.by_key.get(&key) {
            if let Some(shared) = self.all.get_mut(id) {
                shared.runs.push(run);
                shared.sink.set(&settings);
            }
            return Some(*id);
        }
        let (id, mut news) = (self.next, Vec::new());
        self.next += 1;
        let sink = Sink::new(key.clone(), &settings, now, &mut news);
        self.by_key.insert(key.clone(), id);
        self.all.insert(id, Box::new(Shared { sink, key, runs: vec![run], waiting: false }));
        self.report(id, news);
        Some(id)
    }

    /// It no longer does; the last one closes the sink.
    pub(super) fn leave(&mut self, id: Option<u64>, run: RunId, now: Instant) {
        let Some(id) = id else { return };
        let Some(shared) = self.all.get_mut(&id) else { return };
        if let Some(at) = shared.runs.iter().position(|other| *other == run) {
            shared.runs.swap_remove(at);
        }
        // With output still waiting for room it stays until that is out, or until the next writer comes.
        if shared.runs.is_empty() && shared.sink.waits_for_room().is_none() {
            self.close(id, Duration::ZERO, now);
        }
    }

    pub(super) fn write(&mut self, id: Option<u64>, bytes: &[u8], now: Instant) {
        let Some(shared) = id.and_then(|id| self.all.get_mut(&id)) else { return };
        let mut news = Vec::new();
        shared.sink.write(bytes, now, &mut news);
        if let Some(id) = id {
            self.settle(id, news);
        }
    }

    /// Handles epoll's word if it is a sink's.
    pub(super) fn writable(&mut self, word: u64, now: Instant) -> bool {
        if word & SINK_BIT == 0 {
            return false;
        }
        if let Some(shared) = self.all.get_mut(&word) {
            let mut news = Vec::new();
            shared.sink.flush(now, &mut news);
            let abandoned = shared.runs.is_empty() && shared.sink.waits_for_room().is_none();
            self.settle(word, news);
            if abandoned {
                self.close(word, Duration::ZERO, now);
            }
        }
        true
    }

    /// Opens every file anew.
    pub(super) fn reopen(&mut self, now: Instant) {
        let ids: Vec<u64> = self.all.keys().copied().collect();
        for id in ids {
            let mut news = Vec::new();
            if let Some(shared) = self.all.get_mut(&id) {
                shared.sink.reopen(now, &mut news);
            }
            self.settle(id, news);
        }
    }

    pub(super) fn close_all(&mut self, patience: Duration, now: Instant) {
        let ids: Vec<u64> = self.all.keys().copied().collect();
        for id in ids {
            self.close(id, patience, now);
        }
    }

    pub(super) fn take_news(&mut self) -> Vec<LogEvent> {
        std::mem::take(&mut self.news)
    }

    fn close(&mut self, id: u64, patience: Duration, now: Instant) {
        let Some(shared) = self.all.remove(&id) else { return };
        self.by_key.remove(&shared.key);
        if let (true, Some(fd)) = (shared.waiting, shared.sink.waits_for_room()) {
            let _ = epoll::delete(&self.epoll, fd);
        }
        let Shared { sink, key, runs, .. } = *shared;
        let mut news = Vec::new();
        sink.close(patience, now, &mut news);
        self.news.extend(news.into_iter().map(|news| event(news, &key, &runs)));
    }

    /// Registers or unregisters the wish for room, and tells.
    fn settle(&mut self, id: u64, news: Vec<News>) {
        if let Some(shared) = self.all.get_mut(&id) {
            match (shared.sink.waits_for_room(), shared.waiting) {
                (Some(fd), false) => {
                    shared.waiting =
                        epoll::add(&self.epoll, fd, EventData::new_u64(id), EventFlags::OUT).is_ok();
                }
                (None, true) => {
                    shared.waiting = false;
                    // Where it failed its descriptor is closed already, and nobody else holds it.
                    if let Some(fd) = shared.sink.stream() {
                        let _ = epoll::delete(&self.epoll, fd);
                    }
                }
                (Some(_), true) | (None, false) => {}
            }
        }
        self.report(id, news);
    }

    fn report(&mut self, id: u64, news: Vec<News>) {
        if let Some(shared) = self.all.get(&id) {
            let (key, runs) = (&shared.key, &shared.runs);
            self.news.extend(news.into_iter().map(|news| event(news, key, runs)));
        }
    }
}

fn event(news: News, key: &SinkKey, runs: &[RunId]) -> LogEvent {
    let mut runs = runs.to_vec();
    runs.sort_unstable();
    runs.dedup();
    let target = key.target();
    match news {
        News::Trouble(message) => LogEvent::Trouble { target, runs, message },
        News::Recovered { dropped } => LogEvent::Recovered { target, runs, dropped },
        News::Abandoned => LogEvent::Abandoned { target },
    }
}
