//! What programs say of themselves, and what follows: they ask for their own restart and stop, say that they are ready and
//! alive, and are believed or not; hooks run before a stop.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

#[path = "notices/alive.rs"]
mod alive;
#[path = "notices/hooks.rs"]
mod hooks;
#[path = "notices/many.rs"]
mod many;
#[path = "notices/puppet.rs"]
mod puppet;
#[path = "notices/ready.rs"]
mod ready;
#[path = "notices/wishes.rs"]
mod wishes;
#[path = "notices/words.rs"]
mod words;
