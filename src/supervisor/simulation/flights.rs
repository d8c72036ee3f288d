//! The law of launches in flight, kept a second time: by the world's processes and by the order of the records.

use super::driver::Sim;
use super::laws::{Checked, Law, demand};
use super::world::Stage;
use crate::model::{RunId, Slot};
use crate::supervisor::{Action, Instance, Launch, Phase};
use std::collections::BTreeMap;

/// Who waits, by when that was recorded.
#[derive(Debug, Clone, Default)]
pub(super) struct Order {
    waits: BTreeMap<Slot, u64>,
    /// Whose launch is on disk, and when it came.
    called: BTreeMap<RunId, Called>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Called {
    since: u64,
    waited: bool,
}

impl Order {
    /// The record of `slot` becomes `new`.
    pub(super) fn record(&mut self, slot: &Slot, new: Option<&Instance>) {
        self.next += 1;
        match new.map(|new| &new.phase) {
            Some(Phase::Waiting(_)) => {
                self.waits.entry(slot.clone()).or_insert(self.next);
            }
            Some(Phase::Starting(run)) => {
                let waited = self.waits.remove(slot);
                let called = Called { since: waited.unwrap_or(self.next), waited: waited.is_some() };
                self.called.entry(run.id).or_insert(called);
            }
            Some(_) | None => drop(self.waits.remove(slot)),
        }
    }

    /// What was called and not launched begins anew.
    pub(super) fn crashed(&mut self) {
        self.called.clear();
    }
}

impl Sim {
    /// This is about to be launched.
    pub(super) fn check_flights(&mut self, launch: &Launch) -> Checked {
        let slot = &launch.slot;
        let flies = |(run, process): &(&crate::model::RunId, &super::world::Process)| {
            process.stage == Stage::Forked && !self.core.strays.contains(**run)
        };
        let in_flight = self.world.table.iter().filter(flies).count();
        let most = self.core.most_flights().get();
        demand(in_flight < most as usize, Law::Flights, || {
            format!("{slot:?} launched while {in_flight} of {most} are in flight")
        })?;
        let since = self.watch.order.called.remove(&launch.run).map_or(u64::MAX, |called| called.since);
        let before = self.watch.order.waits.iter().find(|(_, waits)| **waits < since);
        demand(before.is_none(), Law::Flights, || format!("{slot:?} launched before {before:?}"))
    }

    /// Whether what waited is launched by `action`.
    pub(super) fn is_take_off(&self, action: &Action) -> bool {
        match action {
            Action::Record { slot, record: Some(record) } => {
                let waited = self.ledger.instances.get(slot).map(|kept| &kept.phase);
                matches!((waited, &record.phase), (Some(Phase::Waiting(_)), Phase::Starting(_)))
            }
            Action::Launch(launch) => {
                self.watch.order.called.get(&launch.run).is_some_and(|called| called.waited)
            }
            _ => false,
        }
    }

    /// The core has nothing more to say: whoever waits has a reason to.
    pub(super) fn check_room(&self) -> Checked {
        let phases = || self.core.instances().map(|(_, instance)| &instance.phase);
        let in_flight = self.core.instances().filter(|(_, instance)| instance.is_in_flight()).count();
        let waiting = phases().filter(|phase| matches!(phase, Phase::Waiting(_))).count();
        let most = self.core.most_flights().get();
        demand(waiting == 0 || in_flight >= most as usize, Law::Flights, || {
            format!("{waiting} wait, and {in_flight} of {most} are in flight")
        })
    }
}
