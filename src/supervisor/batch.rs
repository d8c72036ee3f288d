//! The order in which the core's actions leave it: signals at once, then records, then launches and releases.
//!
//! A thousand stops are asked for before anything is written down about the first, and what is written comes in one piece.
//! That an action overtakes those of other programs is safe, since one program's records say nothing about another's: what a crash
//! loses thereby, a crash right after a single action could have lost, too. Within a program nothing is overtaken, since its
//! instances are replaced one after the other; only in a shutdown, when nothing is replaced any more, do they not care.

use super::Action;
use crate::model::{ProgramName, RunId, Slot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Room for so many actions is kept between two turns; a plan of a thousand programs fills it once.
const ROOM_KEPT: usize = 64;

/// Actions on their way out.
#[derive(Debug, Default)]
pub(super) struct Batch {
    ready: VecDeque<Action>,
    /// Records and notes.
    told: VecDeque<Action>,
    /// Launches and releases, which need their slot's record on disk.
    late: VecDeque<Action>,
    /// Whose records are held back.
    recorded: BTreeSet<Owner>,
    /// Whose launches are held back.
    belated: BTreeSet<Owner>,
}

/// Within which nothing is overtaken: a program, or with an index one slot of it.
type Owner = (ProgramName, Option<u32>);

impl Batch {
    /// Takes what the core wants next. `runs`: which slot each live run belongs to; `ending`: a shutdown is under way.
    pub(super) fn put(&mut self, action: Action, runs: &BTreeMap<RunId, Slot>, ending: bool) {
        let owner = |slot: &Slot| (slot.program.clone(), ending.then_some(slot.index));
        match &action {
            Action::Record { slot, .. } => {
                if self.belated.contains(&owner(slot)) {
                    self.end();
                }
                self.recorded.insert(owner(slot));
                self.told.push_back(action);
            }
            Action::Note(_) => self.told.push_back(action),
            Action::Launch(launch) => {
                self.belated.insert(owner(&launch.slot));
                self.late.push_back(action);
            }
            Action::Release { .. } => self.late.push_back(action),
            // A question about what has ended: whenever it is asked, it changes nothing.
            Action::CheckTree { .. } => self.ready.push_back(action),
            Action::AskToStop { run, .. }
            | Action::RunStopCommand { run, .. }
            | Action::Signal { run, .. }
            | Action::Kill { run }
            | Action::LookAtWork { run }
            | Action::ForgetWork { run }
            | Action::Respec { run, .. } => {
                let held = |owner: Owner| self.recorded.contains(&owner) || self.belated.contains(&owner);
                if runs.get(run).map(owner).is_none_or(held) {
                    self.end();
                }
                self.ready.push_back(action);
            }
            Action::RecordShutdown(_)
            | Action::RecordPlan { .. }
            | Action::KeepOverride { .. }
            | Action::Finish { .. } => {
                self.end();
                self.ready.push_back(action);
            }
        }
    }

    /// Nothing that could overtake comes any more.
    pub(super) fn end(&mut self) {
        self.ready.append(&mut self.told);
        self.ready.append(&mut self.late);
        self.recorded.clear();
        self.belated.clear();
    }

    /// What is to be done now.
    pub(super) fn next(&mut self) -> Option<Action> {
        let action = self.ready.pop_front();
        if action.is_none() {
            for queue in [&mut self.ready, &mut self.told, &mut self.late] {
                queue.shrink_to(ROOM_KEPT);
            }
        }
        action
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.told.is_empty() && self.late.is_empty()
    }
}
