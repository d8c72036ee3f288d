//! Requests that wait until something has come to rest.

use super::{catalogue, status};
use crate::control::request::{Answer, Reply};
use crate::control::wire::SettleDto;
use crate::model::{Moment, ProgramName};
use crate::supervisor::{InstanceStatus, Settled, Supervisor, Target};
use std::collections::{BTreeMap, BTreeSet};

/// Everybody who waits.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: Vec<Waiter>,
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
        self.waiting.push(Waiter { patterns, until, reply });
    }

    /// Answers those whose time has come. Returns when to look again although nothing happens.
    pub(super) fn look(&mut self, core: &Supervisor, now: Moment) -> Option<Moment> {
        let mut again: Option<Moment> = None;
        for waiter in std::mem::take(&mut self.waiting) {
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
            self.waiting.push(waiter);
        }
        again
    }
}

/// The instances that patterns stand for; a name that is no longer known stands for none.
fn instances(core: &Supervisor, patterns: &[String], now: Moment) -> Vec<InstanceStatus> {
    let known: Vec<Target> = match patterns.is_empty() {
        true => catalogue::resolve(core, &[]).unwrap_or_default(),
        false => patterns
            .iter()
            .flat_map(|pattern| catalogue::resolve(core, std::slice::from_ref(pattern)).unwrap_or_default())
            .collect(),
    };
    let mut wanted: BTreeMap<ProgramName, Option<BTreeSet<u32>>> = BTreeMap::new();
    for target in known {
        match target {
            Target::Program(name) => {
                wanted.insert(name, None);
            }
            Target::Instance(slot) => {
                if let Some(indexes) = wanted.entry(slot.program).or_insert_with(|| Some(BTreeSet::new())) {
                    indexes.insert(slot.index);
                }
            }
        }
    }
    let of_program = |(name, indexes): (&ProgramName, &Option<BTreeSet<u32>>)| {
        let mut all = core.program_status(name, now).instances;
        all.retain(|one| indexes.as_ref().is_none_or(|indexes| indexes.contains(&one.slot.index)));
        all
    };
    wanted.iter().flat_map(of_program).collect()
}
