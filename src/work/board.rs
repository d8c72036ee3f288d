//! What runs said of themselves, and what was last read in their files.

use super::bell::Bell;
use super::judge::Memory;
use super::kept::{Kept, Said};
use crate::linux::clock;
use crate::model::{Moment, RunId};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So long a connection that was busy has to come back after a take-over; until then it counts.
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
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    runs: BTreeMap<RunId, Box<Entry>>,
    /// `None`: the marks end with this supervisor.
    kept: Option<Kept>,
    /// What was said to the supervisor before, until its run is adopted.
    left: BTreeMap<RunId, Said>,
}

#[derive(Debug, Default)]
struct Entry {
    marks: BTreeMap<Mark, Busy>,
    ever: bool,
    last_beat: Option<Moment>,
    main_ended: bool,
    memory: Memory,
    /// A connection was busy when the supervisor before died: until when that counts.
    grace: Option<(Moment, Busy)>,
    /// Rung once at the next change.
    armed: Option<Arc<Bell>>,
}

impl Board {
    /// A board whose marks are in a memory file as well, and go on where the supervisor before left them. `hold` leaves the
    /// file with whoever outlives us.
    ///
    /// # Errors
    /// EMFILE, ENOMEM and the like.
    pub fn kept(left: Option<OwnedFd>, hold: impl FnOnce(OwnedFd)) -> io::Result<Self> {
        let (kept, left) = Kept::open(left)?;
        hold(kept.duplicate()?);
        let entries = Entries { runs: BTreeMap::new(), kept: Some(kept), left };
        Ok(Self { entries: Arc::new(Mutex::new(entries)) })
    }

    /// A run has begun.
    pub fn begin(&self, run: RunId) {
        self.entries().runs.entry(run).or_default();
    }

    /// A run was taken over, with what it had said by then.
    pub fn adopt(&self, run: RunId) {
        let mut entries = self.entries();
        let said = entries.left.remove(&run);
        let entry = entries.runs.entry(run).or_default();
        entry.ever = true;
        if let Some(Said { marks, connected, busy }) = said {
            entry.grace = connected.then(|| (clock::now() + GRACE, busy.clone()));
            entry.marks.extend(marks.into_iter().map(|mark| (mark, busy.clone())));
        }
    }

    /// Main has ended, and with it what was said by lines and notices, also what is still on its way: nobody is left who could
    /// take it back.
    pub fn main_ended(&self, run: RunId) {
        self.change(run, |entry| {
            entry.main_ended = true;
            entry.marks.retain(|mark, _| matches!(mark, Mark::Connection(_)));
        });
    }

    /// A run has ended.
    pub fn end(&self, run: RunId) {
        let mut entries = self.entries();
        entries.runs.remove(&run);
        entries.left.remove(&run);
        if let Some(kept) = &mut entries.kept {
            kept.forget(run);
        }
    }

    /// It said that it is busy. Said again by the same way, its beginning stays.
    pub fn busy(&self, run: RunId, mark: Mark, what: Option<String>, now: Moment) {
        self.change(run, |entry| {
            if entry.main_ended && !matches!(mark, Mark::Connection(_)) {
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
        if let Some(entry) = self.entries().runs.get_mut(&run) {
            entry.last_beat = Some(now);
        }
    }

    /// When it last said so.
    pub fn last_beat(&self, run: RunId) -> Option<Moment> {
        self.entries().runs.get(&run)?.last_beat
    }

    /// Its marks now.
    pub fn look(&self, run: RunId) -> Marked {
        let entries = self.entries();
        let Some(entry) = entries.runs.get(&run) else { return Marked::default() };
        let grace = entry.grace.as_ref().filter(|(until, _)| clock::now() < *until).map(|(_, busy)| busy);
        let since = entry.marks.values().chain(grace).map(|busy| busy.since).min();
        let told = entry.marks.values().chain(grace).filter(|busy| busy.what.is_some());
        let what = told.max_by_key(|busy| busy.since).and_then(|busy| busy.what.clone());
        Marked { busy: since.map(|since| Busy { since, what }), ever: entry.ever }
    }

    /// Rings once, at the next change of its marks.
    pub(super) fn arm(&self, run: RunId, bell: &Arc<Bell>) {
        if let Some(entry) = self.entries().runs.get_mut(&run) {
            entry.armed = Some(Arc::clone(bell));
        }
    }

    pub(super) fn disarm(&self, run: RunId) {
        if let Some(entry) = self.entries().runs.get_mut(&run) {
            entry.armed = None;
        }
    }

    /// What is remembered of a run's file; a run without a place on the board remembers nothing.
    pub(super) fn memory(&self, run: RunId) -> Memory {
        self.entries().runs.get(&run).map(|entry| entry.memory.clone()).unwrap_or_default()
    }

    /// Two who look at the same time both saw something that was so.
    pub(super) fn remember(&self, run: RunId, mut memory: Memory) {
        if let Some(entry) = self.entries().runs.get_mut(&run) {
            memory.seen |= entry.memory.seen;
            entry.memory = memory;
        }
    }

    fn change(&self, run: RunId, change: impl FnOnce(&mut Entry)) {
        let mut guard = self.entries();
        let entries = &mut *guard;
        let Some(entry) = entries.runs.get_mut(&run) else { return };
        change(entry);
        if let Some(Err(error)) = entries.kept.as_mut().map(|kept| kept.note(run, &entry.marks)) {
            tracing::warn!(%run, %error, "what it says would not be known after a crash of this supervisor");
        }
        let armed = entry.armed.take();
        drop(guard);
        if let Some(bell) = armed {
            bell.ring_for(run);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_successor_goes_on_with_the_marks_and_waits_for_connections() {
        let mut held = None;
        let board = Board::kept(None, |fd| held = Some(fd)).unwrap();
        let other = RunId::from_bits(2);
        for run in [RUN, other] {
            board.begin(run);
        }
        board.busy(RUN, Mark::Line, Some("page 1".to_owned()), at(1));
        board.busy(other, Mark::Connection(1), None, at(2));
        drop(board);
        let board = Board::kept(held.take(), |fd| held = Some(fd)).unwrap();
        board.adopt(RUN);
        board.adopt(other);
        assert_eq!(board.look(RUN).busy, Some(Busy { since: at(1), what: Some("page 1".to_owned()) }));
        assert_eq!(board.look(other).busy, Some(Busy { since: at(2), what: None }));
        board.idle(RUN, Mark::Line, at(3));
        board.end(other);
        assert_eq!(board.look(RUN).busy, None);
        let board = Board::kept(held.take(), drop).unwrap();
        board.adopt(RUN);
        board.adopt(other);
        assert_eq!((board.look(RUN).busy, board.look(other).busy), (None, None));
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
