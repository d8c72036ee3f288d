//! The journal's thread: numbers entries, writes them in batches, answers questions, feeds followers.

use super::file::Files;
use super::{Entry, Kind};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

/// So many entries wait for the thread at most; a disk that hangs costs entries, not supervision.
const WAITING: usize = 8192;
/// So many orders are taken together into one write.
const BATCH: usize = 256;
/// So many of the last entries are kept in memory, for followers that begin in the past.
const REMEMBERED: usize = 512;
/// How long a flush is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many followers at once: more than the API lets in.
const FOLLOWERS: usize = 64;

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Only those about these programs; empty = all.
    pub programs: BTreeSet<String>,
    /// Only those about this instance.
    pub instance: Option<String>,
    /// Only those after this number.
    pub after: Option<u64>,
    /// Only the last so many.
    pub last: Option<usize>,
}

/// What is offered to a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer<'a> {
    /// An entry.
    Entry(&'a Entry),
    /// So many were left out here, because the follower was too slow.
    Missed(u64),
    /// Nothing: is anybody there?
    Nothing,
}

/// A follower: takes an offer, or answers `false` and is offered it again later. `None`: it is gone.
pub type Sink = Box<dyn FnMut(Offer<'_>) -> Option<bool> + Send>;

enum Order {
    Add(Vec<Entry>),
    Read(Query, Box<dyn FnOnce(Vec<Entry>) + Send>),
    Follow(Query, Sink),
    Flush(SyncSender<()>),
}

impl Order {
    /// How much of the room it takes.
    fn size(&self) -> usize {
        match self {
            Self::Add(entries) => entries.len(),
            Self::Read(..) | Self::Follow(..) | Self::Flush(_) => 1,
        }
    }
}

/// The handle. Cheap to clone; nothing blocks but [`Journal::flush`].
#[derive(Clone)]
pub struct Journal {
    orders: Sender<Order>,
    /// How many orders wait. A channel with a bound of its own would hold memory for all of them all the time.
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
}

impl Journal {
    /// Starts the thread; the journal is the file at `path` and an older one beside it.
    ///
    /// # Errors
    /// No thread can be had. A file that cannot be written costs the history, not the start.
    pub fn start(path: PathBuf) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::new(AtomicU64::new(0));
        let (lost, taken) = (Arc::clone(&dropped), Arc::clone(&waiting));
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            crate::linux::proc::be_modest();
            Writer::new(path, lost).run(&inbox, &taken);
        })?;
        Ok(Self { orders, waiting, dropped })
    }

    /// Adds an entry. One that finds no room is counted, and the next one that does says so.
    pub fn add(&self, entry: Entry) {
        self.add_all(vec![entry]);
    }

    /// Adds entries, and wakes the thread once for all of them.
    pub fn add_all(&self, entries: Vec<Entry>) {
        let count = entries.len();
        if !self.order(count, Order::Add(entries)) {
            self.dropped.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Gives the entries of a query to `answer`, on the journal's thread.
    pub fn read(&self, query: Query, answer: Box<dyn FnOnce(Vec<Entry>) + Send>) {
        // Dropped unanswered when the thread is that far behind; the caller then hears that there is no answer.
        let _ = self.order(1, Order::Read(query, answer));
    }

    /// Gives the remembered entries of a query and all that follow to `sink`.
    pub fn follow(&self, query: Query, sink: Sink) {
        let _ = self.order(1, Order::Follow(query, sink));
    }

    /// Whether there was room for it; a large one needs no more than the room for a small one.
    fn order(&self, size: usize, order: Order) -> bool {
        let room = self.waiting.fetch_add(size, Ordering::Relaxed) < WAITING;
        if !room {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
        }
        // A thread that has died takes nothing any more, and there is nobody to tell.
        room && self.orders.send(order).is_ok()
    }

    /// Waits until everything that was added is written, for some seconds at most: a disk that hangs must not hold up an end.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.orders.send(Order::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(PATIENCE);
        }
    }
}

struct Follower {
    query: Query,
    sink: Sink,
    missed: u64,
}

struct Writer {
    files: Files,
    next: u64,
    recent: VecDeque<Entry>,
    /// Numbered, but not yet written: what followers have seen must not be lost when this process is killed.
    untold: Vec<Entry>,
    followers: Vec<Follower>,
    dropped: Arc<AtomicU64>,
    /// The disk refused the last write.
    failing: bool,
}

impl Writer {
    fn new(path: PathBuf, dropped: Arc<AtomicU64>) -> Self {
        let files = Files::open(path);
        let mut recent: VecDeque<Entry> = files.read().into();
        let next = recent.iter().map(|entry| entry.seq).max().unwrap_or(0) + 1;
        let excess = recent.len().saturating_sub(REMEMBERED);
        recent.drain(..excess);
        recent.shrink_to_fit();
        Self { files, next, recent, untold: Vec::new(), followers: Vec::new(), dropped, failing: false }
    }

    fn run(&mut self, inbox: &Receiver<Order>, waiting: &AtomicUsize) {
        while let Ok(first) = inbox.recv() {
            let mut bytes = Vec::new();
            for order in std::iter::once(first).chain(inbox.try_iter()).take(BATCH) {
                waiting.fetch_sub(order.size(), Ordering::Relaxed);
                match order {
                    Order::Add(entries) => {
                        for entry in entries {
                            self.take(entry, &mut bytes);
                        }
                    }
                    Order::Read(query, answer) => {
                        self.write(&mut bytes);
                        answer(self.read(&query));
                    }
                    Order::Follow(query, sink) => {
                        self.write(&mut bytes);
                        self.begin_following(query, sink);
                    }
                    Order::Flush(done) => {
                        self.write(&mut bytes);
                        let _ = done.send(());
                    }
                }
            }
            self.write(&mut bytes);
        }
    }

    fn take(&mut self, entry: Entry, bytes: &mut Vec<u8>) {
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} entries were lost here: the journal could not keep up");
            self.number(Entry::new(entry.at.clone(), Kind::Other, text), bytes);
        }
        self.number(entry, bytes);
    }

    fn number(&mut self, mut entry: Entry, bytes: &mut Vec<u8>) {
        entry.seq = self.next;
        self.next += 1;
        // Plain data: JSON refuses nothing in it.
        if serde_json::to_writer(&mut *bytes, &entry).is_ok() {
            bytes.push(b'\n');
        }
        if !self.followers.is_empty() {
            self.untold.push(entry.clone());
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(entry);
    }

    /// Writes what is numbered, then tells it to the followers.
    fn write(&mut self, bytes: &mut Vec<u8>) {
        if !bytes.is_empty() {
            self.append(bytes);
            bytes.clear();
        }
        for entry in self.untold.drain(..) {
            self.followers.retain_mut(|follower| follower.offer(&entry));
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        match self.files.append(bytes) {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, "the history cannot be written");
                }
                self.failing = true;
            }
        }
    }

    fn read(&self, query: &Query) -> Vec<Entry> {
        let mut entries = self.files.read();
        entries.retain(|entry| query.wants(entry));
        let excess = query.last.map_or(0, |last| entries.len().saturating_sub(last));
        entries.drain(..excess);
        entries
    }

    fn begin_following(&mut self, query: Query, sink: Sink) {
        if self.followers.len() >= FOLLOWERS {
            self.followers.retain_mut(|follower| (follower.sink)(Offer::Nothing).is_some());
        }
        if self.followers.len() >= FOLLOWERS {
            return;
        }
        let remembered = self.recent.front().map_or(0, |entry| entry.seq);
        let past: Vec<Entry> = match query.after {
            // Only the disk still knows what this one has not seen.
            Some(after) if after + 1 < remembered => self.read(&query),
            Some(_) | None => self.recent.iter().filter(|entry| query.wants(entry)).cloned().collect(),
        };
        let mut follower = Follower { query, sink, missed: 0 };
        let first = past.len().saturating_sub(follower.query.last.unwrap_or(usize::MAX));
        if past[first..].iter().all(|entry| follower.offer(entry)) {
            self.followers.push(follower);
        }
    }
}

impl Follower {
    /// Whether it is still there.
    fn offer(&mut self, entry: &Entry) -> bool {
        if !self.query.wants(entry) {
            return true;
        }
        if self.missed > 0 {
            match (self.sink)(Offer::Missed(self.missed)) {
                Some(true) => self.missed = 0,
                Some(false) => {
                    self.missed += 1;
                    return true;
                }
                None => return false,
            }
        }
        match (self.sink)(Offer::Entry(entry)) {
            Some(true) => true,
            Some(false) => {
                self.missed += 1;
                true
            }
            None => false,
        }
    }
}

impl Query {
    fn wants(&self, entry: &Entry) -> bool {
        let about =
            |programs: &BTreeSet<String>| entry.program.as_ref().is_some_and(|name| programs.contains(name));
        (self.programs.is_empty() || about(&self.programs))
            && self.instance.as_ref().is_none_or(|wanted| entry.instance.as_ref() == Some(wanted))
            && self.after.is_none_or(|after| entry.seq > after)
    }
}
