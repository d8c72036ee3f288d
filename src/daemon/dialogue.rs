//! Everything by which programs and the supervisor understand each other: the ears, the board, the gate, the channel. For the
//! decision thread, which holds it.

use super::channel::Channel;
use super::hearing::Hearing;
use super::inbox::{Inbox, Message};
use super::inheritance::MARKS;
use super::keeping::Keeping;
use super::looks::{Eyes, Looker, Sight};
use super::options::StartError;
use super::processes::{Lock, Mouth, Process};
use crate::keeper::link::{HoldFor, Order, Sender};
use crate::linux::flock;
use crate::model::{LockKind, Moment, ReadyBy, RunId, StopKind};
use crate::supervisor::Work;
use crate::talk::{Ears, Folders};
use crate::work::{Board, Busy, Gate, GateNews, Keep, Subject, rewritten};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Dialogue {
    pub(super) channel: Channel,
    pub(super) looker: Looker,
    ears: Arc<Ears>,
    board: Board,
    gate: Arc<Gate>,
    hearing: Hearing,
    /// `runtime_dir/i`.
    base: PathBuf,
    folders: Arc<Folders>,
    keeper_pid: u32,
    /// Open locks that the supervisor before left, by run.
    locks: BTreeMap<RunId, OwnedFd>,
    keeping: Keeping,
    /// Whose lock was taken at once: the keeper has it too.
    held: BTreeSet<RunId>,
    /// Those that were found idle and are not told to be yet. Of most the keeper must get the lock before.
    idle: Vec<(RunId, Option<Arc<OwnedFd>>)>,
}

/// What an earlier supervisor left.
pub(super) struct Left {
    pub(super) store: Option<OwnedFd>,
    pub(super) marks: Option<OwnedFd>,
    pub(super) locks: BTreeMap<RunId, OwnedFd>,
}

impl Dialogue {
    /// Nothing is heard yet.
    pub(super) fn start(
        runtime_dir: &Path,
        keeper: &Sender,
        keeper_pid: u32,
        left: Left,
        inbox: &Inbox,
    ) -> Result<Self, StartError> {
        let failed = |error| StartError::new(format!("error: cannot listen to what programs say: {error}"));
        let channel = Channel::new(runtime_dir, left.store, keeper);
        let hold = |fd| {
            // A keeper that is gone holds nothing; that news is on its way.
            let _ = keeper.send(&Order::Hold { name: MARKS.to_owned(), purpose: HoldFor::Keep, fd });
        };
        let board = Board::kept(left.marks, hold).unwrap_or_else(|error| {
            tracing::warn!(%error, "another supervisor will not know what programs have said to this one");
            Board::default()
        });
        let hearing = Hearing::new(board.clone(), channel.hub(), inbox.clone(), channel.turnstile());
        let heard = hearing.clone();
        let ears =
            Arc::new(Ears::start(Box::new(move |run, words| heard.hears(run, words))).map_err(failed)?);
        let (drained, server) = (Arc::clone(&ears), channel.drain());
        let drain = Box::new(move |run| {
            drained.drain(run);
            server(run);
        });
        let news = inbox.clone();
        let gate = Arc::new(Gate::new(
            board.clone(),
            Box::new(Keeping::new(keeper.clone())),
            drain,
            Box::new(move |said| news.send(Message::Gate(said))),
        ));
        let base = base(runtime_dir);
        let folders = Arc::new(Folders::open(&base).map_err(failed)?);
        let looker = Looker::start(Eyes {
            board: board.clone(),
            hearing: hearing.clone(),
            folders: Arc::clone(&folders),
            base: base.clone(),
            keeper: keeper_pid,
        })
        .map_err(failed)?;
        let (keeping, held, locks) = (Keeping::new(keeper.clone()), BTreeSet::new(), left.locks);
        let idle = Vec::new();
        Ok(Self {
            channel,
            looker,
            ears,
            board,
            gate,
            hearing,
            base,
            folders,
            keeper_pid,
            locks,
            keeping,
            held,
            idle,
        })
    }

    /// Opens the socket of programs, and goes on with the runs that were taken over.
    pub(super) fn open<'a>(
        &mut self,
        processes: impl Iterator<Item = &'a Process> + Clone,
    ) -> Result<(), StartError> {
        let main = processes.filter(|process| process.owner.helper_of.is_none());
        self.channel.open(main.clone(), &self.hearing)?;
        self.board.all_adopted();
        let known: Vec<&str> = main.clone().map(|process| process.owner.label.as_str()).collect();
        // What is left of others is of no use to anybody.
        if let Err(error) = crate::talk::sweep(&self.base, &|label| known.contains(&label)) {
            tracing::warn!(%error, folder = %self.base.display(), "cannot remove the folders of past runs");
        }
        Ok(())
    }

    /// A run is about to be launched, or was taken over.
    pub(super) fn begin(&self, process: &Process, adopted: bool) {
        match adopted {
            true => self.board.adopt(process.run),
            false => self.board.begin(process.run),
        }
        self.hearing.begin(process.run, &process.owner.label);
    }

    /// Its FIFO and its socket of sd_notify(3) are heard from now on, if they are new.
    pub(super) fn hear(&self, process: &mut Process) {
        if let Some(Mouth { fifo, sd }) = process.mouth.take() {
            self.ears.attach(process.run, fifo, sd);
        }
    }

    /// The keeper that held its ends is gone: they are opened once more.
    pub(super) fn open_mouth(&self, process: &mut Process) {
        let wants_socket = process.spec.ready.by == ReadyBy::Notify || process.spec.watchdog.is_some();
        match crate::talk::reopen(&self.base, &process.owner.label, wants_socket) {
            Ok((fifo, sd)) => process.mouth = Some(Mouth { fifo, sd }),
            Err(error) => {
                tracing::warn!(instance = %process.owner.label, %error, "what it says is not heard any more");
            }
        }
    }

    /// Main has ended: what it said by lines and notices has ended with it.
    pub(super) fn main_ended(&self, run: RunId) {
        self.board.main_ended(run);
    }

    /// Nothing of the run lives any more.
    pub(super) fn end(&mut self, run: RunId) {
        self.is_not_idle(run);
        self.gate.gone(run);
        self.channel.dismiss(run);
        self.ears.detach(run);
        self.hearing.end(run);
        self.board.end(run);
        // What the gate has not taken over: the file may be one that the next run uses, too.
        if let Some(file) = self.locks.remove(&run) {
            flock::unlock(&file);
            self.keeping.drop_lock(run);
        }
        if self.held.remove(&run) {
            self.keeping.drop_lock(run);
        }
    }

    /// Whether it is busy is asked. If it is idle, and held so from now on, [`Dialogue::all_idle`] says so; else the answers come as
    /// [`Message::Gate`].
    pub(super) fn look_at_work(&mut self, process: &mut Process) {
        self.is_not_idle(process.run);
        if self.is_held_at_once(process) {
            return;
        }
        // The gate goes on with what was held meanwhile.
        let held = match process.lock.take() {
            Some(Lock::Held(_, file)) if self.held.remove(&process.run) => {
                file.as_fd().try_clone_to_owned().ok()
            }
            _ => None,
        };
        let sight = self.sight(process);
        let (lock, custom) = sight.lock(&self.base);
        self.gate.watch(Subject {
            root: sight.root,
            label: process.owner.label.clone(),
            keeper: self.keeper_pid,
            lock,
            custom,
            kind: process.spec.work.kind,
            idle_for: process.spec.work.idle_for,
            launch: process.launch,
            lock_fd: held.or_else(|| self.locks.remove(&process.run)),
        });
    }

    /// Whatever was found before and is not told yet does not count any more.
    fn is_not_idle(&mut self, run: RunId) {
        self.idle.retain(|(other, _)| *other != run);
    }

    /// How many are waiting in [`Dialogue::all_idle`].
    pub(super) fn idle_count(&self) -> usize {
        self.idle.len()
    }

    /// All that were found idle at once and are not told yet. The keeper gets their locks before anybody is signalled: a successor must
    /// find them held.
    pub(super) fn all_idle(&mut self) -> Vec<RunId> {
        let idle = std::mem::take(&mut self.idle);
        let runs = idle.iter().map(|(run, _)| *run).collect();
        let locks: Vec<_> = idle.into_iter().filter_map(|(run, file)| Some((run, file?))).collect();
        self.keeping.hold_locks(&locks);
        runs
    }

    /// Most programs never say anything of their work. Of such a one nothing was ever heard, nobody has written its lock, and
    /// nobody holds it: then we do, and there is nothing to wait for and nobody to freeze. A few system calls on a file that we made.
    fn is_held_at_once(&mut self, process: &mut Process) -> bool {
        let untouched = match &process.lock {
            Some(Lock::Untouched(untouched) | Lock::Held(untouched, _)) => *untouched,
            None => return false,
        };
        if !self.board.is_blank(process.run) {
            return false;
        }
        let Ok(file) = self.folders.open_lock(&process.owner.label) else { return false };
        let locks = process.spec.work.kind != LockKind::State;
        let free = !locks || flock::try_shared(&file).unwrap_or(false);
        // Last of all: whoever spoke before that has been heard.
        let idle = free && untouched.is(&file) && self.ears.are_done() && self.board.is_blank(process.run);
        if idle {
            let file = Arc::new(file);
            let kept = locks && self.held.insert(process.run);
            self.idle.push((process.run, kept.then(|| Arc::clone(&file))));
            process.lock = Some(Lock::Held(untouched, file));
        }
        idle
    }

    /// What is to be done when it has been signalled: it runs again, and is not asked any more.
    pub(super) fn signalled(&self, run: RunId) -> impl FnOnce() + Send + 'static {
        let gate = Arc::clone(&self.gate);
        move || gate.signalled(run)
    }

    /// The stop is not wanted any more.
    pub(super) fn cancel_work(&mut self, process: &mut Process) {
        self.is_not_idle(process.run);
        if let Some(Lock::Held(untouched, file)) = &process.lock {
            flock::unlock(file);
            process.lock = Some(Lock::Untouched(*untouched));
        }
        if self.held.remove(&process.run) {
            self.keeping.drop_lock(process.run);
        }
        self.gate.cancel(process.run);
    }

    /// What the gate's news mean, if they still mean something.
    pub(super) fn work_of(&self, news: GateNews) -> Option<(RunId, Work)> {
        match news {
            GateNews::Busy { run, busy: Busy { since, what } } => Some((run, Work::Busy { since, what })),
            GateNews::Idle { run, watch } => self.gate.is_current(run, watch).then_some((run, Work::Idle)),
            GateNews::Trouble { run, text } => {
                let instance =
                    self.hearing.label(run).map_or_else(|| run.to_string(), |label| label.to_string());
                tracing::warn!(instance, "{text}");
                self.hearing.trouble(run, text);
                None
            }
        }
    }

    /// A stop is wanted, or not any more: those who wait for that are told.
    pub(super) fn tell_stop(&self, run: RunId, stop: Option<(StopKind, String)>) {
        self.channel.tell_stop(run, stop);
    }

    /// When it last gave a sign of life, as far as is known.
    pub(super) fn last_beat(&self, process: &Process) -> Moment {
        let sight = self.sight(process);
        let lock = sight.lock(&self.base);
        let beat = self.board.last_beat(process.run);
        beat.into_iter().chain(rewritten(&sight.glance(self.keeper_pid, &lock))).max().unwrap_or_default()
    }

    /// Descriptors that will be needed for all runs together, and are not open yet.
    pub(super) fn descriptors_to_come(&self) -> u64 {
        self.gate.descriptors_to_come()
    }

    /// The threads that hear learn what has changed: once for all.
    pub(super) fn tell(&self) {
        self.ears.prick();
        self.channel.tell();
    }

    /// What is needed to see from elsewhere whether it is busy.
    pub(super) fn sight(&self, process: &Process) -> Sight {
        let untouched = match process.lock {
            Some(Lock::Untouched(untouched) | Lock::Held(untouched, _)) => Some(untouched),
            None => None,
        };
        Sight {
            root: process.root(),
            slot: process.owner.slot.clone(),
            label: process.owner.label.clone(),
            spec: Arc::clone(&process.spec),
            launch: process.launch,
            untouched,
        }
    }
}

/// Where the folders of instances are.
pub(super) fn base(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join(crate::config::folders::INSTANCES)
}
