//! What operators want, kept a second time: written against the specification, not against the core.

use crate::model::{Instances, Plan, Program, ProgramName, Slot};
use crate::supervisor::{Author, Override, Request, ScaleTo, ScaleWish, Started, StopWish, Target};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default)]
pub(super) struct Wishes {
    pub(super) kept: BTreeMap<ProgramName, Override>,
    pub(super) shutdown: bool,
}

impl Wishes {
    pub(super) fn count(&self, spec: &Program) -> u32 {
        let scale = self.kept.get(&spec.name).and_then(|wish| wish.scale.as_ref());
        match spec.instances {
            Instances::Single => 1.min(scale.map_or(1, |scale| scale.count)),
            Instances::Numbered(count) => scale.map_or(count, |scale| scale.count),
        }
    }

    /// Whether this slot should run.
    pub(super) fn wants(&self, plan: Option<&Plan>, slot: &Slot) -> bool {
        let Some(spec) = plan.and_then(|plan| plan.programs.get(&slot.program)) else { return false };
        if self.shutdown || slot.index > self.count(spec) {
            return false;
        }
        let Some(wish) = self.kept.get(&slot.program) else { return spec.autostart };
        let stopped = wish.stopped.is_some() || wish.stopped_instances.iter().any(|(i, _)| *i == slot.index);
        let started = match &wish.started {
            Started::No => false,
            Started::Only(which) => which.contains(&slot.index),
            Started::All => true,
        };
        !stopped && (spec.autostart || started)
    }

    /// A request that was granted.
    pub(super) fn take(&mut self, plan: &Plan, by: &Author, request: &Request) {
        match request {
            Request::Start { targets } | Request::Restart { targets, .. } => {
                targets.iter().for_each(|target| self.start(plan, target));
            }
            Request::Stop { targets, runtime, .. } => {
                for target in targets {
                    self.stop(target, &StopWish { by: by.clone(), runtime: *runtime });
                }
            }
            Request::Scale { program, to } => self.scale(plan, by, program, *to),
            Request::Shutdown { .. } => self.shutdown = true,
            Request::Signal { .. } => {}
        }
    }

    fn start(&mut self, plan: &Plan, target: &Target) {
        let Some(spec) = plan.programs.get(target.program()) else { return };
        let count = self.count(spec);
        let wish = self.kept.entry(spec.name.clone()).or_default();
        match target {
            Target::Program(_) => {
                wish.stopped = None;
                wish.stopped_instances.clear();
            }
            Target::Instance(slot) => {
                if let Some(stop) = wish.stopped.take() {
                    wish.stopped_instances = (1..=count).map(|i| (i, stop.clone())).collect();
                }
                wish.stopped_instances.retain(|(i, _)| *i != slot.index);
            }
        }
        if spec.autostart {
            return;
        }
        match (target, &mut wish.started) {
            (Target::Program(_), started) => *started = Started::All,
            (Target::Instance(slot), Started::Only(which)) => {
                which.insert(slot.index);
            }
            (Target::Instance(slot), started @ Started::No) => {
                *started = Started::Only(BTreeSet::from([slot.index]));
            }
            (Target::Instance(_), Started::All) => {}
        }
    }

    fn stop(&mut self, target: &Target, stop: &StopWish) {
        let wish = self.kept.entry(target.program().clone()).or_default();
        match target {
            Target::Program(_) => {
                wish.stopped = Some(stop.clone());
                wish.started = Started::No;
            }
            Target::Instance(slot) => wish.stopped_instances.push((slot.index, stop.clone())),
        }
    }

    fn scale(&mut self, plan: &Plan, by: &Author, program: &ProgramName, to: ScaleTo) {
        let Some(spec) = plan.programs.get(program) else { return };
        let now = self.count(spec);
        let count = match to {
            ScaleTo::Exactly(count) => count,
            ScaleTo::Up(more) => now + more,
            ScaleTo::Down(less) => now.saturating_sub(less),
        };
        let file_count = spec.instances.count();
        self.kept.entry(program.clone()).or_default().scale =
            Some(ScaleWish { count, file_count, by: by.clone() });
    }

    /// Another plan was accepted.
    pub(super) fn accept(&mut self, old: Option<&Plan>, new: &Plan) {
        for (name, wish) in &mut self.kept {
            let Some(spec) = new.programs.get(name) else { continue };
            let before = old.and_then(|old| old.programs.get(name));
            let changed = before.is_some_and(|before| before.instances != spec.instances);
            let counts = |scale: &ScaleWish| {
                let impossible = spec.instances == Instances::Single && scale.count > 1;
                !changed && !impossible && scale.file_count == spec.instances.count()
            };
            wish.scale = wish.scale.take().filter(counts);
        }
        for (name, spec) in &new.programs {
            let was_on = old.and_then(|old| old.programs.get(name)).is_some_and(|before| before.autostart);
            if was_on && !spec.autostart {
                let wish = self.kept.entry(name.clone()).or_default();
                if wish.stopped.is_none() {
                    wish.started = Started::All;
                }
            }
        }
    }
}
