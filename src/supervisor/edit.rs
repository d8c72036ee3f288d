//! A new plan: what it changes, and nothing else.

use super::core::TableState;
use super::diff::{Change, compare};
use super::instance::Turn;
use super::mutant::mutant;
use super::wish::wanted_count;
use super::{Action, Drain, Instance, Patience, Phase, Replace, Run, Started, Supervisor, Trial};
use crate::model::{Generation, Instances, Moment, Plan, Program, ProgramName, RunId, Slot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Supervisor {
    pub(super) fn accept_plan(&mut self, now: Moment, generation: Generation, plan: Arc<Plan>) {
        if let TableState::Awaited(early) = &mut self.table {
            *early = Some((generation, plan));
            return;
        }
        let touched = self.take_plan(now, generation, &plan);
        let slots = self.slots_of(&touched);
        self.settle_slots(now, slots);
    }

    /// Everything but the consequences; says which programs have some.
    ///
    /// The plan's record stands before everything that follows from it, so that a crash in between leaves a core
    /// that knows the plan and finds out the rest by comparing.
    pub(super) fn take_plan(
        &mut self,
        now: Moment,
        generation: Generation,
        plan: &Arc<Plan>,
    ) -> BTreeSet<ProgramName> {
        let old = self.plan.replace(Arc::clone(plan));
        self.generation = generation;
        let changed = changes(old.as_deref(), plan);
        for (name, change) in &changed {
            let before = old.as_ref().and_then(|old| old.programs.get(name)).map(AsRef::as_ref);
            self.expire_scale(before, name);
            self.keep_started(before, name);
            self.wake(now, name, change);
        }
        self.record_plan();
        for name in changed.keys() {
            self.add_slots(now, name);
            for index in self.indexes(name) {
                self.turn(now, &Slot::new(name.clone(), index), false, Instance::take_spec);
            }
            self.rolling.insert(name.clone());
        }
        let before = old.iter().flat_map(|old| old.programs.keys());
        let gone = before.filter(|name| !plan.programs.contains_key(*name)).cloned();
        gone.chain(changed.into_keys()).collect()
    }

    /// What rests is tried again when its entry changed in what it is launched with, and a rollout that had stopped
    /// goes on. Before the plan's record: better once too often than not at all.
    fn wake(&mut self, now: Moment, name: &ProgramName, change: &Change) {
        for index in self.indexes(name) {
            self.turn(now, &Slot::new(name.clone(), index), false, |instance, _| instance.wake(change));
        }
    }

    fn indexes(&self, name: &ProgramName) -> Vec<u32> {
        self.instances.get(name).into_iter().flat_map(|all| all.keys().copied()).collect()
    }

    /// The slots of some programs, in start order.
    fn slots_of(&self, programs: &BTreeSet<ProgramName>) -> Vec<(i32, Slot)> {
        let mut slots: Vec<(i32, Slot)> = Vec::new();
        for name in programs {
            let priority = self.spec(name).map_or(0, |spec| spec.priority);
            let indexes = self.instances.get(name).into_iter().flat_map(|all| all.keys());
            slots.extend(indexes.map(|index| (priority, Slot::new(name.clone(), *index))));
        }
        slots.sort();
        slots
    }

    /// A `scale` lasts until the file's own `instances` changes.
    fn expire_scale(&mut self, before: Option<&Program>, name: &ProgramName) {
        if mutant!(ScaleStays) {
            return;
        }
        let Some(spec) = self.spec(name).cloned() else { return };
        let Some(wish) = self.overrides.get_mut(name) else { return };
        let ends = |file_count: u32, count: u32| {
            file_count != spec.instances.count()
                || before.is_some_and(|before| before.instances != spec.instances)
                || (spec.instances == Instances::Single && count > 1)
        };
        if wish.scale.as_ref().is_some_and(|scale| ends(scale.file_count, scale.count)) {
            wish.scale = None;
            self.keep_override(name);
        }
    }

    /// `autostart` says what a start of the supervisor means; switched off, it does not stop what runs.
    fn keep_started(&mut self, before: Option<&Program>, name: &ProgramName) {
        let off = self.spec(name).is_some_and(|spec| !spec.autostart);
        if !off || before.is_none_or(|before| !before.autostart) {
            return;
        }
        let wish = self.overrides.entry(name.clone()).or_default();
        if wish.stopped.is_none() && !mutant!(AutostartStops) {
            wish.started = Started::All;
        }
        self.keep_override(name);
    }

    /// Writes an operator's wish down as it now is.
    pub(super) fn keep_override(&mut self, program: &ProgramName) {
        let wish = self.overrides.get(program).filter(|wish| !wish.is_empty()).cloned();
        if wish.is_none() {
            self.overrides.remove(program);
        }
        self.out.push_back(Action::KeepOverride { program: program.clone(), wish: wish.map(Box::new) });
    }

    /// Makes the slots that are wanted and missing.
    pub(super) fn add_slots(&mut self, now: Moment, name: &ProgramName) {
        let spec = self.spec(name).map(AsRef::as_ref);
        let count = wanted_count(spec, self.overrides.get(name));
        if count == 0 {
            return;
        }
        let slots = self.instances.entry(name.clone()).or_default();
        for index in 1..=count {
            slots.entry(index).or_insert_with(|| Arc::new(Instance::new(now)));
        }
    }

    /// Tells the records which runs are still from an older plan.
    fn record_plan(&mut self) {
        let plan = self.plan.clone();
        let mut stale: Vec<RunId> = Vec::new();
        for (name, instances) in &mut self.instances {
            let spec = plan.as_ref().and_then(|plan| plan.programs.get(name));
            for run in instances.values_mut().filter_map(|instance| Arc::make_mut(instance).run_mut()) {
                match spec {
                    Some(spec) if run.spec == *spec || compare(&run.spec, spec).is_none() => {
                        run.spec = Arc::clone(spec);
                        run.generation = self.generation;
                    }
                    Some(_) | None => stale.push(run.id),
                }
            }
        }
        self.out.push_back(Action::RecordPlan { generation: self.generation, stale });
    }
}

/// Every program that is new or differs, and in what.
fn changes(old: Option<&Plan>, new: &Plan) -> BTreeMap<ProgramName, Change> {
    let mut changes = BTreeMap::new();
    for (name, spec) in &new.programs {
        let change = match old.and_then(|old| old.programs.get(name)) {
            None => Change::default(),
            Some(before) if before == spec && !mutant!(SamePlanRestarts) => continue,
            Some(before) => {
                let change = compare(before, spec);
                if change.is_none() && !mutant!(SamePlanRestarts) {
                    continue;
                }
                change
            }
        };
        changes.insert(name.clone(), change);
    }
    changes
}

/// Why a run must be replaced to be what the plan says, if it must.
pub(super) fn outdated(run: &Run, turn: &Turn<'_>) -> Option<Replace> {
    let spec = turn.spec?;
    if run.generation == turn.generation {
        return None;
    }
    let change = compare(&run.spec, spec);
    let restart = !change.restart.is_empty() || (mutant!(LiveRestarts) && !change.live.is_empty());
    restart.then(|| Replace::Edit(change.restart.join(", ")))
}

impl Instance {
    fn wake(&mut self, change: &Change) {
        if matches!(self.trial, Trial::Failed(_)) {
            self.trial = Trial::None;
        }
        let rests = match &self.phase {
            Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => true,
            // Its first launch replaces nothing.
            Phase::Waiting(ticket) => ticket.again,
            Phase::Stopped
            | Phase::Starting(_)
            | Phase::Running(_)
            | Phase::Draining(..)
            | Phase::Stopping(..)
            | Phase::Killing(_) => false,
        };
        if rests && !change.restart.is_empty() {
            self.replace = Some(Replace::Edit(change.restart.join(", ")));
        }
        if mutant!(SamePlanRestarts) {
            self.replace = Some(Replace::Operator { by: String::new(), force: false });
        }
    }

    /// What the plan's spec means for a run; looked at before any sibling acts.
    pub(super) fn take_spec(&mut self, turn: &mut Turn<'_>) {
        self.take_live_part(turn);
        self.notice_edit(turn);
    }

    /// A run that needs no new process for the plan's spec takes it as it is.
    fn take_live_part(&mut self, turn: &mut Turn<'_>) {
        // A stop under way goes by the policy that it began with.
        let (run, drain) = match &mut self.phase {
            Phase::Starting(run) | Phase::Running(run) => (run, None),
            Phase::Draining(run, drain) => (run, Some(drain)),
            Phase::Stopped
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Waiting(_)
            | Phase::Stopping(..)
            | Phase::Killing(_) => return,
        };
        let Some(spec) = turn.spec else { return };
        if run.generation == turn.generation || outdated(run, turn).is_some() {
            return;
        }
        run.spec = Arc::clone(spec);
        run.generation = turn.generation;
        if run.patience == Patience::GivenUp {
            run.patience = Patience::Whole;
        }
        if let Some(Drain::Task { until }) = drain {
            *until = spec.work.max_busy.map(|patience| self.since + patience);
        }
        let respec = Action::Respec { run: run.id, spec: Arc::clone(spec), generation: turn.generation };
        turn.out.push_back(respec);
    }
}
