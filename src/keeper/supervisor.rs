//! The supervisor as the keeper sees it: a child with a socket, that is started again and again.

use super::KeeperOptions;
use crate::linux::child_setup::{self, Failure, Input, Setup};
use crate::linux::texts::Texts;
use crate::linux::{limits, packet};
use crate::model::Moment;
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// How to start it: made once, so that each one gets the environment that the keeper was started with.
#[derive(Debug)]
pub(super) struct Recipe {
    argv: Vec<CString>,
    environment: Texts,
}

/// One that was started.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    /// Tells whether its exec failed.
    pub(super) outcome: OwnedFd,
    /// `None`: it closed its end, and is about to be dead.
    pub(super) line: Option<OwnedFd>,
    pub(super) started_at: Moment,
    pub(super) ready_at: Option<Moment>,
    pub(super) pulse: Pulse,
}

/// Whether it still answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    /// Not asked before it is ready.
    Unasked,
    /// To be asked then.
    AskAt(Moment),
    /// Asked; killed if it has not answered by then.
    AnswerBy(Moment),
    /// Killed. Its end will be told.
    GivenUp,
}

impl Recipe {
    pub(super) fn new(options: &KeeperOptions) -> Self {
        let mut environment = Texts::default();
        for (name, value) in std::env::vars_os() {
            environment.push(&[name.as_bytes(), b"=", value.as_bytes()]);
        }
        Self { argv: c_strings(options.supervisor_argv.iter().cloned()), environment }
    }

    /// Starts one, with its end of the socket as descriptor 3.
    pub(super) fn start(&self, now: Moment) -> Result<Supervisor, Failure> {
        let prepare = |error: std::io::Error| Failure {
            stage: crate::model::LaunchStage::Prepare,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
            candidate: 0,
        };
        let (ours, theirs) = packet::pair().map_err(prepare)?;
        let setup = Setup {
            argv: &self.argv,
            candidates: &[c"/proc/self/exe".to_owned()],
            environment: &self.environment,
            directory: None,
            rights: None,
            umask: None,
            rlimits: &[],
            soft_open_files: limits::open_files(),
            nice: None,
            oom_score_adj: None,
            cgroup: None,
            stdin: Input::File(c"/dev/null"),
            output: None,
            handed: Some(theirs.as_fd()),
        };
        let spawned = child_setup::spawn(&setup, None)?;
        Ok(Supervisor {
            pid: spawned.pid,
            pidfd: spawned.pidfd,
            outcome: spawned.report,
            line: Some(ours),
            started_at: now,
            ready_at: None,
            pulse: Pulse::Unasked,
        })
    }
}

/// A text with a NUL inside can be neither an argument nor a variable: the kernel never gave us one.
fn c_strings(texts: impl Iterator<Item = OsString>) -> Vec<CString> {
    texts.filter_map(|text| CString::new(text.into_vec()).ok()).collect()
}
