//! Descriptors that are held by name, and what becomes of them when the supervisor dies.

use super::link::{HoldFor, MAX_HELD};
use super::say;
use crate::linux::pidfd;
use crate::model::Signal;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    by_name: BTreeMap<String, (OwnedFd, HoldFor)>,
    /// How many of them are not to be kept: that there are none costs nothing to see.
    to_let_go: usize,
}

impl Held {
    /// Holds one more; one of the same name is closed.
    pub(super) fn hold(&mut self, name: String, fd: OwnedFd, purpose: HoldFor) {
        self.drop_it(&name);
        if self.by_name.len() >= MAX_HELD {
            say::seldom("too many descriptors to hold: one was closed");
            return;
        }
        self.to_let_go += usize::from(purpose != HoldFor::Keep);
        self.by_name.insert(name, (fd, purpose));
    }

    /// Closes one, without doing what it was held for.
    pub(super) fn drop_it(&mut self, name: &str) {
        if let Some((_, purpose)) = self.by_name.remove(name) {
            self.to_let_go = self.to_let_go.saturating_sub(usize::from(purpose != HoldFor::Keep));
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&OwnedFd> {
        self.by_name.get(name).map(|(fd, _)| fd)
    }

    /// Names of those that every supervisor is handed.
    pub(super) fn kept(&self) -> impl Iterator<Item = String> + '_ {
        let kept = self.by_name.iter().filter(|(_, (_, purpose))| *purpose == HoldFor::Keep);
        kept.map(|(name, _)| name.clone())
    }

    /// The supervisor is gone: does what the others were held for, once, and closes them.
    pub(super) fn let_go(&mut self) {
        if std::mem::take(&mut self.to_let_go) == 0 {
            return;
        }
        self.by_name.retain(|_, (fd, purpose)| match purpose {
            HoldFor::Keep => true,
            HoldFor::ThawCgroup => {
                thaw(fd);
                false
            }
            HoldFor::ContProcess => {
                // One that has ended meanwhile needs nothing; one of another user was never ours to stop.
                let _ = pidfd::send_signal(&*fd, Signal::CONT);
                false
            }
        });
    }
}

fn thaw(freeze_file: &OwnedFd) {
    match rustix::io::retry_on_intr(|| rustix::io::write(freeze_file, b"0\n")) {
        // The cgroup was removed: nobody is in it.
        Ok(_) | Err(rustix::io::Errno::NODEV) => {}
        Err(error) => say::seldom(&format!("a cgroup could not be thawed: {error}")),
    }
}
