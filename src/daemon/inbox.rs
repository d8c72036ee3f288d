//! The one queue of the decision thread: everything that happens, in one order.

use crate::config::{Loaded, Problems};
use crate::control::request::{Call, Full};
use crate::keeper::link::{LaunchOrder, Report};
use crate::linux::clock;
use crate::logs::LogEvent;
use crate::model::{Exit, LaunchFailure, Moment, RunId, Signal};
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
    /// A request of the API.
    Call(Call),
    /// The configuration may have changed.
    FileHint,
    /// A configuration was read.
    Loaded(Box<LoadOutcome>),
    /// A signal reached this process.
    Signal(Signal),
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

/// The sending end.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    sender: Sender<Message>,
    calls: Arc<AtomicUsize>,
}

/// The receiving end, for the decision thread alone.
#[derive(Debug)]
pub(super) struct Mailbox {
    receiver: Receiver<Message>,
    calls: Arc<AtomicUsize>,
}

pub(super) fn inbox() -> (Inbox, Mailbox) {
    let (sender, receiver) = mpsc::channel();
    let calls = Arc::new(AtomicUsize::new(0));
    (Inbox { sender, calls: Arc::clone(&calls) }, Mailbox { receiver, calls })
}

impl Inbox {
    /// Never blocks. A decision thread that is gone takes nothing any more, and nothing matters then.
    pub(super) fn send(&self, message: Message) {
        let _ended = self.sender.send(message);
    }

    /// The door of the API: bounded, so that a flood of requests costs its senders and nobody else.
    pub(super) fn call(&self, call: Call) -> Result<(), Full> {
        let waiting = self.calls.fetch_add(1, Ordering::Relaxed);
        if waiting >= MAX_CALLS {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        self.send(Message::Call(call));
        Ok(())
    }
}

impl Mailbox {
    /// The next message; `None` when `until` has come.
    pub(super) fn next(&self, until: Option<Moment>) -> Option<Message> {
        let message = match until {
            None => self.receiver.recv().ok(),
            Some(until) => {
                // A microsecond more than computed: waking just before a deadline would mean one more turn.
                let left = until.since(clock::now()) + Duration::from_micros(1);
                self.receiver.recv_timeout(left).ok()
            }
        };
        if let Some(Message::Call(_)) = &message {
            self.calls.fetch_sub(1, Ordering::Relaxed);
        }
        message
    }

    /// What is there already.
    pub(super) fn try_next(&self) -> Option<Message> {
        let message = self.receiver.try_recv().ok();
        if let Some(Message::Call(_)) = &message {
            self.calls.fetch_sub(1, Ordering::Relaxed);
        }
        message
    }
}
