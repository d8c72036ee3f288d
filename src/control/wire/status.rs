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
    #[serde(default)]
    pub desired: String,
    /// The worst phase of its instances.
    pub phase: String,
    /// How many instances are ready.
    #[serde(default)]
    pub ready: u32,
    /// How many there should be.
    #[serde(default)]
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
    #[serde(default)]
    pub since: String,
    /// Seconds since main was executed, while it lives.
    pub uptime_s: Option<f64>,
    /// It can do its job.
    #[serde(default)]
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
    #[serde(default)]
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

/// A program in a brief status: what an overview shows, and nothing that is as usual. Read as a [`ProgramDto`].
#[derive(Debug, Serialize)]
pub(super) struct BriefProgram<'a> {
    name: &'a str,
    phase: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flag: Option<&'a str>,
    instances: Vec<BriefInstance<'a>>,
    as_wanted: bool,
}

#[derive(Debug, Serialize)]
struct BriefInstance<'a> {
    id: &'a str,
    phase: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    busy: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    busy_since: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    busy_what: Option<&'a str>,
    restarts: u32,
    reason: &'a str,
}

impl<'a> BriefProgram<'a> {
    pub(super) fn of(program: &'a ProgramDto) -> Self {
        let instances = program.instances.iter().map(|one| BriefInstance {
            id: &one.id,
            phase: &one.phase,
            pid: one.pid,
            uptime_s: one.uptime_s,
            busy: one.busy.filter(|busy| *busy),
            busy_since: one.busy_since.as_deref(),
            busy_what: one.busy_what.as_deref(),
            restarts: one.restarts,
            reason: &one.reason,
        });
        Self {
            name: &program.name,
            phase: &program.phase,
            flag: program.flag.as_deref(),
            instances: instances.collect(),
            as_wanted: program.as_wanted,
        }
    }
}
