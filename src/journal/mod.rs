//! What happened: every transition with its cause and its author, numbered, in memory for those who follow and on the
//! disk for those who ask later.
//!
//! In: [`Entry`]s from the decision thread, which never waits for them. Out: `history.jsonl` in the state folder
//! (bounded, whole after a crash), and entries for followers (bounded, drops counted). Never add here: decisions, or
//! what an entry means.

mod entry;
mod file;
mod store;

pub use entry::{Entry, Kind};
pub use store::{Journal, Offer, Query, Sink};

#[cfg(test)]
mod tests;
