//! Restart arithmetic: how a run's end is judged, and how long the pause is.

use super::mutant::mutant;
use super::random::Random;
use crate::model::{Exit, GiveUp, Moment, RestartPolicy, RestartWhen};
use std::time::Duration;

/// What follows a run that ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start it again now: it had been steady.
    RestartNow,
    /// It counts as a failed start: pause, or give up.
    FailedStart,
    /// Success, and the policy does not restart a success.
    Completed,
    /// A failure that the policy does not restart.
    NotRestarted,
    /// `never_codes` names this exit.
    Forbidden,
}

/// Judges a run that ended by itself. `steady`: it had got ready and lasted for min_uptime.
pub(super) fn judge(policy: &RestartPolicy, exit: Exit, steady: bool) -> Verdict {
    if policy.forbids(exit) {
        return Verdict::Forbidden;
    }
    let success = policy.is_success(exit);
    let again = match policy.when {
        RestartWhen::Always => true,
        RestartWhen::OnFailure => !success,
        RestartWhen::OnSuccess => success,
        RestartWhen::Never => false,
    };
    match (again, success) {
        (false, true) => Verdict::Completed,
        (false, false) => Verdict::NotRestarted,
        (true, _) if steady => Verdict::RestartNow,
        (true, _) => Verdict::FailedStart,
    }
}

/// What follows a failed start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Try again at this moment.
    Pause(Moment),
    /// Too many; perhaps one more try at this moment.
    GiveUp(Option<Moment>),
    /// Too many; the supervisor is to end.
    Shutdown,
}

/// Counts failed starts and says what follows each.
pub(super) struct Failures<'a> {
    /// When, oldest first.
    pub(super) recent: &'a mut Vec<Moment>,
    /// In a row.
    pub(super) in_row: &'a mut u32,
    /// The limit was reached before and nothing has been steady since.
    pub(super) exhausted: &'a mut bool,
}

impl Failures<'_> {
    /// Counts one more.
    pub(super) fn count(&mut self, policy: &RestartPolicy, now: Moment, random: &mut Random) -> AfterFailure {
        *self.in_row = self.in_row.saturating_add(1);
        if policy.limit > 0 {
            self.recent.retain(|&at| now.since(at) < policy.window);
            self.recent.push(now);
            let keep = policy.limit as usize + 1;
            let excess = self.recent.len().saturating_sub(keep);
            self.recent.drain(..excess);
            let over = self.recent.len() > policy.limit as usize && !mutant!(NoLimit);
            *self.exhausted |= over;
        } else {
            *self.exhausted = false;
        }
        if !*self.exhausted {
            let wait = if mutant!(NoPause) { Duration::ZERO } else { pause(policy, *self.in_row, random) };
            return AfterFailure::Pause(now + wait);
        }
        match policy.then {
            GiveUp::Stay => AfterFailure::GiveUp(None),
            GiveUp::Retry(after) => AfterFailure::GiveUp(Some(now + after)),
            GiveUp::Shutdown => AfterFailure::Shutdown,
        }
    }
}

/// The pause after the `nth` failed start in a row: `delay × factor^(nth-1)`, at most `max_delay`, ± jitter.
fn pause(policy: &RestartPolicy, nth: u32, random: &mut Random) -> Duration {
    let longest = policy.max_delay.max(policy.delay).as_nanos();
    let mut nanos = policy.delay.as_nanos().min(longest);
    for _ in 1..nth.min(200) {
        nanos = nanos.saturating_mul(u128::from(policy.factor.0)) / 1000;
        if nanos >= longest {
            nanos = longest;
            break;
        }
    }
    // Hours fit into i64 nanoseconds; anything longer is cut there, far beyond any pause that makes sense.
    let nanos = i64::try_from(nanos).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    let swing =
        i128::from(nanos) * i128::from(policy.jitter.0) / 1000 * i128::from(random.per_mille()) / 1000;
    let jittered = (i128::from(nanos) + swing).max(0);
    Duration::from_nanos(u64::try_from(jittered).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::model::{ExitMatch, PerMille};

    fn policy() -> RestartPolicy {
        RestartPolicy {
            when: RestartWhen::Always,
            success_codes: vec![ExitMatch::Code(0)],
            never_codes: vec![ExitMatch::Code(78)],
            delay: Duration::from_millis(500),
            factor: PerMille(2000),
            max_delay: Duration::from_secs(60),
            jitter: PerMille(0),
            min_uptime: Duration::from_secs(5),
            limit: 3,
            window: Duration::from_secs(300),
            then: GiveUp::Retry(Duration::from_secs(900)),
        }
    }

    #[test]
    fn ends_are_judged_as_the_policy_says() {
        let long = Duration::from_secs(10);
        let short = Duration::from_secs(1);
        let on = |when| RestartPolicy { when, ..policy() };
        for (when, exit, lasted, verdict) in [
            (RestartWhen::Always, Exit::Code(0), long, Verdict::RestartNow),
            (RestartWhen::Always, Exit::Code(0), short, Verdict::FailedStart),
            (RestartWhen::Always, Exit::Code(78), long, Verdict::Forbidden),
            (RestartWhen::OnFailure, Exit::Code(0), short, Verdict::Completed),
            (RestartWhen::OnFailure, Exit::Code(1), long, Verdict::RestartNow),
            (RestartWhen::OnFailure, Exit::Unknown, short, Verdict::FailedStart),
            (RestartWhen::OnSuccess, Exit::Code(0), short, Verdict::FailedStart),
            (RestartWhen::OnSuccess, Exit::Code(1), long, Verdict::NotRestarted),
            (RestartWhen::Never, Exit::Code(0), long, Verdict::Completed),
            (RestartWhen::Never, Exit::Code(1), long, Verdict::NotRestarted),
        ] {
            assert_eq!(
                judge(&on(when), exit, lasted >= policy().min_uptime),
                verdict,
                "{when:?} {exit:?} {lasted:?}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_the_limit_ends_them() {
        let mut random = Random::new(1);
        let millis: Vec<u128> = (1..=9).map(|nth| pause(&policy(), nth, &mut random).as_millis()).collect();
        assert_eq!(millis, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
        assert_eq!(pause(&policy(), u32::MAX, &mut random).as_millis(), 60000);

        let (mut recent, mut in_row, mut exhausted) = (Vec::new(), 0, false);
        let mut count = |seconds: u64| {
            let mut failures =
                Failures { recent: &mut recent, in_row: &mut in_row, exhausted: &mut exhausted };
            failures.count(&policy(), Moment::from_nanos(seconds * 1_000_000_000), &mut random)
        };
        for second in 1..=3 {
            assert!(matches!(count(second), AfterFailure::Pause(_)));
        }
        assert_eq!(count(4), AfterFailure::GiveUp(Some(Moment::from_nanos(904_000_000_000))));
        // Long after the window one failure is enough: it had its try.
        assert!(matches!(count(904), AfterFailure::GiveUp(Some(_))));
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_is_not_constant() {
        let mut random = Random::new(7);
        let policy = RestartPolicy { jitter: PerMille(100), ..policy() };
        let pauses: Vec<u128> = (0..200).map(|_| pause(&policy, 1, &mut random).as_millis()).collect();
        assert!(pauses.iter().all(|p| (450..=550).contains(p)));
        assert!(pauses.iter().min() < pauses.iter().max());
    }
}
