//! The gate's thread: who is to be looked at next, and when.

use super::bell::Bell;
use super::board::Board;
use super::gate::{GateNews, Keep, Subject};
use super::lookout::Lookout;
use super::subject::{Next, Watched};
use crate::linux::{clock, inotify};
use crate::model::{Moment, RunId};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// What the thread needs of the rest of the world.
pub(super) struct Hands {
    pub(super) board: Board,
    pub(super) keep: Box<dyn Keep + Send>,
    pub(super) drain: Box<dyn Fn(RunId) + Send>,
    pub(super) news: Arc<dyn Fn(GateNews) + Send + Sync>,
}

pub(super) enum Order {
    /// With the number of the watch.
    Watch(Box<Subject>, u64),
    Signalled(RunId),
    /// Thaw, unlock, and nothing more of it.
    Forget(RunId),
}

/// How often a busy run is looked at without any news: what is written through a memory map makes no notice.
const AT_LEAST: Duration = Duration::from_secs(1);

/// The same where no notices are to be had.
const UNWATCHED: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    orders: Receiver<Order>,
    bell: Arc<Bell>,
    lookout: Lookout,
    watched: BTreeMap<RunId, Watched>,
    /// Each run that waits for its next look, once, by when.
    due: BTreeSet<(Moment, RunId)>,
    due_of: BTreeMap<RunId, Moment>,
}

impl Worker {
    pub(super) fn new(orders: Receiver<Order>, bell: Arc<Bell>) -> io::Result<Self> {
        Self::with_notices(orders, bell, inotify::notices())
    }

    pub(super) fn with_notices(
        orders: Receiver<Order>,
        bell: Arc<Bell>,
        notices: io::Result<std::os::fd::OwnedFd>,
    ) -> io::Result<Self> {
        let lookout = Lookout::new(Arc::clone(&bell), notices)?;
        let (watched, due, due_of) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Ok(Self { orders, bell, lookout, watched, due, due_of })
    }

    /// Until the handle is gone; then everything is thawed and unlocked.
    pub(super) fn run(&mut self, hands: &Hands) {
        loop {
            for run in self.lookout.wait(self.due.first().map(|(at, _)| *at)) {
                self.wake(run, clock::now());
            }
            loop {
                match self.orders.try_recv() {
                    Ok(order) => self.take(order, hands),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        for (_, mut watched) in std::mem::take(&mut self.watched) {
                            watched.let_go(hands);
                        }
                        return;
                    }
                }
            }
            let now = clock::now();
            while let Some((_, run)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
                self.unschedule(run);
                self.look(run, hands);
            }
        }
    }

    fn take(&mut self, order: Order, hands: &Hands) {
        match order {
            Order::Watch(subject, watch) => {
                let run = subject.root.run;
                match self.watched.get_mut(&run) {
                    Some(watched) => watched.renew(*subject, watch, hands),
                    None => {
                        let new = Watched::new(*subject, watch, hands, &self.bell);
                        self.watched.insert(run, new);
                    }
                }
                self.schedule(run, clock::now());
            }
            Order::Signalled(run) => {
                self.disarm(run, hands);
                if let Some(watched) = self.watched.get_mut(&run) {
                    watched.signalled(hands);
                }
            }
            Order::Forget(run) => {
                self.disarm(run, hands);
                if let Some(mut watched) = self.watched.remove(&run) {
                    watched.let_go(hands);
                }
            }
        }
    }

    /// Something may have changed.
    fn wake(&mut self, run: RunId, now: Moment) {
        if let Some(watched) = self.watched.get(&run).filter(|watched| watched.is_open()) {
            self.schedule(run, now.max(watched.not_before()));
        }
    }

    fn schedule(&mut self, run: RunId, at: Moment) {
        let at = self.due_of.get(&run).map_or(at, |before| at.min(*before));
        self.unschedule(run);
        self.due.insert((at, run));
        self.due_of.insert(run, at);
    }

    fn unschedule(&mut self, run: RunId) {
        if let Some(at) = self.due_of.remove(&run) {
            self.due.remove(&(at, run));
        }
    }

    fn disarm(&mut self, run: RunId, hands: &Hands) {
        self.unschedule(run);
        self.lookout.forget(run);
        hands.board.disarm(run);
    }

    /// The first look of a run that is idle, as most are, does without anything that would wake us later.
    fn look(&mut self, run: RunId, hands: &Hands) {
        let Some(watched) = self.watched.get_mut(&run).filter(|watched| watched.is_open()) else { return };
        if watched.is_new() && matches!(watched.look(hands, &self.bell), Next::Held) {
            return;
        }
        // Before the look, so that nothing is missed after it.
        hands.board.arm(run, &self.bell);
        let folder = watched.lock_path().parent().unwrap_or(Path::new("/")).to_owned();
        let unwatched = self.lookout.watch_folder(run, &folder).err();
        if let Some(why) = &unwatched {
            let text =
                format!("no watch on {}: looking every 100 ms while it drains: {why}", folder.display());
            watched.trouble(hands, "watch", text);
        }
        match watched.look(hands, &self.bell) {
            Next::Held => self.disarm(run, hands),
            Next::Open { writer, again } => {
                let pause = if unwatched.is_some() { UNWATCHED } else { AT_LEAST };
                let now = clock::now();
                let not_before = watched.not_before();
                let again = again.map_or(now + pause, |again| again.min(now + pause));
                if let Some(pid) = writer {
                    self.lookout.watch_writer(run, pid);
                }
                self.schedule(run, again.max(not_before));
            }
        }
    }
}
