//! One thing that happened, in the form in which it is kept and told. A promise to strangers: only additions.

use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1, without a gap, over restarts of the supervisor and of the machine.
    #[serde(default)]
    pub seq: u64,
    /// When: RFC 3339, UTC, milliseconds.
    pub at: String,
    /// What kind of thing.
    pub kind: Kind,
    /// About which program, if about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// About which of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The instance's phase from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Exit code, where it ended with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Who asked for it, by the credentials of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// One sentence for people.
    pub text: String,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A supervisor began.
    SupervisorStarted,
    /// A supervisor took over from one that died.
    SupervisorTookOver,
    /// The supervisor ended in order.
    SupervisorEnded,
    /// A configuration was accepted.
    ConfigChanged,
    /// A configuration was read and refused.
    ConfigInvalid,
    /// The configuration is valid again.
    ConfigValid,
    /// Somebody asked for something.
    Request,
    /// A process runs.
    Started,
    /// A launch came to nothing.
    LaunchFailed,
    /// It did not get ready in time: a failed start.
    NotReady,
    /// It is stuck: it gave no sign of life for too long, or said so.
    Stuck,
    /// A main process ended.
    Exited,
    /// An instance entered a phase.
    Phase,
    /// A main process left descendants behind.
    Leftovers,
    /// Replacing several instances stopped at one that failed.
    RolloutStopped,
    /// A stop command failed.
    StopCommandFailed,
    /// A hook failed or took too long.
    HookFailed,
    /// A log cannot be written.
    LogTrouble,
    /// A log works again.
    LogRecovered,
    /// A kind of a newer version.
    #[serde(other)]
    Other,
}

impl Entry {
    /// An entry about the supervisor itself; the journal gives it its number.
    pub fn new(at: String, kind: Kind, text: impl Into<String>) -> Self {
        Self {
            seq: 0,
            at,
            kind,
            program: None,
            instance: None,
            phase: None,
            pid: None,
            code: None,
            signal: None,
            by: None,
            text: text.into(),
        }
    }

    /// The same, about an instance.
    #[must_use]
    pub fn about(mut self, program: &str, instance: &str) -> Self {
        self.program = Some(program.to_owned());
        self.instance = Some(instance.to_owned());
        self
    }

    /// The same, with its author.
    #[must_use]
    pub fn by(mut self, who: &str) -> Self {
        self.by = Some(who.to_owned());
        self
    }
}
