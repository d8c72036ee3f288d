//! A new plan: what it changes, and nothing else.

use super::diff::{Change, compare};
use super::mutant::mutant;
use super::wish::wanted_count;
use super::{Action, Instance, Phase, Replace, Supervisor, Trial};
use crate::model::{Generation, Moment, Plan, Program, ProgramName, RunId, Slot};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Supervisor {
    pub(super) fn accept_plan(&mut self, now: Moment, generation: Generation, plan: Arc<Plan>) {
        let old = self.plan.replace(Arc::clone(&plan));
        self.generation = generation;
        let mut touched: BTreeSet<ProgramName> = BTreeSet::new();
        for (name, spec) in &plan.programs {
            let before = old.as_ref().and_then(|old| old.programs.get(name));
            if before.is_none_or(|before| before != spec) || mutant!(SamePlanRestarts) {
                touched.insert(name.clone());
                self.take_spec(now, spec);
            }
        }
        if let Some(old) = &old {
            touched.extend(old.programs.keys().filter(|name| !plan.programs.contains_key(*name)).cloned());
        }
        let orphaned = self.instances.keys().filter(|name| !plan.programs.contains_key(*name)).cloned();
        touched.extend(orphaned.collect::<Vec<_>>());
        self.record_plan();
        let slots = self.slots_of(&touched);
        self.settle_slots(now, slots);
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

    /// A program is new or differs.
    fn take_spec(&mut self, now: Moment, spec: &Arc<Program>) {
        let name = &spec.name;
        self.expire_scale(spec);
        self.add_slots(now, name);
        let indexes: Vec<u32> =
            self.instances.get(name).into_iter().flat_map(|all| all.keys().copied()).collect();
        for index in indexes {
            self.turn(now, &Slot::new(name.clone(), index), false, |instance, turn| {
                if let Some(action) = instance.take_spec(spec, turn.generation) {
                    turn.out.push_back(action);
                }
            });
        }
        self.rolling.insert(name.clone());
    }

    /// A `scale` lasts until the file's own number changes.
    fn expire_scale(&mut self, spec: &Program) {
        let Some(wish) = self.overrides.get_mut(&spec.name) else { return };
        if wish.scale.as_ref().is_some_and(|scale| scale.file_count != spec.instances.count()) {
            wish.scale = None;
            self.keep_override(&spec.name);
        }
    }

    /// Writes an operator's wish down as it now is.
    pub(super) fn keep_override(&mut self, program: &ProgramName) {
        let wish = self.overrides.get(program).filter(|wish| !wish.is_empty()).cloned();
        if wish.is_none() {
            self.overrides.remove(program);
        }
        self.out.push_back(Action::KeepOverride { program: program.clone(), wish });
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
            slots.entry(index).or_insert_with(|| Instance::new(now));
        }
    }

    /// Tells the records which runs are still from an older plan.
    fn record_plan(&mut self) {
        let plan = self.plan.clone();
        let mut stale: Vec<RunId> = Vec::new();
        for (name, instances) in &mut self.instances {
            let spec = plan.as_ref().and_then(|plan| plan.programs.get(name));
            for run in instances.values_mut().filter_map(Instance::run_mut) {
                match spec {
                    Some(spec) if run.spec == *spec => run.generation = self.generation,
                    Some(_) | None => stale.push(run.id),
                }
            }
        }
        self.out.push_back(Action::RecordPlan { generation: self.generation, stale });
    }
}

impl Instance {
    /// What a new spec means for this instance.
    fn take_spec(&mut self, spec: &Arc<Program>, generation: Generation) -> Option<Action> {
        self.trial = match std::mem::replace(&mut self.trial, Trial::None) {
            Trial::Failed(_) => Trial::None,
            other @ (Trial::None | Trial::Running) => other,
        };
        let at_rest = matches!(self.phase, Phase::Completed | Phase::Failed(_) | Phase::Backoff(_));
        let Some(run) = self.run_mut() else {
            if at_rest {
                self.replace = self.replace.take().or_else(|| Some(Replace::Edit("its entry".to_owned())));
            }
            return None;
        };
        let change = compare(&run.spec, spec);
        let restart = !change.restart.is_empty()
            || (mutant!(LiveRestarts) && !change.live.is_empty())
            || mutant!(SamePlanRestarts);
        if restart {
            if !matches!(self.replace, Some(Replace::Operator { .. })) {
                self.replace = Some(Replace::Edit(keys(&change)));
            }
            return None;
        }
        let respec = (!change.is_none()).then(|| {
            run.spec = Arc::clone(spec);
            run.generation = generation;
            Action::Respec { run: run.id, spec: Arc::clone(spec), generation }
        });
        if matches!(self.replace, Some(Replace::Edit(_))) {
            self.replace = None;
        }
        respec
    }
}

fn keys(change: &Change) -> String {
    change.restart.join(", ")
}
