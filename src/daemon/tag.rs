//! What the keeper keeps beside each process, so that even a supervisor without records knows whose it is.

use crate::model::{Generation, InstanceLabel, ProgramName, RunId, Slot};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The tag of a launch order, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    program: String,
    index: u32,
    label: String,
    generation: u64,
    /// The run that this process serves as its stop command; none = it is a run of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    helper_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cgroup: Option<PathBuf>,
}

/// A tag taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) slot: Slot,
    pub(super) label: InstanceLabel,
    pub(super) generation: Generation,
    pub(super) helper_of: Option<RunId>,
    pub(super) cgroup: Option<PathBuf>,
}

impl Owner {
    pub(super) fn encode(&self) -> Vec<u8> {
        let tag = Tag {
            program: self.slot.program.to_string(),
            index: self.slot.index,
            label: self.label.to_string(),
            generation: self.generation.0,
            helper_of: self.helper_of.map(|run| run.to_string()),
            cgroup: self.cgroup.clone(),
        };
        // Plain data with text keys: the only error serde_json knows here is a path that is not UTF-8, and ours are.
        serde_json::to_vec(&tag).unwrap_or_default()
    }

    /// `None`: not a tag of ours.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let tag: Tag = serde_json::from_slice(bytes).ok()?;
        let program = ProgramName::new(&tag.program).ok()?;
        let helper_of = match tag.helper_of {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        Some(Self {
            slot: Slot::new(program, tag.index),
            label: InstanceLabel::recorded(&tag.label),
            generation: Generation(tag.generation),
            helper_of,
            cgroup: tag.cgroup,
        })
    }
}
