//! A [`Setup`] in the form that system calls take, all in memory of its own: a child that shares our memory reads it while
//! what it was made from may be gone.
//!
//! Never add here: what a child does with it.

use super::launch::{Input, Setup};
use super::low::Row;
use super::texts::Texts;
use crate::model::RlimitKind;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, RawFd};

/// A limit as prlimit64(2) takes it: soft, hard.
pub(super) type Limit = [u64; 2];

/// For arguments and paths, most of the time.
const ROOM: usize = 1024;

/// RLIM64_INFINITY.
const NO_LIMIT: u64 = u64::MAX;

/// Numeric rights to take on: user, group, supplementary groups.
#[derive(Debug)]
pub(super) struct OwnRights {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// [`Input`] for the child.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stdin {
    File(*const c_char),
    Open(RawFd),
}

/// All that a child needs. The pointers point into `texts`.
#[derive(Debug)]
pub(super) struct Prepared {
    _texts: Texts,
    pub(super) argv: Vec<*const c_char>,
    pub(super) candidates: Vec<*const c_char>,
    pub(super) environment: Vec<*const c_char>,
    pub(super) directory: Option<*const c_char>,
    pub(super) stdin: Stdin,
    pub(super) rights: Option<OwnRights>,
    pub(super) umask: Option<u32>,
    pub(super) limits: Vec<(RlimitKind, Limit)>,
    pub(super) soft_open_files: u64,
    pub(super) nice: Option<i32>,
    pub(super) oom_score_adj: Option<String>,
    pub(super) cgroup_procs: Option<CString>,
    pub(super) output: Option<[RawFd; 2]>,
    pub(super) handed: Option<RawFd>,
    /// Where the report goes.
    pub(super) told: RawFd,
    /// Numbers that are to be free in the child.
    pub(super) places: Vec<RawFd>,
    /// The first number of its row, and the one behind.
    pub(super) row: Option<(RawFd, RawFd)>,
    /// Where it shares our memory: it is born in its cgroup, without handlers, and ignores these signals (bit 0 is signal 1).
    pub(super) joined: bool,
    pub(super) ignored: u64,
}

impl Prepared {
    pub(super) fn new(setup: &Setup<'_>, told: RawFd, places: Vec<RawFd>, joined: bool) -> Self {
        let mut texts = Texts::with_capacity(setup.environment.bytes().len() + ROOM);
        for list in [setup.argv, setup.candidates] {
            texts.extend(list.iter().map(CString::as_c_str));
        }
        let file = match setup.stdin {
            Input::File(path) => Some(path),
            Input::Open(_) => None,
        };
        texts.extend([setup.directory, file].into_iter().flatten());
        texts.extend(setup.environment.iter());
        // Now they move no more, and leave in the order in which they came.
        let mut pointers = texts.iter().map(CStr::as_ptr).collect::<Vec<_>>().into_iter();
        let mut next = |count| pointers.by_ref().take(count).collect::<Vec<_>>();
        let mut argv = next(setup.argv.len());
        argv.push(std::ptr::null());
        let candidates = next(setup.candidates.len());
        let directory = setup.directory.and_then(|_| next(1).pop());
        let file = file.and_then(|_| next(1).pop());
        let mut environment = next(usize::MAX);
        environment.push(std::ptr::null());
        let number = |value: Option<u64>| value.unwrap_or(NO_LIMIT);
        let limits = setup.rlimits.iter().map(|limit| (limit.kind, [number(limit.value); 2]));
        let cgroup_procs =
            setup.cgroup.and_then(|folder| CString::new([folder.to_bytes(), b"/cgroup.procs"].concat()).ok());
        Self {
            _texts: texts,
            argv,
            candidates,
            environment,
            directory,
            stdin: match (setup.stdin, file) {
                (Input::Open(fd), _) => Stdin::Open(fd.as_raw_fd()),
                (Input::File(_), file) => Stdin::File(file.unwrap_or(std::ptr::null())),
            },
            rights: setup.rights.map(|rights| OwnRights {
                uid: rights.uid,
                gid: rights.gid,
                groups: rights.groups.to_vec(),
            }),
            umask: setup.umask,
            limits: limits.collect(),
            soft_open_files: number(setup.soft_open_files),
            nice: setup.nice,
            oom_score_adj: setup.oom_score_adj.map(|score| score.to_string()),
            cgroup_procs,
            output: setup.output.map(|(stdout, stderr)| [stdout, stderr].map(|end| end.as_raw_fd())),
            handed: setup.handed.map(|fd| fd.as_raw_fd()),
            told,
            places,
            row: None,
            joined,
            ignored: 0,
        }
    }

    /// With the descriptors of a row in place of their originals.
    pub(super) fn in_row(setup: &Setup<'_>, row: &Row, joined: bool, ignored: u64) -> Self {
        let merged = setup.output.is_some_and(|(stdout, stderr)| stdout.as_raw_fd() == stderr.as_raw_fd());
        let output = setup.output.map(|_| row.output(merged));
        let prepared = Self::new(&Setup { output, ..*setup }, row.first(), Vec::new(), joined);
        Self { row: Some((row.first(), row.end())), ignored, ..prepared }
    }

    /// Whether the child can share our memory. Whoever takes another user's rights takes them for the memory, too (dumpable,
    /// prctl(2)), and what is written into oom_score_adj holds for all who share it (proc(5)).
    pub(super) fn can_share_memory(&self) -> bool {
        self.row.is_some() && self.rights.is_none() && self.oom_score_adj.is_none()
    }

    pub(super) fn limits_open_files(&self) -> bool {
        self.limits.iter().any(|(kind, _)| *kind == RlimitKind::OpenFiles)
    }
}
