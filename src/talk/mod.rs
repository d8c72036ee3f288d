//! What programs say without being asked: lines of `SPPM_NOTIFY`, and sd_notify(3). The folder of an instance, where both
//! have their ends.
//!
//! In: bytes that programs write. Out: [`Heard`]. Everything is bounded by run: a program that talks without pause waits for
//! itself, and keeps nobody else from being heard.
//!
//! Never add here: what follows from a saying.

mod clear;
mod ears;
mod env_file;
mod folder;
mod line;
mod listening;
mod notify;
mod text;
mod voice;

#[cfg(test)]
mod tests_ears;
#[cfg(test)]
mod tests_folder;

pub use ears::Ears;
pub use env_file::EnvFile;
pub use folder::{
    Folders, Opened, Past, Places, Untouched, has_past, make, make_lock, remove, reopen, sweep, too_long,
};
pub use line::MAX_LINE;
pub use notify::MAX_MESSAGE;

use crate::model::Saying;

/// By which way something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A line of `SPPM_NOTIFY`; who wrote it is not known, but that it may open the FIFO.
    Line,
    /// sd_notify(3).
    Notify {
        /// Who sent it, as the kernel says; 0 where it is outside of our pid namespace. It may have ended since.
        pid: u32,
    },
}

/// One thing that a run said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// By which way.
    pub way: Way,
    /// What.
    pub saying: Saying,
}
