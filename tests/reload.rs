//! An edit changes only what it concerns, by whatever way the file is saved, and each save is applied once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "reload/cast.rs"]
mod cast;
#[path = "reload/edits.rs"]
mod edits;
#[path = "reload/saves.rs"]
mod saves;
