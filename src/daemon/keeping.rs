//! What the gate holds that must outlive this supervisor, or must end with it: left with the keeper.

use crate::keeper::link::{HoldFor, Order, Sender};
use crate::model::RunId;
use crate::work::Keep;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// What the names of held locks begin with.
const LOCK: &str = "lock ";

/// The gate's line to the keeper.
#[derive(Debug)]
pub(super) struct Keeping {
    keeper: Sender,
    /// How many descriptors the keeper holds to let each run go by.
    frozen: Mutex<BTreeMap<RunId, u32>>,
}

impl Keeping {
    pub(super) fn new(keeper: Sender) -> Self {
        Self { keeper, frozen: Mutex::default() }
    }

    fn hold(&self, name: String, fd: BorrowedFd<'_>, purpose: HoldFor) {
        match fd.as_fd().try_clone_to_owned() {
            // A keeper that is gone holds nothing; that news is on its way.
            Ok(fd) => drop(self.keeper.send(&Order::Hold { name, purpose, fd })),
            Err(error) => tracing::warn!(%error, name, "the keeper cannot be given a descriptor"),
        }
    }

    fn unhold(&self, name: String) {
        drop(self.keeper.send(&Order::Unhold { name }));
    }

    fn frozen(&self, run: RunId, fd: BorrowedFd<'_>, purpose: HoldFor) {
        let mut frozen = self.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = frozen.entry(run).or_default();
        *count += 1;
        self.hold(frozen_name(run, *count), fd, purpose);
    }
}

impl Keep for Keeping {
    fn hold_lock(&self, run: RunId, fd: BorrowedFd<'_>) {
        self.hold(lock_name(run), fd, HoldFor::Keep);
    }

    fn drop_lock(&self, run: RunId) {
        self.unhold(lock_name(run));
    }

    fn frozen_cgroup(&self, run: RunId, freeze_file: BorrowedFd<'_>) {
        self.frozen(run, freeze_file, HoldFor::ThawCgroup);
    }

    fn frozen_processes(&self, run: RunId, pidfds: &[BorrowedFd<'_>]) {
        for pidfd in pidfds {
            self.frozen(run, *pidfd, HoldFor::ContProcess);
        }
    }

    fn thawed(&self, run: RunId) {
        let count = self.frozen.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        for number in 1..=count.unwrap_or(0) {
            self.unhold(frozen_name(run, number));
        }
    }
}

fn lock_name(run: RunId) -> String {
    format!("{LOCK}{run}")
}

fn frozen_name(run: RunId, number: u32) -> String {
    format!("frozen {run} {number}")
}

/// The locks that earlier supervisors left, taken out of all that the keeper handed over.
pub(super) fn take_locks(held: &mut BTreeMap<String, OwnedFd>) -> BTreeMap<RunId, OwnedFd> {
    let names: Vec<String> = held.keys().filter(|name| name.starts_with(LOCK)).cloned().collect();
    let lock = |name: String| Some((name.strip_prefix(LOCK)?.parse().ok()?, held.remove(&name)?));
    names.into_iter().filter_map(lock).collect()
}
