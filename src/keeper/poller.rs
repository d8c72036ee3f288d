//! The one place where the keeper waits: an epoll set with typed names for what is in it (epoll(7)).

use super::table::Serial;
use crate::model::Moment;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{self, PollFd, PollFlags, Timespec};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

/// The most events of one turn.
const BATCH: usize = 256;

/// Who has something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    /// The supervisor's socket.
    Line,
    /// The supervisor's end.
    Supervisor,
    /// The outcome of a launch.
    Outcome(Serial),
    /// The end of a process.
    Process(Serial),
}

/// What a source is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
    /// Told once, and not again before [`Poller::change`]: what ends once need not be taken out of the set.
    pub(super) once: bool,
}

impl Interest {
    pub(super) const READ: Self = Self { read: true, write: false, once: false };
    pub(super) const END: Self = Self { read: true, write: false, once: true };

    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN | EventFlags::RDHUP, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags.set(EventFlags::ONESHOT, self.once);
        flags
    }
}

#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(super) fn add(&self, fd: impl AsFd, source: Source, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, data(source), interest.flags())?)
    }

    pub(super) fn change(&self, fd: impl AsFd, source: Source, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, data(source), interest.flags())?)
    }

    /// To be called before a watched descriptor that may still be told is closed: a child between fork and exec, or the
    /// supervisor, still has a copy, which keeps it in the set.
    pub(super) fn remove(&self, fd: impl AsFd) {
        // Not in the set: nothing to do.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits until something happens or the deadline comes. `None`: for ever.
    pub(super) fn wait(&self, now: Moment, deadline: Option<Moment>) -> Vec<Source> {
        let timeout = deadline.map(|deadline| span(now, deadline));
        let mut buffer = [MaybeUninit::<Event>::uninit(); BATCH];
        // EINTR: as if nothing had happened.
        match epoll::wait(&self.epoll, &mut buffer[..], timeout.as_ref()) {
            Ok((events, _)) => events.iter().filter_map(|event| source(event.data)).collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// Waits until something comes from this one, or it is closed, or the deadline comes.
pub(super) fn wait_for(fd: impl AsFd, now: Moment, deadline: Moment) {
    // EINTR: as if something had come.
    let _ = event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&span(now, deadline)));
}

fn span(now: Moment, deadline: Moment) -> Timespec {
    let span = deadline.since(now);
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

fn data(source: Source) -> EventData {
    EventData::new_u64(match source {
        Source::Signals => 0,
        Source::Line => 1,
        Source::Supervisor => 2,
        Source::Outcome(Serial(serial)) => serial << 3 | 3,
        Source::Process(Serial(serial)) => serial << 3 | 4,
    })
}

fn source(data: EventData) -> Option<Source> {
    let number = data.u64();
    match (number & 7, Serial(number >> 3)) {
        (0, _) => Some(Source::Signals),
        (1, _) => Some(Source::Line),
        (2, _) => Some(Source::Supervisor),
        (3, serial) => Some(Source::Outcome(serial)),
        (4, serial) => Some(Source::Process(serial)),
        (_, _) => None,
    }
}
