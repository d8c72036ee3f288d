//! Children that nobody ordered: orphans that came to us as subreaper, or as PID 1. They are found in
//! /proc/self/task/TID/children and reaped by number. Never by waitpid(-1): it would take the pinned zombies too.

use super::outbox::Item;
use super::state::Keeper;
use crate::linux::{clock, pidfd, proc};
use crate::model::Moment;
use std::time::Duration;

/// SIGCHLD does not say how many have ended: one that a known exit explains may hide another. So that is looked into a little
/// later, once for many.
const LATER: Duration = Duration::from_millis(500);
/// The shortest time between two looks, whoever dies.
const PAUSE: Duration = Duration::from_millis(20);

/// When to look next.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    look_at: Option<Moment>,
    looked_at: Moment,
}

impl Strangers {
    pub(super) fn look_at(&self) -> Option<Moment> {
        self.look_at
    }

    /// SIGCHLD came; `explained`: the end of a known process came with it.
    pub(super) fn child_ended(&mut self, now: Moment, explained: bool) {
        let wanted = if explained { now + LATER } else { now.max(self.looked_at + PAUSE) };
        self.look_at = Some(self.look_at.map_or(wanted, |earlier| earlier.min(wanted)));
    }
}

impl Keeper {
    /// Reaps strangers, if it is time to look for them.
    pub(super) fn look_for_strangers(&mut self) {
        let now = clock::now();
        if self.strangers.look_at.is_none_or(|at| at > now) {
            return;
        }
        self.strangers.look_at = None;
        self.strangers.looked_at = now;
        let Some(children) = proc::own_children() else { return };
        let mut known = self.table.pids();
        known.extend(self.supervisor.as_ref().map(|supervisor| supervisor.pid));
        let unknown = children.into_iter().filter(|pid| !known.contains(pid));
        // Those that live stay; those that are gone meanwhile are gone.
        let reaped = unknown.filter(|pid| matches!(pidfd::reap_pid(*pid), Ok(Some(_)))).count();
        if reaped > 0 {
            self.outbox.add(Item::Strangers);
        }
    }
}
