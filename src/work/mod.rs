//! Whether a run is in the middle of a task, and holding it idle until it is signalled.
//!
//! A run is busy when any source says so: what it said of itself (the [`Board`]), the state in its working lock's file, or
//! an exclusive flock(2) on that file. [`look`] is for people who ask: it holds nothing and waits for nothing. The [`Gate`] is
//! for stops: it looks, goes on looking when something changes, and says that a run is idle only while that cannot change.
//!
//! Never add here: what is done about a busy run. Nothing of this may run on the decision thread but the handles.

mod bell;
mod board;
mod gate;
mod judge;
mod kin;
mod look;
mod lookout;
mod notebook;
mod state;
mod subject;
mod worker;

pub use board::{Board, Busy, Mark, Marked};
pub use gate::{Gate, GateNews, Keep, Subject};
pub use judge::Launch;
pub use look::{Glance, Reading, look, rewritten};

#[cfg(test)]
mod tests;
