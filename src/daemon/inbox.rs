//! The one queue of the decision thread: everything that happens, in one order.

use super::channel::Ticket;
use crate::config::{Loaded, Problems};
use crate::control::request::{Call, Full};
use crate::keeper::link::{LaunchOrder, Report};
use crate::linux::clock;
use crate::logs::LogEvent;
use crate::model::{Exit, LaunchFailure, Moment, RunId, Saying, Signal};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
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
    /// A launch is ready to be ordered, or cannot be.
    Prepared { run: RunId, result: Result<Box<LaunchOrder>, LaunchFailure> },
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
    /// A run said something of itself on a connection of `SPPM_SOCKET`.
    Said { run: RunId, connection: u64, saying: Saying, ticket: Ticket },
    /// A connection is gone on which a run had said that it is busy.
    Unsaid { run: RunId, connection: u64 },
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

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    sender: Sender<Letter>,
    calls: Arc<AtomicUsize>,
}

/// The receiving end, for the decision thread alone. Requests are set aside: all else comes first.
#[derive(Debug)]
pub(super) struct Mailbox {
    receiver: Receiver<Letter>,
    calls: Arc<AtomicUsize>,
    aside: VecDeque<Call>,
}

pub(super) fn inbox() -> (Inbox, Mailbox) {
    let (sender, receiver) = mpsc::channel();
    let calls = Arc::new(AtomicUsize::new(0));
    (Inbox { sender, calls: Arc::clone(&calls) }, Mailbox { receiver, calls, aside: VecDeque::new() })
}

impl Inbox {
    /// Never blocks. A decision thread that is gone takes nothing any more, and nothing matters then.
    pub(super) fn send(&self, message: Message) {
        let _ended = self.sender.send(Letter::Message(message));
    }

    /// The door of the API: bounded, so that a flood of requests costs its senders and nobody else.
    pub(super) fn call(&self, call: Call) -> Result<(), Full> {
        let waiting = self.calls.fetch_add(1, Ordering::Relaxed);
        if waiting >= MAX_CALLS {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        let _ended = self.sender.send(Letter::Call(call));
        Ok(())
    }
}

impl Mailbox {
    /// Waits for the next message; `None` when `until` has come, or when a request is there to be answered.
    pub(super) fn next(&mut self, until: Option<Moment>) -> Option<Message> {
        if !self.aside.is_empty() {
            return self.try_next();
        }
        let letter = match until {
            None => self.receiver.recv().ok(),
            Some(until) => {
                // A microsecond more than computed: waking just before a deadline would mean one more turn.
                let left = until.since(clock::now()) + Duration::from_micros(1);
                self.receiver.recv_timeout(left).ok()
            }
        };
        self.sort(letter?).or_else(|| self.try_next())
    }

    /// What is there already.
    pub(super) fn try_next(&mut self) -> Option<Message> {
        loop {
            let letter = self.receiver.try_recv().ok()?;
            if let Some(message) = self.sort(letter) {
                return Some(message);
            }
        }
    }

    fn sort(&mut self, letter: Letter) -> Option<Message> {
        match letter {
            Letter::Message(message) => return Some(message),
            Letter::Call(call) => self.aside.push_back(call),
        }
        None
    }

    /// The next request, in the order in which they came.
    pub(super) fn call(&mut self) -> Option<Call> {
        let call = self.aside.pop_front()?;
        self.calls.fetch_sub(1, Ordering::Relaxed);
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
    fn a_flood_of_requests_is_bounded_and_waits_for_all_else() {
        let (inbox, mut mailbox) = inbox();
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
