//! The nouns: names, programs, plans, signals, exits, moments. Plain data, standard library only.
//!
//! Never add here: serde, clocks, I/O, hash maps (their order is random), or any use of another module.

mod exit;
mod gate;
mod moment;
mod name;
mod plan;
mod program;
mod run;
mod saying;
mod signal;
mod template;

pub use exit::{Exit, ExitMatch};
pub use gate::{
    Hook, HookKind, Hooks, LockKind, LockPath, OnStop, PastMaxBusy, Readiness, ReadyBy, StopKind, WorkGate,
};
pub use moment::Moment;
pub use name::{InstanceLabel, InvalidName, ProgramName, Slot};
pub use plan::{
    ApiSettings, DisabledProgram, Folders, FollowFile, Generation, Place, Plan, StartConcurrency,
    SupervisorSettings,
};
pub use program::{
    Account, ByteSize, Command, GiveUp, Inherit, Instances, Limits, LogSink, LogStream, Logs, Mode, Orphans,
    PerMille, Program, RestartPolicy, RestartWhen, Rlimit, RlimitKind, StderrSink, StopBy, StopPolicy,
    StopScope, StopStep,
};
pub use run::{LaunchFailure, LaunchStage, RunId};
pub use saying::Saying;
pub use signal::Signal;
pub use template::Template;
