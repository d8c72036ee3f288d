//! For programs that are supervised: say when a task is in hand, and no stop or restart cuts it in half.
//!
//! ```toml
//! [dependencies]
//! sppm = { version = "0.1", default-features = false }   # this module alone, no dependency at all
//! ```
//!
//! ```no_run
//! use sppm::client;
//!
//! client::ready();
//! while client::stop_wanted().is_none() {
//!     let _task = client::task("page 7"); // busy until it is dropped
//!     // … the work …
//! }
//! ```
//!
//! Everything works without a supervisor too: it does nothing then, or what it can do alone, and says so by what it
//! returns. The supervisor tells a program through its environment (`SPPM_LOCK`, `SPPM_NOTIFY`, `SPPM_SOCKET`,
//! `SPPM_RUN`); what is not set there is not offered. The languages spoken are in `clients/python/PROTOCOL.md`.
//!
//! # Tasks
//!
//! | call | how the supervisor sees it | for |
//! |---|---|---|
//! | [`task`], [`working_lock`] | the state in the file `$SPPM_LOCK` | programs that work in one process |
//! | [`flock_task`] | a kernel lock on that file | several processes of which one works at a time; it dies with its holder |
//! | [`Channel::task`] | a mark of this connection | several processes that work at the same time |
//!
//! Use one of them in a program. An idle gap of less than a millisecond cannot be seen from outside, so tasks that follow
//! each other without one rest for a millisecond now and then.
//!
//! # Signals
//!
//! The supervisor sends no signal to a program in the middle of a task (but for `on_stop: signal`, and past `max_busy`), so
//! most programs need no handler: TERM ends them between two tasks. One that wants to leave its loop by itself is told by
//! [`stop_wanted`] and [`wait_stop`], over `$SPPM_SOCKET`. The standard library has no signals; where one shall count as
//! well, hand it on with a crate that has them:
//!
//! ```no_run
//! # #[cfg(feature = "supervisor")] {
//! // signal-hook = "0.4"
//! use signal_hook::{consts::{SIGINT, SIGTERM}, iterator::Signals};
//!
//! let mut signals = Signals::new([SIGINT, SIGTERM])?;
//! std::thread::spawn(move || {
//!     for signal in signals.forever() {
//!         sppm::client::want_stop(&format!("signal {signal}"));
//!     }
//! });
//! # }
//! # Ok::<(), std::io::Error>(())
//! ```

mod channel;
mod connection;
mod environment;
mod flock;
mod notify;
mod rest;
mod shared;
mod state_file;
mod stop;
mod subscription;
mod task;
mod wire;

#[cfg(test)]
mod tests_channel;
#[cfg(test)]
mod tests_fake;
#[cfg(test)]
mod tests_marks;

pub use channel::{Channel, ChannelTask};
pub use environment::supervised;
pub use flock::{FlockTask, flock_task};
pub use notify::{beat, ready, request, request_restart, request_stop, status};
pub use shared::Versioned;
pub use stop::{Stop, StopKind, stop_wanted, wait_stop, want_stop};
pub use subscription::{Message, Subscription};
pub use task::{Task, task, working_lock};
pub use wire::ChannelError;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock that a panic of the program elsewhere does not close: everything behind one is whole between two steps.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
