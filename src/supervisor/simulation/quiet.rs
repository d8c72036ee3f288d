//! The quiet end of every seed: nothing troubles any more, and the world must become what is wanted.

use super::driver::Sim;
use super::laws::{Checked, Law, demand};
use super::world::Stage;
use crate::model::{Moment, PastMaxBusy, Slot};
use crate::supervisor::{Instance, Patience, Phase, Trial};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The quiet phase is bounded in steps and in time: the longest pause of `plans` is 30 s, a rollout has 4 instances.
const MOST_STEPS: u32 = 20_000;
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
            if self.only_pulses_left(began) || !self.advance(true)? {
                return self.check_converged();
            }
            if self.now.since(began) > LONGEST {
                break;
            }
        }
        let text = format!("still in motion after {:?}", self.now.since(began));
        Err(Law::Converges.broken(text))
    }

    /// What is watched is looked at for ever. Whoever gives no sign of life was found out long ago.
    fn only_pulses_left(&self, began: Moment) -> bool {
        let idle = |slot: &Slot, instance: &Instance| match &instance.phase {
            Phase::Running(run) => {
                run.watchdog.is_some_and(|watchdog| !watchdog.checking)
                    && (instance.replace.is_none()
                        || run.patience == Patience::GivenUp
                        || self.watch.rollout_failed(&slot.program))
                    && instance.trial != Trial::Running
            }
            _ => false,
        };
        let quiet = self.now.since(began) > Duration::from_secs(60) && self.world.next_at().is_none();
        let mut waiting = self.core.instances().filter(|(_, i)| i.deadline().is_some()).peekable();
        quiet && waiting.peek().is_some() && waiting.all(|(slot, instance)| idle(&slot, instance))
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
        // Given up as max_busy and `then` say; whoever asks again is heard.
        if let Some(Phase::Running(run) | Phase::Starting(run)) = instance.map(|instance| &instance.phase)
            && run.patience == Patience::GivenUp
        {
            return demand(run.spec.work.then == PastMaxBusy::Keep, law, || {
                format!("{slot:?}: {instance:?}")
            });
        }
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
                let alive = !self.is_silent(run.id) || run.patience == Patience::GivenUp;
                demand(alive, law, || format!("{slot:?} gives no sign of life: {instance:?}"))?;
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
