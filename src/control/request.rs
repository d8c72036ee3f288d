//! One request on its way to the supervisor, and its answer on the way back.
//!
//! In: what the server understood. Out: exactly one [`Answer`], or a feed of log lines. A [`Reply`] may be
//! answered from any thread, at any time, and never blocks. Never add here: HTTP.

use super::lines;
use super::wire::{
    AcceptedDto, Detail, DiffDto, ErrorDto, KvDto, MessageDto, PublishedDto, ScaleTo, SettleDto, WhyDto,
    WrittenStatus,
};
use crate::journal::Entry;
use crate::model::Signal;
use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

pub use super::lines::{Feed, NotFed};

/// So many events wait at most for a slow reader.
const EVENTS: usize = 1024;

/// Who asks, as the kernel says (SO_PEERCRED, unix(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Effective user id when it connected.
    pub uid: u32,
    /// Effective group id when it connected.
    pub gid: u32,
    /// Process id, where the kernel tells it; 0 is a process of another pid namespace.
    pub pid: Option<i32>,
}

/// A request from a peer that may ask, and the way to answer it.
#[derive(Debug)]
pub struct Call {
    /// Who asks, in a name for people.
    pub who: String,
    /// For what.
    pub request: ApiRequest,
    /// Where the answer goes.
    pub reply: Reply,
}

/// What can be asked. Names are patterns: program, instance, glob, `all`, `@tag`; none at all means all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiRequest {
    /// Answer: [`Answer::Status`] of what is named.
    Status {
        /// Patterns.
        names: Vec<String>,
        /// How much of each program.
        detail: Detail,
    },
    /// What would a reload do? Answer: [`Answer::Diff`].
    Diff,
    /// Read the file and apply it. Answer: [`Answer::Diff`] with what it changes.
    Reload,
    /// Answer: [`Answer::Accepted`], as for all that follow up to shutdown.
    Start {
        /// Patterns; none = clear every override.
        names: Vec<String>,
    },
    /// Stop and keep stopped.
    Stop {
        /// Patterns.
        names: Vec<String>,
        /// Do not wait for a task's end or a grace period.
        force: bool,
        /// The wish ends with the supervisor.
        runtime: bool,
    },
    /// Stop and start.
    Restart {
        /// Patterns, at least one.
        names: Vec<String>,
        /// Do not wait for a task's end or a grace period.
        force: bool,
    },
    /// Send a signal to the main process of each.
    Signal {
        /// Patterns, at least one.
        names: Vec<String>,
        /// Which.
        signal: Signal,
    },
    /// Want so many instances.
    Scale {
        /// A program, by its plain name.
        name: String,
        /// How many.
        to: ScaleTo,
    },
    /// End everything, then the supervisor.
    Shutdown {
        /// Do not wait for a task's end or a grace period.
        force: bool,
    },
    /// Answer with [`Answer::Settled`] as soon as nothing of what is named is in motion, at the latest after
    /// `wait`. A name that is no longer known is not an error here.
    Settle {
        /// Patterns.
        names: Vec<String>,
        /// At most so long, up to [`ApiRequest::MAX_WAIT`].
        wait: Duration,
    },
    /// Answer with a feed: [`Reply::feed`].
    Logs {
        /// Patterns.
        names: Vec<String>,
        /// How many of the last lines; `None` = all that there are.
        lines: Option<u32>,
        /// Go on with new lines until the reader leaves.
        follow: bool,
    },
    /// Answer with a feed: [`Reply::events`].
    Events {
        /// Patterns; none = everything, the supervisor's own events included.
        names: Vec<String>,
        /// Begin behind the event of this number; else with what comes.
        after: Option<u64>,
    },
    /// Answer with [`Answer::History`].
    History {
        /// Programs and instances, also those that are gone; none = everything.
        names: Vec<String>,
        /// How many of the last entries.
        last: u32,
    },
    /// Answer with [`Answer::Why`].
    Why {
        /// A program, also one that is gone.
        name: String,
    },
    /// About what programs say to each other.
    Channel(ChannelRequest),
}

/// What operators can ask of topics and store. Data is one line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelRequest {
    /// Answer: [`Answer::Published`].
    Publish {
        /// A topic.
        topic: String,
        /// The message.
        data: String,
    },
    /// Answer with [`Reply::messages`].
    Messages {
        /// Topics, or patterns with `*`; none = all.
        topics: Vec<String>,
    },
    /// Answer: [`Answer::Keys`].
    Keys {
        /// How they begin.
        prefix: String,
    },
    /// Answer: [`Answer::Key`].
    Get {
        /// Which.
        key: String,
    },
    /// Answer: [`Answer::Key`] with the new version, without the data.
    Set {
        /// Which.
        key: String,
        /// Its new value.
        data: String,
        /// Only where it has this version; 0 = only where there is none.
        expected: Option<u64>,
    },
    /// Answer: [`Answer::Key`] with the version that was there, without the data.
    Delete {
        /// Which.
        key: String,
        /// Only where it has this version.
        expected: Option<u64>,
    },
}

impl ApiRequest {
    /// The longest wait of one settle request.
    pub const MAX_WAIT: Duration = Duration::from_secs(30);

    /// The patterns in it.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Status { names, .. }
            | Self::Start { names }
            | Self::Stop { names, .. }
            | Self::Restart { names, .. }
            | Self::Signal { names, .. }
            | Self::Settle { names, .. }
            | Self::Logs { names, .. }
            | Self::Events { names, .. }
            | Self::History { names, .. } => names,
            Self::Diff
            | Self::Reload
            | Self::Scale { .. }
            | Self::Shutdown { .. }
            | Self::Why { .. }
            | Self::Channel(_) => &[],
        }
    }

    /// Whether it asks only, so that an answer that nobody waits for is not worth finding.
    pub fn only_asks(&self) -> bool {
        match self {
            Self::Status { .. }
            | Self::Diff
            | Self::Settle { .. }
            | Self::Logs { .. }
            | Self::Events { .. }
            | Self::History { .. }
            | Self::Why { .. }
            | Self::Channel(
                ChannelRequest::Messages { .. } | ChannelRequest::Keys { .. } | ChannelRequest::Get { .. },
            ) => true,
            Self::Reload
            | Self::Start { .. }
            | Self::Stop { .. }
            | Self::Restart { .. }
            | Self::Signal { .. }
            | Self::Scale { .. }
            | Self::Shutdown { .. }
            | Self::Channel(
                ChannelRequest::Publish { .. } | ChannelRequest::Set { .. } | ChannelRequest::Delete { .. },
            ) => false,
        }
    }
}

/// The door is full: the supervisor has more requests waiting than it takes. The caller gets 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To status.
    Status(WrittenStatus),
    /// To diff and reload.
    Diff(DiffDto),
    /// To start, stop, restart, signal, scale, shutdown.
    Accepted(AcceptedDto),
    /// To settle.
    Settled(SettleDto),
    /// To history.
    History(Vec<Entry>),
    /// To why.
    Why(Box<WhyDto>),
    /// To publish.
    Published(PublishedDto),
    /// To what is about one key.
    Key(KvDto),
    /// To keys.
    Keys(Vec<KvDto>),
    /// To anything: it cannot be done.
    Error(ErrorDto),
}

/// What goes back to the server's thread.
#[derive(Debug)]
pub(super) enum Response {
    Answer(Answer),
    Feed(lines::FeedReader),
    Events(mpsc::Receiver<EventItem>),
    Messages(Box<dyn Messages>),
}

/// One item of a feed of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventItem {
    /// Something happened.
    Entry(Box<Entry>),
    /// The reader was too slow: so many events were left out here.
    Missed(u64),
}

/// One item of a feed of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageItem {
    /// A message.
    Message(MessageDto),
    /// The reader was too slow: so many were left out here.
    Missed(u64),
}

/// Where a feed of messages takes them from: a bounded queue of whoever made it. Dropped when the reader leaves.
pub trait Messages: Send + fmt::Debug {
    /// The next one; `None` at the end. Where there is none now, the context's waker is called when there is.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<MessageItem>>;
}

/// The way back. Dropped without an answer, the caller gets 503 "the supervisor is ending".
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Response>);

impl Reply {
    /// A way back and its other end.
    pub(super) fn channel() -> (Self, oneshot::Receiver<Response>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// A way to somebody who has left.
    #[cfg(test)]
    pub(crate) fn to_nobody() -> Self {
        Self::channel().0
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    /// Answers. A caller that has left does not matter.
    pub fn send(self, answer: Answer) {
        let _nobody_waits = self.0.send(Response::Answer(answer));
    }

    /// Answers with an error.
    pub fn refuse(self, error: ErrorDto) {
        self.send(Answer::Error(error));
    }

    /// Answers with a feed of events, which ends when its writing end is dropped.
    pub fn events(self) -> mpsc::Sender<EventItem> {
        let (sender, receiver) = mpsc::channel(EVENTS);
        let _nobody_waits = self.0.send(Response::Events(receiver));
        sender
    }

    /// Answers with a feed of messages.
    pub fn messages(self, messages: Box<dyn Messages>) {
        let _nobody_waits = self.0.send(Response::Messages(messages));
    }

    /// Answers with a feed of log lines, which ends when the [`Feed`] is dropped.
    pub fn feed(self) -> Feed {
        let (feed, reader) = lines::feed();
        let _nobody_waits = self.0.send(Response::Feed(reader));
        feed
    }
}
