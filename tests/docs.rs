//! The documentation is true: its files are valid, its transcripts are what happens, its reference is what the code says.
//!
//! `UPDATE=1 cargo test --test docs` writes the generated parts again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/load.rs"]
mod load;
#[path = "docs/outcome.rs"]
mod outcome;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/transcript.rs"]
mod transcript;
#[path = "docs/transcripts.rs"]
mod transcripts;
