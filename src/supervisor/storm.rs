//! Crash loops must not eat the machine: restarts of programs that failed before they were steady go through one
//! bucket for all. First starts, and the first restart after a steady run, do not.
//!
//! A bucket by theoretical arrival times (GCRA, ITU-T I.371): one number, no counting, no timer of its own.

use crate::model::Moment;
use std::time::Duration;

/// So long between two restarts when many want one: fifty a second.
const INTERVAL: Duration = Duration::from_millis(20);
/// So many may come at once after a quiet time.
const BURST: u32 = 50;
/// Those that have to wait come in groups, ten at each of these moments: what is done for ten at once costs half of what it
/// costs for each by itself, because most of that is threads that wake each other up.
const GROUP: Duration = Duration::from_millis(200);

/// The bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Storm {
    /// When the last restart that was let through or given a turn is over, at the rate of `INTERVAL`.
    arrival: Moment,
}

impl Storm {
    /// Takes a turn: now (`None`), or at the moment that is given. A turn that was given is taken.
    pub(super) fn turn(&mut self, now: Moment) -> Option<Moment> {
        self.arrival = self.arrival.max(now) + INTERVAL;
        let ahead = self.arrival.since(now);
        let allowed = INTERVAL * BURST;
        (ahead > allowed).then(|| end_of_group(now + (ahead - allowed)))
    }
}

/// The next moment at which a group comes.
fn end_of_group(at: Moment) -> Moment {
    let group = u64::try_from(GROUP.as_nanos()).unwrap_or(u64::MAX);
    Moment::from_nanos(at.as_nanos().div_ceil(group).saturating_mul(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_ten_in_each_group_and_quiet_times_are_made_up() {
        let mut storm = Storm::default();
        let now = Moment::from_nanos(1_000_000_000_000);
        let turns: Vec<Option<Moment>> = (0..150).map(|_| storm.turn(now)).collect();
        assert!(turns[..50].iter().all(Option::is_none));
        for (place, turn) in turns[50..].iter().enumerate() {
            assert_eq!(*turn, Some(now + GROUP * (place as u32 / 10 + 1)), "{place}");
        }
        assert_eq!(storm.turn(now + Duration::from_secs(60)), None);
    }
}
