//! What must survive a crash of the supervisor: the state of each slot as plain values.
//!
//! `restore(records) == the core that wrote them` is a law of the simulation.

use super::Author;
use crate::model::{Exit, Generation, InstanceLabel, Moment, RunId};

/// Everything the core knows of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRecord {
    /// Where it is in its life.
    pub phase: PhaseRecord,
    /// When it entered the phase.
    pub since: Moment,
    /// The sentence that status shows, where it is not derived from the phase alone.
    pub why: String,
    /// Restarts so far.
    pub restarts: u32,
    /// How the last run ended.
    pub last_exit: Option<(Exit, Moment)>,
    /// Failed starts within the restart window, oldest first.
    pub failures: Vec<Moment>,
    /// Failed starts in a row.
    pub failures_in_row: u32,
    /// The limit was reached, and no run has been steady since.
    pub exhausted: bool,
    /// It is to be replaced as soon as its turn comes.
    pub replace: Option<Replace>,
    /// `start` was asked for although `autostart` is false.
    pub started: bool,
}

/// Why a healthy run is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// An edit changed what it was launched with.
    Edit,
    /// An operator's restart.
    Operator,
    /// An operator's restart that waits for nothing.
    Forced,
}

/// The run of a phase that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Which.
    pub run: RunId,
    /// Its name for its whole life.
    pub label: InstanceLabel,
    /// The plan that its spec is from.
    pub generation: Generation,
    /// Process id, once executed.
    pub pid: Option<u32>,
    /// When it was executed.
    pub started_at: Option<Moment>,
    /// It was launched by an earlier supervisor process.
    pub adopted: bool,
    /// How main ended, once it has.
    pub exit: Option<(Exit, Moment)>,
}

/// The phases with their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhaseRecord {
    /// Not running.
    Stopped,
    /// Success, not to be started again.
    Completed,
    /// Given up; the moment of the next slow retry, if there is one.
    Failed(Option<Moment>),
    /// Until when.
    Backoff(Moment),
    /// Launch ordered.
    Starting(RunRecord),
    /// Running.
    Running(RunRecord),
    /// Busy, a stop is wanted. Until when the gate holds.
    Draining(RunRecord, Option<Moment>),
    /// Asked: which step was taken last (0 = the first), and its deadline.
    Stopping(RunRecord, u32, Moment),
    /// KILL was ordered.
    Killing(RunRecord),
}

/// An operator's lasting wish about one program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Override {
    /// The whole program is to stay stopped.
    pub stopped: Option<Author>,
    /// These instances are to stay stopped.
    pub stopped_instances: Vec<(u32, Author)>,
    /// So many instances, as long as the file says what it said then.
    pub scale: Option<ScaleOverride>,
}

/// A `scale` that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleOverride {
    /// What was asked for.
    pub count: u32,
    /// What the file said at that time; when that changes, the wish ends.
    pub file_count: u32,
    /// Who asked.
    pub by: Author,
}

impl Override {
    /// Whether nothing is wished.
    pub fn is_empty(&self) -> bool {
        self.stopped.is_none() && self.stopped_instances.is_empty() && self.scale.is_none()
    }
}
