//! What readings of a file over time come to. Pure: the time and who is alive are arguments.

use super::board::Busy;
use super::state::{Content, Stamp, Whole, since_epoch};
use crate::model::Moment;
use std::time::{Duration, SystemTime};

/// How long the last whole reading holds when the file is in the middle of a change.
const TORN: Duration = Duration::from_secs(2);

/// The same where its writer is dead: somebody else who is in the middle of writing needs no longer.
const TORN_BY_THE_DEAD: Duration = Duration::from_millis(50);

/// How soon a look that failed is taken again.
const AGAIN: Duration = Duration::from_millis(100);

/// The kernel stamps files by its tick, which is up to so much behind (CONFIG_HZ=100).
const TICK: Duration = Duration::from_millis(10);

/// When a run was launched, by both clocks: the wall clock may have been set since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// By the monotonic clock.
    pub at: Moment,
    /// By the wall clock, since the Unix epoch.
    pub wall: Duration,
}

impl Launch {
    /// A launch at this moment of the past.
    pub fn at(at: Moment) -> Self {
        let now = Now::read();
        Self { at, wall: now.wall.saturating_sub(now.moment.since(at)) }
    }

    /// A launch that is about to happen.
    pub fn now() -> Self {
        Self { at: crate::linux::clock::now(), wall: since_epoch(SystemTime::now()) }
    }

    /// Whether a time of the wall clock is before the launch for sure, however the clock was set meanwhile.
    pub(super) fn is_after(&self, time: Duration, now: Now) -> bool {
        let by_todays_clock = now.wall.saturating_sub(now.moment.since(self.at));
        time + TICK < self.wall.min(by_todays_clock)
    }
}

/// Now, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) moment: Moment,
    pub(super) wall: Duration,
}

impl Now {
    pub(super) fn read() -> Self {
        Self { moment: crate::linux::clock::now(), wall: since_epoch(SystemTime::now()) }
    }

    /// A time of the wall clock as a moment, not before the launch and not later than now.
    pub(super) fn moment_of(self, time: Duration, launch: Launch) -> Moment {
        let age = self.wall.saturating_sub(time).min(self.moment.since(launch.at));
        let nanos = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        Moment::from_nanos(self.moment.as_nanos().saturating_sub(nanos))
    }
}

/// What is remembered of a run's file between two readings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Memory {
    /// The last whole reading.
    last: Option<Whole>,
    /// The change that the file is in the middle of, and since when.
    torn: Option<(Stamp, Moment)>,
    /// Since when there was rubbish in it, and nothing whole.
    rubbish: Option<Moment>,
    /// Whether it was ever a source: written since the launch, or meddled with.
    pub(super) seen: bool,
    /// Since when it is known to be busy by its file.
    busy_since: Option<Moment>,
    /// Since when somebody is known to hold the flock.
    pub(super) flock_since: Option<Moment>,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Idle; since when, where it wrote that itself.
    Idle(Option<Moment>),
    /// Busy, by this process (by our number of it).
    Busy(Busy, u32),
    /// Not to be told before the next change, or that moment. As far as is known, the last whole reading holds.
    Undecided {
        until: Moment,
        /// There is a last whole reading.
        known: bool,
        /// It says so.
        busy: Option<Busy>,
    },
}

/// With what is to be said to people, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) told: Told,
    pub(super) trouble: Option<String>,
}

impl From<Told> for Verdict {
    fn from(told: Told) -> Self {
        Self { told, trouble: None }
    }
}

/// The circumstances of a reading.
pub(super) struct Facts<'a> {
    pub(super) launch: Launch,
    /// The file may be older than the run.
    pub(super) custom: bool,
    pub(super) now: Now,
    /// The live process of the run's tree that goes by this number, by our number of it.
    pub(super) find: &'a mut dyn FnMut(u32) -> Option<u32>,
}

impl Memory {
    /// Whether the lock was ever a source.
    pub(super) fn was_seen(&self) -> bool {
        self.seen || self.flock_since.is_some()
    }

    /// Takes a reading in.
    pub(super) fn judge(&mut self, content: &Content, mut facts: Facts<'_>) -> Verdict {
        let verdict = match content {
            Content::Missing | Content::Untouched(_) => Told::Idle(None).into(),
            Content::Present(stamp) => {
                self.seen |= !facts.is_old(stamp.modified);
                Told::Idle(None).into()
            }
            Content::Whole(whole, stamp) => self.whole(*whole, stamp, &mut facts),
            Content::Torn { plausible, stamp } => return self.torn(*plausible, stamp, &mut facts),
            Content::Refused(what) => {
                self.seen = true;
                let text = format!("its working lock is {what}: not followed, not read");
                Verdict { told: Told::Idle(None), trouble: Some(text) }
            }
            Content::Failed(why) => {
                let told = Told::Undecided {
                    until: facts.now.moment + AGAIN,
                    known: self.last.is_some(),
                    busy: self.last_busy(&mut facts),
                };
                return Verdict {
                    told,
                    trouble: Some(format!("its working lock cannot be looked at now: {why}")),
                };
            }
        };
        (self.torn, self.rubbish) = (None, None);
        verdict
    }

    fn whole(&mut self, whole: Whole, stamp: &Stamp, facts: &mut Facts<'_>) -> Verdict {
        let written = if whole.exact { whole.written } else { whole.written + Duration::from_secs(1) };
        // Either time may be wrong (a copy, a clock that was set): what may be new is believed.
        if facts.is_old(written) && facts.is_old(stamp.modified) {
            return Told::Idle(None).into();
        }
        self.seen = true;
        self.last = Some(whole);
        if !whole.busy {
            self.busy_since = None;
            return Told::Idle(Some(facts.now.moment_of(whole.written, facts.launch))).into();
        }
        match (facts.find)(whole.pid) {
            Some(pid) => {
                let now = facts.now.moment_of(whole.written, facts.launch);
                let since = *self.busy_since.get_or_insert(now);
                Told::Busy(Busy { since, what: None }, pid).into()
            }
            None => {
                self.busy_since = None;
                Told::Idle(None).into()
            }
        }
    }

    /// Each change that may become a reading begins the time anew: of a writer that never rests most looks see the middle of
    /// one. From the first rubbish on it does not, else rubbish would hold a stop up for ever.
    fn torn(&mut self, plausible: bool, stamp: &Stamp, facts: &mut Facts<'_>) -> Verdict {
        if facts.is_old(stamp.modified) {
            return Told::Idle(None).into();
        }
        self.seen = true;
        let now = facts.now.moment;
        if !plausible {
            self.rubbish.get_or_insert(now);
        }
        let first = match self.torn {
            Some((before, first)) if before == *stamp => first,
            Some(_) | None => now,
        };
        self.torn = Some((*stamp, first));
        let first = self.rubbish.map_or(first, |rubbish| rubbish.min(first));
        let alive = self.last.is_none_or(|last| (facts.find)(last.pid).is_some());
        let mut until = first + if alive { TORN } else { TORN_BY_THE_DEAD };
        if self.last.is_none() {
            // `exec 9>"$SPPM_LOCK"` empties it too: what has been so for long is no change under way.
            until = until.min(facts.now.moment_of(stamp.modified, facts.launch) + TORN);
        }
        if now < until {
            return Told::Undecided { until, known: self.last.is_some(), busy: self.last_busy(facts) }.into();
        }
        self.busy_since = None;
        let text = "its working lock is not three lines (process id, Unix time, 0 or 1): taken for idle";
        Verdict { told: Told::Idle(None), trouble: self.rubbish.map(|_| text.to_owned()) }
    }

    fn last_busy(&self, facts: &mut Facts<'_>) -> Option<Busy> {
        let last = self.last.filter(|last| last.busy)?;
        (facts.find)(last.pid)?;
        let since = self.busy_since.unwrap_or_else(|| facts.now.moment_of(last.written, facts.launch));
        Some(Busy { since, what: None })
    }

    /// A flock that is held, or not.
    pub(super) fn flock(&mut self, held: bool, now: Moment) -> Option<Busy> {
        self.flock_since = held.then(|| self.flock_since.unwrap_or(now));
        self.flock_since.map(|since| Busy { since, what: None })
    }
}

impl Facts<'_> {
    fn is_old(&self, time: Duration) -> bool {
        self.custom && self.launch.is_after(time, self.now)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn now(seconds: u64, wall: Duration) -> Now {
        Now { moment: Moment::from_nanos(seconds * 1_000_000_000), wall }
    }

    #[test]
    fn what_is_older_than_the_launch_is_told_whatever_was_done_to_the_clock() {
        let wall = HOUR * 100;
        let launch = Launch { at: now(1_000, wall).moment, wall };
        let later = Duration::from_secs(60);
        let before = wall - Duration::from_secs(5);
        let after = wall + Duration::from_secs(5);
        assert!(launch.is_after(before, now(1_060, wall + later)));
        assert!(!launch.is_after(after, now(1_060, wall + later)));
        // Set back by an hour: what was written since then is from after the launch.
        assert!(!launch.is_after(after - HOUR, now(1_060, wall + later - HOUR)));
        // Set forward by an hour: what was written before that, too.
        assert!(!launch.is_after(after, now(1_060, wall + later + HOUR)));
        assert!(launch.is_after(before, now(1_060, wall + later + HOUR)));
    }

    #[test]
    fn a_time_of_writing_becomes_a_moment_of_the_run() {
        let wall = HOUR * 100;
        let launch = Launch { at: now(1_000, wall).moment, wall };
        let at = now(1_060, wall + Duration::from_secs(60));
        assert_eq!(at.moment_of(wall + Duration::from_secs(50), launch), now(1_050, wall).moment);
        assert_eq!(at.moment_of(HOUR, launch), launch.at);
        assert_eq!(at.moment_of(HOUR * 1_000, launch), at.moment);
    }

    #[test]
    fn a_flock_is_dated_from_its_first_sight() {
        let mut memory = Memory::default();
        let since = |busy: Option<Busy>| busy.map(|busy| busy.since.as_nanos());
        assert_eq!(since(memory.flock(true, Moment::from_nanos(1))), Some(1));
        assert_eq!(since(memory.flock(true, Moment::from_nanos(2))), Some(1));
        assert_eq!(since(memory.flock(false, Moment::from_nanos(3))), None);
        assert_eq!(since(memory.flock(true, Moment::from_nanos(4))), Some(4));
    }
}
