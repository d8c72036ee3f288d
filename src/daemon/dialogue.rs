//! Everything by which programs and the supervisor understand each other: the ears, the board, the gate, the channel. For the
//! decision thread, which holds it.

use super::channel::Channel;
use super::hearing::Hearing;
use super::inbox::{Inbox, Message};
use super::inheritance::MARKS;
use super::keeping::Keeping;
use super::looks::{Eyes, Looker, Sight};
use super::options::StartError;
use super::processes::{Mouth, Process};
use crate::keeper::link::{HoldFor, Order, Sender};
use crate::linux::flock;
use crate::model::{LockKind, Moment, ReadyBy, RunId, StopKind};
use crate::supervisor::Work;
use crate::talk::{Ears, Folders};
use crate::work::{Board, Busy, Gate, GateNews, Keep, Subject, rewritten};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
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
    folders: Folders,
    keeper_pid: u32,
    /// Open locks that the supervisor before left, by run.
    locks: BTreeMap<RunId, OwnedFd>,
    keeping: Keeping,
    /// Those that were found idle and are not told to be yet.
    idle: Vec<RunId>,
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
        let folders = Folders::open(&base).map_err(failed)?;
        let looker = Looker::start(Eyes {
            board: board.clone(),
            hearing: hearing.clone(),
            base: base.clone(),
            keeper: keeper_pid,
        })
        .map_err(failed)?;
        let (keeping, locks) = (Keeping::new(keeper.clone()), left.locks);
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

    /// Its FIFO and its socket of sd_notify(3) are heard as soon as the ears are told, if they are new.
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
        self.forget_left(run);
    }

    fn forget_left(&mut self, run: RunId) {
        if let Some(file) = self.locks.remove(&run) {
            flock::unlock(&file);
            self.keeping.drop_lock(run);
        }
    }

    /// A run that was taken over: its lock may be held, and is given back unless a stop of it is under way.
    pub(super) fn take_over_lock(&mut self, process: &mut Process, stops: bool) {
        process.lock.may_be_held();
        if !stops {
            process.lock.give_back();
            self.forget_left(process.run);
        }
    }

    /// Whether it is busy is asked. If it is idle, and held so from now on, [`Dialogue::all_idle`] says so; else the answers come as
    /// [`Message::Gate`].
    pub(super) fn look_at_work(&mut self, process: &mut Process) {
        self.is_not_idle(process.run);
        if self.is_held_at_once(process) {
            return self.idle.push(process.run);
        }
        // From now on the gate alone takes its lock and gives it back, as soon as it comes to it.
        process.lock.untouched = None;
        // It goes on with what was taken meanwhile. What has a name of its own took the place of what was there first.
        let left = self.locks.remove(&process.run).map(Arc::new);
        let held = process.lock.hand_over();
        if let (Some(_), Some(held)) = (&left, &held) {
            flock::unlock(held);
        }
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
            own: process.lock.file.clone(),
            left: left.or(held),
        });
    }

    /// Whatever was found before and is not told yet does not count any more.
    fn is_not_idle(&mut self, run: RunId) {
        self.idle.retain(|other| *other != run);
    }

    /// How many are waiting in [`Dialogue::all_idle`].
    pub(super) fn idle_count(&self) -> usize {
        self.idle.len()
    }

    /// All that were found idle at once and are not told yet.
    pub(super) fn all_idle(&mut self) -> Vec<RunId> {
        std::mem::take(&mut self.idle)
    }

    /// Most programs never say anything of their work. Of such a one nothing was ever heard, nobody has written its lock, and
    /// nobody holds it: then we do, and there is nothing to wait for and nobody to freeze. Two system calls about a file that we made.
    fn is_held_at_once(&self, process: &mut Process) -> bool {
        let Some(untouched) = process.lock.untouched else { return false };
        if process.lock.file.is_none() || !self.board.is_blank(process.run) {
            return false;
        }
        let was_held = process.lock.is_held();
        let free = process.spec.work.kind == LockKind::State || process.lock.take();
        // Last of all: whoever spoke before that has been heard.
        let idle = free
            && self.folders.is_untouched(&process.owner.label, untouched)
            && self.ears.are_done(process.run)
            && self.board.is_blank(process.run);
        if !(idle || was_held) {
            process.lock.give_back();
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
        process.lock.give_back();
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
        Sight {
            root: process.root(),
            slot: process.owner.slot.clone(),
            label: process.owner.label.clone(),
            spec: Arc::clone(&process.spec),
            launch: process.launch,
            untouched: process.lock.file.clone().zip(process.lock.untouched),
        }
    }
}

/// Where the folders of instances are.
pub(super) fn base(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join(crate::config::folders::INSTANCES)
}
