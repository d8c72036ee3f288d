//! The process table: who was launched, how far each is, and how much of that the supervisor has been told.
//!
//! Never add here: system calls that wait, policy.

use super::link::{LaunchOrder, ProcessFds, Stage};
use super::report_frames::{self, Outgoing};
use crate::linux::child_setup::Failure;
use crate::linux::low::Seat;
use crate::linux::pidfd;
use crate::model::{Exit, LaunchStage, RunId};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The most processes at once. Orders beyond are answered as failed launches.
pub(super) const MAX_RUNS: usize = 32 * 1024;

/// An entry's number: in launch order, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Serial(pub(super) u64);

/// One process.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) run: RunId,
    pub(super) tag: Vec<u8>,
    /// 0: the fork itself failed.
    pub(super) pid: u32,
    pub(super) progress: Progress,
    /// As long as the process, or its zombie, is there.
    pub(super) fds: Option<ProcessFds>,
    /// Let go while it lived: reaped at its end, told to nobody.
    pub(super) released: bool,
    /// It waits in the outbox.
    pub(super) queued: bool,
    /// To be told at its latest stage, as part of the table.
    pub(super) handover: bool,
    pub(super) told: Told,
}

/// How far a process is.
#[derive(Debug)]
pub(super) enum Progress {
    /// Forked; `report` tells the outcome. The paths are for the report of a failure.
    /// It has the seat until it is known to share nothing with us any more.
    Starting { report: OwnedFd, paths: Box<Paths>, seat: Option<Seat> },
    /// It told that it failed, and is about to end.
    Failing { stage: Stage, seat: Option<Seat> },
    /// It never ran.
    Failed(Stage),
    /// It runs.
    Running,
    /// It has ended, its zombie is pinned.
    Exited(Exit),
}

/// What a launch's steps were about.
#[derive(Debug)]
pub(super) struct Paths {
    candidates: Vec<CString>,
    directory: CString,
    stdin: Option<CString>,
}

/// What the present supervisor knows of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    Nothing,
    Forked,
    Settled,
    Exited,
}

impl Paths {
    pub(super) fn of(order: &mut LaunchOrder) -> Box<Self> {
        Box::new(Self {
            candidates: std::mem::take(&mut order.candidates),
            directory: std::mem::take(&mut order.directory),
            stdin: order.stdin.take(),
        })
    }

    /// The stage of a report for this failure.
    pub(super) fn failed(&self, failure: Failure) -> Stage {
        let path = match failure.stage {
            LaunchStage::Exec => self.candidates.get(failure.candidate),
            LaunchStage::Directory => Some(&self.directory),
            LaunchStage::Stdin => self.stdin.as_ref(),
            LaunchStage::Prepare
            | LaunchStage::User
            | LaunchStage::Fork
            | LaunchStage::Limits
            | LaunchStage::Identity => None,
        };
        let path = path.map(|path| PathBuf::from(OsStr::from_bytes(path.as_bytes())));
        Stage::Failed { stage: failure.stage, errno: failure.errno, path }
    }
}

impl Entry {
    pub(super) fn new(
        run: RunId,
        tag: Vec<u8>,
        pid: u32,
        progress: Progress,
        fds: Option<ProcessFds>,
    ) -> Self {
        let told = Told::Nothing;
        Self { run, tag, pid, progress, fds, released: false, queued: false, handover: false, told }
    }

    /// Where its seat is, if it can have one.
    pub(super) fn seat(&mut self) -> Option<&mut Option<Seat>> {
        match &mut self.progress {
            Progress::Starting { seat, .. } | Progress::Failing { seat, .. } => Some(seat),
            Progress::Failed(_) | Progress::Running | Progress::Exited(_) => None,
        }
    }

    /// A launch that came to nothing, and of which that is told or need not be, pins nothing.
    pub(super) fn unpin_failed(&mut self) {
        let failed = matches!(self.progress, Progress::Failed(_));
        if let Some(fds) = self.fds.take_if(|_| failed) {
            let _ = pidfd::reap(&fds.pidfd);
        }
    }

    /// Whether it is forked, and it is neither told nor known how that went on.
    pub(super) fn is_on_its_way(&self) -> bool {
        matches!(self.progress, Progress::Starting { .. }) && self.told == Told::Nothing && !self.queued
    }

    /// The next news for the supervisor, if there is any: one step after the other, the table's entries in one.
    fn next_news(&self) -> Option<(Stage, Told)> {
        let (stage, level) = match &self.progress {
            Progress::Starting { .. } | Progress::Failing { .. } => (Stage::Forked, Told::Forked),
            Progress::Failed(failure) => (failure.clone(), Told::Settled),
            Progress::Running => (Stage::Execed, Told::Settled),
            Progress::Exited(exit) => (Stage::Exited(*exit), Told::Exited),
        };
        if self.released || self.told >= level {
            return None;
        }
        // One that had a process is told of as forked first, with what it had to be heard by.
        let failed = matches!(self.progress, Progress::Failed(_)) && self.fds.is_none();
        match self.told {
            _ if self.handover || failed => Some((stage, level)),
            Told::Nothing => Some((Stage::Forked, Told::Forked)),
            Told::Forked if level == Told::Exited => Some((Stage::Execed, Told::Settled)),
            Told::Forked | Told::Settled | Told::Exited => Some((stage, level)),
        }
    }

    /// The packet of the next news, and what is told once it is sent.
    pub(super) fn news(&self) -> Option<(Outgoing<'_>, Told)> {
        let (stage, level) = self.next_news()?;
        let executed = matches!(self.progress, Progress::Running | Progress::Exited(_));
        if stage == Stage::Forked && executed {
            let launched = report_frames::launched(self.run, &self.tag, self.pid, self.fds.as_ref());
            return Some((launched, Told::Settled));
        }
        let fds = if self.told == Told::Nothing { self.fds.as_ref() } else { None };
        Some((report_frames::process(self.run, &self.tag, self.pid, &stage, fds), level))
    }

    /// Notes that news was sent. Returns whether there is more.
    pub(super) fn was_told(&mut self, level: Told) -> bool {
        self.told = level;
        self.handover = false;
        self.unpin_failed();
        self.next_news().is_some()
    }
}

/// All entries.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<Serial, Entry>,
    by_run: BTreeMap<RunId, Serial>,
    next: u64,
}

impl Table {
    pub(super) fn insert(&mut self, entry: Entry) -> Serial {
        let serial = Serial(self.next);
        self.next += 1;
        self.by_run.insert(entry.run, serial);
        self.entries.insert(serial, entry);
        serial
    }

    pub(super) fn get(&self, serial: Serial) -> Option<&Entry> {
        self.entries.get(&serial)
    }

    pub(super) fn get_mut(&mut self, serial: Serial) -> Option<&mut Entry> {
        self.entries.get_mut(&serial)
    }

    pub(super) fn remove(&mut self, serial: Serial) -> Option<Entry> {
        let entry = self.entries.remove(&serial)?;
        self.by_run.remove(&entry.run);
        Some(entry)
    }

    pub(super) fn find(&self, run: RunId) -> Option<Serial> {
        self.by_run.get(&run).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether any process of the table lives.
    pub(super) fn has_live(&self) -> bool {
        self.entries.values().any(|entry| match entry.progress {
            Progress::Starting { .. } | Progress::Failing { .. } | Progress::Running => true,
            Progress::Failed(_) | Progress::Exited(_) => false,
        })
    }

    /// Everything from the start for a new supervisor: the entries in launch order.
    pub(super) fn hand_over(&mut self) -> Vec<Serial> {
        let mut serials = Vec::new();
        for (serial, entry) in &mut self.entries {
            entry.told = Told::Nothing;
            entry.handover = true;
            entry.unpin_failed();
            entry.queued = !entry.released;
            if !entry.released {
                serials.push(*serial);
            }
        }
        serials
    }

    /// Pids that are pinned by an entry.
    pub(super) fn pids(&self) -> BTreeSet<u32> {
        self.entries.values().filter(|entry| entry.fds.is_some()).map(|entry| entry.pid).collect()
    }
}
