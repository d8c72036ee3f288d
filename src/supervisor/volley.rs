//! Many stops at once: all are asked before anything is written down about the first.
//!
//! A thousand programs that end while records are written fight with them for the processors. That an order to stop
//! overtakes other slots' records is safe: one slot's record says nothing about another's, and a signal whose record a crash
//! lost is sent again by the successor, as it is when the crash comes right after a single one.

use super::Action;
use crate::model::{RunId, Slot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Moves each `AskToStop` behind position `from` before the notes and records of other slots, and before nothing else.
pub(super) fn signals_first(out: &mut VecDeque<Action>, from: usize) {
    let tail = out.split_off(from);
    let slots: BTreeMap<RunId, Slot> = tail.iter().filter_map(run_of_record).collect();
    let mut told: BTreeSet<Slot> = BTreeSet::new();
    let mut late = Vec::new();
    for action in tail {
        match &action {
            Action::AskToStop { run, .. } if slots.get(run).is_some_and(|slot| !told.contains(slot)) => {
                out.push_back(action);
            }
            Action::Record { slot, .. } => {
                told.insert(slot.clone());
                late.push(action);
            }
            Action::Note(_) => late.push(action),
            Action::AskToStop { .. }
            | Action::RecordShutdown(_)
            | Action::RecordPlan { .. }
            | Action::KeepOverride { .. }
            | Action::Launch(_)
            | Action::RunStopCommand { .. }
            | Action::Signal { .. }
            | Action::Kill { .. }
            | Action::CheckTree { .. }
            | Action::LookAtWork { .. }
            | Action::ForgetWork { .. }
            | Action::Respec { .. }
            | Action::Release { .. }
            | Action::Finish { .. } => {
                out.extend(late.drain(..));
                told.clear();
                out.push_back(action);
            }
        }
    }
    out.extend(late);
}

fn run_of_record(action: &Action) -> Option<(RunId, Slot)> {
    let Action::Record { slot, record: Some(instance) } = action else { return None };
    Some((instance.run()?.id, slot.clone()))
}
