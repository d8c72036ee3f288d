//! The records as JSON: our own form, with a version, so that a later sppm can read what this one wrote.

use super::run_dto::{ExitDto, HookDto, RunDto, nanos};
use crate::model::{Exit, Generation, Moment, Program, ProgramName};
use crate::supervisor::{
    Author, Drain, Instance, Override, Phase, Replace, ScaleWish, ShutdownRecord, Started, StopStage,
    StopWish, Ticket, Trial,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The version of the form.
pub(super) const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first one: of which boot, in which form.
    Header { version: u32, boot: String },
    /// A slot's state; none = the slot is gone.
    Slot { program: String, index: u32, state: Option<Box<InstanceDto>> },
    /// An operator's wish; none = there is none.
    Wish { program: String, wish: Option<OverrideDto> },
    /// A shutdown is under way.
    Shutdown { why: String, code: u8, force: bool },
    /// The accepted plan, and the runs that are still from an older one.
    Plan { generation: u64, stale: Vec<String> },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InstanceDto {
    phase: PhaseDto,
    since: u64,
    why: String,
    restarts: u32,
    last_exit: Option<(ExitDto, u64)>,
    failures: Vec<u64>,
    failures_in_row: u32,
    exhausted: bool,
    replace: Option<ReplaceDto>,
    trial: TrialDto,
    hurry: bool,
    #[serde(default)]
    queued: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overdue: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseDto {
    Stopped,
    Completed,
    Failed(Option<u64>),
    Backoff(u64),
    /// Number, judged, again.
    Waiting(u64, bool, bool),
    Starting(RunDto),
    Running(RunDto),
    Draining(RunDto, Option<u64>),
    /// Which hook, its deadline.
    Hook(RunDto, HookDto, u64),
    Asked(RunDto, u32, u64),
    Finishing(RunDto, u32, Option<u64>),
    /// The grace in nanoseconds, when the patience ends.
    Leftovers(RunDto, u64, Option<u64>),
    Sweeping(RunDto, u64),
    Killing(RunDto),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReplaceDto {
    Edit(String),
    Operator(String, bool),
    Stuck(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TrialDto {
    None,
    Running,
    Failed(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OverrideDto {
    stopped: Option<StopDto>,
    stopped_instances: Vec<(u32, StopDto)>,
    scale: Option<ScaleDto>,
    #[serde(default)]
    started: StartedDto,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StopDto {
    who: String,
    at: String,
    #[serde(default)]
    runtime: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ScaleDto {
    count: u32,
    file_count: u32,
    who: String,
    at: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StartedDto {
    #[default]
    No,
    Only(BTreeSet<u32>),
    All,
}

/// Finds the spec that a run was launched with.
pub(super) type FindSpec<'a> = dyn Fn(&ProgramName, Generation) -> Option<Arc<Program>> + 'a;

impl InstanceDto {
    pub(super) fn of(instance: &Instance) -> Self {
        let parts = instance.clone();
        let exit = |(exit, at): (Exit, Moment)| (ExitDto::of(exit), at.as_nanos());
        Self {
            phase: PhaseDto::of(&parts.phase),
            since: parts.since.as_nanos(),
            why: parts.why,
            restarts: parts.restarts,
            last_exit: parts.last_exit.map(exit),
            failures: parts.failures.into_iter().map(Moment::as_nanos).collect(),
            failures_in_row: parts.failures_in_row,
            exhausted: parts.exhausted,
            replace: parts.replace.map(|replace| match replace {
                Replace::Edit(keys) => ReplaceDto::Edit(keys),
                Replace::Operator { by, force } => ReplaceDto::Operator(by, force),
                Replace::Stuck(how) => ReplaceDto::Stuck(how),
            }),
            trial: match parts.trial {
                Trial::None => TrialDto::None,
                Trial::Running => TrialDto::Running,
                Trial::Failed(why) => TrialDto::Failed(why),
            },
            hurry: parts.hurry,
            queued: parts.queued,
            overdue: parts.overdue,
        }
    }

    /// `None`: its run is of a plan that cannot be found any more.
    pub(super) fn restore(self, program: &ProgramName, find: &FindSpec<'_>) -> Option<Instance> {
        let exit = |(exit, at): (ExitDto, u64)| (exit.restore(), Moment::from_nanos(at));
        Some(Instance {
            phase: self.phase.restore(program, find)?,
            since: Moment::from_nanos(self.since),
            why: self.why,
            restarts: self.restarts,
            last_exit: self.last_exit.map(exit),
            failures: self.failures.into_iter().map(Moment::from_nanos).collect(),
            failures_in_row: self.failures_in_row,
            exhausted: self.exhausted,
            replace: self.replace.map(|replace| match replace {
                ReplaceDto::Edit(keys) => Replace::Edit(keys),
                ReplaceDto::Operator(by, force) => Replace::Operator { by, force },
                ReplaceDto::Stuck(how) => Replace::Stuck(how),
            }),
            trial: match self.trial {
                TrialDto::None => Trial::None,
                TrialDto::Running => Trial::Running,
                TrialDto::Failed(why) => Trial::Failed(why),
            },
            hurry: self.hurry,
            queued: self.queued,
            overdue: self.overdue,
        })
    }

    /// The generation of the plan that its run's spec is from.
    pub(super) fn generation(&self) -> Option<Generation> {
        self.phase.run().map(|run| Generation(run.generation))
    }

    /// A plan was accepted: unless it is stale, its run counts as launched from it.
    pub(super) fn accept(&mut self, generation: u64, stale: &BTreeSet<String>) {
        if let Some(run) = self.phase.run_mut()
            && !stale.contains(&run.id)
        {
            run.generation = generation;
        }
    }
}

impl PhaseDto {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Stopped => Self::Stopped,
            Phase::Completed => Self::Completed,
            Phase::Failed(retry) => Self::Failed(retry.map(Moment::as_nanos)),
            Phase::Backoff(until) => Self::Backoff(until.as_nanos()),
            Phase::Waiting(Ticket { number, judged, again }) => Self::Waiting(*number, *judged, *again),
            Phase::Starting(run) => Self::Starting(RunDto::of(run)),
            Phase::Running(run) => Self::Running(RunDto::of(run)),
            Phase::Draining(run, Drain::Task { until }) => {
                Self::Draining(RunDto::of(run), until.map(Moment::as_nanos))
            }
            Phase::Draining(run, Drain::Hook { hook, deadline }) => {
                Self::Hook(RunDto::of(run), HookDto::of(*hook), deadline.as_nanos())
            }
            Phase::Stopping(run, StopStage::Finishing { step, until }) => {
                Self::Finishing(RunDto::of(run), *step, until.map(Moment::as_nanos))
            }
            Phase::Stopping(run, StopStage::Leftovers { grace, until }) => {
                Self::Leftovers(RunDto::of(run), nanos(*grace), until.map(Moment::as_nanos))
            }
            Phase::Stopping(run, StopStage::Asked { step, deadline }) => {
                Self::Asked(RunDto::of(run), *step, deadline.as_nanos())
            }
            Phase::Stopping(run, StopStage::Sweeping { deadline }) => {
                Self::Sweeping(RunDto::of(run), deadline.as_nanos())
            }
            Phase::Killing(run) => Self::Killing(RunDto::of(run)),
        }
    }

    fn restore(self, program: &ProgramName, find: &FindSpec<'_>) -> Option<Phase> {
        let moment = Moment::from_nanos;
        Some(match self {
            Self::Stopped => Phase::Stopped,
            Self::Completed => Phase::Completed,
            Self::Failed(retry) => Phase::Failed(retry.map(moment)),
            Self::Backoff(until) => Phase::Backoff(moment(until)),
            Self::Waiting(number, judged, again) => Phase::Waiting(Ticket { number, judged, again }),
            Self::Starting(run) => Phase::Starting(run.restore(program, find)?),
            Self::Running(run) => Phase::Running(run.restore(program, find)?),
            Self::Draining(run, until) => {
                let drain = Drain::Task { until: until.map(moment) };
                Phase::Draining(run.restore(program, find)?, drain)
            }
            Self::Hook(run, hook, deadline) => {
                let drain = Drain::Hook { hook: hook.restore(), deadline: moment(deadline) };
                Phase::Draining(run.restore(program, find)?, drain)
            }
            Self::Finishing(run, step, until) => {
                let stage = StopStage::Finishing { step, until: until.map(moment) };
                Phase::Stopping(run.restore(program, find)?, stage)
            }
            Self::Leftovers(run, grace, until) => {
                let stage =
                    StopStage::Leftovers { grace: Duration::from_nanos(grace), until: until.map(moment) };
                Phase::Stopping(run.restore(program, find)?, stage)
            }
            Self::Asked(run, step, deadline) => {
                let stage = StopStage::Asked { step, deadline: moment(deadline) };
                Phase::Stopping(run.restore(program, find)?, stage)
            }
            Self::Sweeping(run, deadline) => {
                let stage = StopStage::Sweeping { deadline: moment(deadline) };
                Phase::Stopping(run.restore(program, find)?, stage)
            }
            Self::Killing(run) => Phase::Killing(run.restore(program, find)?),
        })
    }

    fn run(&self) -> Option<&RunDto> {
        match self {
            Self::Stopped | Self::Completed | Self::Failed(_) | Self::Backoff(_) | Self::Waiting(..) => None,
            Self::Starting(run)
            | Self::Running(run)
            | Self::Draining(run, _)
            | Self::Hook(run, ..)
            | Self::Asked(run, ..)
            | Self::Finishing(run, ..)
            | Self::Leftovers(run, ..)
            | Self::Sweeping(run, _)
            | Self::Killing(run) => Some(run),
        }
    }

    fn run_mut(&mut self) -> Option<&mut RunDto> {
        match self {
            Self::Stopped | Self::Completed | Self::Failed(_) | Self::Backoff(_) | Self::Waiting(..) => None,
            Self::Starting(run)
            | Self::Running(run)
            | Self::Draining(run, _)
            | Self::Hook(run, ..)
            | Self::Asked(run, ..)
            | Self::Finishing(run, ..)
            | Self::Leftovers(run, ..)
            | Self::Sweeping(run, _)
            | Self::Killing(run) => Some(run),
        }
    }
}

impl StopDto {
    fn of(wish: &StopWish) -> Self {
        Self { who: wish.by.who.clone(), at: wish.by.at.clone(), runtime: wish.runtime }
    }

    fn restore(self) -> StopWish {
        StopWish { by: Author { who: self.who, at: self.at }, runtime: self.runtime }
    }
}

impl OverrideDto {
    pub(super) fn of(wish: &Override) -> Self {
        let scale = wish.scale.as_ref().map(|scale| ScaleDto {
            count: scale.count,
            file_count: scale.file_count,
            who: scale.by.who.clone(),
            at: scale.by.at.clone(),
        });
        Self {
            stopped: wish.stopped.as_ref().map(StopDto::of),
            stopped_instances: wish
                .stopped_instances
                .iter()
                .map(|(i, stop)| (*i, StopDto::of(stop)))
                .collect(),
            scale,
            started: match &wish.started {
                Started::No => StartedDto::No,
                Started::Only(which) => StartedDto::Only(which.clone()),
                Started::All => StartedDto::All,
            },
        }
    }

    pub(super) fn restore(self) -> Override {
        Override {
            stopped: self.stopped.map(StopDto::restore),
            stopped_instances: self
                .stopped_instances
                .into_iter()
                .map(|(i, stop)| (i, stop.restore()))
                .collect(),
            scale: self.scale.map(|scale| ScaleWish {
                count: scale.count,
                file_count: scale.file_count,
                by: Author { who: scale.who, at: scale.at },
            }),
            started: match self.started {
                StartedDto::No => Started::No,
                StartedDto::Only(which) => Started::Only(which),
                StartedDto::All => Started::All,
            },
        }
    }
}

impl Line {
    pub(super) fn shutdown(record: &ShutdownRecord) -> Self {
        Self::Shutdown { why: record.why.clone(), code: record.code, force: record.force }
    }
}
