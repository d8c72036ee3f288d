//! What the core knows of one instance and what operators wish: plain values that survive a crash.
//!
//! The shell writes them down (`Action::Record`) and gives them back; a core that was restored from them goes
//! on as if nothing had happened. That is a law of the simulation.

use super::Author;
use crate::model::{Exit, Generation, HookKind, InstanceLabel, Moment, Program, Readiness, RunId, Signal};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Everything the core knows of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Where it is in its life.
    pub(crate) phase: Phase,
    /// When it entered the phase.
    pub(crate) since: Moment,
    /// Why it is where it is: a fragment for people.
    pub(crate) why: String,
    /// Launches after the first one.
    pub(crate) restarts: u32,
    /// How the last run ended.
    pub(crate) last_exit: Option<(Exit, Moment)>,
    /// The last run had to be killed since it did not heed its stop policy: how, in words for people.
    pub(crate) overdue: Option<String>,
    /// Failed starts and when, oldest first; at most `restart.limit` + 1 of them.
    pub(crate) failures: Vec<Moment>,
    /// Failed starts in a row, what the pause grows with.
    pub(crate) failures_in_row: u32,
    /// The limit was reached and no run has been steady since: one try at a time from now on.
    pub(crate) exhausted: bool,
    /// It is to be replaced as soon as its turn comes.
    pub(crate) replace: Option<Replace>,
    /// Whether it is the one by which a replacement of several is judged.
    pub(crate) trial: Trial,
    /// The present stop waits neither for a task's end nor for a grace period.
    pub(crate) hurry: bool,
    /// Its restart has a turn among those of many crash loops, at the end of its pause.
    pub(crate) queued: bool,
}

/// Where an instance is in its life. Each variant owns what only it needs, deadline included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not running, and not wanted to.
    Stopped,
    /// It ended with success and is not to be started again.
    Completed,
    /// Given up; when it is tried once more, if ever.
    Failed(Option<Moment>),
    /// The pause before a restart, and its end.
    Backoff(Moment),
    /// It is to be launched, and so many launches are in flight that it is not its turn.
    Waiting(Ticket),
    /// A launch was ordered, or it runs and is not ready.
    Starting(Run),
    /// It runs.
    Running(Run),
    /// A stop is wanted, and nothing was signalled yet.
    Draining(Run, Drain),
    /// It was asked to stop, or it ended by itself and its tree is being looked at.
    Stopping(Run, StopStage),
    /// KILL was ordered.
    Killing(Run),
}

/// A place in the queue of those that wait for a launch, and what that launch will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Lower goes first. No two that wait have the same.
    pub number: u64,
    /// It replaces another run, and its siblings are replaced only if it does well.
    pub judged: bool,
    /// It is not the first launch, so it counts as a restart.
    pub again: bool,
}

/// What a stop waits for before anything is signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// The end of a hook.
    Hook {
        /// Which.
        hook: HookKind,
        /// When it is not waited for any more.
        deadline: Moment,
    },
    /// The end of a task.
    Task {
        /// When the patience ends.
        until: Option<Moment>,
    },
}

/// How far a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopStage {
    /// Main lives; this step of the stop policy was taken last (0 = the first), and has until the deadline.
    Asked {
        /// The step.
        step: u32,
        /// When the next follows.
        deadline: Moment,
    },
    /// Main lives and all its time is over; KILL waits for the end of a task.
    Finishing {
        /// The last step.
        step: u32,
        /// When the patience ends.
        until: Option<Moment>,
    },
    /// Main is gone; what it left is busy, and is asked to end when it is idle.
    Leftovers {
        /// How long it has from then on.
        grace: Duration,
        /// When the patience ends.
        until: Option<Moment>,
    },
    /// Main is gone; what it left has until the deadline.
    Sweeping {
        /// When KILL follows.
        deadline: Moment,
    },
}

/// A live run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which.
    pub id: RunId,
    /// Its name for its whole life.
    pub label: InstanceLabel,
    /// What it was launched with, later changes of live keys included.
    pub spec: Arc<Program>,
    /// The plan that `spec` is from.
    pub generation: Generation,
    /// Process id, once executed.
    pub pid: Option<u32>,
    /// When it was executed.
    pub started_at: Option<Moment>,
    /// It was taken over from an earlier supervisor process.
    pub adopted: bool,
    /// It was found without a record, launched from another plan: by which rules nobody knows, so a stop waits for its task whatever
    /// `on_stop` says now.
    pub of_unknown_plan: bool,
    /// How main ended, once it has.
    pub exit: Option<(Exit, Moment)>,
    /// It was asked to stop, so its exit says nothing about its health.
    pub asked: bool,
    /// What makes it ready, as it was launched.
    pub ready: Readiness,
    /// It said that it is ready, before it was known to run.
    pub ready_said: bool,
    /// When it got ready.
    pub ready_at: Option<Moment>,
    /// It has at least until then to get ready.
    pub extended: Option<Moment>,
    /// By which signs of life it is watched.
    pub watchdog: Option<Watchdog>,
    /// Since when it is known to be in the middle of a task.
    pub busy_since: Option<Moment>,
    /// Of which task, where it said so.
    pub busy_what: Option<String>,
    /// How far the patience with its tasks is.
    pub patience: Patience,
    /// Its start failed although it ran: why, in words for people. Its end is no other failure.
    pub late: Option<String>,
    /// What it said last, once it has ended.
    pub words: Option<String>,
    /// The last signal that an operator sent it: an end by it is no riddle.
    pub sent: Option<Signal>,
    /// It had to be killed since it did not heed its stop policy: how, in words for people.
    pub overdue: Option<String>,
}

/// How a run is watched for signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watchdog {
    /// No beat for so long = stuck.
    pub every: Duration,
    /// The last beat that is known.
    pub last: Moment,
    /// It was asked whether there has been another one since.
    pub checking: bool,
}

/// How far the patience with a run's tasks is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A stop waits for their end.
    Whole,
    /// It was signalled at once, was busy then, and has had its whole grace once more since it was idle.
    Graced,
    /// It was busy for longer than max_busy: it is not waited for any more.
    Over,
    /// It was busy for longer than max_busy: this stop was given up, and the next one waits as long.
    GivenUp,
}

/// Why a run is to be replaced although it is healthy, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replace {
    /// An edit changed what it was launched with.
    Edit(String),
    /// An operator asked for it.
    Operator {
        /// Who.
        by: String,
        /// Without waiting for anything.
        force: bool,
    },
    /// It gives no sign of life: how that is known.
    Stuck(String),
}

/// Of several instances one at a time is replaced, and the next only when that one has proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// Nothing hangs on it.
    None,
    /// It replaced another run and has not been steady yet.
    Running,
    /// It replaced another run and failed: the others are left as they are.
    Failed(String),
}

/// An operator's lasting wish about one program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Override {
    /// The whole program is to stay stopped.
    pub stopped: Option<StopWish>,
    /// These instances are to stay stopped.
    pub stopped_instances: Vec<(u32, StopWish)>,
    /// So many instances, as long as the file says what it said then.
    pub scale: Option<ScaleWish>,
    /// `start` of something with `autostart: false`. Ends with the supervisor.
    pub started: Started,
}

/// A stop that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopWish {
    /// Who asked, and when.
    pub by: Author,
    /// It ends with the supervisor instead of outliving reboots.
    pub runtime: bool,
}

/// A `scale` that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleWish {
    /// What was asked for.
    pub count: u32,
    /// What the file said then; when that changes, the wish ends.
    pub file_count: u32,
    /// Who asked, and when.
    pub by: Author,
}

/// Which instances were started by hand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Started {
    /// None.
    #[default]
    No,
    /// These.
    Only(BTreeSet<u32>),
    /// All, also those to come.
    All,
}

impl Override {
    /// Whether nothing is wished.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A shutdown under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownRecord {
    /// Who asked for it or what led to it.
    pub why: String,
    /// The exit code at its end.
    pub code: u8,
    /// Nothing is waited for.
    pub force: bool,
}

/// What an earlier core wrote down.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The accepted plan.
    pub plan: Option<(Generation, Arc<crate::model::Plan>)>,
    /// Every slot.
    pub instances: Vec<(crate::model::Slot, Instance)>,
    /// Operators' wishes.
    pub overrides: Vec<(crate::model::ProgramName, Override)>,
    /// The shutdown that was under way.
    pub shutdown: Option<ShutdownRecord>,
}
