//! Everything that can happen to the core. Closed: what is not here cannot influence a decision.

use crate::model::{
    Exit, Generation, HookKind, InstanceLabel, LaunchFailure, Moment, Plan, ProgramName, RunId, Signal, Slot,
};
use std::sync::Arc;
use std::time::Duration;

/// News from the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A valid configuration was read; it becomes the plan. Generations only grow.
    PlanAccepted {
        /// Its number.
        generation: Generation,
        /// The whole of it.
        plan: Arc<Plan>,
    },
    /// The program was executed: it runs.
    Launched {
        /// Which run.
        run: RunId,
        /// Its process id, for people; signals go by pidfd.
        pid: u32,
    },
    /// The launch came to nothing. No process of this run exists.
    LaunchFailed {
        /// Which run.
        run: RunId,
        /// Stage, errno, sentence.
        failure: LaunchFailure,
    },
    /// The main process ended. Its output is in the log; its zombie still pins the pid.
    Exited {
        /// Which run.
        run: RunId,
        /// How.
        exit: Exit,
        /// What it said last, in one line, as far as it said anything and that is known.
        words: Option<String>,
    },
    /// Main has ended, and these descendants of it live. Answers `CheckTree`.
    TreeLeft {
        /// Which run.
        run: RunId,
        /// How many there are, at least 1.
        processes: u32,
    },
    /// Nothing of this run lives any more.
    TreeEmpty {
        /// Which run.
        run: RunId,
    },
    /// The program's stop command ended. Answers `RunStopCommand`.
    StopCommandDone {
        /// Which run.
        run: RunId,
        /// `None`: it could not even be launched.
        exit: Option<Exit>,
    },
    /// A hook ended. Answers `RunHook`.
    HookDone {
        /// Which run.
        run: RunId,
        /// Which hook.
        hook: HookKind,
        /// `None`: it could not even be launched.
        exit: Option<Exit>,
    },
    /// The program says that it can do its job.
    Ready {
        /// Which run.
        run: RunId,
    },
    /// When it last gave a sign of life. Answers `CheckBeat`.
    Beat {
        /// Which run.
        run: RunId,
        /// Then.
        at: Moment,
    },
    /// It is stuck, by its own account.
    Stuck {
        /// Which run.
        run: RunId,
        /// How that is known: a fragment that follows "it" or is a sentence of its own.
        how: String,
    },
    /// It wants to be watched by another measure than the configuration's.
    BeatEvery {
        /// Which run.
        run: RunId,
        /// No beat for so long = stuck.
        every: Duration,
    },
    /// It needs more time for the start or the stop that is under way.
    Extend {
        /// Which run.
        run: RunId,
        /// So much from now on.
        by: Duration,
    },
    /// Whether the run is in the middle of a task. Answers `LookAtWork`, and comes unasked until `ForgetWork`.
    Work {
        /// Which run.
        run: RunId,
        /// What was seen.
        work: Work,
    },
    /// After a take-over: everything that the keeper holds. Comes once, before any other news of a run.
    Table {
        /// Every process, in no order.
        entries: Vec<TableEntry>,
    },
}

/// Whether a program may be interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// In the middle of a task.
    Busy {
        /// Since when.
        since: Moment,
        /// Of which, where it said so.
        what: Option<String>,
    },
    /// Between two tasks, and kept there until `ForgetWork`.
    Idle,
}

/// One process of the keeper's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableEntry {
    /// Which run.
    pub run: RunId,
    /// Whose.
    pub slot: Slot,
    /// What it was called at its launch.
    pub label: InstanceLabel,
    /// The plan it was launched from.
    pub generation: Generation,
    /// How far it is.
    pub stage: TableStage,
}

/// How far a process of the keeper's table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableStage {
    /// Forked, not executed yet; `Launched` or `LaunchFailed` follows.
    Forked,
    /// It runs, as far as is known.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It never ran.
    Failed(LaunchFailure),
    /// It ran and ended.
    Exited {
        /// Its process id.
        pid: u32,
        /// How it ended.
        exit: Exit,
    },
}

/// Who asked for something, and when by the wall clock. Opaque to the core, kept for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// `alice`, `uid 1234`, `SIGTERM from pid 1 (systemd)`.
    pub who: String,
    /// RFC 3339.
    pub at: String,
}

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// All instances of a program, also those still to come.
    Program(ProgramName),
    /// One instance.
    Instance(Slot),
}

/// An operator's wish. Asking twice is no harder than asking once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Run these; clears a stop.
    Start {
        /// What.
        targets: Vec<Target>,
    },
    /// Stop these and keep them stopped.
    Stop {
        /// What.
        targets: Vec<Target>,
        /// Do not wait for a task's end or a grace period.
        force: bool,
        /// The wish ends with the supervisor, instead of outliving reboots.
        runtime: bool,
    },
    /// Stop and start these; several instances of one program one at a time.
    Restart {
        /// What.
        targets: Vec<Target>,
        /// Do not wait for a task's end or a grace period.
        force: bool,
    },
    /// Send a signal to the main process of each.
    Signal {
        /// What.
        targets: Vec<Target>,
        /// Which.
        signal: Signal,
    },
    /// Want so many instances, until the file's own number changes.
    Scale {
        /// Of which program.
        program: ProgramName,
        /// How many.
        to: ScaleTo,
    },
    /// End everything, then the supervisor.
    Shutdown {
        /// Do not wait for a task's end or a grace period.
        force: bool,
    },
}

/// The operand of `scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleTo {
    /// `web=4`.
    Exactly(u32),
    /// `web=+1`.
    Up(u32),
    /// `web=-1`; not below zero.
    Down(u32),
}

/// Why a request was refused. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No such program, or no such instance of it.
    Unknown(Target),
    /// `enabled: false` in the file.
    Disabled(ProgramName),
    /// The supervisor is ending.
    ShuttingDown,
    /// More instances than [`super::MAX_INSTANCES`].
    TooMany(ProgramName),
    /// More than one instance of a program that has no `instances` key.
    NotNumbered(ProgramName),
    /// A signal for something that does not run.
    NotRunning(Target),
}
