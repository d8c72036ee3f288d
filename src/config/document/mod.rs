//! The keys of `sppm.yaml`: every section as a table. Doc comments are what editors and docs show.
//!
//! A new key is one line in one of these tables and one in `resolve`, which does not compile before. Never add
//! here: checks that need more than one key.

mod gate;
mod program;
mod restart;
mod root;
mod stop;
mod supervisor;

pub(super) use gate::{Hook, Hooks, Ready, WorkingLock};
pub(super) use program::{Limits, Logs, Program};
pub(super) use restart::Restart;
pub(super) use root::Root;
pub(super) use stop::{Stop, StopStep};
pub(super) use supervisor::{Api, FollowFile, Supervisor};

use super::section::Section;

/// Every section: its name, where it stands, its keys. For "did you mean".
pub(super) const KEYS_BY_PLACE: &[(&str, &str, &[&str])] = &[
    (Root::NAME, "", Root::KEYS),
    (Supervisor::NAME, "supervisor", Supervisor::KEYS),
    (FollowFile::NAME, "supervisor.follow_file", FollowFile::KEYS),
    (Api::NAME, "supervisor.api", Api::KEYS),
    (Program::NAME, "programs.NAME", Program::KEYS),
    (Restart::NAME, "programs.NAME.restart", Restart::KEYS),
    (Stop::NAME, "programs.NAME.stop", Stop::KEYS),
    (StopStep::NAME, "programs.NAME.stop.steps", StopStep::KEYS),
    (WorkingLock::NAME, "programs.NAME.working_lock", WorkingLock::KEYS),
    (Ready::NAME, "programs.NAME.ready", Ready::KEYS),
    (Hooks::NAME, "programs.NAME.hooks", Hooks::KEYS),
    (Logs::NAME, "programs.NAME.logs", Logs::KEYS),
    (Limits::NAME, "programs.NAME.limits", Limits::KEYS),
    // Last: its keys are others' too, who are meant more often.
    (Hook::NAME, "programs.NAME.hooks.HOOK", Hook::KEYS),
];
