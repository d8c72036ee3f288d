//! Those who watch lines go by: history first, then each new line once, with a bounded queue for slow ones.
//!
//! In: lines by label and stream. Out: items offered to the receivers. Never add here: files (history arrives as
//! lines), or a wait for a receiver.

use super::line::emit_pieces;
use super::settings::{FollowItem, FollowSink, FollowSource, FollowVerdict};
use super::tail::{self, Tail};
use crate::model::{InstanceLabel, LogStream};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

/// Bytes of new lines that wait for one slow follower; its history does not count.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// What an item costs beside its text.
const ITEM_BYTES: usize = 64;

/// Bytes of history that are looked at for one follower, shared by its sources.
const HISTORY_BYTES: u64 = 64 * 1024 * 1024;

/// The least and the most of it for one source.
const SOURCE_BYTES: (u64, u64) = (256 * 1024, 16 * 1024 * 1024);

/// Lines of history for one follower, shared in the same way: a line costs more than its bytes.
const HISTORY_LINES: usize = 1_000_000;

type Stream = (InstanceLabel, LogStream);

struct Follower {
    streams: BTreeSet<Stream>,
    sink: Box<dyn FollowSink>,
    queue: VecDeque<FollowItem>,
    queued_bytes: usize,
    missed: u64,
    keep_following: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Followers {
    all: Vec<Follower>,
}

impl Followers {
    /// Adds one with its history. `partial_of` gives what a stream's pipes hold of a begun line: it comes whole when
    /// it is ended, so it is no history.
    pub(super) fn add(
        &mut self,
        sources: Vec<FollowSource>,
        last_lines: usize,
        sink: Box<dyn FollowSink>,
        keep_following: bool,
        partial_of: &dyn Fn(&Stream) -> Vec<u8>,
    ) {
        let mut follower = Follower {
            streams: BTreeSet::new(),
            sink,
            queue: VecDeque::new(),
            queued_bytes: 0,
            missed: 0,
            keep_following,
        };
        let share = (HISTORY_BYTES / sources.len().max(1) as u64).clamp(SOURCE_BYTES.0, SOURCE_BYTES.1);
        let last_lines = last_lines.min(HISTORY_LINES / sources.len().max(1));
        let mut seen: BTreeSet<&Path> = BTreeSet::new();
        for source in &sources {
            let stream = (source.label.clone(), source.stream);
            let path = source.path.as_deref().filter(|path| last_lines > 0 && seen.insert(path));
            if let Some(path) = path {
                // A log that cannot be read has no history: the pump says what is wrong with it.
                let tail = tail::last_lines(path, last_lines, share).unwrap_or_default();
                let partial = if keep_following { partial_of(&stream) } else { Vec::new() };
                follower.history(&stream, &tail, &partial);
            }
            follower.streams.insert(stream);
        }
        if !keep_following {
            follower.queue.push_back(FollowItem::End);
        }
        // So there are never more than those who read, and the one that comes.
        self.all.retain(|follower| !follower.sink.is_gone());
        self.all.push(follower);
        self.offer();
    }

    /// Whether anybody wants lines of this stream.
    pub(super) fn want(&self, stream: &Stream) -> bool {
        self.all.iter().any(|follower| follower.wants(stream))
    }

    /// A new line, or a piece of one.
    pub(super) fn line(&mut self, stream: &Stream, text: &[u8], complete: bool) {
        for follower in self.all.iter_mut().filter(|follower| follower.wants(stream)) {
            follower.push_live(item(stream, text, complete));
        }
    }

    /// Whether some items wait for a slow receiver.
    pub(super) fn pending(&self) -> bool {
        self.all.iter().any(|follower| !follower.queue.is_empty())
    }

    /// Offers what waits, and forgets who is gone or has had its end.
    pub(super) fn offer(&mut self) {
        self.all.retain_mut(Follower::offer);
    }
}

impl Follower {
    fn wants(&self, stream: &Stream) -> bool {
        self.keep_following && self.streams.contains(stream)
    }

    fn history(&mut self, stream: &Stream, tail: &Tail, partial: &[u8]) {
        let queue = &mut self.queue;
        let mut emit = |text: &[u8], complete: bool| queue.push_back(item(stream, text, complete));
        for line in &tail.lines {
            emit_pieces(line, &mut emit);
        }
        // Where the two differ, another writer of the same file has begun a line: each comes with its own stream.
        let told_later =
            if tail.unfinished.ends_with(partial) { partial.len() } else { tail.unfinished.len() };
        let now = &tail.unfinished[..tail.unfinished.len() - told_later];
        if !now.is_empty() {
            emit(now, false);
        }
    }

    fn push_live(&mut self, item: FollowItem) {
        let cost = cost(&item);
        if self.queued_bytes + cost > QUEUE_BYTES {
            self.missed += 1;
            return;
        }
        if self.missed > 0 {
            self.queue.push_back(FollowItem::Missed { lines: std::mem::take(&mut self.missed) });
        }
        self.queued_bytes += cost;
        self.queue.push_back(item);
    }

    /// False: forget it.
    fn offer(&mut self) -> bool {
        loop {
            if self.queue.is_empty() && self.missed > 0 {
                self.queue.push_back(FollowItem::Missed { lines: std::mem::take(&mut self.missed) });
            }
            let Some(item) = self.queue.front() else { return true };
            match self.sink.offer(item) {
                FollowVerdict::Full => return true,
                FollowVerdict::Stop => return false,
                FollowVerdict::Taken if *item == FollowItem::End => return false,
                FollowVerdict::Taken => {}
            }
            self.queued_bytes = self.queued_bytes.saturating_sub(cost(item));
            self.queue.pop_front();
        }
    }
}

fn item((label, stream): &Stream, text: &[u8], complete: bool) -> FollowItem {
    FollowItem::Line { label: label.clone(), stream: *stream, text: text.to_vec(), complete }
}

fn cost(item: &FollowItem) -> usize {
    match item {
        FollowItem::Line { text, .. } => ITEM_BYTES + text.len(),
        FollowItem::Missed { .. } | FollowItem::End => 0,
    }
}
