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
    /// Where entries about it were left out among the causes, as in a crash loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOutDto>,
    /// What is wrong around it: the file is not valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A gap in the causes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutDto {
    /// It follows the cause of this number.
    pub after: u64,
    /// So many entries are not told.
    pub entries: u64,
    /// So many of them are ends and failed launches.
    pub failures: u64,
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
    /// What a person can do, the likeliest first.
    #[serde(default)]
    pub help: Vec<String>,
    /// The last lines of its output, the oldest first.
    pub last_lines: Vec<String>,
}
