//! The control socket under attack: nobody who connects can hold up the supervision of programs, or others who ask.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod common;

#[path = "api_attack/attackers.rs"]
mod attackers;
#[path = "api_attack/siege.rs"]
mod siege;
#[path = "api_attack/socket.rs"]
mod socket;
