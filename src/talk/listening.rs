//! The thread that hears: one epoll over every FIFO and socket, one eventfd for orders (epoll(7)).
//!
//! Level-triggered, a bounded part of each end per turn: the kernel offers them in turn, so nobody waits for one that talks
//! without pause. Never add here: a call that waits for a program.

use super::Heard;
use super::voice::{Batch, End, Voice, Wake};
use crate::model::RunId;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Events of one turn.
const BATCH: usize = 64;

/// Orders of one turn.
const ORDERS: usize = 256;

/// epoll's word for the eventfd; voices count from 1, times two, and one for their sockets.
const WAKE: u64 = 0;

/// What [`super::Ears`] asks for.
#[derive(Debug)]
pub(super) enum Order {
    Attach { run: RunId, fifo: OwnedFd, sd: Option<OwnedFd> },
    Detach { run: RunId },
    Drain { run: RunId, done: mpsc::SyncSender<bool> },
    Stop,
}

pub(super) struct Thread {
    epoll: Arc<OwnedFd>,
    working: Arc<Working>,
    inbox: mpsc::Receiver<Order>,
    wake: Wake,
    /// Boxed: a node of the tree has room for eleven.
    voices: BTreeMap<u64, Box<Voice>>,
    by_run: BTreeMap<RunId, u64>,
    next: u64,
    /// Those that said too much, until then.
    resting: BTreeMap<u64, Instant>,
    /// Those whose sockets wait for closes.
    stuck: BTreeSet<u64>,
    /// Those that cannot be watched (no memory, too many watches): they are heard when they are drained.
    unwatched: BTreeSet<u64>,
}

/// What the thread shows of itself.
#[derive(Debug, Default)]
struct Working {
    /// Odd from before anything is read until all of it was told: two equal even looks have nothing between them.
    turn: AtomicU64,
    /// How many are not listened to now, whatever they say.
    unheeded: AtomicUsize,
}

/// Tells whether there is anything that was said and not heard.
#[derive(Debug)]
pub(super) struct Silence {
    epoll: Arc<OwnedFd>,
    working: Arc<Working>,
}

impl Silence {
    /// What is unread shows in the epoll, which is level-triggered, unless somebody is not listened to; what was read is told before
    /// the thread waits again. So it must not have been at work from before the look at the epoll until after it.
    pub(super) fn is_so(&self) -> bool {
        let turn = self.working.turn.load(Ordering::SeqCst);
        if turn & 1 == 1 || self.working.unheeded.load(Ordering::SeqCst) > 0 {
            return false;
        }
        let mut room = [MaybeUninit::<Event>::uninit(); 1];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let unread = epoll::wait(&self.epoll, &mut room[..], Some(&at_once));
        matches!(unread, Ok((events, _)) if events.is_empty())
            && self.working.turn.load(Ordering::SeqCst) == turn
    }
}

impl Thread {
    pub(super) fn new(
        inbox: mpsc::Receiver<Order>,
        eventfd: Arc<OwnedFd>,
        heard: Box<dyn Fn(RunId, Heard) + Send>,
    ) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(CreateFlags::CLOEXEC)?);
        epoll::add(&epoll, &eventfd, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self {
            epoll,
            working: Arc::new(Working { turn: AtomicU64::new(1), ..Working::default() }),
            inbox,
            wake: Wake { eventfd, heard },
            voices: BTreeMap::new(),
            by_run: BTreeMap::new(),
            next: 1,
            resting: BTreeMap::new(),
            stuck: BTreeSet::new(),
            unwatched: BTreeSet::new(),
        })
    }

    /// For a look from elsewhere.
    pub(super) fn silence(&self) -> Silence {
        Silence { epoll: Arc::clone(&self.epoll), working: Arc::clone(&self.working) }
    }

    pub(super) fn live(mut self) {
        let mut buffer = [MaybeUninit::<Event>::uninit(); BATCH];
        loop {
            let timeout = self.timeout(Instant::now());
            self.end_turn();
            let ready: Vec<u64> = match epoll::wait(&self.epoll, &mut buffer[..], timeout.as_ref()) {
                Ok((events, _)) => events.iter().map(|event| event.data.u64()).collect(),
                Err(rustix::io::Errno::INTR) => Vec::new(),
                // It never fails otherwise (epoll_wait(2)); a thread that turned for ever would be worse than none.
                Err(_) => return,
            };
            self.working.turn.fetch_add(1, Ordering::SeqCst);
            let now = Instant::now();
            for word in ready {
                if word == WAKE {
                    if !self.obey() {
                        return;
                    }
                } else {
                    let end = if word & 1 == 0 { End::Fifo } else { End::Socket };
                    self.hear(word >> 1, end, now);
                }
            }
            self.wake_rested(now);
        }
    }

    /// All that was read was told.
    fn end_turn(&self) {
        let unheeded = self.resting.len() + self.stuck.len() + self.unwatched.len();
        self.working.unheeded.store(unheeded, Ordering::SeqCst);
        self.working.turn.fetch_add(1, Ordering::SeqCst);
    }

    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let left = self.resting.values().min()?.saturating_duration_since(now);
        Some(Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        })
    }

    fn hear(&mut self, key: u64, end: End, now: Instant) {
        let Some(voice) = self.voices.get_mut(&key) else { return };
        // An event from before it was told to rest.
        if self.resting.contains_key(&key) {
            return;
        }
        let mut batch = voice.turn(end, now, &self.wake);
        self.wake.tell(voice.run, &mut batch);
        if let Some(until) = voice.rests_until(now) {
            self.resting.insert(key, until);
        }
        if voice.is_stuck() {
            self.stuck.insert(key);
        }
        if self.resting.contains_key(&key) || self.stuck.contains(&key) {
            self.listen(key);
        }
    }

    /// Watches for what is to be heard now.
    fn listen(&self, key: u64) {
        let Some(voice) = self.voices.get(&key) else { return };
        let interest = |wanted| if wanted { EventFlags::IN } else { EventFlags::empty() };
        let rests = self.resting.contains_key(&key);
        let _ = epoll::modify(&self.epoll, &voice.fifo, word(key, End::Fifo), interest(!rests));
        if let Some(sd) = &voice.sd {
            let open = !rests && !self.stuck.contains(&key);
            let _ = epoll::modify(&self.epoll, sd, word(key, End::Socket), interest(open));
        }
    }

    fn wake_rested(&mut self, now: Instant) {
        let rested: Vec<u64> =
            self.resting.iter().filter(|(_, until)| **until <= now).map(|(key, _)| *key).collect();
        for key in rested {
            self.resting.remove(&key);
            self.listen(key);
        }
    }

    /// Does what was asked for. Returns whether to go on.
    fn obey(&mut self) -> bool {
        // Whatever it held: the orders are looked at, and the closes.
        let _ = rustix::io::read(&*self.wake.eventfd, &mut [0; 8]);
        let closed = |key: &u64| self.voices.get(key).is_none_or(|voice| !voice.is_stuck());
        for key in self.stuck.iter().copied().filter(closed).collect::<Vec<_>>() {
            self.stuck.remove(&key);
            self.listen(key);
        }
        for _ in 0..ORDERS {
            match self.inbox.try_recv() {
                Ok(Order::Attach { run, fifo, sd }) => self.attach(run, fifo, sd),
                Ok(Order::Detach { run }) => self.detach(run),
                Ok(Order::Drain { run, done }) => {
                    // Who asked may have lost patience.
                    let _ = done.try_send(self.drain(run));
                }
                Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => return false,
                Err(mpsc::TryRecvError::Empty) => return true,
            }
        }
        let _ = rustix::io::write(&*self.wake.eventfd, &1_u64.to_ne_bytes());
        true
    }

    fn attach(&mut self, run: RunId, fifo: OwnedFd, sd: Option<OwnedFd>) {
        self.forget(run);
        let key = self.next;
        self.next += 1;
        let mut watched = epoll::add(&self.epoll, &fifo, word(key, End::Fifo), EventFlags::IN);
        if let Some(sd) = &sd {
            watched = watched.and(epoll::add(&self.epoll, sd, word(key, End::Socket), EventFlags::IN));
        }
        if watched.is_err() {
            self.unwatched.insert(key);
        }
        self.voices.insert(key, Box::new(Voice::new(run, fifo, sd, Instant::now())));
        self.by_run.insert(run, key);
    }

    fn detach(&mut self, run: RunId) {
        if let Some(voice) = self.forget(run) {
            voice.end(&self.wake);
        }
    }

    fn forget(&mut self, run: RunId) -> Option<Voice> {
        let key = self.by_run.remove(&run)?;
        self.resting.remove(&key);
        self.stuck.remove(&key);
        self.unwatched.remove(&key);
        let voice = self.voices.remove(&key)?;
        // The keeper holds them too, so closing would not take them out of the set.
        for fd in [Some(voice.fifo.as_fd()), voice.sd.as_ref().map(AsFd::as_fd)].into_iter().flatten() {
            let _ = epoll::delete(&self.epoll, fd);
        }
        Some(*voice)
    }

    fn drain(&mut self, run: RunId) -> bool {
        let Some(voice) = self.by_run.get(&run).and_then(|key| self.voices.get_mut(key)) else { return true };
        let mut batch = Batch::new();
        let all = voice.drain(&mut batch, &self.wake);
        self.wake.tell(run, &mut batch);
        all
    }
}

fn word(key: u64, end: End) -> EventData {
    EventData::new_u64(match end {
        End::Fifo => key << 1,
        End::Socket => key << 1 | 1,
    })
}
