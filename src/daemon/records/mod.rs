//! What outlives a crash of the supervisor: a file of appended JSON lines in the runtime folder, the accepted
//! configurations beside it, and the operators' lasting wishes in the state folder.
//!
//! A write survives the death of the process (it is in the page cache); after a reboot nothing of it is valid, so
//! nothing is flushed to the disk, but for the operators' wishes.

mod dto;
mod file;
mod plans;
mod run_dto;
mod wishes;

pub(super) use file::{Found, Records};
pub(super) use plans::Plans;
pub(super) use wishes::Wishes;
