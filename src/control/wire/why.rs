//! Why a program is as it is.

use crate::journal::Entry;
use serde::{Deserialize, Serialize};

/// `GET /v1/why/{name}`: why a program is as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyDto {
    /// The program asked for.
    pub program: String,
    /// It is in the accepted plan, or still ends; else only its past is known.
    pub present: bool,
    /// Its instances as they are now.
    pub instances: Vec<WhyInstanceDto>,
    /// What led there, the oldest first: the last entries about it, and about the configuration and the supervisor
    /// where those explain one of them.
    pub causes: Vec<Entry>,
}

/// Why one instance is as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyInstanceDto {
    /// `web` or `web.2`.
    pub id: String,
    /// Where it is in its life.
    pub phase: String,
    /// When it entered the phase, RFC 3339.
    pub since: String,
    /// Why it is in this phase, in one sentence.
    pub reason: String,
    /// What happens next and when, in one sentence; null: nothing, until somebody acts.
    pub next: Option<String>,
    /// What else is known of the cause: who holds the port that its last lines name, what a signal means.
    pub findings: Vec<String>,
    /// The last lines of its output, the oldest first.
    pub last_lines: Vec<String>,
}
