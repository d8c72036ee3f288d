//! The gate's handle: what may be asked of it, and what it says.

use super::bell::Bell;
use super::board::{Board, Busy};
use super::judge::Launch;
use super::look::Glance;
use super::worker::{Hands, Order, Worker};
use crate::linux::eager;
use crate::linux::tree::Root;
use crate::model::{InstanceLabel, LockKind, RunId};
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A run that is to be held idle.
#[derive(Debug)]
pub struct Subject {
    /// The run and its tree.
    pub root: Root,
    /// What people call it.
    pub label: InstanceLabel,
    /// Who orphans of runs come to.
    pub keeper: u32,
    /// Its working lock.
    pub lock: PathBuf,
    /// The lock is not in the run's own folder: it may be older than the run.
    pub custom: bool,
    /// What of it counts.
    pub kind: LockKind,
    /// By its state file it must have been idle for so long.
    pub idle_for: Duration,
    /// When it was launched.
    pub launch: Launch,
    /// The lock in the run's own folder, open; the keeper has it, too.
    pub own: Option<Arc<OwnedFd>>,
    /// An open file of its lock that the keeper has, too, and that may be locked already: the supervisor before left it, or it was
    /// taken without asking the gate.
    pub left: Option<Arc<OwnedFd>>,
}

impl Subject {
    pub(super) fn glance(&self) -> Glance<'_> {
        Glance {
            root: &self.root,
            keeper: self.keeper,
            lock: &self.lock,
            custom: self.custom,
            kind: self.kind,
            launch: self.launch,
        }
    }
}

/// What the gate says of a run that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateNews {
    /// It is in the middle of a task. Said again when that is another one.
    Busy {
        /// Which run.
        run: RunId,
        /// What is known of the task.
        busy: Busy,
    },
    /// It is idle and held so, until [`Gate::signalled`], [`Gate::cancel`] or [`Gate::gone`].
    Idle {
        /// Which run.
        run: RunId,
        /// For [`Gate::is_current`]: one of those may have overtaken this news on its way.
        watch: u64,
    },
    /// For people, once per kind and run.
    Trouble {
        /// Which run.
        run: RunId,
        /// One sentence.
        text: String,
    },
}

/// What outlives the supervisor: carried out by the keeper. Each is called, on the gate's thread, before the act that it
/// guards.
pub trait Keep {
    /// Keep a duplicate of this open file, which may be locked any moment. One per run.
    fn hold_lock(&self, run: RunId, fd: BorrowedFd<'_>);
    /// Close it.
    fn drop_lock(&self, run: RunId);
    /// If the supervisor dies before [`Keep::thawed`]: write `0` to this file.
    fn frozen_cgroup(&self, run: RunId, freeze_file: BorrowedFd<'_>);
    /// If the supervisor dies before [`Keep::thawed`]: CONT to these processes, besides those that were named before.
    fn frozen_processes(&self, run: RunId, pidfds: &[BorrowedFd<'_>]);
    /// It runs again.
    fn thawed(&self, run: RunId);
}

/// Holds runs idle. Its thread exists from the first need on, and wakes only while something is watched.
pub struct Gate {
    state: Mutex<State>,
}

struct State {
    /// For the thread, which takes them when it begins.
    hands: Arc<Mutex<Option<Hands>>>,
    news: Arc<dyn Fn(GateNews) + Send + Sync>,
    line: Option<(Sender<Order>, Arc<Bell>)>,
    /// Runs that the thread has heard of: most never come to its ears, and it is not woken to forget them.
    known: BTreeMap<RunId, Known>,
    last_watch: u64,
}

struct Known {
    watch: u64,
    signalled: bool,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// Nothing is started yet. `drain(run)` returns when everything that the run has said by other ways so far is on the
    /// board, after a second at most. All three are called on the gate's thread (`news` also on the caller's, where the
    /// thread cannot be started).
    pub fn new(
        board: Board,
        keep: Box<dyn Keep + Send>,
        drain: Box<dyn Fn(RunId) + Send>,
        news: Box<dyn Fn(GateNews) + Send + Sync>,
    ) -> Self {
        let news: Arc<dyn Fn(GateNews) + Send + Sync> = Arc::from(news);
        let hands = Hands { board, keep, drain, news: Arc::clone(&news) };
        let hands = Arc::new(Mutex::new(Some(hands)));
        Self { state: Mutex::new(State { hands, news, line: None, known: BTreeMap::new(), last_watch: 0 }) }
    }

    /// A stop is wanted: look, and go on looking until it is idle. Asked again, it says again what is so.
    pub fn watch(&self, subject: Subject) {
        let mut state = self.state();
        let run = subject.root.run;
        if let Err(error) = state.start() {
            // The stop stays wanted; the next one that is asked for tries again, and --force needs no gate.
            let text = format!("cannot look whether it is busy: no thread: {error}");
            return (state.news)(GateNews::Trouble { run, text });
        }
        let watch = match state.known.get(&run).filter(|known| !known.signalled) {
            Some(known) => known.watch,
            None => state.last_watch + 1,
        };
        state.last_watch = state.last_watch.max(watch);
        state.known.insert(run, Known { watch, signalled: false });
        state.order(Order::Watch(Box::new(subject), watch));
    }

    /// How many descriptors it will take for itself at the first need: a bell, an epoll set, a queue of notices. 0 afterwards.
    pub fn descriptors_to_come(&self) -> u64 {
        if self.state().line.is_some() { 0 } else { 3 }
    }

    /// Whether what [`GateNews::Idle`] said is still so: to be asked right before the signal. A stop that was called off and
    /// wanted again meanwhile has a watch of its own.
    pub fn is_current(&self, run: RunId, watch: u64) -> bool {
        self.state().known.get(&run).is_some_and(|known| known.watch == watch && !known.signalled)
    }

    /// It was signalled: it is thawed and no longer looked at; a lock that is held stays so until [`Gate::gone`].
    pub fn signalled(&self, run: RunId) {
        let mut state = self.state();
        if let Some(known) = state.known.get_mut(&run) {
            known.signalled = true;
            state.order(Order::Signalled(run));
        }
    }

    /// The stop is not wanted any more: everything is as before.
    pub fn cancel(&self, run: RunId) {
        self.gone(run);
    }

    /// Nothing of it lives.
    pub fn gone(&self, run: RunId) {
        let mut state = self.state();
        if state.known.remove(&run).is_some() {
            state.order(Order::Forget(run));
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn start(&mut self) -> std::io::Result<()> {
        if self.line.is_some() {
            return Ok(());
        }
        let bell = Arc::new(Bell::new()?);
        let (sender, orders) = mpsc::channel();
        let (hands, rung) = (Arc::clone(&self.hands), Arc::clone(&bell));
        let mut worker = Worker::new(orders, rung)?;
        std::thread::Builder::new().name("gate".to_owned()).spawn(move || {
            // The gap after a task may be no longer than a millisecond. Threads that wait for locks are begun by this one.
            eager::make_eager();
            let hands = hands.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(hands) = hands {
                worker.run(&hands);
            }
        })?;
        self.line = Some((sender, bell));
        Ok(())
    }

    fn order(&self, order: Order) {
        if let Some((sender, bell)) = &self.line {
            let _ended = sender.send(order);
            bell.ring();
        }
    }
}

impl Drop for Gate {
    /// The thread thaws and unlocks everything, and ends.
    fn drop(&mut self) {
        if let Some((sender, bell)) = self.state().line.take() {
            drop(sender);
            bell.ring();
        }
    }
}
