//! Waiting for what the world does. Limits are generous: they end a failed test, they never decide a good one.

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before it counts as never.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Lets time pass: between two looks at something that has no event, or to see that nothing happens.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Looks again and again until `look` finds something, and fails the test after a minute.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut step = Duration::from_millis(10);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} in vain: {what}");
        pause(step);
        step = (step * 3 / 2).min(Duration::from_millis(150));
    }
}

/// Looks again and again until `condition` holds, and fails the test after a minute.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Looks for `time`, and fails the test as soon as `condition` does not hold.
#[track_caller]
pub fn stays(what: &str, time: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(condition(), "did not stay so ({:?}): {what}", start.elapsed());
        pause(Duration::from_millis(50));
    }
}
