//! The loop: who comes in, whose turn it is, who has to go.
//!
//! Each turn of a connection is short, so a flood on one delays the others by no more than that. Nothing is looked at while
//! nothing happens; only a connection that has not said hello has a time limit.

use super::super::Hub;
use super::address::Address;
use super::connection::{Connection, Guest, accept};
use super::orders::{Contents, Order, Post};
use super::seats::{Party, gives};
use super::{Closed, Said};
use crate::linux::{clock, peer};
use crate::model::StopKind;
use crate::model::{InstanceLabel, Moment, RunId};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

/// So many lines of one connection are answered in a turn.
const LINES: usize = 64;
/// So many times its messages are sent in a turn.
const DELIVERIES: usize = 4;
/// So many new connections are taken in a turn.
const ARRIVALS: usize = 64;
/// What is read at once.
const SCRATCH: usize = 64 * 1024;
/// So many bytes of memory all connections hold at most for what was not read to its end, or not taken.
const HELD: usize = 16 * 1024 * 1024;
/// Who has not said hello after so long, leaves.
const HELLO: Duration = Duration::from_secs(10);
/// The pause after a failed accept, such as EMFILE: it would fail again at once.
const REST: Duration = Duration::from_millis(100);
/// Names in the epoll set; connections have their numbers.
const LISTENER: u64 = u64::MAX;
const BELL: u64 = u64::MAX - 1;
const FOLDER: u64 = u64::MAX - 2;

/// A run that may connect.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) label: InstanceLabel,
    pub(super) uid: u32,
    pub(super) stop: Option<(StopKind, String)>,
    pub(super) connections: usize,
}

pub(super) struct Hall {
    epoll: OwnedFd,
    listener: UnixListener,
    address: Address,
    seats: usize,
    pub(super) post: Arc<Post>,
    pub(super) hub: Hub,
    pub(super) said: Said,
    closed: Closed,
    pub(super) runs: BTreeMap<RunId, Admitted>,
    connections: BTreeMap<u64, Connection>,
    last: u64,
    /// Those that have not said hello, by their time.
    pub(super) strangers: BTreeSet<(Moment, u64)>,
    /// Those that have something to do although nothing comes.
    unfinished: BTreeSet<u64>,
    held: usize,
    resting: Option<Moment>,
    scratch: Vec<u8>,
}

impl Hall {
    pub(super) fn new(
        listener: UnixListener,
        address: Address,
        hub: Hub,
        (said, closed): (Said, Closed),
        seats: usize,
        post: Arc<Post>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, &*post, EventData::new_u64(BELL), EventFlags::IN)?;
        if let Some(notices) = address.notices() {
            epoll::add(&epoll, notices, EventData::new_u64(FOLDER), EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            listener,
            address,
            seats,
            post,
            hub,
            said,
            closed,
            runs: BTreeMap::new(),
            connections: BTreeMap::new(),
            last: 0,
            strangers: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            held: 0,
            resting: None,
            scratch: Vec::new(),
        })
    }

    pub(super) fn run(mut self) {
        loop {
            let mut turns = std::mem::take(&mut self.unfinished);
            let mut arrivals = false;
            for source in self.wait(!turns.is_empty()) {
                match source {
                    LISTENER => arrivals = true,
                    BELL => {}
                    FOLDER => self.address.noticed(),
                    number => _ = turns.insert(number),
                }
            }
            let Contents { orders, awaited, .. } = self.post.take();
            turns.extend(awaited);
            for order in orders {
                match order {
                    Order::Leave => return,
                    other => self.obey(other),
                }
            }
            if arrivals {
                self.let_in(ARRIVALS);
            }
            for number in turns {
                self.turn(number, LINES);
            }
            self.look_at_the_clock();
            // Only a burst needs it.
            if self.unfinished.is_empty() {
                self.scratch = Vec::new();
            }
        }
    }

    /// Waits until something happens; not at all where there is something to do.
    fn wait(&self, hurry: bool) -> Vec<u64> {
        let stranger = self.strangers.first().map(|(until, _)| *until);
        let deadline = stranger.into_iter().chain(self.resting).chain(self.address.due()).min();
        let timeout = match (hurry, deadline) {
            (true, _) => Some(Timespec::default()),
            (false, Some(deadline)) => {
                // A microsecond more than computed: waking just before a deadline would mean one more turn.
                let span = deadline.since(clock::now()) + Duration::from_micros(1);
                let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
                Some(Timespec { tv_sec: seconds, tv_nsec: i64::from(span.subsec_nanos()) })
            }
            (false, None) => None,
        };
        let mut buffer = [MaybeUninit::<Event>::uninit(); 128];
        // EINTR: as if nothing had happened.
        match epoll::wait(&self.epoll, &mut buffer[..], timeout.as_ref()) {
            Ok((events, _)) => events.iter().map(|event| event.data.u64()).collect(),
            Err(_) => Vec::new(),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Admit { run, label, uid } => {
                let known = self.runs.remove(&run);
                let (stop, connections) = known.map_or((None, 0), |known| (known.stop, known.connections));
                self.runs.insert(run, Admitted { label, uid, stop, connections });
            }
            Order::Dismiss { run } => {
                self.runs.remove(&run);
                for number in self.of(run) {
                    self.close(number);
                }
            }
            Order::StopWanted { run, stop } => {
                let Some(known) = self.runs.get_mut(&run) else { return };
                known.stop = stop;
                for number in self.of(run) {
                    self.turn(number, 0);
                }
            }
            Order::Drain { run, done } => {
                self.drain(run);
                // Nobody waits any more.
                let _ = done.send(());
            }
            // Seen by the loop.
            Order::Leave => {}
        }
    }

    fn of(&self, run: RunId) -> Vec<u64> {
        self.connections.values().filter(|one| one.run() == Some(run)).map(|one| one.number).collect()
    }

    /// Everything that has arrived for a run by now. Who is still a stranger may be of it.
    fn drain(&mut self, run: RunId) {
        self.let_in(self.seats);
        let may_be = |one: &&Connection| one.run().is_none_or(|of| of == run);
        let arrived = |one: &Connection| (one.number, one.arrived());
        let all: Vec<(u64, u64)> = self.connections.values().filter(may_be).map(arrived).collect();
        for (number, target) in all {
            let mut last = None;
            while let Some(one) = self.connections.get(&number) {
                let all_read = one.has_read() >= target && !one.has_line();
                // No progress: its answers are not taken.
                if all_read || last == Some(one.progress()) {
                    break;
                }
                last = Some(one.progress());
                self.turn(number, usize::MAX);
            }
        }
    }

    /// Takes those who wait to come in.
    fn let_in(&mut self, at_most: usize) {
        for _ in 0..at_most {
            match accept(&self.listener) {
                Ok(stream) => self.welcome(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(_) => return self.rest(),
            }
        }
    }

    /// The path leads to another socket from now on. Who waits at the old one comes in first.
    fn move_to(&mut self, listener: UnixListener) {
        self.let_in(self.seats);
        // It may be out of the set already.
        let _ = epoll::delete(&self.epoll, &self.listener);
        self.listener = listener;
        // As after a failed accept, which adds it.
        self.resting = Some(clock::now());
    }

    /// No descriptor is left, or no memory: whoever has waited longest without a word leaves, and it is tried again a moment
    /// later.
    fn rest(&mut self) {
        if let Some((_, number)) = self.strangers.first().copied() {
            self.close(number);
        }
        if self.resting.is_none() {
            // Else it would be readable all the while.
            let _ = epoll::delete(&self.epoll, &self.listener);
        }
        self.resting = Some(clock::now() + REST);
    }

    fn welcome(&mut self, stream: UnixStream) {
        // Killed clients may stand in the queue by the hundred; but what one said before it left counts.
        let Ok(peer) = peer::credentials(&stream) else { return };
        if self.connections.len() >= self.seats {
            let seats: Vec<_> = self.connections.values().map(|one| one.seat(1)).collect();
            match gives(&seats, Some((peer.uid, Party::Process(peer.pid)))) {
                Some(number) => self.close(number),
                None => return turn_away(&stream),
            }
        }
        self.last += 1;
        let (number, until) = (self.last, clock::now() + HELLO);
        let connection = Connection::new(stream, number, (peer.uid, peer.pid), until);
        if epoll::add(&self.epoll, &connection, EventData::new_u64(number), EventFlags::IN).is_err() {
            return turn_away(&connection);
        }
        self.strangers.insert((until, number));
        self.connections.insert(number, connection);
    }

    /// A connection's turn: at most one read, so many lines, and what can be sent.
    fn turn(&mut self, number: u64, lines: usize) {
        let Some(mut connection) = self.connections.remove(&number) else { return };
        let before = connection.held();
        if lines > 0 && connection.has_room() && !connection.has_line() {
            if self.scratch.is_empty() {
                self.scratch = vec![0; SCRATCH];
            }
            connection.read(&mut self.scratch);
        }
        for _ in 0..lines {
            if connection.closing || !connection.has_room() || !self.answer_next(&mut connection) {
                break;
            }
        }
        self.tell_stop(&mut connection);
        let mut more = true;
        for _ in 0..DELIVERIES {
            more = connection.deliver();
            connection.flush();
            if !more || !connection.has_room() {
                more = false;
                break;
            }
        }
        let waiting = !connection.closing && connection.has_room() && connection.has_line();
        if more || waiting {
            self.unfinished.insert(number);
        }
        self.held = self.held + connection.held() - before;
        self.connections.insert(number, connection);
        self.watch(number);
        self.hold_less();
    }

    /// Watches a connection for what it waits for now, or closes it.
    fn watch(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.is_over() {
            return self.close(number);
        }
        let wanted = connection.interest();
        if wanted == connection.watched {
            return;
        }
        connection.watched = wanted;
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, wanted.0);
        flags.set(EventFlags::OUT, wanted.1);
        if epoll::modify(&self.epoll, &*connection, EventData::new_u64(number), flags).is_err() {
            self.close(number);
        }
    }

    /// Where too much waits, whoever has the most of it leaves.
    fn hold_less(&mut self) {
        while self.held > HELD {
            let seats: Vec<_> = self.connections.values().map(|one| one.seat(one.held())).collect();
            let Some(number) = gives(&seats, None) else { return };
            self.close(number);
        }
    }

    fn close(&mut self, number: u64) {
        let Some(connection) = self.connections.remove(&number) else { return };
        self.held = self.held.saturating_sub(connection.held());
        self.unfinished.remove(&number);
        if let Guest::Unknown { until } = connection.guest {
            self.strangers.remove(&(until, number));
        }
        // Before it is closed: a copy that a child has between fork and exec would keep it in the set.
        let _ = epoll::delete(&self.epoll, &connection);
        let Some(run) = connection.run() else { return };
        if let Some(known) = self.runs.get_mut(&run) {
            known.connections = known.connections.saturating_sub(1);
        }
        let was_busy = connection.busy;
        drop(connection);
        if was_busy {
            (self.closed)(run, number);
        }
    }

    fn look_at_the_clock(&mut self) {
        if self.strangers.is_empty() && self.resting.is_none() && self.address.due().is_none() {
            return;
        }
        let now = clock::now();
        if let Some(listener) = self.address.look(now) {
            self.move_to(listener);
        }
        while let Some((until, number)) = self.strangers.first().copied().filter(|(until, _)| *until <= now) {
            self.close(number);
            self.strangers.remove(&(until, number));
        }
        if self.resting.is_some_and(|until| until <= now) {
            self.resting = None;
            let added = epoll::add(&self.epoll, &self.listener, EventData::new_u64(LISTENER), EventFlags::IN);
            if added.is_err() {
                self.resting = Some(now + REST);
            }
        }
    }
}

/// Says that there is no room, if that can be said at once.
fn turn_away(stream: impl AsFd) {
    use rustix::net::SendFlags;
    let _nobody_reads = rustix::net::send(
        stream,
        b"error busy too many connections\n",
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    );
}
