//! The order in which the core's actions leave it: signals at once, then questions about work, then records, then launches and
//! releases, then what is only told.
//!
//! A thousand stops are asked for before anything is written down about the first, and what is written comes in one piece.
//! That an action overtakes those of other programs is safe, since one program's records say nothing about another's: what a crash
//! loses thereby, a crash right after a single action could have lost, too. Within a program nothing is overtaken, since its
//! instances are replaced one after the other; only in a shutdown, when nothing is replaced any more, do they not care.

use super::action::{Action, Class};
use crate::model::{ProgramName, RunId, Slot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Room for so many actions is kept between two turns; a plan of a thousand programs fills it once.
const ROOM_KEPT: usize = 64;

/// Actions on their way out.
#[derive(Debug, Default)]
pub(super) struct Batch {
    ready: VecDeque<Action>,
    /// Questions about work, which come after all that is ready: the first answers are acted upon before the last are asked.
    looks: VecDeque<Action>,
    /// Which runs they are about.
    looking: BTreeSet<RunId>,
    /// Records; none where a newer record has made one void.
    told: VecDeque<Option<Action>>,
    /// Launches and releases, which need their slot's record on disk.
    late: VecDeque<Action>,
    /// What is only to be told: nobody waits for it.
    notes: VecDeque<Action>,
    /// Whose records are held back, and where in `told` each slot's is.
    recorded: BTreeMap<Owner, Recorded>,
    places: BTreeMap<Slot, usize>,
    /// Whose launches are held back.
    belated: BTreeSet<Owner>,
}

/// Of which slots records are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    One(u32),
    Several,
}

/// Within which nothing is overtaken: a program, or with an index one slot of it.
type Owner = (ProgramName, Option<u32>);

impl Batch {
    /// Takes what the core wants next. `runs`: which slot each live run belongs to; `ending`: a shutdown is under way.
    pub(super) fn put(&mut self, action: Action, runs: &BTreeMap<RunId, Slot>, ending: bool) {
        let owner = |slot: &Slot| owner(slot, ending);
        match action.class() {
            Class::Record => {
                let Some(slot) = slot_of(&action).cloned() else { return self.told.push_back(Some(action)) };
                if self.belated.contains(&owner(&slot)) {
                    self.end();
                }
                self.record(owner(&slot), slot, action);
            }
            Class::Note => self.notes.push_back(action),
            Class::Belated => {
                self.belated.extend(slot_of(&action).map(owner));
                self.late.push_back(action);
            }
            Class::Question => self.ready.push_back(action),
            Class::Look(run) => {
                self.before(run, runs, ending);
                self.looking.insert(run);
                self.looks.push_back(action);
            }
            Class::Signal(run) => {
                self.before(run, runs, ending);
                self.ready.push_back(action);
            }
            Class::Decree | Class::End => {
                self.end();
                self.ready.push_back(action);
            }
        }
    }

    /// Ends what something about this run would overtake and may not.
    fn before(&mut self, run: RunId, runs: &BTreeMap<RunId, Slot>, ending: bool) {
        // A slot's own record may come after what it tells of: a crash between the two loses it either way.
        let overtakes = |slot: &Slot| {
            let owner = owner(slot, ending);
            let recorded = self.recorded.get(&owner);
            recorded.is_none_or(|which| *which == Recorded::One(slot.index)) && !self.belated.contains(&owner)
        };
        // In a shutdown that can be only what was wanted before it, and all that came before it is out.
        let nothing_to_overtake = ending && self.belated.is_empty();
        if !(nothing_to_overtake || runs.get(&run).is_some_and(overtakes)) {
            self.end();
        }
        // Whatever becomes of a run comes after the question about it.
        if self.looking.contains(&run) {
            self.look();
        }
    }

    fn look(&mut self) {
        self.ready.append(&mut self.looks);
        self.looking.clear();
    }

    fn record(&mut self, owner: Owner, slot: Slot, action: Action) {
        let one = Recorded::One(slot.index);
        let which = self.recorded.entry(owner).or_insert(one);
        if *which != one {
            *which = Recorded::Several;
        }
        if let Some(place) = self.places.insert(slot, self.told.len())
            && let Some(older) = self.told.get_mut(place)
            && older.as_ref().is_some_and(is_passing)
        {
            *older = None;
        }
        self.told.push_back(Some(action));
    }

    /// Nothing that could overtake comes any more.
    pub(super) fn end(&mut self) {
        self.look();
        self.ready.extend(self.told.drain(..).flatten());
        self.ready.append(&mut self.late);
        self.ready.append(&mut self.notes);
        self.recorded.clear();
        self.places.clear();
        self.belated.clear();
    }

    /// What is to be done now.
    pub(super) fn next(&mut self) -> Option<Action> {
        let action = self.ready.pop_front().or_else(|| {
            let look = self.looks.pop_front();
            if let Some(Action::LookAtWork { run }) = &look {
                self.looking.remove(run);
            }
            look
        });
        if action.is_none() {
            for queue in [&mut self.ready, &mut self.looks, &mut self.late, &mut self.notes] {
                queue.shrink_to(ROOM_KEPT);
            }
            self.told.shrink_to(ROOM_KEPT);
        }
        action
    }

    /// Whether something is to be done whose answer may be waited for before anything is written down.
    pub(super) fn has_more_now(&self) -> bool {
        !(self.ready.is_empty() && self.looks.is_empty())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.looks.is_empty()
            && self.told.is_empty()
            && self.late.is_empty()
            && self.notes.is_empty()
    }
}

fn owner(slot: &Slot, ending: bool) -> Owner {
    (slot.program.clone(), ending.then_some(slot.index))
}

/// A record that a stop passes through where nothing is waited for.
fn is_passing(action: &Action) -> bool {
    let Action::Record { record: Some(record), .. } = action else { return false };
    record.drains()
}

/// The slot that it names, if it names one.
fn slot_of(action: &Action) -> Option<&Slot> {
    if let Action::Record { slot, .. } = action {
        return Some(slot);
    }
    let Action::Launch(launch) = action else { return None };
    Some(&launch.slot)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const fn run(number: u128) -> RunId {
        RunId::from_bits(number)
    }

    /// The order in which these leave, two runs of two programs being alive.
    fn order(actions: &[Action]) -> Vec<Action> {
        let slot = |name: &str| Slot::new(ProgramName::new(name).unwrap(), 1);
        let runs = BTreeMap::from([(run(1), slot("a")), (run(2), slot("b"))]);
        let mut batch = Batch::default();
        for action in actions {
            batch.put(action.clone(), &runs, true);
        }
        assert!(batch.has_more_now());
        let order = std::iter::from_fn(|| batch.next()).collect();
        assert!(batch.is_empty() && !batch.has_more_now());
        order
    }

    const fn look(number: u128) -> Action {
        Action::LookAtWork { run: run(number) }
    }

    const fn kill(number: u128) -> Action {
        Action::Kill { run: run(number) }
    }

    #[test]
    fn signals_overtake_the_questions_about_others() {
        assert_eq!(order(&[look(1), kill(2)]), [kill(2), look(1)]);
    }

    #[test]
    fn what_becomes_of_a_run_comes_after_all_questions_about_it() {
        assert_eq!(order(&[look(1), kill(1)]), [look(1), kill(1)]);
        assert_eq!(order(&[look(2), look(1), kill(1)]), [look(2), look(1), kill(1)]);
        assert_eq!(order(&[look(1), look(1), kill(1)]), [look(1), look(1), kill(1)]);
    }

    #[test]
    fn a_question_that_was_asked_keeps_the_next_one_in_its_place() {
        let runs = BTreeMap::from([(run(1), Slot::new(ProgramName::new("a").unwrap(), 1))]);
        let mut batch = Batch::default();
        for action in [look(1), look(1)] {
            batch.put(action, &runs, true);
        }
        assert_eq!(batch.next(), Some(look(1)));
        batch.put(kill(1), &runs, true);
        assert_eq!((batch.next(), batch.next(), batch.next()), (Some(look(1)), Some(kill(1)), None));
    }
}
