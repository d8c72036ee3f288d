//! Several instances of one program are replaced one at a time: the next only when the last one is steady, none
//! any more when one fails.

use super::mutant::mutant;
use super::{Instance, Phase, Supervisor, Trial};
use crate::model::{Moment, ProgramName, Slot};

impl Supervisor {
    /// Gives the next instance of `program` its turn, if one waits and nothing is in motion.
    pub(super) fn advance_rollout(&mut self, now: Moment, program: &ProgramName) {
        if !self.rolling.contains(program) {
            return;
        }
        let Some(instances) = self.instances.get(program) else {
            self.rolling.remove(program);
            return;
        };
        if !instances.values().any(|i| i.replace.is_some() || i.trial == Trial::Running) {
            self.rolling.remove(program);
            return;
        }
        let stopped_by_failure = instances.values().any(|i| matches!(i.trial, Trial::Failed(_)));
        if (stopped_by_failure && !mutant!(RollOverFailure)) || instances.values().any(in_motion) {
            return;
        }
        let next = instances.iter().find(|(_, i)| waits_for_its_turn(i)).map(|(index, _)| *index);
        if let Some(index) = next {
            let slot = Slot::new(program.clone(), index);
            self.turn(now, &slot, true, Instance::settle);
        }
    }
}

/// It is being replaced, or was and has not proved itself.
fn in_motion(instance: &Instance) -> bool {
    let replaced = match &instance.phase {
        Phase::Starting(_) | Phase::Draining(..) | Phase::Stopping(..) | Phase::Killing(_) => {
            instance.replace.is_some()
        }
        Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) | Phase::Running(_) => false,
    };
    replaced || instance.trial == Trial::Running
}

fn waits_for_its_turn(instance: &Instance) -> bool {
    instance.replace.is_some() && matches!(instance.phase, Phase::Running(_))
}
