//! No stop cuts a task in half, whoever wants the stop, whatever the program says its tasks with, and whoever dies meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "tasks/called_off.rs"]
mod called_off;
mod common;
#[path = "tasks/deaths.rs"]
mod deaths;
#[path = "tasks/hostile.rs"]
mod hostile;
#[path = "tasks/many.rs"]
mod many;
#[path = "tasks/patience.rs"]
mod patience;
#[path = "tasks/sources.rs"]
mod sources;
#[path = "tasks/workers.rs"]
mod workers;
