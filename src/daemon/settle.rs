//! Requests that wait until something has come to rest.

use super::catalogue::{self, Share};
use super::status;
use crate::control::request::{Answer, Reply};
use crate::control::wire::SettleDto;
use crate::linux::clock;
use crate::model::{Moment, ProgramName};
use crate::supervisor::{InstanceStatus, Settled, Supervisor};
use std::collections::VecDeque;
use std::time::Duration;

/// A look at thousands of programs takes milliseconds, and each of them may be news of its own: looking takes this part of the
/// time at most.
const SHARE_OF_TIME: u32 = 20;
/// One look takes about so long at most; whom it did not reach comes first in the next one.
const LONGEST_LOOK: Duration = Duration::from_millis(2);
/// However long a look took, the next one is not put off for longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Everybody who waits.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: VecDeque<Waiter>,
    /// The last look was dear: not before.
    next_look: Moment,
}

#[derive(Debug)]
struct Waiter {
    patterns: Vec<String>,
    /// When the answer is due, come what may.
    until: Moment,
    reply: Reply,
}

impl Waiters {
    pub(super) fn add(&mut self, patterns: Vec<String>, until: Moment, reply: Reply) {
        self.waiting.push_back(Waiter { patterns, until, reply });
    }

    /// Answers those whose time has come. Returns when to look again although nothing happens.
    pub(super) fn look(&mut self, core: &Supervisor, now: Moment) -> Option<Moment> {
        if self.waiting.is_empty() {
            return None;
        }
        if now < self.next_look {
            return Some(self.next_look);
        }
        let begin = clock::now();
        let again = self.look_until(core, now, begin + LONGEST_LOOK);
        let end = clock::now();
        self.next_look = end + (end.since(begin) * SHARE_OF_TIME).min(LONGEST_PAUSE);
        again
    }

    /// As [`Waiters::look`] at everybody, whatever the last look took.
    pub(super) fn look_now(&mut self, core: &Supervisor, now: Moment) {
        self.look_until(core, now, Moment::from_nanos(u64::MAX));
    }

    fn look_until(&mut self, core: &Supervisor, now: Moment, end: Moment) -> Option<Moment> {
        let mut again: Option<Moment> = None;
        for _ in 0..self.waiting.len() {
            if clock::now() >= end {
                return Some(now);
            }
            let Some(waiter) = self.waiting.pop_front() else { break };
            if waiter.reply.is_gone() {
                continue;
            }
            let instances = instances(core, &waiter.patterns, now);
            let moving = |one: &InstanceStatus| matches!(one.settled, Settled::Moving | Settled::At(_));
            let settled = !instances.iter().any(moving);
            if settled || waiter.until <= now {
                let instances = instances.iter().map(status::settled).collect();
                waiter.reply.send(Answer::Settled(SettleDto { settled, instances }));
                continue;
            }
            let due = instances.iter().filter_map(|one| match one.settled {
                Settled::At(at) => Some(at),
                Settled::Good | Settled::Bad | Settled::Moving => None,
            });
            again = due.chain([waiter.until]).chain(again).min();
            self.waiting.push_back(waiter);
        }
        again
    }
}

/// The instances that patterns stand for; a name that is no longer known stands for none.
fn instances(core: &Supervisor, patterns: &[String], now: Moment) -> Vec<InstanceStatus> {
    let (known, _) = catalogue::resolve_known(core, patterns);
    let of_program = |(name, share): (ProgramName, Share)| {
        let mut all = core.program_status(&name, now).instances;
        all.retain(|one| share.has(one.slot.index));
        all
    };
    catalogue::by_program(known).into_iter().flat_map(of_program).collect()
}
