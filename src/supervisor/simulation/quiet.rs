//! The quiet end of every seed: nothing troubles any more, and the world must become what is wanted.

use super::driver::Sim;
use super::laws::{Checked, Law, demand};
use super::world::Stage;
use crate::model::{Moment, Slot};
use crate::supervisor::{Instance, Phase};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The quiet phase is bounded in steps and in time: the longest pause of `plans` is 30 s, a rollout has 4 instances.
const MOST_STEPS: u32 = 5000;
const LONGEST: Duration = Duration::from_secs(600);

impl Sim {
    pub(super) fn converge(&mut self) -> Checked {
        self.calm = true;
        self.world.heal();
        self.say(|| "QUIET".to_owned());
        let began = self.now;
        for _ in 0..MOST_STEPS {
            if self.finished {
                return Ok(());
            }
            self.step += 1;
            if !self.advance(true)? {
                return self.check_converged();
            }
            if self.now.since(began) > LONGEST {
                break;
            }
        }
        let text = format!("still in motion after {:?}", self.now.since(began));
        Err(Law::Converges.broken(text))
    }

    fn check_converged(&mut self) -> Checked {
        let law = if self.watch.wishes.shutdown { Law::EndsLast } else { Law::Converges };
        demand(!self.watch.wishes.shutdown, law, || "the shutdown does not end".to_owned())?;
        let plan = self.core.plan().map(|(_, plan)| Arc::clone(plan));
        demand(plan.as_deref() == Some(&*self.file), law, || "the plan is not the file".to_owned())?;
        let mut slots: BTreeSet<Slot> = self.core.instances().map(|(slot, _)| slot).collect();
        for (name, spec) in &self.file.programs {
            slots.extend((1..=self.watch.wishes.count(spec)).map(|index| Slot::new(name.clone(), index)));
        }
        for slot in &slots {
            self.check_slot(slot)?;
        }
        let live = self.core.instances().filter(|(_, i)| i.run().is_some()).count();
        demand(self.world.table.len() == live, law, || format!("left over: {:?}", self.world.table))
    }

    fn check_slot(&self, slot: &Slot) -> Checked {
        let law = Law::Converges;
        let planned = self.core.spec(&slot.program).map(|spec| slot.index <= self.watch.wishes.count(spec));
        let instance = self.core.instance(slot);
        if planned != Some(true) {
            return demand(instance.is_none(), law, || format!("{slot:?} is still there"));
        }
        let Some(instance) = instance else { return Err(law.broken(format!("{slot:?} is missing"))) };
        if !self.wanted(slot) {
            return demand(matches!(instance.phase, Phase::Stopped), law, || {
                format!("{slot:?}: {instance:?}")
            });
        }
        match &instance.phase {
            Phase::Running(run) => {
                let lives = self.world.table.get(&run.id).is_some_and(|process| process.stage == Stage::Runs);
                demand(lives, law, || format!("{slot:?} does not run: {instance:?}"))?;
                let newest = !self.is_outdated(run.id) || self.watch.rollout_failed(&slot.program);
                demand(newest, law, || format!("{slot:?} is outdated: {instance:?}"))?;
                let asked = self.watch.restarts.contains(slot);
                demand(!asked, law, || format!("{slot:?} was not restarted: {instance:?}"))
            }
            Phase::Completed => {
                let may = self.watch.rests(slot) || self.watch.amnesia;
                demand(may, law, || format!("{slot:?}: {instance:?}"))
            }
            Phase::Failed(None) => {
                let may = self.watch.rests(slot) || self.watch.gave_up(slot) || self.watch.amnesia;
                demand(may, law, || format!("{slot:?}: {instance:?}"))
            }
            Phase::Stopped
            | Phase::Failed(Some(_))
            | Phase::Backoff(_)
            | Phase::Waiting(_)
            | Phase::Starting(_)
            | Phase::Draining(..)
            | Phase::Stopping(..)
            | Phase::Killing(_) => Err(law.broken(format!("{slot:?}: {}", stuck(instance, self.now)))),
        }
    }
}

fn stuck(instance: &Instance, now: Moment) -> String {
    format!("stuck for {:?}: {instance:?}", now.since(instance.since))
}
