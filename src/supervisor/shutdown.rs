//! The end of everything: who declares it, how long it may take, when it is over.

use super::mutant::mutant;
use super::{Action, ShutdownRecord, Supervisor};
use crate::model::{Moment, Slot};
use std::time::Duration;

/// `shutdown_timeout` where no plan was ever accepted.
const TIMEOUT_WITHOUT_PLAN: Duration = Duration::from_secs(120);

/// So many are told together: those who end meanwhile do not come between, and of many thousands the first end while the last are
/// thought of. In tests few, so that the simulation, which has few, comes across it.
const TOGETHER: usize = if cfg!(test) { 1 } else { 1024 };

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    pub(super) record: ShutdownRecord,
    /// What is left of shutdown_timeout.
    left: Duration,
    /// Since when `left` runs; it stands still while something drains.
    running_since: Option<Moment>,
    draining: usize,
    finished: bool,
}

/// Slots that have not acted on a shutdown yet.
#[derive(Debug, Default)]
pub(super) struct Untold {
    /// When it was declared.
    at: Moment,
    /// The last is the first to be told.
    slots: Vec<Slot>,
}

impl Supervisor {
    /// Starts a shutdown, or makes the one under way harder.
    pub(super) fn begin_shutdown(&mut self, now: Moment, record: ShutdownRecord) {
        if self.declare_shutdown(now, record) {
            self.tell_all_of_the_end(now);
        }
    }

    /// Every slot acts, the late starters first; some at a time, so that the first are asked to stop, and end, before the last are
    /// thought of.
    pub(super) fn tell_all_of_the_end(&mut self, now: Moment) {
        if self.table.is_awaited() {
            return;
        }
        let slots = self.slots_by_priority().into_iter().map(|(_, slot)| slot).collect();
        self.untold = Untold { at: now, slots };
    }

    /// `false`: there is nobody left to be told.
    pub(super) fn tell_some_of_the_end(&mut self) -> bool {
        let Untold { at, slots } = &mut self.untold;
        let (at, some) = (*at, slots.split_off(slots.len().saturating_sub(TOGETHER)));
        for slot in some.iter().rev() {
            self.settle(at, slot);
        }
        if !some.is_empty() {
            self.call_waiting(at);
            self.finish_if_over();
        }
        !some.is_empty()
    }

    /// Writes down what begins; `false`: nothing new. The slots are yet to be told.
    pub(super) fn declare_shutdown(&mut self, now: Moment, record: ShutdownRecord) -> bool {
        let record = match &mut self.shutdown {
            Some(shutdown) => {
                if !record.force || shutdown.record.force {
                    return false;
                }
                shutdown.record.force = true;
                shutdown.record.clone()
            }
            None => {
                let timeout = self.plan.as_ref().map(|plan| plan.supervisor.shutdown_timeout);
                let draining = self.instances().filter(|(_, instance)| instance.drains()).count();
                self.shutdown = Some(Shutdown {
                    record: record.clone(),
                    left: timeout.unwrap_or(TIMEOUT_WITHOUT_PLAN),
                    running_since: (draining == 0).then_some(now),
                    draining,
                    finished: false,
                });
                record
            }
        };
        self.out.push_back(Action::RecordShutdown(record));
        true
    }

    /// When shutdown_timeout has passed, nothing is waited for any more.
    pub(super) fn end_patience(&mut self, now: Moment) {
        let Some(shutdown) = &self.shutdown else { return };
        if shutdown.deadline().is_some_and(|at| at <= now) {
            let record = ShutdownRecord { force: true, ..shutdown.record.clone() };
            self.begin_shutdown(now, record);
        }
    }

    /// `Finish` was said: nothing may follow it.
    pub(super) fn has_finished(&self) -> bool {
        self.shutdown.as_ref().is_some_and(|shutdown| shutdown.finished)
    }

    /// Says `Finish` as soon as nothing lives. Called where a turn of the whole core ends, so that it comes last.
    pub(super) fn finish_if_over(&mut self) {
        let nothing_lives = (self.runs.is_empty() && self.strays.is_empty()) || mutant!(FinishEarly);
        if self.table.is_awaited() || !self.untold.slots.is_empty() || !nothing_lives {
            return;
        }
        if let Some(shutdown) = &mut self.shutdown
            && !shutdown.finished
        {
            shutdown.finished = true;
            self.out.push_back(Action::Finish { code: shutdown.record.code });
        }
    }
}

impl Shutdown {
    pub(super) fn deadline(&self) -> Option<Moment> {
        if self.record.force {
            return None;
        }
        self.running_since.map(|since| since + self.left)
    }

    pub(super) fn count_draining(&mut self, now: Moment, before: bool, after: bool) {
        match (before, after) {
            (false, true) => {
                self.draining += 1;
                if let Some(since) = self.running_since.take() {
                    self.left = self.left.saturating_sub(now.since(since));
                }
            }
            (true, false) => {
                self.draining = self.draining.saturating_sub(1);
                if self.draining == 0 {
                    self.running_since = Some(now);
                }
            }
            (false, false) | (true, true) => {}
        }
    }
}
