//! The one queue of the decision thread: everything that happens, in one order.

use super::channel::Ticket;
use super::launcher::Launching;
use crate::config::{Loaded, Problems};
use crate::control::request::{Call, Full};
use crate::keeper::link::{Link, Report};
use crate::linux::clock;
use crate::logs::LogEvent;
use crate::model::{Exit, Moment, RunId, Saying, Signal};
use crate::work::GateNews;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many requests of the API wait at most; the next gets 503.
const MAX_CALLS: usize = 256;

/// What can happen.
#[derive(Debug)]
pub(super) enum Message {
    /// News from the keeper.
    Keeper(Report),
    /// The keeper is gone.
    KeeperGone,
    /// How far the launcher is with a run.
    Launching { run: RunId, launching: Launching },
    /// What was found of a run's tree: so many processes, main not counted.
    Tree { run: RunId, left: u32 },
    /// A process that is not the keeper's child has ended.
    ForeignExited { run: RunId, exit: Exit },
    /// From the log pump.
    Log(LogEvent),
    /// The configuration may have changed.
    FileHint,
    /// A configuration was read.
    Loaded(Box<LoadOutcome>),
    /// A signal reached this process.
    Signal(Signal),
    /// A run said something that needs a decision.
    Said { run: RunId, saying: Saying, ticket: Ticket },
    /// Whether a run that is to be stopped is busy.
    Gate(GateNews),
}

/// What became of reading the configuration.
#[derive(Debug)]
pub(super) struct LoadOutcome {
    pub(super) purpose: Purpose,
    pub(super) result: Result<Loaded, Problems>,
    /// All that was read, to be able to read it again after a crash.
    pub(super) recording: super::sources::Recording,
}

/// Why the configuration was read.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The watch saw something.
    Watch,
    /// The watch's reading looked half written, and was repeated after a quiet time.
    WatchAgain,
    /// Somebody sent HUP, or a take-over wants to know what happened meanwhile.
    Asked(String),
    /// `sppm reload`.
    Reload(Call),
    /// `sppm diff`.
    Diff(Call),
}

/// What is in the queue.
#[derive(Debug)]
enum Letter {
    Message(Message),
    /// A request of the API.
    Call(Call),
}

/// Where letters lie until they are taken.
#[derive(Debug)]
struct Post {
    box_: Mutex<Contents>,
    /// An eventfd(2): rung once for all letters of a box.
    bell: OwnedFd,
    /// Requests in the box and aside.
    calls: AtomicUsize,
}

#[derive(Debug, Default)]
struct Contents {
    letters: VecDeque<Letter>,
    rung: bool,
}

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    post: Arc<Post>,
}

/// The receiving end, for the decision thread alone. Requests are set aside: all else comes first.
///
/// The keeper's reports are read here too, and not by a thread of their own: each would wake two threads instead of one.
#[derive(Debug)]
pub(super) struct Mailbox {
    post: Arc<Post>,
    /// Taken out of the post, not looked at yet.
    taken: VecDeque<Letter>,
    aside: VecDeque<Call>,
    keeper: Option<Link>,
    /// Reports that were read already.
    reports: VecDeque<Report>,
}

pub(super) fn inbox() -> io::Result<(Inbox, Mailbox)> {
    let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let post = Arc::new(Post { box_: Mutex::default(), bell, calls: AtomicUsize::new(0) });
    let mailbox = Mailbox {
        post: Arc::clone(&post),
        taken: VecDeque::new(),
        aside: VecDeque::new(),
        keeper: None,
        reports: VecDeque::new(),
    };
    Ok((Inbox { post }, mailbox))
}

impl Post {
    /// Whoever panicked while holding the lock has pushed a letter or not: both are fine.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.box_.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, letter: Letter) {
        let mut contents = self.contents();
        contents.letters.push_back(letter);
        let rung = std::mem::replace(&mut contents.rung, true);
        drop(contents);
        if !rung {
            // It cannot fail but by being full (2^64 - 2 letters unread), which wakes as well.
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }
}

impl Inbox {
    /// Never blocks.
    pub(super) fn send(&self, message: Message) {
        self.post.put(Letter::Message(message));
    }

    /// As [`Inbox::send`], but it is taken only with what comes next: nothing is to be done about it by itself.
    pub(super) fn leave(&self, message: Message) {
        self.post.contents().letters.push_back(Letter::Message(message));
    }

    /// The door of the API: bounded, so that a flood of requests costs its senders and nobody else.
    pub(super) fn call(&self, call: Call) -> Result<(), Full> {
        let waiting = self.post.calls.fetch_add(1, Ordering::Relaxed);
        if waiting >= MAX_CALLS {
            self.post.calls.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        self.post.put(Letter::Call(call));
        Ok(())
    }
}

impl Mailbox {
    /// From now on the keeper is listened to. What it said before comes first.
    pub(super) fn hear(&mut self, keeper: Link, before: VecDeque<Report>) {
        self.keeper = Some(keeper);
        self.reports = before;
    }

    /// Waits for the next message; `None` when `until` has come, or when a request is there to be answered.
    pub(super) fn next(&mut self, until: Option<Moment>) -> Option<Message> {
        loop {
            let found = self.try_next();
            if found.is_some() || !self.aside.is_empty() || !self.wait(until) {
                return found;
            }
            // Reset before the next look: who comes later rings again.
            let _ = rustix::io::read(&self.post.bell, &mut [0; 8]);
        }
    }

    /// Returns whether there may be something; else the time has come.
    fn wait(&self, until: Option<Moment>) -> bool {
        let timeout = until.map(|until| {
            // A microsecond more than computed: waking just before a deadline would mean one more turn.
            let left = until.since(clock::now()) + Duration::from_micros(1);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let bell = PollFd::new(&self.post.bell, PollFlags::IN);
        let ready = match &self.keeper {
            Some(keeper) => poll(&mut [bell, PollFd::new(keeper, PollFlags::IN)], timeout.as_ref()),
            None => poll(&mut [bell], timeout.as_ref()),
        };
        // EINTR: as if there were something.
        ready != Ok(0)
    }

    /// What is there already. A report comes after whatever was posted before it was sent, and one at a time, so neither
    /// keeps the other waiting.
    pub(super) fn try_next(&mut self) -> Option<Message> {
        loop {
            while let Some(letter) = self.taken.pop_front() {
                match letter {
                    Letter::Message(message) => return Some(message),
                    Letter::Call(call) => self.aside.push_back(call),
                }
            }
            if let Some(report) = self.reports.pop_front() {
                return Some(Message::Keeper(report));
            }
            let gone = self.read_keeper();
            self.take_all();
            if gone {
                self.taken.push_back(Letter::Message(Message::KeeperGone));
            }
            if self.taken.is_empty() && self.reports.is_empty() {
                return None;
            }
        }
    }

    fn take_all(&mut self) {
        let mut contents = self.post.contents();
        contents.rung = false;
        std::mem::swap(&mut self.taken, &mut contents.letters);
    }

    /// Takes a report, if there is one. Returns whether it was found that none will come any more.
    fn read_keeper(&mut self) -> bool {
        let Some(keeper) = &self.keeper else { return false };
        match keeper.try_receive() {
            Ok(Some(report)) => {
                self.reports.push_back(report);
                return false;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Ok(None) => {}
            // It is lost, and the keeper believes it told: a successor gets the whole table.
            Err(error) => tracing::error!(%error, "a report of the keeper could not be read; starting over"),
        }
        self.keeper = None;
        true
    }

    /// The next request, in the order in which they came.
    pub(super) fn call(&mut self) -> Option<Call> {
        let call = self.aside.pop_front()?;
        self.post.calls.fetch_sub(1, Ordering::Relaxed);
        Some(call)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::control::request::{ApiRequest, Reply};

    fn call() -> Call {
        Call { who: "ann".to_owned(), request: ApiRequest::Diff, reply: Reply::to_nobody() }
    }

    #[test]
    fn what_is_left_comes_first_with_the_next_and_wakes_nobody() {
        let (inbox, mut mailbox) = inbox().unwrap();
        let is_rung = |mailbox: &Mailbox| mailbox.wait(Some(Moment::default()));
        inbox.leave(Message::Signal(Signal::HUP));
        assert!(!is_rung(&mailbox), "somebody is woken for it");
        inbox.send(Message::FileHint);
        assert!(is_rung(&mailbox));
        assert!(matches!(mailbox.next(None), Some(Message::Signal(Signal::HUP))));
        assert!(matches!(mailbox.next(None), Some(Message::FileHint)));
        inbox.leave(Message::Signal(Signal::HUP));
        assert!(mailbox.try_next().is_some(), "whoever looks finds it");
        let _ = rustix::io::read(&mailbox.post.bell, &mut [0; 8]);
        inbox.send(Message::FileHint);
        assert!(is_rung(&mailbox), "a box that was looked into is rung for again");
    }

    #[test]
    fn a_flood_of_requests_is_bounded_and_waits_for_all_else() {
        let (inbox, mut mailbox) = inbox().unwrap();
        let taken = (0..1000).filter(|_| inbox.call(call()).is_ok()).count();
        assert_eq!(taken, MAX_CALLS);
        inbox.send(Message::FileHint);
        assert!(matches!(mailbox.next(None), Some(Message::FileHint)));
        assert!(mailbox.next(None).is_none(), "it must not wait while a request is there");
        assert!(inbox.call(call()).is_err());
        assert!(mailbox.call().is_some() && inbox.call(call()).is_ok());
        assert!(mailbox.try_next().is_none());
        assert_eq!(std::iter::from_fn(|| mailbox.call()).count(), MAX_CALLS);
    }
}
