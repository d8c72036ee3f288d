//! Who sits in the room: so many at once, and who has to leave when another one comes.
//!
//! In: who arrives, whose turn it is on each seat, bytes that are on their way out. Out: seats, and the word to leave.
//! Shares are fair: the user who has the most gives, of theirs the process that has the most, and of its seats the one
//! that has kept the server waiting longest. So whoever takes every seat holds up nobody else, and turning away those who
//! have enough costs next to nothing.
//! Never add here: sockets, HTTP, clocks (the order of events is enough).

use crate::control::request::Peer;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// How much there is to share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// Connections.
    pub(super) seats: usize,
    /// Of these, such as follow a stream.
    pub(super) following: usize,
    /// Of these, such as wait until programs have come to rest.
    pub(super) waiting: usize,
    /// Bytes of answers that nobody has taken yet.
    pub(super) owed: usize,
}

/// Whose turn it is on a seat. In the order in which seats are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// The client's: to say something, to end what it began to say, to take its answer.
    Client,
    /// Nobody's: it follows a stream.
    Following,
    /// The programs': it is answered when they have come to rest.
    Waiting,
    /// The supervisor's.
    Supervisor,
}

/// Among whom things are shared: users, and the processes of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Who {
    pub(super) uid: u32,
    pub(super) pid: i32,
}

impl From<Peer> for Who {
    /// Processes of another pid namespace are one to us.
    fn from(peer: Peer) -> Self {
        Self { uid: peer.uid, pid: peer.pid.unwrap_or(0) }
    }
}

impl Who {
    /// Whether both are one process for sure: those of other pid namespaces cannot be told from each other.
    fn is(self, other: Self) -> bool {
        self == other && self.pid != 0
    }
}

/// Every seat there is. A handle.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shares: Shares,
    table: Mutex<Table>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Table {
    /// Counts what happens: the older of two is the one with the smaller number.
    clock: u64,
    seats: BTreeMap<u64, Occupant>,
}

#[derive(Debug)]
struct Occupant {
    who: Who,
    turn: Turn,
    since: u64,
    /// Bytes of its answer that are not out yet.
    owed: usize,
    /// It follows, and takes nothing.
    stalled: bool,
    leave: Arc<Notify>,
}

/// A seat, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    room: Room,
    who: Who,
    number: u64,
    leave: Arc<Notify>,
}

/// There are as many followers as there may be, and none of them can be asked to leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoSeat;

impl Room {
    pub(super) fn new(shares: Shares) -> Self {
        Self(Arc::new(Inner { shares, table: Mutex::default(), emptied: Notify::new() }))
    }

    /// A seat for a connection. Where there is none left, somebody has to leave; nobody for another of the process that has
    /// the most already, and then there is none.
    pub(super) fn enter(&self, who: Who) -> Option<Seat> {
        let mut table = self.table();
        while table.seats.len() >= self.0.shares.seats {
            let number = table.greediest(Some((who, 1)), |_| 1)?;
            if table.seats.get(&number).is_some_and(|one| one.who.is(who)) {
                return None;
            }
            table.send_away(number);
        }
        let number = table.tick();
        let leave = Arc::new(Notify::new());
        let occupant = Occupant {
            who,
            turn: Turn::Client,
            since: number,
            owed: 0,
            stalled: false,
            leave: Arc::clone(&leave),
        };
        table.seats.insert(number, occupant);
        Some(Seat { room: self.clone(), who, number, leave })
    }

    /// Somebody leaves, so that a descriptor becomes free. False: there is nobody.
    pub(super) fn make_space(&self) -> bool {
        let mut table = self.table();
        let found = table.greediest(None, |_| 1);
        found.map(|number| table.send_away(number)).is_some()
    }

    /// Waits until nobody sits here.
    pub(super) async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.table().seats.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Who sits here.
    pub(super) fn who(&self) -> Who {
        self.who
    }

    /// Waits until this seat is needed for somebody else.
    pub(super) async fn leave(&self) {
        self.leave.notified().await;
    }

    /// Whose turn it is from now on.
    pub(super) fn turn(&self, turn: Turn) {
        let mut table = self.room.table();
        let since = table.tick();
        if let Some(own) = table.seats.get_mut(&self.number) {
            (own.turn, own.since, own.stalled) = (turn, since, false);
        }
    }

    /// From now on it waits for programs. Of too many, one has to leave.
    pub(super) fn wait(&self) {
        let (mut table, most) = (self.room.table(), self.room.0.shares.waiting);
        while table.count(Turn::Waiting) >= most {
            let weight = |other: &Occupant| usize::from(other.turn == Turn::Waiting);
            let Some(number) = table.greediest(Some((self.who, 1)), weight) else { break };
            table.send_away(number);
        }
        drop(table);
        self.turn(Turn::Waiting);
    }

    /// From now on it follows a stream. Of too many, one of somebody else has to leave: who has more than this one would, or
    /// takes nothing. Where all have as much, who comes last is turned away: else they would cut each other for ever.
    pub(super) fn follow(&self) -> Result<(), NoSeat> {
        let mut table = self.room.table();
        if table.count(Turn::Following) >= self.room.0.shares.following {
            let weight = |other: &Occupant| usize::from(other.turn == Turn::Following);
            let others = |number: &u64| table.seats.get(number).is_some_and(|other| other.who != self.who);
            let found = table.greediest(Some((self.who, 1)), weight).filter(others);
            let found = found.filter(|number| table.has_more(*number, self.who, weight));
            let stalled = |(number, other): (&u64, &Occupant)| {
                (other.turn == Turn::Following && other.stalled && others(number)).then_some(*number)
            };
            let leaves = found.or_else(|| table.seats.iter().find_map(stalled)).ok_or(NoSeat)?;
            table.send_away(leaves);
        }
        drop(table);
        self.turn(Turn::Following);
        Ok(())
    }

    /// Whether one more answer can be kept until it is taken. False: there are as many as there may be, and this process
    /// has taken the fewest of its own.
    pub(super) fn may_ask(&self) -> bool {
        let table = self.room.table();
        let most = || table.greediest(None, |one| one.owed).and_then(|number| table.seats.get(&number));
        table.owed() < self.room.0.shares.owed || most().is_none_or(|one| !one.who.is(self.who))
    }

    /// So many bytes of an answer are on their way. Where all together are too many, somebody else who does not take
    /// theirs has to leave.
    pub(super) fn owe(&self, bytes: usize) {
        let (mut table, most) = (self.room.table(), self.room.0.shares.owed);
        while table.owed() + bytes > most {
            let Some(number) = table.greediest(Some((self.who, bytes)), |other| other.owed) else { break };
            if table.seats.get(&number).is_some_and(|one| one.who.is(self.who)) {
                break;
            }
            table.send_away(number);
        }
        if let Some(own) = table.seats.get_mut(&self.number) {
            own.owed += bytes;
        }
    }

    /// Everything is out.
    pub(super) fn paid(&self) {
        if let Some(own) = self.room.table().seats.get_mut(&self.number) {
            (own.owed, own.stalled) = (0, false);
        }
    }

    /// The other end takes nothing. Whether there is a limit to that: a reader of a stream may rest.
    pub(super) fn stalls(&self) -> bool {
        let mut table = self.room.table();
        let Some(own) = table.seats.get_mut(&self.number) else { return true };
        own.stalled = true;
        own.turn != Turn::Following
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.room.table();
        table.seats.remove(&self.number);
        if table.seats.is_empty() {
            self.room.0.emptied.notify_waiters();
        }
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn count(&self, turn: Turn) -> usize {
        self.seats.values().filter(|one| one.turn == turn).count()
    }

    fn owed(&self) -> usize {
        self.seats.values().map(|one| one.owed).sum()
    }

    fn send_away(&mut self, number: u64) {
        if let Some(one) = self.seats.remove(&number) {
            one.leave.notify_one();
        }
    }

    /// Whether whoever sits there has more than the newcomer would have: as a user, or of the same user as a process.
    fn has_more(&self, number: u64, newcomer: Who, weight: impl Fn(&Occupant) -> usize) -> bool {
        let Some(who) = self.seats.get(&number).map(|one| one.who) else { return false };
        let share = |of: Who| {
            let same = |one: &&Occupant| one.who.uid == of.uid && (who.uid != newcomer.uid || one.who.is(of));
            self.seats.values().filter(same).map(&weight).sum::<usize>()
        };
        share(who) > share(newcomer) + 1
    }

    /// Of the user, and then of the process, whose seats weigh the most, the newcomer's counted: the seat to give. None:
    /// it would be the newcomer's.
    fn greediest(&self, newcomer: Option<(Who, usize)>, weight: impl Fn(&Occupant) -> usize) -> Option<u64> {
        let (mut users, mut processes) = (BTreeMap::new(), BTreeMap::new());
        let all = self.seats.values().map(|one| (one.who, weight(one)));
        for (who, weight) in all.chain(newcomer) {
            *users.entry(who.uid).or_insert(0) += weight;
            *processes.entry(who).or_insert(0) += weight;
        }
        let new = newcomer.map(|(who, _)| who);
        let (uid, _) =
            users.into_iter().max_by_key(|(uid, share)| (*share, new.map(|who| who.uid) == Some(*uid)))?;
        processes.retain(|who, _| who.uid == uid);
        let most = processes.values().copied().max()?;
        processes.retain(|_, share| *share == most);
        let seats = || self.seats.iter().filter(|(_, one)| weight(one) > 0);
        // Of several that have as much, the newcomer's own, if it has any seat to give.
        let own = new.filter(|new| processes.contains_key(new));
        let of = |(_, one): &(&u64, &Occupant)| own == Some(one.who);
        let own = seats().filter(of).min_by_key(|(_, one)| one.order());
        let all = || seats().filter(|(_, one)| processes.contains_key(&one.who));
        own.or_else(|| all().min_by_key(|(_, one)| one.order())).map(|(number, _)| *number)
    }
}

impl Occupant {
    /// The order in which they have to leave.
    fn order(&self) -> (bool, Turn, u64) {
        (!self.stalled, self.turn, self.since)
    }
}

#[cfg(test)]
mod tests;
