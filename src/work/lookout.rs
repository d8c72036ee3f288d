//! Where the gate's thread sleeps: until the bell rings, something is written in a lock's folder, or a writer has ended.

use super::bell::Bell;
use crate::linux::{clock, inotify, pidfd};
use crate::model::{Moment, RunId};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

const BELL: u64 = 0;
const NOTICES: u64 = 1;
const FIRST_WRITER: u64 = 2;

/// A process that says that it is busy.
#[derive(Debug)]
struct Writer {
    pid: u32,
    process: OwnedFd,
    key: u64,
}

#[derive(Debug)]
pub(super) struct Lookout {
    epoll: OwnedFd,
    bell: Arc<Bell>,
    /// `None`: there is none to be had; those who drain are looked at again and again.
    notices: Result<OwnedFd, String>,
    folders: BTreeMap<i32, BTreeSet<RunId>>,
    writers: BTreeMap<RunId, Writer>,
    keys: BTreeMap<u64, RunId>,
    next_key: u64,
}

impl Lookout {
    pub(super) fn new(bell: Arc<Bell>, notices: io::Result<OwnedFd>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell.as_fd(), EventData::new_u64(BELL), EventFlags::IN)?;
        if let Ok(notices) = &notices {
            epoll::add(&epoll, notices, EventData::new_u64(NOTICES), EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            bell,
            notices: notices.map_err(|error| error.to_string()),
            folders: BTreeMap::new(),
            writers: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_key: FIRST_WRITER,
        })
    }

    /// Wakes for this run, once, when something in the folder changes.
    ///
    /// # Errors
    /// For people: why there is no watch.
    pub(super) fn watch_folder(&mut self, run: RunId, folder: &Path) -> Result<(), String> {
        let notices = self.notices.as_ref().map_err(Clone::clone)?;
        let watch = inotify::watch_once(notices, folder).map_err(|error| error.to_string())?;
        self.folders.entry(watch).or_default().insert(run);
        Ok(())
    }

    /// Wakes for this run when that process has ended; at once, if it has already.
    pub(super) fn watch_writer(&mut self, run: RunId, pid: u32) {
        if self.writers.get(&run).is_some_and(|writer| writer.pid == pid) {
            return;
        }
        self.drop_writer(run);
        let Ok(process) = pidfd::open(pid) else {
            return self.bell.ring_for(run);
        };
        let key = self.next_key;
        self.next_key += 1;
        // Without it (ENOSPC, ENOMEM) the next look that is due anyway sees it.
        if epoll::add(&self.epoll, &process, EventData::new_u64(key), EventFlags::IN).is_ok() {
            self.keys.insert(key, run);
            self.writers.insert(run, Writer { pid, process, key });
        }
    }

    fn drop_writer(&mut self, run: RunId) {
        if let Some(writer) = self.writers.remove(&run) {
            // Before it is closed: a fork in flight has a copy, which would keep it in the set.
            let _ = epoll::delete(&self.epoll, &writer.process);
            self.keys.remove(&writer.key);
        }
    }

    /// Nothing wakes for this run any more.
    pub(super) fn forget(&mut self, run: RunId) {
        self.drop_writer(run);
        self.folders.retain(|watch, runs| {
            runs.remove(&run);
            if let (true, Ok(notices)) = (runs.is_empty(), &self.notices) {
                inotify::unwatch(notices, *watch);
            }
            !runs.is_empty()
        });
    }

    /// Sleeps until there is something, or the deadline; for ever without one. For which runs there is.
    pub(super) fn wait(&mut self, deadline: Option<Moment>) -> BTreeSet<RunId> {
        let timeout = deadline.map(|deadline| {
            let span = deadline.since(clock::now());
            Timespec {
                tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(span.subsec_nanos()),
            }
        });
        let mut buffer = [MaybeUninit::<Event>::uninit(); 64];
        // EINTR is as good as nothing.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) else {
            return BTreeSet::new();
        };
        let found: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
        let mut runs = BTreeSet::new();
        for key in found {
            match key {
                BELL => runs.extend(self.bell.answer()),
                NOTICES => self.take_notices(&mut runs),
                key => {
                    if let Some(run) = self.keys.get(&key).copied() {
                        self.drop_writer(run);
                        runs.insert(run);
                    }
                }
            }
        }
        runs
    }

    fn take_notices(&mut self, runs: &mut BTreeSet<RunId>) {
        let Ok(notices) = &self.notices else { return };
        for notice in inotify::read_notices(notices).unwrap_or_default() {
            match notice {
                inotify::Notice::Of(watch) => runs.extend(self.folders.remove(&watch).unwrap_or_default()),
                inotify::Notice::Lost => runs.extend(self.folders.values().flatten()),
            }
        }
    }
}
