//! When a supervisor that died is started again. Pure arithmetic on moments.

use crate::model::{Exit, Moment, Signal};
use std::time::Duration;

/// A supervisor that worked for so long has proved itself.
const STEADY: Duration = Duration::from_secs(10);
/// So many crashes in a row, and the state is suspected.
const SUSPICIOUS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Kills this soon after a start are somebody's loop (the kernel's, when memory is out).
const QUICK: Duration = Duration::from_secs(1);
const QUICK_KILLS: u32 = 20;
/// sysexits(3) EX_SOFTWARE.
const EXIT_SOFTWARE: i32 = 70;

/// The history of supervisors.
#[derive(Debug, Default)]
pub(super) struct Crashes {
    starts: u32,
    ever_ready: bool,
    in_row: u32,
    quick_kills: u32,
}

/// The life of the one that died.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) started_at: Moment,
    pub(super) ready_at: Option<Moment>,
    pub(super) ended_at: Moment,
    /// `None`: it could not even be started.
    pub(super) exit: Option<Exit>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// End the keeper: there is nothing to keep.
    End(i32),
    /// Start another.
    StartAt(Moment),
}

impl Crashes {
    /// A start is about to be made.
    pub(super) fn starting(&mut self) {
        self.starts = self.starts.saturating_add(1);
    }

    /// How many starts there were, the present one included.
    pub(super) fn starts(&self) -> u32 {
        self.starts
    }

    pub(super) fn ready(&mut self) {
        self.ever_ready = true;
    }

    /// Whether the next one had better not trust the old state.
    pub(super) fn fresh_state(&self) -> bool {
        self.in_row >= SUSPICIOUS
    }

    pub(super) fn in_row(&self) -> u32 {
        self.in_row
    }

    /// `programs`: there is something to keep.
    pub(super) fn died(&mut self, life: Life, programs: bool) -> Verdict {
        let now = life.ended_at;
        if let Some(Exit::Signal { signal: Signal::KILL, .. }) = life.exit {
            let quick = now.since(life.started_at) < QUICK;
            self.quick_kills = if quick { self.quick_kills.saturating_add(1) } else { 0 };
            let pause = if self.quick_kills > QUICK_KILLS { FIRST_PAUSE } else { Duration::ZERO };
            return Verdict::StartAt(now + pause);
        }
        let steady = life.ready_at.is_some_and(|ready_at| now.since(ready_at) >= STEADY);
        self.in_row = if steady { 1 } else { self.in_row.saturating_add(1) };
        if !self.ever_ready && !programs {
            match life.exit {
                // Its own decision before anything ran, such as 78 for an invalid configuration.
                Some(Exit::Code(code)) if self.starts <= 1 => return Verdict::End(i32::from(code)),
                Some(_) | None if self.in_row >= SUSPICIOUS => return Verdict::End(EXIT_SOFTWARE),
                Some(_) | None => {}
            }
        }
        Verdict::StartAt(now + self.pause())
    }

    fn pause(&self) -> Duration {
        match self.in_row.checked_sub(SUSPICIOUS) {
            None => Duration::ZERO,
            Some(more) => FIRST_PAUSE.saturating_mul(1 << more.min(10)).min(LONGEST_PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: Exit = Exit::Code(101);

    fn life(exit: Exit, ready: bool, seconds: u64) -> Life {
        let started_at = Moment::from_nanos(1_000_000_000);
        Life {
            started_at,
            ready_at: ready.then_some(started_at),
            ended_at: started_at + Duration::from_secs(seconds),
            exit: Some(exit),
        }
    }

    #[test]
    fn the_first_ones_own_exit_ends_the_keeper() {
        let mut crashes = Crashes::default();
        crashes.starting();
        assert_eq!(crashes.died(life(Exit::Code(78), false, 0), false), Verdict::End(78));
        let mut crashes = Crashes::default();
        crashes.starting();
        assert!(matches!(crashes.died(life(Exit::Code(78), false, 0), true), Verdict::StartAt(_)));
    }

    #[test]
    fn three_crashes_make_the_state_suspicious_and_the_pauses_grow() {
        let mut crashes = Crashes::default();
        crashes.ready();
        let pauses: Vec<u128> = (0..12)
            .map(|_| match crashes.died(life(CRASH, true, 1), true) {
                Verdict::StartAt(at) => at.since(life(CRASH, true, 1).ended_at).as_millis(),
                Verdict::End(code) => panic!("ended with {code}"),
            })
            .collect();
        assert_eq!(pauses[..5], [0, 0, 250, 500, 1000]);
        assert_eq!(pauses[11], 30_000);
        assert!(crashes.fresh_state());
        crashes.died(life(CRASH, true, 11), true);
        assert!(!crashes.fresh_state());
    }

    #[test]
    fn kills_are_not_held_against_it() {
        let kill = Exit::Signal { signal: Signal::KILL, core: false };
        let mut crashes = Crashes::default();
        crashes.starting();
        for _ in 0..QUICK_KILLS {
            let dead = life(kill, false, 0);
            assert_eq!(crashes.died(dead, false), Verdict::StartAt(dead.ended_at));
        }
        assert!(!crashes.fresh_state());
        let dead = life(kill, false, 0);
        assert_eq!(crashes.died(dead, false), Verdict::StartAt(dead.ended_at + FIRST_PAUSE));
    }

    #[test]
    fn an_abort_loop_with_nothing_to_keep_ends() {
        let abort = Exit::Signal { signal: Signal::QUIT, core: true };
        let mut crashes = Crashes::default();
        crashes.starting();
        assert!(matches!(crashes.died(life(abort, false, 0), false), Verdict::StartAt(_)));
        assert!(matches!(crashes.died(life(abort, false, 0), false), Verdict::StartAt(_)));
        assert_eq!(crashes.died(life(abort, false, 0), false), Verdict::End(70));
    }
}
