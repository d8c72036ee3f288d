//! The logger's thread: one epoll over every pipe, one eventfd for orders, one turn at a time.
//!
//! In: orders and what pipes hold. Out: bytes to sinks, lines to followers, events. Fairness: at most 256 KiB of one
//! pipe per turn. Never add here: a call that waits for another process, or a decision about programs.

use super::follow::{Back, Followers, Wish};
use super::line::Framer;
use super::recent::Recent;
use super::settings::{FollowSink, LogEvent, Output, SinkSettings};
use super::sinks::Sinks;
use crate::model::{InstanceLabel, LogStream, RunId};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{self, PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// One read(2); a default pipe holds as much (pipe(7)).
const CHUNK: usize = 64 * 1024;

/// Reads per pipe and turn: 256 KiB.
const READS: usize = 4;

/// Orders per turn, so that thousands of launches do not keep output waiting.
const ORDERS: usize = 256;

/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(1);

/// How soon a slow follower is offered its lines again.
const OFFER_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// How long the end of the thread waits for a slow terminal or pipe that has output of ours to come.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// epoll's word for the eventfd; pipes count from 1, sinks have [`super::sinks::SINK_BIT`].
const WAKE: u64 = 0;

/// What [`super::Logger`] asks for.
pub(super) enum Order {
    Attach {
        run: RunId,
        label: InstanceLabel,
        outputs: Vec<Output>,
    },
    Respec {
        run: RunId,
        stream: LogStream,
        sink: SinkSettings,
    },
    Drain {
        run: RunId,
    },
    Detach {
        run: RunId,
    },
    /// See [`super::Logger::rest`].
    Rest {
        until: Instant,
    },
    Reopen,
    Follow(Wish),
    /// A follower has been told its history, or its receiver has left.
    Told {
        follower: u64,
        sink: Option<Box<dyn FollowSink>>,
    },
    Stop,
}

/// The way of an order to the pump.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) wake: Arc<OwnedFd>,
    /// Orders were given of which the pump was not told.
    pub(super) quiet: Arc<AtomicBool>,
}

impl Line {
    pub(super) fn order(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            self.ring();
        }
    }

    /// The pump learns of it by [`Line::tell`], or with the next order.
    pub(super) fn leave(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            self.quiet.store(true, Ordering::Release);
        }
    }

    pub(super) fn tell(&self) {
        if self.quiet.swap(false, Ordering::AcqRel) {
            self.ring();
        }
    }

    /// The eventfd cannot fail but by being full (2^64 - 2 wake-ups unread), which wakes as well.
    fn ring(&self) {
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

struct Pipe {
    run: RunId,
    stream: (InstanceLabel, LogStream),
    fd: OwnedFd,
    /// `None` = discard.
    sink: Option<u64>,
    framer: Framer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// It held nothing more at that moment.
    Empty,
    /// There may be more.
    More,
    /// Nobody can write into it any more; it is closed.
    Closed,
}

pub(super) struct Pump {
    epoll: Arc<OwnedFd>,
    /// The way on which orders come in.
    line: Line,
    inbox: mpsc::Receiver<Order>,
    on_event: Box<dyn Fn(LogEvent) + Send>,
    /// Boxed: a node of the tree has room for eleven, and most would be empty.
    pipes: BTreeMap<u64, Box<Pipe>>,
    /// Which pipes are a run's; a run has an entry as long as it has a pipe.
    runs: BTreeMap<RunId, Vec<u64>>,
    /// What each run that has written anything wrote last, until its end is told.
    recent: BTreeMap<(RunId, LogStream), Recent>,
    next_pipe: u64,
    sinks: Sinks,
    followers: Followers,
    /// Runs whose end waits for their pipes, with the moment when it no longer does.
    draining: BTreeMap<RunId, Instant>,
    /// Until when nothing but orders is looked at.
    rest_until: Option<Instant>,
    buffer: Box<[u8]>,
    now: Instant,
}

impl Pump {
    pub(super) fn new(
        inbox: mpsc::Receiver<Order>,
        line: Line,
        on_event: Box<dyn Fn(LogEvent) + Send>,
    ) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(CreateFlags::CLOEXEC)?);
        epoll::add(&epoll, &line.wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self {
            sinks: Sinks::new(Arc::clone(&epoll)),
            epoll,
            line,
            inbox,
            on_event,
            pipes: BTreeMap::new(),
            runs: BTreeMap::new(),
            recent: BTreeMap::new(),
            next_pipe: WAKE + 1,
            followers: Followers::default(),
            draining: BTreeMap::new(),
            rest_until: None,
            buffer: vec![0; CHUNK].into_boxed_slice(),
            now: Instant::now(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(256);
        loop {
            events.clear();
            self.rest();
            let timeout = self.timeout();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                // Only a bug could make this descriptor invalid; a loop that spins would help nobody.
                Err(_) => return,
            }
            self.now = Instant::now();
            if self.turn(&events).is_break() {
                return self.end();
            }
        }
    }

    /// Waits for nothing but the next order, if that was ordered.
    fn rest(&mut self) {
        if let Some(until) = self.rest_until.take()
            && self.draining.is_empty()
            && let Ok(span) = Timespec::try_from(until.saturating_duration_since(Instant::now()))
        {
            // EINTR: as if an order had come.
            let _ = event::poll(&mut [PollFd::new(&*self.line.wake, PollFlags::IN)], Some(&span));
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        if !self.draining.is_empty() {
            return Some(AT_ONCE);
        }
        self.followers.pending().then_some(OFFER_AGAIN)
    }

    fn turn(&mut self, events: &[Event]) -> std::ops::ControlFlow<()> {
        for event in events {
            match event.data.u64() {
                WAKE => self.orders()?,
                // A rest has begun; what is ready stays so.
                _ if self.rest_until.is_some() => {}
                word => {
                    if !self.sinks.writable(word, self.now) {
                        self.serve_unless_draining(word);
                    }
                }
            }
        }
        self.serve_draining();
        self.tell_news();
        self.followers.offer();
        std::ops::ControlFlow::Continue(())
    }

    fn orders(&mut self) -> std::ops::ControlFlow<()> {
        let _ = rustix::io::read(&*self.line.wake, &mut [0u8; 8]);
        for _ in 0..ORDERS {
            match self.inbox.try_recv() {
                Ok(order) => self.obey(order)?,
                // Never disconnected: the pump has a sender itself.
                Err(_empty) => return std::ops::ControlFlow::Continue(()),
            }
        }
        self.line.ring();
        std::ops::ControlFlow::Continue(())
    }

    fn obey(&mut self, order: Order) -> std::ops::ControlFlow<()> {
        match order {
            Order::Attach { run, label, outputs } => {
                for Output { stream, pipe, sink } in outputs {
                    self.attach(run, (label.clone(), stream), pipe, sink);
                }
            }
            Order::Respec { run, stream, sink } => self.respec(run, stream, sink),
            Order::Drain { run } => drop(self.draining.insert(run, self.now + DRAIN)),
            Order::Detach { run } => self.detach(run),
            Order::Rest { until } => self.rest_until = Some(until),
            Order::Reopen => self.sinks.reopen(self.now),
            Order::Follow(wish) => {
                let pipes = &self.pipes;
                let partial_of = |stream: &(InstanceLabel, LogStream)| {
                    let mut begun = pipes.values().filter(|pipe| pipe.stream == *stream);
                    begun
                        .find(|pipe| !pipe.framer.partial().is_empty())
                        .map_or(Vec::new(), |pipe| pipe.framer.partial().to_vec())
                };
                let line = self.line.clone();
                let back =
                    |follower| -> Back { Box::new(move |sink| line.order(Order::Told { follower, sink })) };
                self.followers.add(wish, &partial_of, back);
            }
            Order::Told { follower, sink } => self.followers.back(follower, sink),
            Order::Stop => return std::ops::ControlFlow::Break(()),
        }
        std::ops::ControlFlow::Continue(())
    }

    fn attach(&mut self, run: RunId, stream: (InstanceLabel, LogStream), fd: OwnedFd, sink: SinkSettings) {
        if let Some(old) = self.find(run, stream.1) {
            self.close(old);
        }
        let token = self.next_pipe;
        let ready = rustix::fs::fcntl_getfl(&fd)
            .and_then(|flags| rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK))
            .and_then(|()| epoll::add(&self.epoll, &fd, EventData::new_u64(token), EventFlags::IN));
        let target = sink.target.clone();
        let sink = self.sinks.join(run, stream.1, sink, self.now);
        if let Err(errno) = ready {
            let message = format!("cannot read the output of {}: {}", stream.0, io::Error::from(errno));
            (self.on_event)(LogEvent::Trouble { target, runs: vec![run], message });
            self.sinks.leave(sink, run, self.now);
            return;
        }
        self.next_pipe += 1;
        self.runs.entry(run).or_default().push(token);
        let pipe = Pipe { run, stream, fd, sink, framer: Framer::default() };
        self.pipes.insert(token, Box::new(pipe));
    }

    fn respec(&mut self, run: RunId, stream: LogStream, sink: SinkSettings) {
        let Some(token) = self.find(run, stream) else { return };
        // Joined before left: the same sink with other sizes must not be closed in between.
        let joined = self.sinks.join(run, stream, sink, self.now);
        if let Some(pipe) = self.pipes.get_mut(&token) {
            let left = std::mem::replace(&mut pipe.sink, joined);
            self.sinks.leave(left, run, self.now);
        }
    }

    fn detach(&mut self, run: RunId) {
        self.close_all(run);
        self.take_last_words(run);
    }

    fn close_all(&mut self, run: RunId) {
        for token in self.runs.get(&run).cloned().unwrap_or_default() {
            if self.serve(token) != Served::Closed {
                self.close(token);
            }
        }
    }

    fn find(&self, run: RunId, stream: LogStream) -> Option<u64> {
        let tokens = self.runs.get(&run)?;
        tokens.iter().copied().find(|token| self.pipes.get(token).is_some_and(|pipe| pipe.stream.1 == stream))
    }

    /// Where nobody can write to a run any more, that is told unasked: its end, which follows in most cases, need not wait for
    /// a question and an answer then.
    fn serve_unless_draining(&mut self, token: u64) {
        let Some(run) = self.pipes.get(&token).map(|pipe| pipe.run) else { return };
        if self.draining.contains_key(&run) {
            return;
        }
        if self.serve(token) == Served::Closed && !self.runs.contains_key(&run) {
            self.tell_news();
            let last = self.last_words(run);
            (self.on_event)(LogEvent::Closed { run, last });
        }
    }

    /// A draining run's pipes are read in every turn, ready or not: that they hold nothing is what is waited for.
    fn serve_draining(&mut self) {
        let draining: Vec<(RunId, Instant)> = self.draining.iter().map(|(run, end)| (*run, *end)).collect();
        for (run, end) in draining {
            let tokens = self.runs.get(&run).cloned().unwrap_or_default();
            let mut dry = true;
            for token in tokens {
                dry &= self.serve(token) != Served::More;
            }
            if dry || self.now >= end {
                self.draining.remove(&run);
                self.tell_news();
                let last = self.take_last_words(run);
                (self.on_event)(LogEvent::Drained { run, last });
            }
        }
    }

    fn take_last_words(&mut self, run: RunId) -> Vec<u8> {
        let last = self.last_words(run);
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            self.recent.remove(&(run, stream));
        }
        last
    }

    fn last_words(&self, run: RunId) -> Vec<u8> {
        let of = |stream| self.recent.get(&(run, stream)).map_or(&[][..], Recent::bytes);
        [of(LogStream::Stdout), of(LogStream::Stderr)].concat()
    }

    /// Reads a pipe's share of this turn.
    fn serve(&mut self, token: u64) -> Served {
        for _ in 0..READS {
            let Some(pipe) = self.pipes.get_mut(&token) else { return Served::Closed };
            match rustix::io::read(&pipe.fd, &mut *self.buffer) {
                Ok(0) => {
                    self.close(token);
                    return Served::Closed;
                }
                Ok(count) => {
                    let bytes = &self.buffer[..count];
                    self.sinks.write(pipe.sink, bytes, self.now);
                    self.recent.entry((pipe.run, pipe.stream.1)).or_default().add(bytes);
                    if self.followers.want(&pipe.stream) {
                        let (followers, stream) = (&mut self.followers, &pipe.stream);
                        pipe.framer.feed(bytes, &mut |text, complete| followers.line(stream, text, complete));
                    } else {
                        pipe.framer.skip(bytes);
                    }
                    if count < CHUNK {
                        return Served::Empty;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Served::Empty,
                Err(_) => {
                    self.close(token);
                    return Served::Closed;
                }
            }
        }
        Served::More
    }

    /// Closing the descriptor takes it out of the epoll only if nobody else holds it too, and the keeper does.
    fn close(&mut self, token: u64) {
        let Some(mut pipe) = self.pipes.remove(&token) else { return };
        let _ = epoll::delete(&self.epoll, &pipe.fd);
        let (followers, stream) = (&mut self.followers, &pipe.stream);
        pipe.framer.finish(&mut |text, complete| followers.line(stream, text, complete));
        self.sinks.leave(pipe.sink, pipe.run, self.now);
        if let Some(tokens) = self.runs.get_mut(&pipe.run) {
            tokens.retain(|other| *other != token);
            if tokens.is_empty() {
                self.runs.remove(&pipe.run);
            }
        }
    }

    fn tell_news(&mut self) {
        for event in self.sinks.take_news() {
            (self.on_event)(event);
        }
    }

    /// What was read is written already; only a slow terminal or FIFO may still owe us room.
    fn end(mut self) {
        self.sinks.close_all(LAST_PATIENCE, self.now);
        self.tell_news();
        self.followers.offer();
    }
}
