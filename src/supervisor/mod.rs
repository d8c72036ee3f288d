//! The core: decides, and does nothing else.
//!
//! Fed by [`Supervisor::handle`], [`Supervisor::ask`] and [`Supervisor::tick`], emptied by
//! [`Supervisor::next_action`] and [`Supervisor::next_deadline`]. Time is an argument.
//!
//! Never add here: I/O, clocks, threads, serde, hash maps, randomness that is not seeded by the caller.

mod action;
mod batch;
#[cfg(test)]
mod cases;
mod core;
mod diff;
mod drain;
mod edit;
mod ended;
mod event;
mod flights;
mod instance;
pub(crate) mod mutant;
mod pulse;
mod random;
mod record;
mod requests;
mod restart;
mod rollout;
mod shutdown;
#[cfg(test)]
mod simulation;
mod status;
mod stop;
mod storm;
mod takeover;
mod view;
mod waits;
mod wish;

pub use action::{Action, Class, EndCause, Fact, HookFailure, Launch, Notice};
pub use core::Supervisor;
pub use diff::{Change, Diff, Fate, compare, diff};
pub use event::{Author, Event, Refused, Request, ScaleTo, TableEntry, TableStage, Target, Work};
pub use record::{
    Drain, Instance, Override, Patience, Phase, Replace, Restored, Run, ScaleWish, ShutdownRecord, Started,
    StopStage, StopWish, Ticket, Trial, Watchdog,
};
pub use status::{Desired, InstanceStatus, PhaseKind, ProgramStatus, Settled, Status};

/// The most instances of one program.
pub const MAX_INSTANCES: u32 = 10_000;
