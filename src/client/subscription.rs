//! Receiving what others publish.

use super::stop::Ends;
use super::{Channel, locked, wire};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Messages that wait for a slow reader; beyond it the oldest are dropped and counted.
const KEPT: usize = 10_000;

/// Something that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// The instance that published it, or `operator`.
    pub sender: String,
    /// What: one line of text. A Python program publishes JSON.
    pub data: String,
}

/// The messages of a topic, or of all that a pattern matches, in the order in which they came. Dropped, it ends.
///
/// As an iterator it waits for the next one, and ends when the channel is closed or a stop of this program is wanted.
pub struct Subscription {
    pub(super) queue: Arc<Queue>,
    pub(super) channel: Channel,
}

/// What has come and was not read yet.
pub(super) struct Queue {
    pub(super) pattern: String,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    kept: VecDeque<Message>,
    missed: u64,
    ended: bool,
}

impl Queue {
    pub(super) fn new(pattern: &str) -> Arc<Self> {
        Arc::new(Self { pattern: pattern.to_owned(), inner: Mutex::default(), changed: Condvar::new() })
    }

    /// A message has come on the connection.
    pub(super) fn offer(&self, message: &Message) {
        if !wire::matches(&self.pattern, &message.topic) {
            return;
        }
        let mut inner = locked(&self.inner);
        if inner.kept.len() >= KEPT {
            inner.kept.pop_front();
            inner.missed += 1;
        }
        inner.kept.push_back(message.clone());
        drop(inner);
        self.changed.notify_all();
    }

    pub(super) fn miss(&self, count: u64) {
        let mut inner = locked(&self.inner);
        inner.missed = inner.missed.saturating_add(count);
    }

    fn get(&self, deadline: Option<Instant>) -> Option<Message> {
        let mut inner = locked(&self.inner);
        loop {
            if inner.ended {
                return None;
            }
            if let Some(message) = inner.kept.pop_front() {
                return Some(message);
            }
            inner = match deadline {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Ends for Queue {
    fn end(&self) {
        locked(&self.inner).ended = true;
        self.changed.notify_all();
    }
}

impl Subscription {
    /// The next message; `None` when there is none within this time, or when iterating would end.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Message> {
        self.queue.get(Some(Instant::now() + timeout))
    }

    /// How many messages were lost because this reader, or this program as a whole, was too slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        locked(&self.queue.inner).missed
    }
}

impl Iterator for Subscription {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        self.queue.get(None)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.unsubscribe(&self.queue);
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("pattern", &self.queue.pattern).finish_non_exhaustive()
    }
}
