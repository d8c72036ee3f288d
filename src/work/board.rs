//! What runs said of themselves, and what was last read in their files.

use super::bell::Bell;
use super::judge::Memory;
use super::notebook::{Notebook, Page};
use crate::linux::clock;
use crate::model::{Moment, RunId};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a mark by connections of an earlier supervisor holds.
const GRACE: Duration = Duration::from_secs(2);

/// By which way a run said that it is busy. Each ends what was said by itself only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A line of `SPPM_NOTIFY`.
    Line,
    /// sd_notify(3).
    Notify,
    /// A connection of `SPPM_SOCKET`, by its number.
    Connection(u64),
    /// Connections to an earlier supervisor: whoever still works says so again, within two seconds.
    Earlier,
}

/// A task under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Since when, as far as it is known.
    pub since: Moment,
    /// What it is, where that was said.
    pub what: Option<String>,
}

/// What the marks of a run come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marked {
    /// Since the oldest mark that holds; what the newest with a text says.
    pub busy: Option<Busy>,
    /// Whether it ever said busy or idle.
    pub ever: bool,
}

/// Marks by which runs said that they are busy, and their beats. Shared and cheap; every copy is the same board. A run that
/// was not begun, or has ended, has no place on it.
#[derive(Debug, Clone, Default)]
pub struct Board {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<RunId, Box<Entry>>,
    /// For a successor.
    notebook: Option<Notebook>,
    /// What a predecessor left of runs that were not taken over yet.
    left: BTreeMap<RunId, Page>,
}

#[derive(Debug, Default)]
struct Entry {
    marks: BTreeMap<Mark, Busy>,
    ever: bool,
    last_beat: Option<Moment>,
    /// Until when [`Mark::Earlier`] holds.
    grace: Moment,
    main_ended: bool,
    /// `None`: as at the beginning, as with most.
    memory: Option<Box<Memory>>,
    /// Rung once at the next change.
    armed: Option<Arc<Bell>>,
}

impl Board {
    /// One whose marks a successor finds: those that a predecessor left are on it as soon as their runs are adopted.
    /// `hold` is given the file to be handed on, where there was none.
    ///
    /// # Errors
    /// ENOMEM, EMFILE: no memory file can be had or read.
    pub fn kept(left: Option<OwnedFd>, hold: impl FnOnce(OwnedFd)) -> io::Result<Self> {
        let state = match left {
            Some(left) => {
                let (notebook, left) = Notebook::read(left)?;
                State { notebook: Some(notebook), left, ..State::default() }
            }
            None => {
                let (notebook, held) = Notebook::new()?;
                hold(held);
                State { notebook: Some(notebook), ..State::default() }
            }
        };
        Ok(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// All that there was to adopt is adopted.
    pub fn all_adopted(&self) {
        let mut state = self.state();
        for run in std::mem::take(&mut state.left).into_keys() {
            state.clear(run);
        }
    }

    /// A run has begun.
    pub fn begin(&self, run: RunId) {
        self.state().entries.entry(run).or_default();
    }

    /// A run was taken over: it may have said something before that is not known any more.
    pub fn adopt(&self, run: RunId) {
        let mut state = self.state();
        let page = state.left.remove(&run).unwrap_or_default();
        let entry = state.entries.entry(run).or_default();
        entry.ever = true;
        entry.grace = clock::now() + GRACE;
        let told = [(Mark::Line, page.line), (Mark::Notify, page.notify), (Mark::Earlier, page.connection)];
        for (mark, since) in told {
            let busy = since.map(|since| Busy { since, what: page.what.clone() });
            entry.marks.extend(busy.map(|busy| (mark, busy)));
        }
    }

    /// Main has ended, and with it what was said by lines and notices, also what is still on its way: nobody is left who could
    /// take it back.
    pub fn main_ended(&self, run: RunId) {
        self.change(run, |entry| {
            entry.main_ended = true;
            entry.marks.retain(|mark, _| matches!(mark, Mark::Connection(_) | Mark::Earlier));
        });
    }

    /// A run has ended.
    pub fn end(&self, run: RunId) {
        let mut state = self.state();
        state.entries.remove(&run);
        state.clear(run);
    }

    /// It said that it is busy. Said again by the same way, its beginning stays.
    pub fn busy(&self, run: RunId, mark: Mark, what: Option<String>, now: Moment) {
        self.change(run, |entry| {
            if entry.main_ended && !matches!(mark, Mark::Connection(_) | Mark::Earlier) {
                return;
            }
            let busy = entry.marks.entry(mark).or_insert(Busy { since: now, what: None });
            busy.what = what;
            entry.ever = true;
        });
    }

    /// It said by this way that it is idle.
    pub fn idle(&self, run: RunId, mark: Mark, _now: Moment) {
        self.change(run, |entry| {
            entry.marks.remove(&mark);
            entry.ever = true;
        });
    }

    /// It said that it is alive.
    pub fn beat(&self, run: RunId, now: Moment) {
        if let Some(entry) = self.state().entries.get_mut(&run) {
            entry.last_beat = Some(now);
        }
    }

    /// When it last said so.
    pub fn last_beat(&self, run: RunId) -> Option<Moment> {
        self.state().entries.get(&run)?.last_beat
    }

    /// Whether nothing was ever heard or seen of its work.
    pub fn is_blank(&self, run: RunId) -> bool {
        let blank =
            |entry: &Entry| !entry.ever && !entry.memory.as_ref().is_some_and(|memory| memory.was_seen());
        self.state().entries.get(&run).is_some_and(|entry| blank(entry))
    }

    /// It may say something any moment: it has begun to talk.
    pub fn heed(&self, run: RunId) {
        if let Some(entry) = self.state().entries.get_mut(&run) {
            entry.ever = true;
        }
    }

    /// Its marks now.
    pub fn look(&self, run: RunId) -> Marked {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(&run) else { return Marked::default() };
        if entry.marks.contains_key(&Mark::Earlier) && clock::now() >= entry.grace {
            entry.marks.remove(&Mark::Earlier);
        }
        let since = entry.marks.values().map(|busy| busy.since).min();
        let what = entry.what();
        Marked { busy: since.map(|since| Busy { since, what }), ever: entry.ever }
    }

    /// Rings once, at the next change of its marks.
    pub(super) fn arm(&self, run: RunId, bell: &Arc<Bell>) {
        if let Some(entry) = self.state().entries.get_mut(&run) {
            entry.armed = Some(Arc::clone(bell));
        }
    }

    pub(super) fn disarm(&self, run: RunId) {
        if let Some(entry) = self.state().entries.get_mut(&run) {
            entry.armed = None;
        }
    }

    /// What is remembered of a run's file; a run without a place on the board remembers nothing.
    pub(super) fn memory(&self, run: RunId) -> Memory {
        let state = self.state();
        let memory = state.entries.get(&run).and_then(|entry| entry.memory.as_deref());
        memory.cloned().unwrap_or_default()
    }

    /// Two who look at the same time both saw something that was so.
    pub(super) fn remember(&self, run: RunId, mut memory: Memory) {
        if let Some(entry) = self.state().entries.get_mut(&run) {
            memory.seen |= entry.memory.as_ref().is_some_and(|memory| memory.seen);
            entry.memory = (memory != Memory::default()).then(|| Box::new(memory));
        }
    }

    fn change(&self, run: RunId, change: impl FnOnce(&mut Entry)) {
        let mut state = self.state();
        let State { entries, notebook, .. } = &mut *state;
        let Some(entry) = entries.get_mut(&run) else { return };
        change(entry);
        if let Some(notebook) = notebook {
            // Only a want of memory can keep it from being written, and then a successor has other cares.
            let _ = notebook.write(run, &entry.page());
        }
        let armed = entry.armed.take();
        drop(state);
        if let Some(bell) = armed {
            bell.ring_for(run);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self, run: RunId) {
        if let Some(notebook) = &mut self.notebook {
            let _ = notebook.clear(run);
        }
    }
}

impl Entry {
    /// What a successor needs to know.
    fn page(&self) -> Page {
        let since = |mark: Mark| self.marks.get(&mark).map(|busy| busy.since);
        let connected =
            self.marks.iter().filter(|(mark, _)| matches!(mark, Mark::Connection(_) | Mark::Earlier));
        Page {
            line: since(Mark::Line),
            notify: since(Mark::Notify),
            connection: connected.map(|(_, busy)| busy.since).min(),
            what: self.what(),
        }
    }

    /// What the newest mark with a text says.
    fn what(&self) -> Option<String> {
        let told = self.marks.values().filter(|busy| busy.what.is_some());
        told.max_by_key(|busy| busy.since).and_then(|busy| busy.what.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const RUN: RunId = RunId::from_bits(1);

    fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn each_way_ends_its_own_mark_only() {
        let board = Board::default();
        board.begin(RUN);
        assert_eq!(board.look(RUN), Marked::default());
        board.busy(RUN, Mark::Line, Some("page 1".to_owned()), at(1));
        board.busy(RUN, Mark::Connection(3), None, at(2));
        board.busy(RUN, Mark::Notify, Some("other".to_owned()), at(3));
        let look = board.look(RUN).busy.unwrap();
        assert_eq!(look, Busy { since: at(1), what: Some("other".to_owned()) });
        board.idle(RUN, Mark::Notify, at(4));
        board.idle(RUN, Mark::Connection(4), at(4));
        board.busy(RUN, Mark::Line, Some("page 2".to_owned()), at(5));
        let look = board.look(RUN).busy.unwrap();
        assert_eq!(look, Busy { since: at(1), what: Some("page 2".to_owned()) });
        board.idle(RUN, Mark::Line, at(6));
        assert_eq!(board.look(RUN).busy, Some(Busy { since: at(2), what: None }));
        board.idle(RUN, Mark::Connection(3), at(7));
        assert_eq!(board.look(RUN), Marked { busy: None, ever: true });
        board.end(RUN);
        board.busy(RUN, Mark::Line, None, at(8));
        assert_eq!(board.look(RUN), Marked::default());
    }

    #[test]
    fn a_successor_knows_who_is_busy() {
        let mut held = None;
        let board = Board::kept(None, |file| held = Some(file)).unwrap();
        let other = RunId::from_bits(2);
        for run in [RUN, other] {
            board.begin(run);
            board.busy(run, Mark::Line, Some("page 1".to_owned()), at(5));
        }
        board.busy(RUN, Mark::Connection(9), None, at(3));
        board.idle(other, Mark::Line, at(6));
        drop(board);
        let board = Board::kept(held, |_| panic!("there is one")).unwrap();
        for run in [RUN, other] {
            board.begin(run);
            assert_eq!(board.look(run).busy, None);
            board.adopt(run);
        }
        board.all_adopted();
        let busy = Busy { since: at(3), what: Some("page 1".to_owned()) };
        assert_eq!(board.look(RUN), Marked { busy: Some(busy), ever: true });
        assert_eq!(board.look(other), Marked { busy: None, ever: true });
        board.idle(RUN, Mark::Line, at(8));
        assert!(board.look(RUN).busy.is_some(), "its connection is missed for less than two seconds");
        std::thread::sleep(GRACE);
        assert_eq!(board.look(RUN).busy, None);
    }

    #[test]
    fn a_change_rings_once_until_armed_again() {
        let board = Board::default();
        let bell = Arc::new(Bell::new().unwrap());
        board.adopt(RUN);
        assert!(board.look(RUN).ever);
        board.arm(RUN, &bell);
        board.beat(RUN, at(1));
        assert_eq!(board.last_beat(RUN), Some(at(1)));
        assert!(bell.answer().is_empty());
        board.busy(RUN, Mark::Line, None, at(1));
        board.idle(RUN, Mark::Line, at(2));
        assert!(bell.answer().contains(&RUN));
        board.busy(RUN, Mark::Line, None, at(3));
        assert!(bell.answer().is_empty());
        board.arm(RUN, &bell);
        board.disarm(RUN);
        board.idle(RUN, Mark::Line, at(4));
        assert!(bell.answer().is_empty());
    }
}
