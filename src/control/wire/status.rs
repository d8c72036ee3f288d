//! The answer to status: the supervisor, its programs, their instances. Field order is part of the promise.

use serde::{Deserialize, Serialize};

/// `GET /v1/status` and `sppm status --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDto {
    /// Who answers.
    pub supervisor: SupervisorDto,
    /// The programs asked for, by name.
    pub programs: Vec<ProgramDto>,
}

/// The supervisor itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SupervisorDto {
    /// Version of its binary.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Process id of its keeper: the one to signal, the one in the pid file.
    pub keeper_pid: u32,
    /// The configuration file, absolute, as given.
    pub config: String,
    /// Whether the file, as it was last read, is valid.
    pub config_ok: bool,
    /// Its problems as text, rendered without colour; several lines. The accepted plan goes on meanwhile.
    pub config_error: Option<String>,
    /// Number of the accepted plan.
    pub generation: u64,
    /// When this supervisor process started, RFC 3339.
    pub started_at: String,
    /// `supervisor.name`.
    #[serde(default)]
    pub name: String,
    /// A shutdown is under way.
    #[serde(default)]
    pub shutting_down: bool,
    /// What people must know about the supervisor as a whole: a polled file, a full disk, an option that
    /// needs a restart of sppm.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramDto {
    /// Its name in the file.
    pub name: String,
    /// `running`, `stopped` or `completed`.
    pub desired: String,
    /// The worst phase of its instances.
    pub phase: String,
    /// How many instances are ready.
    pub ready: u32,
    /// How many there should be.
    pub wanted: u32,
    /// Something about the program as a whole that people must know: an override, a paused rollout.
    pub flag: Option<String>,
    /// Its instances, by index.
    pub instances: Vec<InstanceDto>,
    /// Whether it is what the file and its operators want; decides the exit code of `status`.
    #[serde(default)]
    pub as_wanted: bool,
    /// `description:` of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is executed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Where the file defines it: `/srv/sppm.yaml:12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// `tags:` of the file: what `@tag` finds it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceDto {
    /// `web` or `web.2`.
    pub id: String,
    /// Where it is in its life: one of the ten words.
    pub phase: String,
    /// Process id of main, while it lives.
    pub pid: Option<u32>,
    /// When it entered the phase, RFC 3339.
    pub since: String,
    /// Seconds since main was executed, while it lives.
    pub uptime_s: Option<f64>,
    /// It can do its job.
    pub ready: bool,
    /// The verdict of its health check; null without one.
    pub healthy: Option<bool>,
    /// In the middle of a task; null where nobody knows.
    pub busy: Option<bool>,
    /// Since when it is busy, RFC 3339.
    pub busy_since: Option<String>,
    /// With what it says it is busy.
    pub busy_what: Option<String>,
    /// Restarts since it was first started.
    pub restarts: u32,
    /// How its last run ended.
    pub last_exit: Option<LastExitDto>,
    /// When it will be started again, RFC 3339.
    pub next_start_at: Option<String>,
    /// Taken over from an earlier supervisor.
    pub adopted: bool,
    /// Why it is in this phase, in one sentence.
    pub reason: String,
    /// What it says of itself.
    #[serde(default)]
    pub says: Option<String>,
    /// What is wrong with the way in which it talks, or is looked at.
    #[serde(default)]
    pub complaint: Option<String>,
}

/// How a run ended. Both null: nobody can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExitDto {
    /// The exit code, if it called exit.
    pub code: Option<u8>,
    /// The signal that ended it, such as `SIGKILL`.
    pub signal: Option<String>,
    /// When, RFC 3339.
    pub at: String,
}
