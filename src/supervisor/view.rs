//! The core's state as the picture that people get.

use super::ended::humane;
use super::flights::waits_text;
use super::wish::{Wish, wanted_count, wish_for};
use super::{
    Desired, Drain, Instance, InstanceStatus, Patience, Phase, PhaseKind, ProgramStatus, Run, Settled,
    Status, StopStage, Supervisor, Trial,
};
use crate::model::{InstanceLabel, Moment, PastMaxBusy, ProgramName, ReadyBy, Slot};
use std::collections::BTreeSet;
use std::time::Duration;

/// A run without a readiness check counts as started when it has lived so long.
const LIVED: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Everything, at this moment.
    pub fn status(&self, now: Moment) -> Status {
        let planned = self.plan.iter().flat_map(|plan| plan.programs.keys());
        let names: BTreeSet<&ProgramName> = planned.chain(self.instances.keys()).collect();
        Status {
            generation: self.generation,
            shutting_down: self.shutdown.is_some(),
            programs: names.into_iter().map(|name| self.program_status(name, now)).collect(),
        }
    }

    /// One program.
    pub fn program_status(&self, name: &ProgramName, now: Moment) -> ProgramStatus {
        let spec = self.spec(name).map(AsRef::as_ref);
        let operator = self.overrides.get(name);
        let slots = self.instances.get(name);
        let mut desired = Desired::Stopped;
        let instances: Vec<InstanceStatus> = slots
            .into_iter()
            .flatten()
            .map(|(index, instance)| {
                let wish = wish_for(*index, spec, operator, self.shutdown_record());
                let numbered = spec.is_some_and(|spec| spec.instances.numbered());
                let status =
                    self.instance_status(Slot::new(name.clone(), *index), instance, numbered, &wish, now);
                desired = match (&wish, status.phase) {
                    (Wish::Stop(_), _) => desired,
                    (Wish::Run, PhaseKind::Completed) if desired == Desired::Stopped => Desired::Completed,
                    (Wish::Run, PhaseKind::Completed) => desired,
                    (Wish::Run, _) => Desired::Running,
                };
                status
            })
            .collect();
        ProgramStatus {
            name: name.clone(),
            desired,
            phase: instances.iter().map(|i| i.phase).min().unwrap_or(PhaseKind::Stopped),
            ready: u32::try_from(instances.iter().filter(|i| i.ready).count()).unwrap_or(u32::MAX),
            wanted: match desired {
                Desired::Stopped => 0,
                Desired::Running | Desired::Completed => wanted_count(spec, operator),
            },
            flag: self.flag(name),
            as_wanted: instances.iter().all(|i| i.settled == Settled::Good || self.is_running_as_wanted(i)),
            instances,
        }
    }

    fn is_running_as_wanted(&self, status: &InstanceStatus) -> bool {
        matches!(status.settled, Settled::At(_)) && status.phase == PhaseKind::Running
    }

    /// What people must know of the program as a whole.
    fn flag(&self, name: &ProgramName) -> Option<String> {
        let instances = self.instances.get(name);
        let failed = instances.into_iter().flatten().find_map(|(index, instance)| match &instance.trial {
            Trial::Failed(why) => Some((index, why)),
            Trial::None | Trial::Running => None,
        });
        if let Some((index, why)) = failed {
            return Some(format!("replacing stopped at {name}.{index}: {why}; the others stay as they are"));
        }
        let scale = self.overrides.get(name)?.scale.as_ref()?;
        Some(format!("scaled to {} by {} (the file says {})", scale.count, scale.by.who, scale.file_count))
    }

    fn instance_status(
        &self,
        slot: Slot,
        instance: &Instance,
        numbered: bool,
        wish: &Wish,
        now: Moment,
    ) -> InstanceStatus {
        let run = instance.run();
        let live = run.filter(|run| run.exit.is_none());
        let label = run.map_or_else(|| InstanceLabel::of(&slot, numbered), |run| run.label.clone());
        InstanceStatus {
            settled: self.settled(&slot.program, instance, wish, now),
            slot,
            label,
            phase: instance.kind(),
            run: run.map(|run| run.id),
            pid: live.and_then(|run| run.pid),
            since: instance.since,
            started_at: live.and_then(|run| run.started_at),
            ready: matches!(instance.phase, Phase::Running(_)),
            busy: live.map(|run| run.busy_since.is_some()),
            busy_since: live.and_then(|run| run.busy_since),
            restarts: instance.restarts,
            last_exit: instance.last_exit,
            overdue: instance.overdue.clone(),
            next_start_at: match &instance.phase {
                Phase::Backoff(at) => Some(*at),
                Phase::Failed(at) => *at,
                Phase::Stopped
                | Phase::Completed
                | Phase::Waiting(_)
                | Phase::Starting(_)
                | Phase::Running(_)
                | Phase::Draining(..)
                | Phase::Stopping(..)
                | Phase::Killing(_) => None,
            },
            adopted: run.is_some_and(|run| run.adopted),
            reason: match instance.phase {
                Phase::Waiting(_) => waits_text(self.most_flights()),
                _ => instance.reason(now),
            },
        }
    }

    /// Whether a command that waits for this instance may stop waiting.
    fn settled(&self, program: &ProgramName, instance: &Instance, wish: &Wish, now: Moment) -> Settled {
        match (&instance.phase, wish) {
            (
                Phase::Waiting(_)
                | Phase::Starting(_)
                | Phase::Draining(..)
                | Phase::Stopping(..)
                | Phase::Killing(_),
                _,
            ) => Settled::Moving,
            // Somebody may ask again; until then nothing moves.
            (Phase::Running(run), Wish::Stop(_)) if run.patience == Patience::GivenUp => Settled::Bad,
            (Phase::Running(_), Wish::Stop(_)) => Settled::Moving,
            (Phase::Running(run), Wish::Run) => match (&instance.replace, run.started_at) {
                (Some(_), _) if self.replacing_has_stopped(program) => Settled::Bad,
                (Some(_), _) if run.patience == Patience::GivenUp => Settled::Bad,
                (Some(_), _) | (None, None) => Settled::Moving,
                (None, Some(at)) if run.ready.by != ReadyBy::Spawn || now.since(at) >= LIVED => Settled::Good,
                (None, Some(at)) => Settled::At(at + LIVED),
            },
            (Phase::Failed(_) | Phase::Backoff(_), Wish::Run) => Settled::Bad,
            (Phase::Failed(_) | Phase::Backoff(_) | Phase::Completed, Wish::Stop(_)) => Settled::Moving,
            (Phase::Completed, Wish::Run) => Settled::Good,
            (Phase::Stopped, Wish::Stop(_)) => Settled::Good,
            (Phase::Stopped, Wish::Run) => Settled::Moving,
        }
    }

    fn replacing_has_stopped(&self, program: &ProgramName) -> bool {
        let instances = self.instances.get(program);
        instances.into_iter().flat_map(|all| all.values()).any(|i| matches!(i.trial, Trial::Failed(_)))
    }
}

impl Instance {
    /// The reason, and that the last run had to be killed if it had. `whose`: what that run is called here.
    fn with_overdue(&self, whose: &str) -> String {
        match &self.overdue {
            Some(how) => format!("{}; {whose} was killed: {how}", self.why),
            None => self.why.clone(),
        }
    }

    /// What becomes of a drain that lasts too long.
    fn patience_text(&self, run: &Run, left: String) -> String {
        let then = match run.spec.work.then {
            PastMaxBusy::Kill => "is killed",
            PastMaxBusy::Signal => "is signalled all the same",
            PastMaxBusy::Keep => "is left running",
        };
        format!(", or {then} in {left} (working_lock.max_busy)")
    }

    /// Why it is in this phase, in one sentence that is true at `now`.
    fn reason(&self, now: Moment) -> String {
        let left = |at: Moment| humane(at.since(now));
        match &self.phase {
            Phase::Backoff(at) => format!("{}; next start in {}", self.why, left(*at)),
            Phase::Failed(Some(at)) => format!("{}; one more try in {}", self.why, left(*at)),
            Phase::Draining(_, Drain::Hook { hook, deadline }) => {
                format!("{} runs, for {} at most: {}", hook.key(), left(*deadline), self.why)
            }
            Phase::Draining(run, Drain::Task { until }) => {
                let busy = run.busy_text(now).map(|busy| format!("{busy}, ")).unwrap_or_default();
                let patience = until.map(|at| self.patience_text(run, left(at))).unwrap_or_default();
                format!("{busy}stops when idle{patience}: {}", self.why)
            }
            Phase::Stopping(run, StopStage::Finishing { step, .. }) => {
                let asked = super::stop::step_text(&run.spec.stop, *step);
                let busy = run.busy_text(now).unwrap_or_else(|| "asked whether it is busy".to_owned());
                format!("{asked}; {busy}, SIGKILL waits for the end of that: {}", self.why)
            }
            Phase::Stopping(run, StopStage::Leftovers { .. }) => match run.busy_text(now) {
                Some(busy) => format!("{}; {busy}", self.why),
                None => self.why.clone(),
            },
            Phase::Stopping(run, StopStage::Asked { step, deadline }) => {
                let asked = super::stop::step_text(&run.spec.stop, *step);
                let next = super::stop::next_signal(&run.spec.stop, *step);
                format!("{asked}, {next} follows in {}: {}", left(*deadline), self.why)
            }
            Phase::Stopped => self.with_overdue("it"),
            Phase::Starting(_) | Phase::Running(_) => self.with_overdue("its last run"),
            Phase::Stopping(_, StopStage::Sweeping { .. })
            | Phase::Killing(_)
            | Phase::Completed
            | Phase::Failed(None)
            | Phase::Waiting(_) => self.why.clone(),
        }
    }
}
