//! The core: decides, and does nothing else.
//!
//! Fed by [`Supervisor::handle`], [`Supervisor::ask`] and [`Supervisor::tick`], emptied by
//! [`Supervisor::next_action`] and [`Supervisor::next_deadline`]. Time is an argument.
//!
//! Never add here: I/O, clocks, threads, serde, hash maps, randomness that is not seeded by the caller.

mod action;
mod event;
mod record;
mod status;

pub use action::{Action, Fact, Launch, Notice};
pub use event::{Author, Event, Refused, Request, ScaleTo, TableEntry, TableStage, Target, Work};
pub use record::{Override, PhaseRecord, Replace, RunRecord, ScaleOverride, SlotRecord};
pub use status::{Desired, InstanceStatus, PhaseKind, ProgramStatus, Settled, Status};

/// The most instances of one program.
pub const MAX_INSTANCES: u32 = 10_000;
