//! A [`Setup`] in the form that system calls take, all in memory of its own: a child that shares our memory reads it while
//! what it was made from may be gone.
//!
//! Never add here: what a child does with it.

use super::launch::{Input, Setup};
use super::low::Row;
use crate::model::RlimitKind;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsRawFd, RawFd};

/// A limit as prlimit64(2) takes it: soft, hard.
pub(super) type Limit = [u64; 2];

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
    _texts: Vec<u8>,
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

/// Texts one behind the other, each with its NUL, that never move.
struct Texts {
    bytes: Vec<u8>,
    used: usize,
}

impl Texts {
    fn with_room_for<'a>(texts: impl Iterator<Item = &'a CStr>) -> Self {
        let size = texts.map(|text| text.count_bytes() + 1).sum();
        Self { bytes: vec![0; size], used: 0 }
    }

    fn keep(&mut self, text: &CStr) -> *const c_char {
        let text = text.to_bytes_with_nul();
        let place = &mut self.bytes[self.used..self.used + text.len()];
        place.copy_from_slice(text);
        self.used += text.len();
        place.as_ptr().cast()
    }

    /// A list that ends with a null pointer.
    fn keep_all(&mut self, texts: &[CString]) -> Vec<*const c_char> {
        let mut pointers = Vec::with_capacity(texts.len() + 1);
        pointers.extend(texts.iter().map(|text| self.keep(text)));
        pointers.push(std::ptr::null());
        pointers
    }
}

impl Prepared {
    pub(super) fn new(setup: &Setup<'_>, told: RawFd, places: Vec<RawFd>, joined: bool) -> Self {
        let lists = [setup.argv, setup.candidates, setup.environment];
        let file = match setup.stdin {
            Input::File(path) => Some(path),
            Input::Open(_) => None,
        };
        let single = [setup.directory, file].into_iter().flatten();
        let mut texts =
            Texts::with_room_for(lists.into_iter().flatten().map(CString::as_c_str).chain(single));
        let [argv, mut candidates, environment] = lists.map(|list| texts.keep_all(list));
        candidates.pop();
        let directory = setup.directory.map(|path| texts.keep(path));
        let stdin = match setup.stdin {
            Input::File(path) => Stdin::File(texts.keep(path)),
            Input::Open(fd) => Stdin::Open(fd.as_raw_fd()),
        };
        let number = |value: Option<u64>| value.unwrap_or(NO_LIMIT);
        let limits = setup.rlimits.iter().map(|limit| (limit.kind, [number(limit.value); 2]));
        let cgroup_procs =
            setup.cgroup.and_then(|folder| CString::new([folder.to_bytes(), b"/cgroup.procs"].concat()).ok());
        Self {
            _texts: texts.bytes,
            argv,
            candidates,
            environment,
            directory,
            stdin,
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
