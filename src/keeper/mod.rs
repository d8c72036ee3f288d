//! The keeper: the tiny parent process that owns the programs. It is the process table; the supervisor, which
//! it starts and starts again, is the brain.
//!
//! In: orders from the supervisor over a SOCK_SEQPACKET socket ([`link::Order`]), signals, exits of children.
//! Out: processes, and reports ([`link::Report`]).
//!
//! Never add here: YAML, HTTP, threads, user names, restart policy of programs, anything that can panic, a
//! table without a bound. A fault here ends every program's parent; a fault in the supervisor ends nothing.

mod above;
mod children;
mod claim;
mod crashes;
mod held;
mod launch;
pub mod link;
mod order;
mod order_frames;
mod outbox;
mod poller;
mod report;
mod report_frames;
mod say;
mod state;
mod strangers;
mod supervisor;
mod supervisor_life;
mod table;
mod talk;
mod wire;

#[cfg(test)]
mod frames_tests;

use std::ffi::OsString;

/// What the keeper needs to know; all else comes as orders.
#[derive(Debug, Clone)]
pub struct KeeperOptions {
    /// Arguments of the supervisor, `argv[0]` first. The file that is executed is always `/proc/self/exe`.
    pub supervisor_argv: Vec<OsString>,
}

/// Turns this process, which must have one thread, into the keeper. Returns its exit code: the supervisor's goodbye, or the exit
/// code of a first supervisor that ended before it was ready (78: invalid configuration), or 70, 71 when none can be had.
pub fn run(options: &KeeperOptions) -> i32 {
    match state::Keeper::new(options) {
        Ok(keeper) => keeper.live(),
        Err(error) => {
            say::say(&format!("cannot start: {error}"));
            // sysexits(3) EX_OSERR.
            71
        }
    }
}
