//! What `child_setup` is given, and what it gives back: plain data, and the reading of a child's report.

use super::texts::Texts;
use crate::model::{LaunchStage, Rlimit};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Numeric rights to take on.
#[derive(Debug, Clone, Copy)]
pub struct Rights<'a> {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: &'a [u32],
}

/// Where standard input comes from.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A file, opened by the child.
    File(&'a CStr),
    /// Open already. For a child with a seat its number must be lower than the seat's.
    Open(BorrowedFd<'a>),
}

/// Everything about a process to be started.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// Arguments, `argv[0]` first.
    pub argv: &'a [CString],
    /// Paths to try in turn.
    pub candidates: &'a [CString],
    /// The whole environment.
    pub environment: &'a Texts,
    /// Working folder; `None` = stays.
    pub directory: Option<&'a CStr>,
    /// `None` = stays.
    pub rights: Option<Rights<'a>>,
    /// `None` = stays.
    pub umask: Option<u32>,
    /// Soft and hard alike.
    pub rlimits: &'a [Rlimit],
    /// The soft limit of open files where `rlimits` has none; `None` = unlimited.
    pub soft_open_files: Option<u64>,
    /// `None` = stays.
    pub nice: Option<i32>,
    /// `None` = stays.
    pub oom_score_adj: Option<i32>,
    /// A cgroup's folder to join if possible.
    pub cgroup: Option<&'a CStr>,
    /// What it reads.
    pub stdin: Input<'a>,
    /// Write ends for standard output and error; `None` = both stay.
    pub output: Option<(BorrowedFd<'a>, BorrowedFd<'a>)>,
    /// A descriptor that the new program gets as number 3. All others above 2 are closed.
    pub handed: Option<BorrowedFd<'a>>,
}

/// A child on its way to exec.
#[derive(Debug)]
pub struct Spawned {
    /// Its pid, pinned until it is reaped.
    pub pid: u32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// Readable when the outcome is known: see [`outcome`]. Never blocks.
    pub report: OwnedFd,
}

/// A step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which step.
    pub stage: LaunchStage,
    /// Its errno(3).
    pub errno: i32,
    /// At `Exec`: the index of the candidate that it is about.
    pub candidate: usize,
}

impl Failure {
    pub(super) fn before_fork(stage: LaunchStage, error: &io::Error) -> Self {
        Self { stage, errno: error.raw_os_error().unwrap_or(libc::EIO), candidate: 0 }
    }
}

/// What is known of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Pending,
    /// It has descriptors of its own now; its row can be given back. Nothing else yet.
    Apart,
    /// It was executed (or killed before; the exit tells).
    Execed,
    /// It was not, and is ending.
    Failed(Failure),
}

/// Six bytes: stage, candidate, errno(3). One write of this size into a pipe is whole (pipe(7)).
pub(super) const RECORD: usize = 6;

/// What a child with a row writes when it has descriptors of its own. No stage has this number.
pub(super) const APART: u8 = u8::MAX;

/// Reads what a child has told.
pub fn outcome(report: &OwnedFd) -> Outcome {
    let mut told = [0; 1 + RECORD];
    let count = match rustix::io::read(report, &mut told) {
        Ok(count) => count,
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Outcome::Pending,
        Err(_) => return Outcome::Execed,
    };
    let record = match &told[..count] {
        [APART] => return Outcome::Apart,
        [APART, record @ ..] => record,
        record => record,
    };
    match <[u8; RECORD]>::try_from(record) {
        Ok([stage, candidate, errno @ ..]) => {
            let stage = LaunchStage::ALL.get(usize::from(stage)).copied().unwrap_or(LaunchStage::Exec);
            Outcome::Failed(Failure {
                stage,
                errno: i32::from_le_bytes(errno),
                candidate: usize::from(candidate),
            })
        }
        // The end. Other lengths are never seen: our child writes whole records only, and nobody else has the pipe.
        Err(_) => Outcome::Execed,
    }
}
