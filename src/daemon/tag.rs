//! What the keeper keeps beside each process, so that even a supervisor without records knows whose it is.

use crate::model::{Generation, HookKind, InstanceLabel, ProgramName, RunId, Slot};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The tag of a launch order, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    program: String,
    index: u32,
    label: String,
    generation: u64,
    /// The run that this process serves; none = it is a run of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    helper_of: Option<String>,
    /// As what it serves it.
    #[serde(default, skip_serializing_if = "Job::is_stop")]
    job: Job,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cgroup: Option<PathBuf>,
}

/// A tag taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) slot: Slot,
    pub(super) label: InstanceLabel,
    pub(super) generation: Generation,
    pub(super) helper_of: Option<Service>,
    pub(super) cgroup: Option<PathBuf>,
}

/// What a process does for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) run: RunId,
    pub(super) job: Job,
}

/// As what a process serves a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Job {
    /// Its stop command.
    #[default]
    Stop,
    BeforeRestart,
    BeforeStop,
}

impl Job {
    pub(super) fn of(hook: HookKind) -> Self {
        match hook {
            HookKind::BeforeRestart => Self::BeforeRestart,
            HookKind::BeforeStop => Self::BeforeStop,
        }
    }

    fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

impl Service {
    /// The id of the process that does it: it follows from the run that it serves, so that asking twice starts one.
    pub(super) fn id(self) -> RunId {
        let mark = match self.job {
            Job::Stop => 0x5709,
            Job::BeforeRestart => 0x4e57,
            Job::BeforeStop => 0x4057,
        };
        RunId::from_random(self.run.bits().rotate_left(64) ^ mark)
    }
}

impl Owner {
    pub(super) fn encode(&self) -> Vec<u8> {
        let tag = Tag {
            program: self.slot.program.to_string(),
            index: self.slot.index,
            label: self.label.to_string(),
            generation: self.generation.0,
            helper_of: self.helper_of.map(|service| service.run.to_string()),
            job: self.helper_of.map(|service| service.job).unwrap_or_default(),
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
            Some(text) => Some(Service { run: text.parse().ok()?, job: tag.job }),
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
