//! The keeper's own words: one line on standard error, for what nobody else could tell.

use crate::linux::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// When the last line of [`seldom`] was said, in nanoseconds since boot.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Says a line, if somebody can take it right now: a stopped terminal must not stop the keeper.
pub(super) fn say(line: &str) {
    let stderr = std::io::stderr();
    let mut watched = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut watched, Some(&at_once)) == Ok(1) {
        // There is nobody left to tell that this failed.
        let _ = writeln!(stderr.lock(), "sppm keeper: {line}");
    }
}

/// As [`say`], at most one line a second: for what a broken supervisor could cause a thousand times.
pub(super) fn seldom(line: &str) {
    let now = clock::now().as_nanos();
    if now.saturating_sub(LAST.load(Ordering::Relaxed)) > 1_000_000_000 {
        LAST.store(now, Ordering::Relaxed);
        say(line);
    }
}
