//! Children that nobody ordered: orphans that came to us as subreaper, or as PID 1. They are found in
//! /proc/self/task/TID/children and reaped by number. Never by waitpid(-1): it would take the pinned zombies too.

use super::outbox::Item;
use super::state::Keeper;
use crate::linux::{clock, pidfd, proc};
use crate::model::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// SIGCHLD names one that has ended, and not how many have: one about a process that we know may hide another. So that is looked
/// into a little later, once for many.
const LATER: Duration = Duration::from_millis(500);
/// The shortest time between two looks, whoever dies.
const PAUSE: Duration = Duration::from_millis(20);

/// So many of those that ended last are remembered: more than the signals that are still to come about any of them.
const REMEMBERED: usize = 256;

/// When to look next.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    look_at: Option<Moment>,
    looked_at: Moment,
    /// Processes of the table that ended last.
    known: VecDeque<u32>,
    /// Named by SIGCHLD, and not known when that was read: their pidfd may not have been looked at yet, and is in the next turn.
    suspects: Vec<u32>,
}

impl Strangers {
    /// When to look, or to judge.
    pub(super) fn deadline(&self) -> Option<Moment> {
        if self.suspects.is_empty() { self.look_at } else { Some(Moment::default()) }
    }

    /// A process of the table has ended.
    pub(super) fn known_ended(&mut self, pid: u32) {
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(pid);
    }

    /// SIGCHLD came, about this process.
    pub(super) fn child_ended(&mut self, now: Moment, pid: u32) {
        if self.is_known(pid) {
            self.want(now + LATER);
        } else {
            self.suspects.push(pid);
        }
    }

    /// Whether it is time to look: asked in each turn, when what had ended at its beginning is known.
    fn is_due(&mut self, now: Moment) -> bool {
        for pid in std::mem::take(&mut self.suspects) {
            self.want(if self.is_known(pid) { now + LATER } else { now.max(self.looked_at + PAUSE) });
        }
        let due = self.look_at.is_some_and(|at| at <= now);
        if due {
            self.look_at = None;
            self.looked_at = now;
        }
        due
    }

    fn is_known(&self, pid: u32) -> bool {
        // It is mostly about the last ones.
        self.known.iter().rev().any(|known| *known == pid)
    }

    fn want(&mut self, at: Moment) {
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.min(at)));
    }
}

impl Keeper {
    /// Reaps strangers, if it is time to look for them.
    pub(super) fn look_for_strangers(&mut self) {
        if !self.strangers.is_due(clock::now()) {
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::default() + Duration::from_millis(millis)
    }

    #[test]
    fn a_stranger_is_looked_for_soon_and_what_is_known_a_little_later() {
        let mut strangers = Strangers::default();
        strangers.known_ended(7);
        strangers.child_ended(at(1000), 7);
        assert!(!strangers.is_due(at(1000)));
        assert_eq!(strangers.deadline(), Some(at(1000) + LATER));
        strangers.child_ended(at(1001), 8);
        assert!(strangers.is_due(at(1001)));
        assert_eq!(strangers.deadline(), None);
        strangers.child_ended(at(1002), 9);
        assert!(!strangers.is_due(at(1002)), "not without a pause");
        assert!(strangers.is_due(at(1001) + PAUSE));
    }

    #[test]
    fn who_gets_known_in_the_next_turn_is_no_stranger() {
        let mut strangers = Strangers::default();
        strangers.child_ended(at(1000), 7);
        assert_eq!(strangers.deadline(), Some(Moment::default()), "that turn comes at once");
        strangers.known_ended(7);
        assert!(!strangers.is_due(at(1001)));
        assert_eq!(strangers.deadline(), Some(at(1001) + LATER));
    }

    #[test]
    fn those_that_ended_long_ago_are_forgotten() {
        let mut strangers = Strangers::default();
        (1..=1000).for_each(|pid| strangers.known_ended(pid));
        assert!(!strangers.is_known(1) && strangers.is_known(1000));
        assert_eq!(strangers.known.len(), REMEMBERED);
    }
}
