//! What the disk knows: the records that were carried out so far, read back as the shell reads them.

use super::laws::{Broken, Law};
use crate::model::{Generation, Plan, ProgramName, RunId, Slot};
use crate::supervisor::{Instance, Override, Restored, ShutdownRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) instances: BTreeMap<Slot, Instance>,
    pub(super) overrides: BTreeMap<ProgramName, Override>,
    pub(super) shutdown: Option<ShutdownRecord>,
    pub(super) generation: Option<Generation>,
    /// Every plan that was ever handed to the core: kept by number before it is handed over.
    pub(super) plans: BTreeMap<Generation, Arc<Plan>>,
}

impl Ledger {
    pub(super) fn next_generation(&self) -> Generation {
        Generation(self.generation.map_or(1, |generation| generation.0 + 1))
    }

    pub(super) fn plan(&self) -> Option<&Arc<Plan>> {
        self.plans.get(&self.generation?)
    }

    /// One slot. The disk keeps a run's spec as a plan's number and a name, so that must be the same thing.
    pub(super) fn keep(&mut self, slot: &Slot, record: Option<&Instance>) -> Result<(), Broken> {
        let Some(record) = record else {
            self.instances.remove(slot);
            return Ok(());
        };
        if let Some(run) = record.run() {
            let kept = self.plans.get(&run.generation).and_then(|plan| plan.programs.get(&slot.program));
            if self.generation.is_none_or(|accepted| run.generation > accepted) || kept != Some(&run.spec) {
                let text = format!("the spec of {run:?} is not what plan {} says", run.generation);
                return Err(Law::Handoff.broken(text));
            }
        }
        self.instances.insert(slot.clone(), record.clone());
        Ok(())
    }

    pub(super) fn accept(&mut self, generation: Generation, stale: &[RunId]) -> Result<(), Broken> {
        self.generation = Some(generation);
        let plan =
            self.plans.get(&generation).cloned().unwrap_or_else(|| Arc::new(super::plans::empty_plan()));
        for (slot, instance) in &mut self.instances {
            let Some(run) = instance.run_mut().filter(|run| !stale.contains(&run.id)) else { continue };
            let Some(spec) = plan.programs.get(&slot.program) else {
                return Err(Law::Handoff.broken(format!("{slot:?} is not stale and not in the plan")));
            };
            run.generation = generation;
            run.spec = Arc::clone(spec);
        }
        Ok(())
    }

    /// A supervisor takes over: what it reads back are runs that it did not launch.
    pub(super) fn take_over(&mut self) {
        for instance in self.instances.values_mut() {
            *instance = adopted(instance);
        }
    }

    pub(super) fn restored(&self, amnesia: bool) -> Restored {
        let instances = self.instances.iter().filter(|_| !amnesia);
        Restored {
            plan: self.generation.zip(self.plan().cloned()),
            instances: instances.map(|(slot, instance)| (slot.clone(), adopted(instance))).collect(),
            overrides: self.overrides.iter().map(|(name, wish)| (name.clone(), wish.clone())).collect(),
            shutdown: self.shutdown.clone(),
        }
    }
}

/// The record of a run that is read back is that of one taken over.
pub(super) fn adopted(instance: &Instance) -> Instance {
    let mut instance = instance.clone();
    if let Some(run) = instance.run_mut() {
        run.adopted = true;
    }
    instance
}
