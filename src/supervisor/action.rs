//! Everything that the core can want done. Closed, like [`Event`](super::Event).

use super::{Instance, Override, ShutdownRecord};
use crate::model::{
    Exit, Generation, HookKind, InstanceLabel, LaunchFailure, Program, ProgramName, RunId, Signal, Slot,
    StopKind, StopScope, Template,
};
use std::sync::Arc;

/// What the world is to do. Carried out in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Keep this on disk before the next action that is no record and no note is begun; `None` = the slot is gone.
    Record {
        /// Whose.
        slot: Slot,
        /// All there is to know to go on after a crash.
        record: Option<Arc<Instance>>,
    },
    /// Keep on disk that a shutdown is under way.
    RecordShutdown(ShutdownRecord),
    /// Keep on disk that this is the plan now. Every live run but the stale ones counts as launched from it.
    RecordPlan {
        /// The plan.
        generation: Generation,
        /// Runs whose spec is from an older plan.
        stale: Vec<RunId>,
    },
    /// Keep an operator's lasting wish; `None` = there is none any more. Its runtime parts end with the supervisor,
    /// the others outlive reboots.
    KeepOverride {
        /// About which program.
        program: ProgramName,
        /// The wish. Boxed, since it is large and seldom: actions are many.
        wish: Option<Box<Override>>,
    },
    /// Start a process. Answered by `Launched` or `LaunchFailed`.
    Launch(Box<Launch>),
    /// Send the stop signal, then CONT so that a stopped process can act on it.
    AskToStop {
        /// Which run.
        run: RunId,
        /// Which signal.
        signal: Signal,
        /// To whom.
        scope: StopScope,
    },
    /// Run the program's stop command. Answered by `StopCommandDone`.
    RunStopCommand {
        /// Which run.
        run: RunId,
        /// The command, placeholders open.
        argv: Vec<Template>,
    },
    /// Run one of the program's hooks. Answered by `HookDone`.
    RunHook {
        /// Which run.
        run: RunId,
        /// Which hook.
        hook: HookKind,
        /// The command, placeholders open.
        argv: Vec<Template>,
    },
    /// Nobody waits for that hook any more: end it, if it still runs.
    EndHook {
        /// Which run.
        run: RunId,
        /// Which hook.
        hook: HookKind,
    },
    /// Tell the run that a stop is wanted, and why; `None`: it is not wanted any more. Nobody need listen.
    TellStop {
        /// Which run.
        run: RunId,
        /// What is wanted.
        stop: Option<(StopKind, String)>,
    },
    /// Ask when the run last gave a sign of life. Answered by `Beat`.
    CheckBeat {
        /// Which run.
        run: RunId,
    },
    /// Send an operator's signal to the main process, and nothing else.
    Signal {
        /// Which run.
        run: RunId,
        /// Which signal.
        signal: Signal,
    },
    /// KILL everything of this run, again and again until nothing lives.
    Kill {
        /// Which run.
        run: RunId,
    },
    /// Main has exited: see what is left. Answered by `TreeEmpty` or `TreeLeft`, and after the latter by
    /// `TreeEmpty` as soon as that is so.
    CheckTree {
        /// Which run.
        run: RunId,
    },
    /// Ask whether the run is busy. Answered by `Work`; news follow until `ForgetWork`, and from its being idle until then it is
    /// kept from beginning a task.
    LookAtWork {
        /// Which run.
        run: RunId,
    },
    /// Nobody waits for this run's idleness any more: let it go on.
    ForgetWork {
        /// Which run.
        run: RunId,
        /// It was signalled, so what keeps a task from beginning without stopping a process stays until its end.
        signalled: bool,
    },
    /// The live part of this run's spec changed: logs, OOM score.
    Respec {
        /// Which run.
        run: RunId,
        /// Its spec from now on.
        spec: Arc<Program>,
        /// The plan it is from.
        generation: Generation,
    },
    /// The run is over: reap it, close its pipes, remove its folders.
    Release {
        /// Which run.
        run: RunId,
    },
    /// A fact worth telling.
    Note(Notice),
    /// Everything has ended: end. Nothing comes after it.
    Finish {
        /// 0, or 1 after `restart.then: shutdown`.
        code: u8,
    },
}

/// How an action may be moved among others, and what it needs on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reaches a live run or asks it, as it is now: before more news of it, and in order with the records of its program.
    Signal(RunId),
    /// Asks a live run about its work: the same, but after all signals.
    Look(RunId),
    /// A question about what has ended: whenever it is asked, it changes nothing.
    Question,
    /// One slot's record.
    Record,
    /// Something to be told.
    Note,
    /// Comes when its slot's record is on disk: a launch, a release.
    Belated,
    /// A record of more than one slot: nothing overtakes it.
    Decree,
    /// Nothing comes after it.
    End,
}

impl Action {
    /// The class, by which alone the order of actions and the writing of records go.
    pub fn class(&self) -> Class {
        match self {
            Self::AskToStop { run, .. }
            | Self::RunStopCommand { run, .. }
            | Self::RunHook { run, .. }
            | Self::EndHook { run, .. }
            | Self::TellStop { run, .. }
            | Self::Signal { run, .. }
            | Self::Kill { run }
            | Self::ForgetWork { run, .. }
            | Self::Respec { run, .. } => Class::Signal(*run),
            Self::LookAtWork { run } => Class::Look(*run),
            Self::CheckTree { .. } | Self::CheckBeat { .. } => Class::Question,
            Self::Record { .. } => Class::Record,
            Self::Note(_) => Class::Note,
            Self::Launch(_) | Self::Release { .. } => Class::Belated,
            Self::RecordShutdown(_) | Self::RecordPlan { .. } | Self::KeepOverride { .. } => Class::Decree,
            Self::Finish { .. } => Class::End,
        }
    }
}

impl Class {
    /// Whether it only adds to what is written next. Before anything else all that is written.
    pub fn is_written(self) -> bool {
        match self {
            Self::Record | Self::Note | Self::Decree => true,
            Self::Signal(_) | Self::Look(_) | Self::Question | Self::Belated | Self::End => false,
        }
    }

    /// Whether more news could overtake it.
    pub(super) fn is_urgent(self) -> bool {
        matches!(self, Self::Signal(_) | Self::Look(_))
    }
}

/// An order to start a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The new run.
    pub run: RunId,
    /// Whose.
    pub slot: Slot,
    /// What it is called for its whole life.
    pub label: InstanceLabel,
    /// What to start.
    pub spec: Arc<Program>,
    /// The plan that `spec` is from.
    pub generation: Generation,
}

/// A fact worth telling people, about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whose.
    pub slot: Slot,
    /// Its name.
    pub label: InstanceLabel,
    /// What.
    pub fact: Fact,
}

/// What the core knows of why a main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// By itself, or by something that sppm has no part in.
    Own,
    /// It had been asked to.
    Asked,
    /// It did not heed that, or was not to be waited for, and was killed.
    Killed,
    /// An operator sent the signal that ended it.
    Signalled,
}

/// How a hook failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookFailure {
    /// It could not be launched.
    NotLaunched,
    /// It ended so.
    Ended(Exit),
    /// It did not end in time.
    TimedOut,
}

/// What can be told of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It runs.
    Started {
        /// Process id.
        pid: u32,
    },
    /// A launch failed.
    LaunchFailed(LaunchFailure),
    /// Main ended.
    Exited {
        /// Process id.
        pid: u32,
        /// How.
        exit: Exit,
        /// What is known of why.
        cause: EndCause,
    },
    /// It ran, and did not get ready in time: a failed start.
    NotReady {
        /// How long it had, in words for people.
        how: String,
    },
    /// It is stuck, and is restarted.
    Stuck {
        /// By what that is known, in words for people.
        how: String,
    },
    /// The phase changed; with the sentence that status shows.
    Phase {
        /// To which.
        to: super::PhaseKind,
        /// Why, in one sentence.
        reason: String,
    },
    /// Descendants outlived main, and are ended or left alone as `orphans` says.
    Leftovers {
        /// How many.
        processes: u32,
        /// They are left alone.
        kept: bool,
    },
    /// An instance that replaced another failed; the others keep running as they are.
    RolloutStopped {
        /// Why.
        reason: String,
    },
    /// A hook failed or took too long; what it was before goes on.
    HookFailed {
        /// Which.
        hook: HookKind,
        /// How.
        how: HookFailure,
    },
    /// The stop command failed; the program is killed at its timeout.
    StopCommandFailed {
        /// `None`: it could not be launched.
        exit: Option<Exit>,
    },
}
