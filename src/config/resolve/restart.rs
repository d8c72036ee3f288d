//! `restart:`, and whether its numbers fit each other.

use super::needed;
use crate::config::decode::Decoder;
use crate::config::document;
use crate::config::position::At;
use crate::config::problem::ProblemKind;
use crate::model::{RestartPolicy, RestartWhen};
use std::time::Duration;

/// `restart:` in full.
pub(super) fn restart(section: &document::Restart, cx: &mut Decoder<'_>) -> Option<RestartPolicy> {
    let document::Restart {
        policy,
        success_codes,
        never_codes,
        delay,
        factor,
        max_delay,
        jitter,
        min_uptime,
        limit,
        window,
        then,
    } = section;
    let policy = RestartPolicy {
        when: needed(policy)?,
        success_codes: needed(success_codes)?.0,
        never_codes: needed(never_codes)?.0,
        delay: needed(delay)?,
        factor: needed(factor)?.0,
        max_delay: needed(max_delay)?,
        jitter: needed(jitter)?.0,
        min_uptime: needed(min_uptime)?,
        limit: u32::try_from(needed(limit)?.0).unwrap_or(u32::MAX),
        window: needed(window)?,
        then: needed(then)?,
    };
    check(section, &policy, cx);
    Some(policy)
}

/// What is wrong or doubtful about keys that are fine each by itself.
fn check(section: &document::Restart, policy: &RestartPolicy, cx: &mut Decoder<'_>) {
    let place = |at: Option<At>| at.unwrap_or(At::whole(0));
    if policy.delay > policy.max_delay {
        let message = format!(
            "the first pause of {} is longer than `max_delay`, {}",
            humantime::format_duration(policy.delay),
            humantime::format_duration(policy.max_delay)
        );
        let help = Some("raise `max_delay` too".to_owned());
        cx.within("delay", |cx| cx.error(ProblemKind::Conflict, place(section.delay.at()), message, help));
        return;
    }
    if policy.when == RestartWhen::Never || policy.limit == 0 {
        return;
    }
    let pauses = shortest_pauses(policy);
    if pauses > policy.window {
        let at = [&section.window.at(), &section.delay.at(), &section.max_delay.at()]
            .into_iter()
            .fold(section.limit.at(), |found, at| found.filter(|at| at.start != u32::MAX).or(*at));
        let message = format!(
            "the limit can never be reached: {} pauses take at least {}, and `window` is {}",
            policy.limit,
            humantime::format_duration(Duration::from_secs(pauses.as_secs())),
            humantime::format_duration(policy.window)
        );
        let help = Some("lower `limit`, raise `window`, or write `limit: 0` for no limit".to_owned());
        cx.within("limit", |cx| cx.warning(ProblemKind::Conflict, place(at), message, help));
    }
}

/// How long `limit` pauses between failed starts take at the least.
fn shortest_pauses(policy: &RestartPolicy) -> Duration {
    let shortest = 1.0 - f64::from(policy.jitter.0.min(1000)) / 1000.0;
    let (factor, most) = (f64::from(policy.factor.0) / 1000.0, policy.max_delay.as_secs_f64());
    let mut pause = policy.delay.as_secs_f64();
    let mut sum = 0.0;
    let mut left = policy.limit;
    // A pause that no longer grows needs no loop; one that grows reaches its end within a few hundred turns.
    while left > 0 && pause < most && factor > 1.0 && pause > 0.0 && sum <= 1e12 {
        sum += pause;
        pause *= factor;
        left -= 1;
    }
    sum += f64::from(left) * pause.min(most);
    Duration::try_from_secs_f64(sum * shortest).unwrap_or(Duration::MAX)
}
