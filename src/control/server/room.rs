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
            // Processes of other pid namespaces cannot be told from each other.
            if who.pid != 0 && table.seats.get(&number).is_some_and(|one| one.who == who) {
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

    /// From now on it follows a stream. Of too many, one of another process has to leave: that has more than this one,
    /// or takes nothing.
    pub(super) fn follow(&self) -> Result<(), NoSeat> {
        let mut table = self.room.table();
        if table.count(Turn::Following) >= self.room.0.shares.following {
            let weight = |other: &Occupant| usize::from(other.turn == Turn::Following);
            let others = |number: &u64| table.seats.get(number).is_some_and(|other| other.who != self.who);
            let found = table.greediest(Some((self.who, 1)), weight).filter(others);
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

    /// So many bytes of an answer are on their way. Where all together are too many, somebody who does not take theirs
    /// has to leave.
    pub(super) fn owe(&self, bytes: usize) {
        let (mut table, most) = (self.room.table(), self.room.0.shares.owed);
        while table.owed() + bytes > most {
            let Some(number) = table.greediest(Some((self.who, bytes)), |other| other.owed) else { break };
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ROOM: Shares = Shares { seats: 4, following: 2, waiting: 2, owed: 100 };

    fn who(uid: u32, pid: i32) -> Who {
        Who { uid, pid }
    }

    fn enter(room: &Room, uid: u32, pid: i32) -> Seat {
        room.enter(who(uid, pid)).unwrap()
    }

    /// Whether this seat was told to leave.
    fn gone(seat: &Seat) -> bool {
        !seat.room.table().seats.contains_key(&seat.number)
    }

    fn told(seat: &Seat) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let soon = std::time::Duration::from_millis(1);
        runtime.block_on(async { tokio::time::timeout(soon, seat.leave()).await.is_ok() })
    }

    #[test]
    fn whoever_kept_the_server_waiting_longest_leaves_for_the_next() {
        let room = Room::new(ROOM);
        let seats: Vec<Seat> = (1..5).map(|pid| enter(&room, 7, pid)).collect();
        seats[0].turn(Turn::Supervisor);
        seats[1].turn(Turn::Client);
        let _fifth = enter(&room, 7, 5);
        assert_eq!(
            [0, 1, 2, 3].map(|n| gone(&seats[n])),
            [false, false, true, false],
            "the oldest of the rest"
        );
        assert!(told(&seats[2]) && !told(&seats[0]));
        let _sixth = enter(&room, 7, 6);
        assert!(gone(&seats[3]));
    }

    #[test]
    fn a_user_who_has_everything_gives_to_others_and_gets_nothing_back() {
        let room = Room::new(ROOM);
        let greedy: Vec<Seat> = (1..5).map(|pid| enter(&room, 7, pid)).collect();
        greedy.iter().for_each(|seat| seat.turn(Turn::Supervisor));
        let others: Vec<Seat> = [0, 8].map(|uid| enter(&room, uid, 9)).into();
        assert_eq!(greedy.iter().filter(|seat| gone(seat)).count(), 2);
        let again: Vec<Seat> = (10..20).map(|pid| enter(&room, 7, pid)).collect();
        assert!(others.iter().all(|seat| !gone(seat)), "of the others nobody has to go");
        let left = greedy.iter().chain(&again).filter(|seat| !gone(seat));
        assert_eq!(left.count(), 2);
        drop((greedy, others, again));
        assert!(room.table().seats.is_empty());
    }

    #[test]
    fn a_process_that_has_everything_is_turned_away_and_gives_to_others() {
        let room = Room::new(ROOM);
        let greedy: Vec<Seat> = (0..4).map(|_| enter(&room, 7, 1)).collect();
        greedy.iter().for_each(|seat| seat.turn(Turn::Supervisor));
        assert!(room.enter(who(7, 1)).is_none());
        let other = enter(&room, 7, 2);
        assert_eq!(greedy.iter().filter(|seat| gone(seat)).count(), 1);
        assert!(room.enter(who(7, 1)).is_none() && !gone(&other));
        drop(greedy);
        let strange: Vec<Seat> = (0..10).map(|_| enter(&room, 7, 0)).collect();
        assert!(!gone(&other) && !gone(&strange[9]), "those who cannot be told apart take turns");
    }

    #[test]
    fn followers_stay_unless_they_take_nothing_or_are_of_somebody_with_more() {
        let room = Room::new(ROOM);
        let [first, second, third] = [7, 7, 7].map(|uid| enter(&room, uid, 1));
        assert_eq!([first.follow(), second.follow(), third.follow()], [Ok(()), Ok(()), Err(NoSeat)]);
        assert!(!second.stalls() && third.stalls(), "a reader may rest, a client may not");
        assert_eq!(third.follow(), Err(NoSeat), "nobody gains by sending their own away");
        let other = enter(&room, 7, 2);
        assert_eq!((other.follow(), gone(&first), gone(&second)), (Ok(()), false, true));
        let user = enter(&room, 8, 1);
        assert_eq!((user.follow(), gone(&first) ^ gone(&other)), (Ok(()), true));
        assert_eq!(enter(&room, 8, 1).follow(), Err(NoSeat));
        assert!(!user.stalls());
        assert_eq!((enter(&room, 8, 2).follow(), gone(&user)), (Ok(()), true));
    }

    #[test]
    fn whoever_waits_longest_waits_again() {
        let room = Room::new(ROOM);
        let seats = [7, 7, 7].map(|uid| enter(&room, uid, 1));
        seats.iter().for_each(Seat::wait);
        assert_eq!([0, 1, 2].map(|n| gone(&seats[n])), [true, false, false]);
    }

    #[test]
    fn answers_that_nobody_takes_are_bounded_together() {
        let room = Room::new(ROOM);
        let [first, second, third] = [7, 7, 8].map(|uid| enter(&room, uid, 1));
        first.owe(60);
        first.paid();
        second.owe(60);
        third.owe(30);
        assert!([&first, &second, &third].iter().all(|seat| !gone(seat)));
        first.owe(60);
        assert_eq!([&first, &second, &third].map(gone), [false, true, false]);
        third.paid();
        third.owe(1000);
        assert!(!gone(&third), "one answer alone is never too large");
    }
}
