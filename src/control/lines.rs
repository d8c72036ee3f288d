//! The queue between a program's log and whoever reads it: bounded in bytes, since lines may be long.
//!
//! In: [`LogItem`]s, from any thread. Out: the same, to one reader on the server's thread. The writing end never blocks
//! unless it asks to. Never add here: which lines.

use super::wire::LogItem;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// So many bytes wait at most for a slow reader, and one item more.
const CAPACITY: usize = 256 * 1024;
/// What an item costs beside its text.
const ITEM: usize = 128;

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<LogItem>,
    bytes: usize,
    ended: bool,
    gone: bool,
    reader: Option<Waker>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is room again, or the reader has left.
    room: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. The feed ends when it is dropped.
#[derive(Debug)]
pub struct Feed(Arc<Shared>);

/// The reading end.
#[derive(Debug)]
pub(super) struct FeedReader(Arc<Shared>);

/// Why an item did not go into a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFed {
    /// The reader is slow; here is the item back.
    Full(LogItem),
    /// The reader has left.
    Gone,
}

/// Both ends of a feed.
pub(super) fn feed() -> (Feed, FeedReader) {
    let shared = Arc::new(Shared::default());
    (Feed(Arc::clone(&shared)), FeedReader(shared))
}

impl Feed {
    /// Adds an item. Never blocks.
    ///
    /// # Errors
    /// Gives the item back where the reader is too slow, and says if it has left.
    pub fn try_send(&self, item: LogItem) -> Result<(), NotFed> {
        let mut queue = self.0.lock();
        if queue.gone {
            return Err(NotFed::Gone);
        }
        if queue.bytes >= CAPACITY {
            return Err(NotFed::Full(item));
        }
        queue.push(item);
        Ok(())
    }

    /// Whether the next item would come back.
    pub fn is_full(&self) -> bool {
        self.0.lock().bytes >= CAPACITY
    }

    /// Waits until there is room, or the reader has left. For threads that do nothing else.
    pub fn wait_for_room(&self) {
        let full = |queue: &mut Queue| !queue.gone && queue.bytes >= CAPACITY;
        drop(self.0.room.wait_while(self.0.lock(), full).unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether the reader has left.
    pub fn is_gone(&self) -> bool {
        self.0.lock().gone
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.ended = true;
        queue.wake();
    }
}

impl FeedReader {
    /// The next item; `None` at the end.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<LogItem>> {
        let mut queue = self.0.lock();
        match queue.pop() {
            Some(item) => {
                self.0.room.notify_one();
                Poll::Ready(Some(item))
            }
            None if queue.ended => Poll::Ready(None),
            None => {
                queue.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        *queue = Queue { gone: true, ..Queue::default() };
        self.0.room.notify_one();
    }
}

impl Queue {
    fn push(&mut self, item: LogItem) {
        self.bytes += cost(&item);
        self.items.push_back(item);
        self.wake();
    }

    fn pop(&mut self) -> Option<LogItem> {
        let item = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(cost(&item));
        Some(item)
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

fn cost(item: &LogItem) -> usize {
    ITEM + match item {
        LogItem::Line { name, text, bytes, .. } => {
            name.len() + text.len() + bytes.as_ref().map_or(0, Vec::len)
        }
        LogItem::Missed { .. } => 0,
        LogItem::Note { text } => text.len(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn line(length: usize) -> LogItem {
        LogItem::line("web", "stdout", &vec![b'x'; length])
    }

    fn next(reader: &mut FeedReader) -> Poll<Option<LogItem>> {
        reader.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn it_is_bounded_in_bytes_and_has_room_again_when_read() {
        let (feed, mut reader) = feed();
        let long = (0..100).take_while(|_| feed.try_send(line(64 * 1024)).is_ok()).count();
        assert_eq!(long, 4);
        assert_eq!(feed.try_send(line(1)), Err(NotFed::Full(line(1))));
        let waiting = std::thread::spawn(move || {
            feed.wait_for_room();
            feed.try_send(line(1)).unwrap();
        });
        assert_eq!(next(&mut reader), Poll::Ready(Some(line(64 * 1024))));
        waiting.join().unwrap();
        let left: Vec<_> = std::iter::from_fn(|| match next(&mut reader) {
            Poll::Ready(item) => item,
            Poll::Pending => panic!("it has ended"),
        })
        .collect();
        assert_eq!(left.last(), Some(&line(1)));
        assert_eq!(left.len(), 4);
    }

    #[test]
    fn a_writer_that_waits_learns_that_the_reader_has_left() {
        let (feed, reader) = feed();
        while feed.try_send(line(1000)).is_ok() {}
        let waiting = std::thread::spawn(move || {
            feed.wait_for_room();
            (feed.is_gone(), feed.try_send(line(1)))
        });
        drop(reader);
        assert_eq!(waiting.join().unwrap(), (true, Err(NotFed::Gone)));
    }
}
