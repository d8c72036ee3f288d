//! Those who watch lines go by: history first, then each new line once, with a bounded queue for slow ones.
//!
//! In: lines by label and stream. Out: items offered to the receivers. Never add here: reading of files (`history` does
//! that elsewhere), or a wait for a receiver.

use super::history::{self, Past};
use super::settings::{FollowItem, FollowSink, FollowSource, FollowVerdict};
use super::tail;
use crate::model::{InstanceLabel, LogStream};
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

/// Bytes of new lines that wait for one slow follower, and for all of them together.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// What an item costs beside its text.
const ITEM_BYTES: usize = 64;

/// Bytes of history that are looked at for one follower, shared by its sources.
const HISTORY_BYTES: u64 = 64 * 1024 * 1024;

/// The least and the most of it for one source.
const SOURCE_BYTES: (u64, u64) = (256 * 1024, 16 * 1024 * 1024);

/// Lines of history for one follower, shared in the same way: a line costs more than its bytes.
const HISTORY_LINES: usize = 1_000_000;

/// With so many sources their files are held until they have been told: a descriptor each.
const HELD_FILES: usize = 32;

type Stream = (InstanceLabel, LogStream);

/// Brings a follower back that has been told its history; `None` where its receiver has left.
pub(super) type Back = Box<dyn FnOnce(Option<Box<dyn FollowSink>>) + Send>;

/// What somebody wants to follow.
pub(super) struct Wish {
    pub(super) sources: Vec<FollowSource>,
    pub(super) last_lines: usize,
    pub(super) sink: Box<dyn FollowSink>,
    pub(super) keep_following: bool,
}

struct Follower {
    number: u64,
    streams: BTreeSet<Stream>,
    /// `None` while it is told its history.
    sink: Option<Box<dyn FollowSink>>,
    queue: VecDeque<FollowItem>,
    queued_bytes: usize,
    missed: u64,
}

/// All of them.
#[derive(Default)]
pub(super) struct Followers {
    all: Vec<Follower>,
    next: u64,
}

impl Followers {
    /// Adds one. Its history is told elsewhere; new lines wait for it meanwhile. `back` makes the way on which it comes
    /// back as [`Followers::back`]. `partial_of` gives what a stream's pipes hold of a begun line.
    pub(super) fn add(
        &mut self,
        Wish { sources, last_lines, sink, keep_following }: Wish,
        partial_of: &dyn Fn(&Stream) -> Vec<u8>,
        back: impl FnOnce(u64) -> Back,
    ) {
        let partial_of = |stream: &Stream| if keep_following { partial_of(stream) } else { Vec::new() };
        let pasts = pasts(&sources, last_lines, &partial_of);
        // Where there is no thread to be had the sink is dropped, and its receiver hears the end.
        if !keep_following {
            let _no_thread = history::tell(pasts, sink, |sink| {
                if let Some(mut sink) = sink {
                    let _last = history::give(&mut *sink, &FollowItem::End);
                }
            });
            return;
        }
        // So there are never more than those who read, and the one that comes.
        self.all.retain(|follower| follower.sink.as_ref().is_none_or(|sink| !sink.is_gone()));
        let number = self.next;
        self.next += 1;
        let sink = match pasts.is_empty() {
            true => Some(sink),
            false if history::tell(pasts, sink, back(number)).is_ok() => None,
            false => return,
        };
        let streams = sources.into_iter().map(|source| (source.label, source.stream)).collect();
        let queue = VecDeque::new();
        self.all.push(Follower { number, streams, sink, queue, queued_bytes: 0, missed: 0 });
    }

    /// Somebody has been told the past.
    pub(super) fn back(&mut self, number: u64, sink: Option<Box<dyn FollowSink>>) {
        match (sink, self.all.iter_mut().find(|follower| follower.number == number)) {
            (Some(sink), Some(follower)) => follower.sink = Some(sink),
            (None, _) => self.all.retain(|follower| follower.number != number),
            (Some(_), None) => {}
        }
    }

    /// Whether anybody wants lines of this stream.
    pub(super) fn want(&self, stream: &Stream) -> bool {
        self.all.iter().any(|follower| follower.wants(stream))
    }

    /// A new line, or a piece of one.
    pub(super) fn line(&mut self, stream: &Stream, text: &[u8], complete: bool) {
        let room = (ALL_BYTES / self.all.len().max(1)).min(QUEUE_BYTES);
        for follower in self.all.iter_mut().filter(|follower| follower.wants(stream)) {
            follower.push(item(stream, text, complete), room);
        }
    }

    /// Whether some items wait for a slow receiver.
    pub(super) fn pending(&self) -> bool {
        self.all.iter().any(|follower| follower.sink.is_some() && !follower.queue.is_empty())
    }

    /// Offers what waits, and forgets who is gone.
    pub(super) fn offer(&mut self) {
        self.all.retain_mut(Follower::offer);
    }
}

/// What there is to tell of the past, as of now.
fn pasts(sources: &[FollowSource], last_lines: usize, partial_of: &dyn Fn(&Stream) -> Vec<u8>) -> Vec<Past> {
    let many = sources.len().max(1);
    let bytes = (HISTORY_BYTES / many as u64).clamp(SOURCE_BYTES.0, SOURCE_BYTES.1);
    let lines = last_lines.min(HISTORY_LINES / many);
    let mut seen: BTreeSet<&Path> = BTreeSet::new();
    let mut pasts = Vec::new();
    for source in sources {
        let Some(path) = source.path.as_deref().filter(|path| last_lines > 0 && seen.insert(path)) else {
            continue;
        };
        // A log that cannot be looked at has no history: the pump says what is wrong with it.
        let Ok(Some(end)) = tail::end(path) else { continue };
        let end = if many <= HELD_FILES { end.hold(path) } else { end };
        let stream = (source.label.clone(), source.stream);
        let partial = partial_of(&stream);
        pasts.push(Past { stream, path: path.to_owned(), end, lines, bytes, partial });
    }
    pasts
}

impl Follower {
    fn wants(&self, stream: &Stream) -> bool {
        self.streams.contains(stream)
    }

    fn push(&mut self, item: FollowItem, room: usize) {
        let cost = cost(&item);
        if self.queued_bytes + cost > room {
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
        let Some(sink) = &mut self.sink else { return true };
        loop {
            if self.queue.is_empty() && self.missed > 0 {
                self.queue.push_back(FollowItem::Missed { lines: std::mem::take(&mut self.missed) });
            }
            let Some(item) = self.queue.front() else { return true };
            match sink.offer(item) {
                FollowVerdict::Full => return true,
                FollowVerdict::Stop => return false,
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
