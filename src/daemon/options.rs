//! What a supervisor is started with, and how its start can fail.

use std::ffi::OsString;
use std::path::PathBuf;

/// How it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In somebody's terminal or container: it also says on stderr what it does.
    Foreground,
    /// By `sppm start`, which waits on stderr for the word that it works.
    Background,
}

/// What a supervisor is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The configuration, absolute as given.
    pub config: PathBuf,
    /// How it was started.
    pub mode: Mode,
}

impl Options {
    /// The arguments by which the command starts the keeper (`run`) or the keeper its supervisor (`supervise`).
    pub(super) fn arguments(&self, verb: &str) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["sppm".into(), verb.into(), "--config".into()];
        arguments.push(self.config.clone().into());
        match self.mode {
            Mode::Foreground => {}
            Mode::Background => arguments.push("--background".into()),
        }
        arguments
    }
}

/// Why there is no supervisor now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// Whole lines for people; may be several.
    pub message: String,
    /// What to exit with.
    pub exit_code: u8,
}

impl StartError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }
}
