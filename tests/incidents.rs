//! Twelve incidents as an operator meets them at 3 a.m. For each: the REASON column of `sppm status` (or its first lines,
//! where it is no single program's) names it, `sppm why NAME` gives the true cause and the next step, and that step works.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "incidents/deaths.rs"]
mod deaths;
#[path = "incidents/look.rs"]
mod look;
#[path = "incidents/people.rs"]
mod people;
#[path = "incidents/starts.rs"]
mod starts;
