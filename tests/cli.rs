//! The command: help, errors, exit codes, aliases, signals, and every verb that has no test file of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "cli/manners.rs"]
mod manners;
#[path = "cli/signals.rs"]
mod signals;
#[path = "cli/verbs.rs"]
mod verbs;
