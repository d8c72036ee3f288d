//! What nobody waits for: telling the log and the journal what happened, clearing up after runs that are over, and telling the
//! pump of new ones.
//!
//! It is left for a moment, so that a program that is started again is on its way first, and that what belongs to many is done for
//! all at once: each of it wakes threads that need a processor, and often the very one on which a program is about to start. While
//! everything is being stopped the moment is longer.
//!
//! Never add here: anything that supervision depends on.

use super::killer::Killers;
use super::launcher::Launcher;
use super::notices;
use super::processes::Parent;
use crate::journal::{Entry, Journal};
use crate::keeper::link::{Order, Sender};
use crate::linux::cgroup;
use crate::logs::Logger;
use crate::model::{Moment, RunId};
use crate::supervisor::Notice;
use crate::talk::Past;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How long it is left where launches are under way.
const A_MOMENT: Duration = Duration::from_millis(5);
/// And while everything is being stopped.
const IN_A_SHUTDOWN: Duration = Duration::from_millis(100);
/// More than this is not put off.
const MOST: usize = 4096;
/// Room for so much is kept.
const ROOM_KEPT: usize = 64;

/// What is left to be done.
pub(super) struct Aftermath {
    /// In the order in which it happened.
    told: Vec<Tiding>,
    released: Vec<Released>,
    past: Vec<Past>,
    due: Option<Moment>,
    killers: Killers,
}

/// Who needs the processors more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Nobody.
    None,
    /// Launches are under way, or were just now: a program is about to start.
    Launches,
    /// Everything is being stopped.
    Shutdown,
}

impl Haste {
    fn patience(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Launches => A_MOMENT,
            Self::Shutdown => IN_A_SHUTDOWN,
        }
    }
}

/// What the journal is to be told.
enum Tiding {
    /// What became of an instance, and when.
    Notice(Notice, SystemTime),
    Entry(Box<Entry>),
}

/// A run that is over.
pub(super) struct Released {
    pub(super) run: RunId,
    pub(super) parent: Parent,
    pub(super) cgroup: Option<PathBuf>,
}

impl Released {
    /// Everybody forgets it.
    pub(super) fn clear_up(self, keeper: &Sender, logger: &Logger) {
        let Self { run, parent, cgroup } = self;
        logger.detach(run);
        if parent == Parent::Keeper {
            // A keeper that is gone has nothing to release; that news is on its way.
            let _ = keeper.send(&Order::Release { run });
        }
        if let Some(cgroup) = cgroup {
            // Left where `orphans: keep` left somebody in it; it goes with the supervisor's own.
            let _ = cgroup::remove(&cgroup);
        }
    }
}

/// Who is to be told.
pub(super) struct Concerned<'a> {
    pub(super) launcher: &'a Launcher,
    pub(super) keeper: &'a Sender,
    pub(super) logger: &'a Logger,
    pub(super) journal: &'a Journal,
}

impl Aftermath {
    pub(super) fn new(killers: Killers) -> Self {
        Self { told: Vec::new(), released: Vec::new(), past: Vec::new(), due: None, killers }
    }

    /// Something happened to an instance, now.
    pub(super) fn note(&mut self, notice: Notice) {
        self.told.push(Tiding::Notice(notice, SystemTime::now()));
    }

    /// The journal is to be told.
    pub(super) fn tell(&mut self, entry: Entry) {
        self.told.push(Tiding::Entry(Box::new(entry)));
    }

    /// Everybody forgets this run.
    pub(super) fn release(&mut self, run: Released) {
        self.released.push(run);
    }

    /// This is to be removed.
    pub(super) fn clear(&mut self, past: Past) {
        self.past.push(past);
    }

    /// When it is to be done.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.due
    }

    /// A turn is over: what is due is done.
    pub(super) fn tick(&mut self, now: Moment, haste: Haste, whom: &Concerned<'_>) {
        let size = self.told.len() + self.released.len() + self.past.len();
        if size == 0 && !whom.logger.is_owed_a_word() {
            return;
        }
        let due = *self.due.get_or_insert(now + haste.patience());
        if now >= due || size > MOST || haste == Haste::None {
            self.do_all(whom);
        }
    }

    /// Does everything now: somebody is about to look, or this is the end.
    pub(super) fn do_all(&mut self, whom: &Concerned<'_>) {
        self.due = None;
        whom.logger.tell();
        let mut entries = Vec::with_capacity(self.told.len());
        for tiding in self.told.drain(..) {
            entries.push(match tiding {
                Tiding::Entry(entry) => *entry,
                Tiding::Notice(notice, at) => {
                    let killer = self.killers.judge(&notice.fact);
                    notices::log(&notice, killer);
                    notices::entry(&notice, at, killer)
                }
            });
        }
        if !entries.is_empty() {
            whom.journal.add_all(entries);
        }
        self.released.drain(..).for_each(|released| released.clear_up(whom.keeper, whom.logger));
        if !self.past.is_empty() {
            whom.launcher.clear(std::mem::take(&mut self.past));
        }
        self.told.shrink_to(ROOM_KEPT);
        self.released.shrink_to(ROOM_KEPT);
    }
}
