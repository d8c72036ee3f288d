//! The seam to the machinery: all that the command needs of the daemon.

pub use crate::config::Sources;
pub use crate::control::wire::{ErrorDto, ErrorKind};

use std::path::PathBuf;

/// What a supervisor is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The configuration, absolute as given.
    pub config: PathBuf,
    /// Nobody sits in front of it: it was started by `sppm start`.
    pub background: bool,
}

/// The machinery that the command sets in motion. `main` passes the real one in, tests a scripted one.
pub trait Backend {
    /// Reads configurations as the daemon does, with its limits and its distrust.
    fn sources(&self) -> Box<dyn Sources>;

    /// Becomes keeper and supervisor of `options.config` until both end; returns the exit code. Says itself
    /// what went wrong.
    fn run_foreground(&self, options: &Options) -> u8;

    /// Starts a supervisor that outlives this command, and returns as soon as its socket answers.
    ///
    /// # Errors
    /// When it could not be started, or ended before it answered.
    fn start_background(&self, options: &Options) -> Result<(), Box<ErrorDto>>;

    /// Is the supervisor that a keeper starts; returns the exit code.
    fn supervise(&self, options: &Options) -> u8;

    /// Is the process between `start` and the keeper; returns the exit code.
    fn detach(&self, options: &Options) -> u8;
}
