//! One run that is watched: from the first look until it is held idle, and what is held of it.

use super::bell::Bell;
use super::board::Busy;
use super::gate::{GateNews, Subject};
use super::judge::{Now, Told};
use super::look;
use super::state::{self, Content};
use super::worker::Hands;
use crate::linux::flock::{self, Taker};
use crate::linux::freeze::{self, About, Frozen};
use crate::linux::locks::FileId;
use crate::linux::{clock, proc};
use crate::model::{LockKind, Moment, RunId};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The pause between two looks, which a writer that never rests cannot make shorter.
const REST: Duration = Duration::from_millis(1);

/// It begins with this: the end of a task is told by several notices (a new file comes, is written, is renamed), the first of
/// them before there is anything to see, and the gap after it may be no longer than a millisecond.
const FIRST_REST: Duration = Duration::from_micros(60);

/// Without a look for so long it does so again.
const QUIET: Duration = Duration::from_millis(8);

/// After freezes in vain the next one is this much later at most: each costs the program a moment.
const LONGEST_REST: Duration = Duration::from_millis(16);

/// Without a freeze in vain for so long it is short again.
const FORGIVEN: Duration = Duration::from_millis(500);

/// Looks take at most a third of the time, also where each is slow.
const SHARE: u32 = 2;

/// The longest pause that follows from a slow look.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How soon what failed for want of something is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// What comes after a look.
#[derive(Debug)]
pub(super) enum Next {
    /// It is idle and held so.
    Held,
    /// Another look: when something changes, or this process ends, or at that time.
    Open { writer: Option<u32>, again: Option<Moment> },
}

/// The run's flock.
#[derive(Debug)]
enum Lock {
    None,
    /// Somebody has it; we wait.
    Waiting(Taker, FileId),
    /// Nobody begins a task under it.
    Held(Arc<OwnedFd>, FileId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not looked at yet.
    New,
    Open,
    Held,
    Signalled,
}

#[derive(Debug)]
pub(super) struct Watched {
    subject: Subject,
    /// What its news of idleness carries.
    watch: u64,
    stage: Stage,
    lock: Lock,
    frozen: Option<Frozen>,
    /// The lock in its own folder, and which file that is.
    own: Option<(Arc<OwnedFd>, FileId)>,
    told: Option<Busy>,
    said: BTreeSet<String>,
    not_before: Moment,
    /// How long looks rest.
    pace: Duration,
    /// How long freezes rest.
    rest: Duration,
    /// When the last one was in vain.
    in_vain: Moment,
}

/// What the sources other than the flock say.
enum Others {
    Idle,
    Busy(Busy, Option<u32>),
    /// Not to be told before.
    Wait(Moment, Option<Busy>),
}

impl Watched {
    pub(super) fn new(mut subject: Subject, watch: u64, hands: &Hands, bell: &Arc<Bell>) -> Self {
        let left = subject.left.take();
        let own = subject.own.take().and_then(|file| FileId::of_open(&file).ok().map(|id| (file, id)));
        let mut new = Self {
            subject,
            watch,
            stage: Stage::New,
            lock: Lock::None,
            frozen: None,
            own,
            told: None,
            said: BTreeSet::new(),
            not_before: Moment::default(),
            pace: FIRST_REST,
            rest: REST,
            in_vain: Moment::default(),
        };
        if let Some(file) = left {
            new.inherit(file, hands, bell);
        }
        new
    }

    /// An open file that the keeper has already: if it was locked, it still is.
    fn inherit(&mut self, file: Arc<OwnedFd>, hands: &Hands, bell: &Arc<Bell>) {
        let Ok(id) = FileId::of_open(&file) else { return };
        // Whether we have it or wait for it, the first look finds it so.
        let _ = self.lock_file(file, id, hands, bell);
    }

    /// The stop is wanted again, perhaps by another plan: what is so is said again.
    pub(super) fn renew(&mut self, subject: Subject, watch: u64, hands: &Hands) {
        self.subject = Subject { own: None, left: None, ..subject };
        self.watch = watch;
        self.told = None;
        match self.stage {
            Stage::Held => self.tell_idle(hands),
            Stage::Signalled => self.stage = Stage::New,
            Stage::New | Stage::Open => {}
        }
    }

    /// Whether what changes may matter.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::New | Stage::Open)
    }

    pub(super) fn is_new(&self) -> bool {
        self.stage == Stage::New
    }

    pub(super) fn not_before(&self) -> Moment {
        self.not_before
    }

    pub(super) fn lock_path(&self) -> &Path {
        &self.subject.lock
    }

    /// It is thawed; a lock that we have stays ours, and one that we wait for is given up.
    pub(super) fn signalled(&mut self, hands: &Hands) {
        self.stage = Stage::Signalled;
        self.thaw(hands);
        if matches!(self.lock, Lock::Waiting(..)) {
            self.unlock(hands);
        }
    }

    /// Everything is as if we had never looked.
    pub(super) fn let_go(&mut self, hands: &Hands) {
        self.thaw(hands);
        self.unlock(hands);
    }

    /// One look at all sources, and a second one while everything stands still.
    pub(super) fn look(&mut self, hands: &Hands, bell: &Arc<Bell>) -> Next {
        self.stage = Stage::Open;
        let begun = clock::now();
        let next = self.look_twice(hands, bell);
        let now = clock::now();
        if now.since(self.in_vain) > FORGIVEN {
            self.rest = REST;
        }
        self.pace = match begun.since(self.not_before) > QUIET {
            true => FIRST_REST,
            false => (self.pace * 2).min(REST),
        };
        let pause = (now.since(begun) * SHARE).min(LONGEST_PAUSE);
        self.not_before = (now + self.pace.max(pause)).max(self.in_vain + self.rest);
        next
    }

    fn look_twice(&mut self, hands: &Hands, bell: &Arc<Bell>) -> Next {
        if !self.is_seen(hands) {
            // Its very first word may be under way; that needs no freeze.
            (hands.drain)(self.run());
        }
        match self.others(hands) {
            Others::Idle => {}
            others => return self.stay_open(others, hands),
        }
        let locked = self.lock_now(hands, bell);
        let mut memory = hands.board.memory(self.run());
        let busy = memory.flock(matches!(self.lock, Lock::Waiting(..)), clock::now());
        hands.board.remember(self.run(), memory);
        if let Err(again) = locked {
            if let Some(busy) = busy {
                self.tell_busy(busy, hands);
            }
            return Next::Open { writer: None, again };
        }
        if !self.is_seen(hands) {
            return self.hold(hands);
        }
        self.freeze(hands);
        (hands.drain)(self.run());
        let others = self.others(hands);
        let locked = matches!(others, Others::Idle) && self.lock_now(hands, bell).is_ok();
        if locked {
            return self.hold(hands);
        }
        self.thaw(hands);
        self.in_vain = clock::now();
        self.rest = (self.rest * 2).min(LONGEST_REST);
        match others {
            Others::Idle => Next::Open { writer: None, again: Some(self.in_vain) },
            others => self.stay_open(others, hands),
        }
    }

    fn hold(&mut self, hands: &Hands) -> Next {
        self.stage = Stage::Held;
        self.tell_idle(hands);
        Next::Held
    }

    fn tell_idle(&self, hands: &Hands) {
        (hands.news)(GateNews::Idle { run: self.run(), watch: self.watch });
    }

    /// The flock is not kept meanwhile: what it is busy with may need it.
    fn stay_open(&mut self, others: Others, hands: &Hands) -> Next {
        self.unlock(hands);
        match others {
            Others::Idle => Next::Open { writer: None, again: None },
            Others::Busy(busy, writer) => {
                self.tell_busy(busy, hands);
                Next::Open { writer, again: None }
            }
            Others::Wait(until, busy) => {
                if let Some(busy) = busy {
                    self.tell_busy(busy, hands);
                }
                Next::Open { writer: None, again: Some(until) }
            }
        }
    }

    fn others(&mut self, hands: &Hands) -> Others {
        let run = self.run();
        let marked = hands.board.look(run).busy;
        let mut memory = hands.board.memory(run);
        let (verdict, _) = look::by_file(&self.subject.glance(), &mut memory);
        hands.board.remember(run, memory);
        if let Some(text) = verdict.trouble {
            self.trouble(hands, &text.clone(), text);
        }
        match (verdict.told, marked) {
            (Told::Busy(busy, writer), marked) => {
                let both = look::all(marked, [Some(busy.clone())]).unwrap_or(busy);
                Others::Busy(both, Some(writer))
            }
            (_, Some(busy)) => Others::Busy(busy, None),
            (Told::Undecided { until, busy, .. }, None) => Others::Wait(until, busy),
            (Told::Idle(since), None) => {
                let until = since.map(|since| since + self.subject.idle_for);
                match until.filter(|until| Now::read().moment < *until) {
                    Some(until) => Others::Wait(until, None),
                    None => Others::Idle,
                }
            }
        }
    }

    fn is_seen(&self, hands: &Hands) -> bool {
        hands.board.look(self.run()).ever || hands.board.memory(self.run()).seen
    }

    /// Takes the flock of the file that the path leads to now. `Ok`: we have it, or there is none to be had.
    ///
    /// # Errors
    /// Somebody else has it; when to look again, if nothing else wakes us.
    fn lock_now(&mut self, hands: &Hands, bell: &Arc<Bell>) -> Result<(), Option<Moment>> {
        if self.subject.kind == LockKind::State {
            return Ok(());
        }
        let now = state::read(&self.subject.lock, false);
        if let Content::Failed(_) = now {
            return Err(Some(clock::now() + AGAIN));
        }
        let id = now.file();
        match std::mem::replace(&mut self.lock, Lock::None) {
            Lock::Held(file, held) if id == Some(held) => {
                self.lock = Lock::Held(file, held);
                return Ok(());
            }
            Lock::Waiting(taker, at) if id == Some(at) => return self.go_on_waiting(taker, at, hands),
            // It was replaced: what we have, or wait for, is nobody's any more.
            other => {
                self.lock = other;
                self.unlock(hands);
            }
        }
        if let Some((file, own)) = self.own.as_ref().filter(|(_, own)| id == Some(*own)) {
            return self.lock_file(Arc::clone(file), *own, hands, bell);
        }
        match state::open(&self.subject.lock) {
            Ok((file, metadata)) => {
                let file = Arc::new(OwnedFd::from(file));
                hands.keep.hold_lock(self.run(), file.as_fd());
                self.lock_file(file, FileId::of(&metadata), hands, bell)
            }
            Err(error) if proc::is_shortage(&error) => Err(Some(clock::now() + AGAIN)),
            // Missing; or of a kind that was reported as such.
            Err(_) => Ok(()),
        }
    }

    fn go_on_waiting(&mut self, taker: Taker, at: FileId, hands: &Hands) -> Result<(), Option<Moment>> {
        match taker.outcome() {
            Ok(None) => {
                self.lock = Lock::Waiting(taker, at);
                Err(None)
            }
            Ok(Some(())) => {
                if let Some(file) = taker.into_held() {
                    self.lock = Lock::Held(file, at);
                }
                Ok(())
            }
            Err(error) => {
                drop(taker);
                self.no_lock(&error, hands);
                Ok(())
            }
        }
    }

    /// The keeper has the file already.
    fn lock_file(
        &mut self,
        file: Arc<OwnedFd>,
        id: FileId,
        hands: &Hands,
        bell: &Arc<Bell>,
    ) -> Result<(), Option<Moment>> {
        match flock::try_shared(&file) {
            Ok(true) => {
                self.lock = Lock::Held(file, id);
                Ok(())
            }
            Ok(false) => {
                let (bell, run) = (Arc::clone(bell), self.run());
                match Taker::start(file, Box::new(move || bell.ring_for(run))) {
                    Ok(taker) => {
                        self.lock = Lock::Waiting(taker, id);
                        Err(None)
                    }
                    Err(_) => {
                        hands.keep.drop_lock(run);
                        Err(Some(clock::now() + AGAIN))
                    }
                }
            }
            Err(error) => {
                self.no_lock(&error, hands);
                Ok(())
            }
        }
    }

    fn no_lock(&mut self, error: &io::Error, hands: &Hands) {
        hands.keep.drop_lock(self.run());
        self.trouble(hands, "flock", format!("no flock(2) on its working lock: {error}"));
    }

    fn unlock(&mut self, hands: &Hands) {
        match std::mem::replace(&mut self.lock, Lock::None) {
            Lock::None => return,
            Lock::Waiting(taker, _) => drop(taker),
            Lock::Held(file, _) => flock::unlock(&file),
        }
        hands.keep.drop_lock(self.run());
    }

    fn freeze(&mut self, hands: &Hands) {
        let run = self.run();
        let mut told = false;
        let frozen = freeze::freeze(&self.subject.root, self.subject.keeper, &mut |about| {
            told = true;
            match about {
                About::Cgroup(file) => hands.keep.frozen_cgroup(run, file),
                About::Processes(processes) => {
                    let processes: Vec<BorrowedFd<'_>> = processes.iter().map(AsFd::as_fd).collect();
                    hands.keep.frozen_processes(run, &processes);
                }
            }
        });
        match frozen {
            Ok(frozen) => self.frozen = Some(frozen),
            Err(error) => {
                if told {
                    hands.keep.thawed(run);
                }
                let text = format!("cannot hold it still for a second look: {error}");
                self.trouble(hands, "freeze", text);
            }
        }
    }

    fn thaw(&mut self, hands: &Hands) {
        if let Some(frozen) = self.frozen.take() {
            frozen.thaw();
            hands.keep.thawed(self.run());
        }
    }

    fn tell_busy(&mut self, busy: Busy, hands: &Hands) {
        if self.told.as_ref() != Some(&busy) {
            self.told = Some(busy.clone());
            (hands.news)(GateNews::Busy { run: self.run(), busy });
        }
    }

    /// Once per kind.
    pub(super) fn trouble(&mut self, hands: &Hands, kind: &str, text: String) {
        if self.said.insert(kind.to_owned()) {
            (hands.news)(GateNews::Trouble { run: self.run(), text });
        }
    }

    fn run(&self) -> RunId {
        self.subject.root.run
    }
}
