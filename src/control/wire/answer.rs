//! What was accepted, and how far it is.

use serde::{Deserialize, Serialize};

/// The answer to start, stop, restart, signal, scale and shutdown: it is accepted, not yet done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedDto {
    /// What the request is about after resolving patterns: programs (`web`) and instances (`web.2`). These
    /// are the names to give to settle.
    pub targets: Vec<String>,
    /// What people must know about it, one sentence each: "web runs already".
    #[serde(default)]
    pub notes: Vec<String>,
}

/// `GET /v1/settle`: how far the named programs are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleDto {
    /// Nothing of what was named is in motion any more.
    pub settled: bool,
    /// Each instance of what was named; one that no longer exists is left out.
    pub instances: Vec<SettledDto>,
}

/// One instance on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledDto {
    /// `web` or `web.2`.
    pub id: String,
    /// Where it is in its life.
    pub phase: String,
    /// Whether it has come to rest.
    pub state: SettledWord,
    /// Why it is in this phase, in one sentence; with stage and cause where a start failed.
    pub reason: String,
}

/// Whether an instance has come to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettledWord {
    /// It has, as wanted: it has lived for a second, has completed, or has stopped.
    Good,
    /// It has, but not as wanted: a start failed.
    Bad,
    /// Not yet.
    Moving,
}
