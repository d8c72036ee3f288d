//! Topics and the store. A handle that any thread may use; nothing here ever waits.
//!
//! Each subscriber has a queue of its own, bounded in bytes. What does not fit is counted, and the reader is told at that
//! place how much it missed. All queues together are bounded too; below a small share nobody is touched by others' floods.

use super::LONGEST_DATA;
use super::keepsake::{self, Hold, Keepsake};
use super::names::{Pattern, is_name};
use super::store::{Change, NotDone, Store, Value};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many bytes wait at most for one subscriber, and one message more.
const QUEUE: usize = 256 * 1024;
/// So many wait at most for all of them, not counted what each may have anyway.
const QUEUES: usize = 8 * 1024 * 1024;
/// What each may have, however much waits for others.
const SHARE: usize = 4 * 1024;
/// What a message costs beside its text.
const ITEM: usize = 64;
/// The most patterns of one subscriber, and of all: each is held against every message.
const PATTERNS: (usize, usize) = (64, 8192);

/// Something that was published.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: Box<str>,
    /// Who published it: an instance, or `operator`.
    pub from: Box<str>,
    /// One line of text.
    pub data: Box<str>,
}

/// What a subscriber gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A message.
    Message(Arc<Message>),
    /// It was too slow: so many were left out here.
    Missed(u64),
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense.
    Usage(&'static str),
    /// Data of so many bytes.
    TooLarge(usize),
    /// There is no room.
    Full(&'static str),
    /// The key has this version now, 0 for none.
    Changed(u64),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Full(text) => f.write_str(text),
            Self::TooLarge(bytes) => write!(f, "{bytes} bytes of data, at most {LONGEST_DATA}"),
            Self::Changed(0) => f.write_str("there is no such key now"),
            Self::Changed(version) => write!(f, "the key has version {version} now"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Is called when there is something for a subscriber that had nothing. It must not use the hub, nor wait.
pub(super) type Wake = Box<dyn Fn() + Send + Sync>;

/// Topics and the store. A handle: clones are the same hub.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    subscribers: BTreeMap<u64, Subscriber>,
    last: u64,
    queued: usize,
    patterns: usize,
    store: Store,
    /// What a successor finds; none: nothing.
    keepsake: Option<Keepsake>,
    closed: bool,
}

struct Subscriber {
    patterns: Vec<Pattern>,
    queue: VecDeque<Delivery>,
    bytes: usize,
    /// It has missed something, and gets nothing more until half of its queue is read: else it would get one message and
    /// miss one, for ever.
    behind: bool,
    wake: Wake,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub whose store a successor finds again: what a predecessor `left`, and from now on each change, are in a memory file
    /// that is given to `hold`.
    ///
    /// # Errors
    /// There is no memory file to be had.
    pub fn kept(left: Option<OwnedFd>, hold: Hold) -> io::Result<Self> {
        let store = left.map(keepsake::read).transpose()?.unwrap_or_default();
        let keepsake = Some(Keepsake::new(&store, hold)?);
        Ok(Self(Arc::new(Mutex::new(Inner { store, keepsake, ..Inner::default() }))))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message to all who subscribed to its topic; says to how many.
    ///
    /// # Errors
    /// The topic is no name, or the data no line of at most [`LONGEST_DATA`] bytes.
    pub fn publish(&self, topic: &str, from: &str, data: &str) -> Result<usize, Refusal> {
        check(topic, data)?;
        let mut inner = self.lock();
        let Inner { subscribers, queued, .. } = &mut *inner;
        let mut message = None;
        let mut handed = 0;
        let hears = |one: &&mut Subscriber| one.patterns.iter().any(|pattern| pattern.matches(topic));
        for one in subscribers.values_mut().filter(hears) {
            let message = message.get_or_insert_with(|| {
                Arc::new(Message { topic: topic.into(), from: from.into(), data: data.into() })
            });
            handed += usize::from(one.offer(message, queued));
        }
        Ok(handed)
    }

    /// A subscriber without patterns. `wake` is called, from any thread, when there is something for one that had nothing;
    /// it must not use the hub, nor wait.
    pub fn subscribe(&self, wake: impl Fn() + Send + Sync + 'static) -> Subscription {
        let mut inner = self.lock();
        inner.last += 1;
        let number = inner.last;
        let subscriber = Subscriber {
            patterns: Vec::new(),
            queue: VecDeque::new(),
            bytes: 0,
            behind: false,
            wake: Box::new(wake),
        };
        inner.subscribers.insert(number, subscriber);
        Subscription { hub: self.clone(), number }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.lock().store.get(key).cloned()
    }

    /// Sets a key, where it has the expected version (0: where there is none); gives the new version.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn set(&self, key: &str, data: &str, expected: Option<u64>) -> Result<u64, Refusal> {
        check(key, data)?;
        let mut inner = self.lock();
        let version = inner.store.set(key, data, expected).map_err(refusal)?;
        inner.note(&Change::Set { key, version, data });
        Ok(version)
    }

    /// Removes a key, where it has the expected version. False: there was none.
    ///
    /// # Errors
    /// It has another version.
    pub fn delete(&self, key: &str, expected: Option<u64>) -> Result<bool, Refusal> {
        let mut inner = self.lock();
        let version = inner.store.delete(key, expected).map_err(refusal)?;
        if version > 0 {
            inner.note(&Change::Deleted { key, version });
        }
        Ok(version > 0)
    }

    /// The keys that begin with `prefix`, sorted, with their values.
    pub fn list(&self, prefix: &str) -> Vec<(String, Value)> {
        self.lock().store.list(prefix).map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    /// The end: subscribers read what is there, and then that nothing comes any more.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.subscribers.values().for_each(|one| (one.wake)());
    }
}

impl Inner {
    /// Without memory for it a successor finds what was there until now; that is no reason to refuse anything.
    fn note(&mut self, change: &Change<'_>) {
        if let Some(keepsake) = &mut self.keepsake
            && keepsake.note(change, &self.store).is_err()
        {
            self.keepsake = None;
        }
    }
}

fn check(name: &str, data: &str) -> Result<(), Refusal> {
    if !is_name(name) {
        return Err(Refusal::Usage(
            "a name is letters, digits and . _ / -, begins with a letter or digit, and has at most 128",
        ));
    }
    if data.len() > LONGEST_DATA {
        return Err(Refusal::TooLarge(data.len()));
    }
    match data.contains('\n') {
        true => Err(Refusal::Usage("data is one line")),
        false => Ok(()),
    }
}

fn refusal(error: NotDone) -> Refusal {
    match error {
        NotDone::Changed(version) => Refusal::Changed(version),
        NotDone::Full => Refusal::Full("the store has 1,024 keys, or 1 MiB in all"),
    }
}

impl Subscriber {
    /// Whether it takes the message; else it is counted.
    fn offer(&mut self, message: &Arc<Message>, queued: &mut usize) -> bool {
        let was_empty = self.queue.is_empty();
        let room = if self.behind { QUEUE / 2 } else { QUEUE };
        let takes = self.bytes < room && (*queued < QUEUES || self.bytes < SHARE);
        if takes {
            self.behind = false;
            let cost = cost(message);
            (self.bytes, *queued) = (self.bytes + cost, *queued + cost);
            self.queue.push_back(Delivery::Message(Arc::clone(message)));
        } else {
            self.behind = true;
            match self.queue.back_mut() {
                Some(Delivery::Missed(count)) => *count += 1,
                Some(Delivery::Message(_)) | None => self.queue.push_back(Delivery::Missed(1)),
            }
        }
        if was_empty {
            (self.wake)();
        }
        takes
    }
}

fn cost(message: &Message) -> usize {
    ITEM + message.topic.len() + message.from.len() + message.data.len()
}

/// The reading end of a subscriber. It ends when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    hub: Hub,
    number: u64,
}

impl Subscription {
    /// Also what this pattern matches, from now on. The same one twice is one.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn add(&self, pattern: Pattern) -> Result<(), Refusal> {
        let mut inner = self.hub.lock();
        let Inner { subscribers, patterns, .. } = &mut *inner;
        let Some(own) = subscribers.get_mut(&self.number) else { return Ok(()) };
        if own.patterns.contains(&pattern) {
            return Ok(());
        }
        if own.patterns.len() >= PATTERNS.0 || *patterns >= PATTERNS.1 {
            return Err(Refusal::Full("a connection has at most 64 patterns, and all together 8,192"));
        }
        *patterns += 1;
        own.patterns.push(pattern);
        Ok(())
    }

    /// No longer what this pattern matches, if no other does. What waits already is still delivered.
    pub fn remove(&self, pattern: &str) {
        let mut inner = self.hub.lock();
        let Inner { subscribers, patterns, .. } = &mut *inner;
        let Some(own) = subscribers.get_mut(&self.number) else { return };
        let before = own.patterns.len();
        own.patterns.retain(|known| known.as_str() != pattern);
        *patterns -= before - own.patterns.len();
    }

    /// The next for this subscriber; `None`: nothing for now, and the wake is called when there is.
    pub fn next(&self) -> Option<Delivery> {
        let mut inner = self.hub.lock();
        let Inner { subscribers, queued, .. } = &mut *inner;
        let own = subscribers.get_mut(&self.number)?;
        let delivery = own.queue.pop_front()?;
        if let Delivery::Message(message) = &delivery {
            let cost = cost(message);
            (own.bytes, *queued) = (own.bytes - cost, *queued - cost);
        }
        if own.queue.is_empty() {
            own.behind = false;
            own.queue = VecDeque::new();
        }
        Some(delivery)
    }

    /// Whether nothing more comes, once [`Subscription::next`] has nothing.
    pub fn is_closed(&self) -> bool {
        self.hub.lock().closed
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        if let Some(own) = inner.subscribers.remove(&self.number) {
            inner.queued -= own.bytes;
            inner.patterns -= own.patterns.len();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn subscriber(hub: &Hub, patterns: &[&str]) -> (Subscription, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&woken);
        let subscription = hub.subscribe(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        for pattern in patterns {
            subscription.add(Pattern::new(pattern).unwrap()).unwrap();
        }
        (subscription, woken)
    }

    fn data(delivery: Option<Delivery>) -> String {
        match delivery {
            Some(Delivery::Message(message)) => message.data.to_string(),
            Some(Delivery::Missed(count)) => format!("missed {count}"),
            None => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_message_goes_once_to_each_who_wants_it() {
        let hub = Hub::default();
        let (one, woken) = subscriber(&hub, &["jobs/*", "jobs/new"]);
        let (two, _) = subscriber(&hub, &["*"]);
        let (three, _) = subscriber(&hub, &["other"]);
        assert_eq!(hub.publish("jobs/new", "web", "a"), Ok(2));
        assert_eq!(hub.publish("jobs/new", "web", "b"), Ok(2));
        assert_eq!(woken.load(Ordering::SeqCst), 1, "it had something already");
        let first = one.next();
        assert!(matches!(&first, Some(Delivery::Message(m)) if &*m.topic == "jobs/new" && &*m.from == "web"));
        assert_eq!(
            (data(first), data(one.next()), data(one.next())),
            ("a".into(), "b".into(), "nothing".into())
        );
        assert_eq!(data(two.next()), "a");
        assert_eq!(data(three.next()), "nothing");
        one.remove("jobs/*");
        assert_eq!(hub.publish("jobs/old", "web", "c"), Ok(1));
        drop((one, two));
        assert_eq!(hub.publish("jobs/old", "web", "c"), Ok(0));
        assert_eq!(hub.lock().queued, 0);
        assert_eq!(hub.lock().patterns, 1);
    }

    #[test]
    fn who_is_slow_is_told_at_its_place_how_much_was_missed() {
        let hub = Hub::default();
        let (slow, _) = subscriber(&hub, &["t"]);
        let line = "x".repeat(10_000);
        let published = 100;
        let handed: usize = (0..published).map(|_| hub.publish("t", "a", &line).unwrap()).sum();
        assert_eq!(handed, QUEUE.div_ceil(10_000 + ITEM + 2));
        assert_eq!(data(slow.next()), line);
        assert_eq!(hub.publish("t", "a", "still too slow"), Ok(0));
        let read = (1..handed).filter(|_| data(slow.next()) == line).count();
        assert_eq!(read, handed - 1);
        assert_eq!(data(slow.next()), format!("missed {}", published - handed + 1));
        assert_eq!(hub.publish("t", "a", "again"), Ok(1));
        assert_eq!(data(slow.next()), "again");
    }

    #[test]
    fn many_slow_readers_are_bounded_together_and_leave_others_their_share() {
        let hub = Hub::default();
        let slow: Vec<_> = (0..200).map(|_| subscriber(&hub, &["t"])).collect();
        for _ in 0..50 {
            hub.publish("t", "a", &"x".repeat(10_000)).unwrap();
        }
        assert!(hub.lock().queued <= QUEUES + 200 * (SHARE + 10_100), "{}", hub.lock().queued);
        let (quick, _) = subscriber(&hub, &["q"]);
        for _ in 0..50 {
            assert_eq!(hub.publish("q", "a", "x"), Ok(1));
            assert_eq!(data(quick.next()), "x");
        }
        drop(slow);
        assert_eq!(hub.lock().queued, 0);
    }

    #[test]
    fn wrong_words_are_refused() {
        let hub = Hub::default();
        assert!(matches!(hub.publish("a b", "x", ""), Err(Refusal::Usage(_))));
        assert!(matches!(hub.set("a", "x\ny", None), Err(Refusal::Usage(_))));
        assert_eq!(hub.set("a", &"x".repeat(60_001), None), Err(Refusal::TooLarge(60_001)));
        let (one, _) = subscriber(&hub, &[]);
        let added = (0..100).take_while(|n| one.add(Pattern::new(&format!("p{n}")).unwrap()).is_ok()).count();
        assert_eq!(added, PATTERNS.0);
        assert!(!one.is_closed());
        hub.close();
        assert!(one.is_closed());
    }
}
