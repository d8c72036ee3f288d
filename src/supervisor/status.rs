//! The published picture: what the core knows, as plain data for rendering. Moments, not wall time.

use crate::model::{Exit, Generation, InstanceLabel, Moment, ProgramName, RunId, Slot};
use std::fmt;

/// All programs at one moment, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The accepted plan.
    pub generation: Generation,
    /// A shutdown is under way.
    pub shutting_down: bool,
    /// In the order of their names.
    pub programs: Vec<ProgramStatus>,
}

/// One program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramStatus {
    /// Its name.
    pub name: ProgramName,
    /// What is wanted.
    pub desired: Desired,
    /// The worst phase of its instances; `Stopped` without any.
    pub phase: PhaseKind,
    /// How many instances can do their job.
    pub ready: u32,
    /// How many there should be.
    pub wanted: u32,
    /// Something about the program as a whole that people must know: a paused rollout, an override.
    pub flag: Option<String>,
    /// Whether the program is what the file and its operators want it to be.
    pub as_wanted: bool,
    /// In the order of their indexes.
    pub instances: Vec<InstanceStatus>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Which.
    pub slot: Slot,
    /// What it is called.
    pub label: InstanceLabel,
    /// Where it is in its life.
    pub phase: PhaseKind,
    /// The live run.
    pub run: Option<RunId>,
    /// Process id of main, while it lives.
    pub pid: Option<u32>,
    /// When it entered the phase.
    pub since: Moment,
    /// When main was executed, while it lives.
    pub started_at: Option<Moment>,
    /// It can do its job.
    pub ready: bool,
    /// In the middle of a task; `None` = nobody knows.
    pub busy: Option<bool>,
    /// Since when it is known to be busy.
    pub busy_since: Option<Moment>,
    /// Restarts since the supervisor started it first.
    pub restarts: u32,
    /// How the last run ended, and when.
    pub last_exit: Option<(Exit, Moment)>,
    /// The last run had to be killed since it did not heed its stop policy: how.
    pub overdue: Option<String>,
    /// When it will be started again.
    pub next_start_at: Option<Moment>,
    /// It was taken over from an earlier supervisor.
    pub adopted: bool,
    /// Why it is in this phase, in one sentence.
    pub reason: String,
    /// Nothing is in motion: it lives for a second or more, or has stopped, failed, completed, or waits to be restarted.
    pub settled: Settled,
}

/// Whether an instance has come to rest, for commands that wait for their effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It has, as wanted.
    Good,
    /// It has, but not as wanted: a start failed.
    Bad,
    /// Not yet.
    Moving,
    /// Not yet; nothing but time is missing.
    At(Moment),
}

/// What is wanted of an instance or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Desired {
    /// It should run.
    Running,
    /// It should not.
    Stopped,
    /// It has done what it should.
    Completed,
}

/// The phases by name, worst first: a program's phase is the first that one of its instances is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhaseKind {
    /// The restart limit is reached, or its exit forbids a restart.
    Failed,
    /// The pause before a restart.
    Backoff,
    /// KILL was sent; something still lives.
    Killing,
    /// It was asked to stop.
    Stopping,
    /// A stop is wanted; it is busy.
    Draining,
    /// A launch was ordered.
    Starting,
    /// It waits for its turn to be launched.
    Waiting,
    /// It runs and is ready.
    Running,
    /// It ended by itself with success and is not to be started again.
    Completed,
    /// It does not run.
    Stopped,
}

impl PhaseKind {
    /// As written in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Backoff => "backoff",
            Self::Killing => "killing",
            Self::Stopping => "stopping",
            Self::Draining => "draining",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Desired {
    /// As written in JSON and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
        }
    }
}

impl fmt::Display for Desired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
