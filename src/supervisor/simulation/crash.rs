//! Deaths of the supervisor, and the law that they change nothing.

use super::dice::Kind;
use super::driver::{Cause, Sim};
use super::laws::{Checked, Law, demand};
use super::ledger::adopted;
use crate::model::Slot;
use crate::supervisor::{Action, Event, Instance, Phase, Replace, StopStage, Supervisor, Trial};
use std::sync::Arc;
use std::time::Duration;

impl Sim {
    /// The supervisor dies; the keeper starts another.
    pub(super) fn crash(&mut self) -> Checked {
        let amnesia = self.dice.percent(Kind::Crash, self.swarm.amnesia);
        self.say(|| format!("CRASH{}", if amnesia { ", and the records are lost" } else { "" }));
        self.crashes += 1;
        let kept = &self.ledger.instances;
        self.world.supervisor_dies(|slot| kept.get(slot).is_some_and(asks_for_work));
        self.watch.crashed(&self.ledger.instances);
        self.be_dead();
        if amnesia {
            self.watch.forget_all();
            self.ledger.instances.clear();
        }
        self.believe_records();
        let seed = self.dice.seed128(Kind::Checks);
        self.core = Supervisor::new(seed, self.now, self.ledger.restored(amnesia));
        if self.dice.percent(Kind::Crash, 20) {
            self.accept_file_early();
        }
        let entries = self.world.entries(&mut self.dice);
        self.world.say_again(self.now, &mut self.dice, &self.swarm);
        self.feed(Event::Table { entries }, &Cause::Table)?;
        if self.finished {
            return Ok(());
        }
        let differs = self.core.plan().is_none_or(|(_, plan)| **plan != *self.file);
        if differs || self.dice.percent(Kind::Crash, 30) {
            self.accept_file()?;
        }
        Ok(())
    }

    /// Nobody listens for a while, and the world goes on.
    fn be_dead(&mut self) {
        let until = self.now + self.dice.millis(Kind::Crash, 0, 3000);
        while let Some(at) = self.world.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.world.pass(self.now, &mut self.dice, &self.swarm);
        }
        self.now = until;
        self.world.deaf = false;
    }

    /// What was not on disk was never wanted.
    fn believe_records(&mut self) {
        self.watch.wishes.kept = self.ledger.overrides.clone();
        self.watch.wishes.shutdown = self.ledger.shutdown.is_some();
        self.watch.shutdown_forced = self.ledger.shutdown.as_ref().is_some_and(|record| record.force);
        self.watch.shutdown_lasted = Duration::ZERO;
        let kept = &self.ledger.instances;
        let asked =
            |slot: &Slot| kept.get(slot).is_some_and(|i| matches!(i.replace, Some(Replace::Operator { .. })));
        self.watch.restarts.retain(asked);
        let judged = |slot: &Slot| {
            kept.get(slot)
                .is_some_and(|i| i.replace.is_some() || i.trial == Trial::Running || waits_judged(i))
        };
        self.watch.judged.retain(judged);
        self.ledger.take_over();
    }

    /// A plan that is accepted before the table is known.
    fn accept_file_early(&mut self) {
        let old = self.core.plan().map(|(_, plan)| Arc::clone(plan));
        let generation = self.ledger.next_generation();
        self.ledger.plans.insert(generation, Arc::clone(&self.file));
        let new = Arc::clone(&self.file);
        self.note_edits(old.as_deref(), &new);
        self.core.handle(self.now, Event::PlanAccepted { generation, plan: Arc::clone(&self.file) });
    }

    /// Law 12: a core that takes over now knows the same and waits for the same.
    pub(super) fn check_twin(&mut self) -> Checked {
        let overdue = self.core.next_deadline().is_some_and(|at| at <= self.now);
        if self.world.has_news() || overdue || !self.core.strays.is_empty() || self.core.shutdown.is_some() {
            return Ok(());
        }
        let mut twin = Supervisor::new(1, self.now, self.ledger.restored(false));
        twin.handle(self.now, Event::Table { entries: self.world.entries(&mut self.dice) });
        let theirs = twin.instances().map(|(slot, instance)| (slot, adopted(instance)));
        let ours = self.core.instances().map(|(slot, instance)| (slot, adopted(instance)));
        demand(theirs.eq(ours), Law::Handoff, || {
            let (twin, core): (Vec<_>, Vec<_>) =
                (twin.instances().collect(), self.core.instances().collect());
            format!("a take-over would change something:\n{core:?}\n{twin:?}")
        })?;
        demand(twin.next_deadline() == self.core.next_deadline(), Law::Handoff, || {
            format!(
                "a take-over waits for {:?} instead of {:?}",
                twin.next_deadline(),
                self.core.next_deadline()
            )
        })?;
        while let Some(action) = twin.next_action() {
            let harmless = match &action {
                Action::LookAtWork { .. }
                | Action::CheckBeat { .. }
                | Action::TellStop { .. }
                | Action::CheckTree { .. }
                | Action::Kill { .. }
                | Action::Record { .. }
                | Action::Note(_) => true,
                Action::Launch(_)
                | Action::AskToStop { .. }
                | Action::RunStopCommand { .. }
                | Action::Signal { .. }
                | Action::ForgetWork { .. }
                | Action::RunHook { .. }
                | Action::EndHook { .. }
                | Action::Respec { .. }
                | Action::Release { .. }
                | Action::RecordShutdown(_)
                | Action::RecordPlan { .. }
                | Action::KeepOverride { .. }
                | Action::Finish { .. } => false,
            };
            demand(harmless, Law::Handoff, || format!("a take-over would do {action:?}"))?;
        }
        Ok(())
    }
}

/// A supervisor that reads this record wants to know whether the run is busy.
pub(super) fn asks_for_work(instance: &Instance) -> bool {
    let stage = &instance.phase;
    instance.drains()
        || matches!(stage, Phase::Stopping(_, StopStage::Finishing { .. } | StopStage::Leftovers { .. }))
}

fn waits_judged(instance: &Instance) -> bool {
    matches!(&instance.phase, Phase::Waiting(ticket) if ticket.judged)
}
