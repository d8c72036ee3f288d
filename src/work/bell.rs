//! What wakes the gate's thread from elsewhere.

use crate::model::RunId;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Readable from a ring until it is answered; runs may be named with it.
#[derive(Debug)]
pub(super) struct Bell {
    fd: OwnedFd,
    runs: Mutex<BTreeSet<RunId>>,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd, runs: Mutex::default() })
    }

    pub(super) fn ring(&self) {
        // Full (EAGAIN): it rings already.
        let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
    }

    /// Something changed for this run.
    pub(super) fn ring_for(&self, run: RunId) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
        self.ring();
    }

    /// Makes it quiet; the runs that were named since the last answer.
    pub(super) fn answer(&self) -> BTreeSet<RunId> {
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
        std::mem::take(&mut *self.runs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
