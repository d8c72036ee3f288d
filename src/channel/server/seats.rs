//! Who gives way when there are too many connections, or too many bytes wait. Pure.
//!
//! Shares are fair as those of the control socket are: the user with the most gives, and of that user's parties (runs; before
//! they said which, processes) the one with the most. So whoever takes every seat keeps out itself and nobody else.

use crate::model::RunId;
use std::collections::BTreeMap;

/// So many connections at most.
const MOST: usize = 4096;

/// How many connections there can be with so many descriptors (RLIMIT_NOFILE; `None` = no limit): never so many that
/// programs lack them.
pub fn seats(descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(usize::MAX, |limit| usize::try_from(limit / 4).unwrap_or(usize::MAX));
    share.clamp(16, MOST)
}

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// It has not said hello: of this process.
    Process(u32),
    Run(RunId),
}

/// A connection, as it is judged here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) number: u64,
    pub(super) uid: u32,
    pub(super) party: Party,
    /// Its end would end a mark: it goes last.
    pub(super) busy: bool,
    /// How much it has of what is short.
    pub(super) weight: usize,
}

impl Seat {
    /// The order in which they go: who has not said hello, the oldest first; then the newest; those with a mark last.
    fn order(&self) -> (bool, bool, u64) {
        match self.party {
            Party::Process(_) => (self.busy, false, self.number),
            Party::Run(_) => (self.busy, true, u64::MAX - self.number),
        }
    }
}

/// The seat that is to be given, for `newcomer` where there is one. `None`: it would be the newcomer's own.
pub(super) fn gives(seats: &[Seat], newcomer: Option<(u32, Party)>) -> Option<u64> {
    let mut users: BTreeMap<u32, usize> = BTreeMap::new();
    let mut parties: BTreeMap<(u32, Party), usize> = BTreeMap::new();
    let all = seats.iter().map(|seat| ((seat.uid, seat.party), seat.weight));
    for (who, weight) in all.chain(newcomer.map(|who| (who, 1))) {
        *users.entry(who.0).or_insert(0) += weight;
        *parties.entry(who).or_insert(0) += weight;
    }
    let new_user = newcomer.map(|(uid, _)| uid);
    let (uid, _) = users.into_iter().max_by_key(|(uid, share)| (*share, new_user == Some(*uid)))?;
    let own = parties.iter().filter(|((user, _), _)| *user == uid);
    let (who, share) = own.max_by_key(|(who, share)| (**share, newcomer == Some(**who)))?;
    // Where all of a user have as many, they would cut each other for ever: then it is one of the newcomer's own process that
    // has not said hello, or none.
    let share_of_new = newcomer.filter(|_| new_user == Some(uid)).map(|new| (new, parties[&new]));
    let who = share_of_new.filter(|(_, new)| *share <= *new).map_or(*who, |(new, _)| new);
    let given = seats.iter().filter(|seat| (seat.uid, seat.party) == who && seat.weight > 0);
    given.min_by_key(|seat| seat.order()).map(|seat| seat.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(number: u64, uid: u32, party: Party) -> Seat {
        Seat { number, uid, party, busy: false, weight: 1 }
    }

    fn run(number: u128) -> Party {
        Party::Run(RunId::from_bits(number))
    }

    #[test]
    fn the_user_and_the_party_with_the_most_give() {
        let mut all: Vec<Seat> = (0..10).map(|number| seat(number, 1, Party::Process(7))).collect();
        all.push(seat(10, 2, run(1)));
        assert_eq!(gives(&all, Some((2, Party::Process(8)))), Some(0), "the oldest that said no hello");
        assert_eq!(gives(&all, Some((1, Party::Process(8)))), Some(0), "of the same user the greedy process");
        assert_eq!(gives(&all, Some((1, Party::Process(7)))), Some(0), "and of its own");
        let mut all: Vec<Seat> = (0..3).map(|number| seat(number, 1, run(1))).collect();
        assert_eq!(gives(&all, Some((2, Party::Process(8)))), Some(2), "the newest of a run");
        all[2].busy = true;
        assert_eq!(gives(&all, Some((2, Party::Process(8)))), Some(1), "one without a mark");
    }

    #[test]
    fn where_all_have_as_much_who_comes_last_is_turned_away() {
        let all: Vec<Seat> = (0..5).map(|number| seat(number, 0, run(u128::from(number)))).collect();
        assert_eq!(gives(&all, Some((0, Party::Process(8)))), None);
        assert_eq!(gives(&all, Some((9, Party::Process(8)))), Some(4), "another user has none yet");
    }

    #[test]
    fn seats_follow_the_descriptors() {
        assert_eq!((seats(None), seats(Some(1024)), seats(Some(10))), (4096, 256, 16));
    }
}
