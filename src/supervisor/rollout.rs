//! Several instances of one program are replaced one at a time: the next only when the last one is steady, none
//! any more when one fails.

use super::instance::Turn;
use super::mutant::mutant;
use super::wish::wanted_count;
use super::{Instance, Patience, Phase, Replace, Supervisor, Trial};
use crate::model::{Moment, ProgramName, Slot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a rollout does with one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is this one's turn.
    Go,
    /// Not signalled yet, and it is another one's turn.
    Back,
}

impl Supervisor {
    /// Gives the next instance of `program` its turn, if one waits and nothing is in motion.
    pub(super) fn advance_rollout(&mut self, now: Moment, program: &ProgramName) {
        if !self.rolling.contains(program) {
            return;
        }
        let instances = self.instances.get(program);
        let rolls = |i: &Instance| i.replace.is_some() || i.trial == Trial::Running;
        let Some(instances) = instances.filter(|all| all.values().any(|i| rolls(i))) else {
            self.rolling.remove(program);
            return;
        };
        // A single instance waits for nobody.
        if wanted_count(self.spec(program).map(AsRef::as_ref), self.overrides.get(program)) <= 1 {
            return;
        }
        for (index, step) in next_steps(instances) {
            let slot = Slot::new(program.clone(), index);
            match step {
                Step::Go => self.turn(now, &slot, true, Instance::settle),
                Step::Back => self.turn(now, &slot, false, Instance::step_back),
            }
        }
    }

    /// The instance in `failed` is the first that failed: a restart that an operator asked for ends there. An edit
    /// stays to be done.
    pub(super) fn call_off_restarts(&mut self, now: Moment, failed: &Slot) {
        let waits = |i: &Instance| {
            let not_begun = i.run().is_some_and(|run| !run.asked);
            not_begun && matches!(i.replace, Some(Replace::Operator { .. }))
        };
        let siblings = self.instances.get(&failed.program).into_iter().flatten();
        let waiting: Vec<u32> = siblings.filter(|(_, i)| waits(i)).map(|(index, _)| *index).collect();
        for index in waiting.into_iter().filter(|index| *index != failed.index) {
            self.turn(now, &Slot::new(failed.program.clone(), index), false, |instance, turn| {
                instance.replace = None;
                instance.settle(turn);
            });
        }
    }
}

/// Who goes, who waits. At most one instance is in motion, so far as that is still in our hands.
fn next_steps(instances: &BTreeMap<u32, Arc<Instance>>) -> Vec<(u32, Step)> {
    let paused = instances.values().any(|i| matches!(i.trial, Trial::Failed(_))) && !mutant!(RollOverFailure);
    let may_go = |i: &Instance| match &i.replace {
        Some(Replace::Operator { .. } | Replace::Stuck(_)) => true,
        Some(Replace::Edit(_)) => !paused,
        None => false,
    };
    let mut free = !instances.values().any(|instance| is_in_motion(instance));
    let mut steps = Vec::new();
    // What is ended since it did not get ready in time waits for nobody.
    let late = |i: &Instance| i.run().is_some_and(|run| run.late.is_some());
    for (index, instance) in instances.iter().filter(|(_, i)| i.drains() && i.replace.is_some() && !late(i)) {
        let goes = free && may_go(instance);
        steps.push((*index, if goes { Step::Go } else { Step::Back }));
        free &= !goes;
    }
    if free {
        let waiting = || instances.iter().filter(|(_, i)| i.can_be_replaced() && may_go(i));
        // The one on trial first: what it was to prove is of no interest any more.
        let next = waiting().find(|(_, i)| i.trial == Trial::Running).or_else(|| waiting().next());
        steps.extend(next.map(|(index, _)| (*index, Step::Go)));
    }
    steps
}

/// It is being replaced, or was and has not proved itself. One that drains can still step back.
fn is_in_motion(instance: &Instance) -> bool {
    match &instance.phase {
        // What did not get ready in time fails its trial as soon as it has ended.
        Phase::Draining(run, _) => run.late.is_some() && instance.trial == Trial::Running,
        Phase::Running(_) => instance.trial == Trial::Running && instance.replace.is_none(),
        Phase::Waiting(ticket) if ticket.judged => true,
        Phase::Stopped
        | Phase::Completed
        | Phase::Failed(_)
        | Phase::Backoff(_)
        | Phase::Waiting(_)
        | Phase::Starting(_)
        | Phase::Stopping(..)
        | Phase::Killing(_) => instance.replace.is_some() || instance.trial == Trial::Running,
    }
}

impl Instance {
    /// It runs, and nobody gave the attempt up.
    fn can_be_replaced(&self) -> bool {
        match &self.phase {
            Phase::Running(run) => run.patience != Patience::GivenUp,
            Phase::Starting(run) => run.started_at.is_some(),
            Phase::Stopped
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Waiting(_)
            | Phase::Draining(..)
            | Phase::Stopping(..)
            | Phase::Killing(_) => false,
        }
    }

    /// Out of the drain, to wait for its turn.
    fn step_back(&mut self, turn: &mut Turn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        let Phase::Draining(run, drain) = phase else {
            self.phase = phase;
            return;
        };
        self.leave_drain(turn, &run, drain, false);
        self.go_on(turn, run, "waits until another instance has been replaced");
    }
}
