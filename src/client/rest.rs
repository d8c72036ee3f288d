//! The two pauses of a client: between two tasks, and before a full FIFO. Neither has an event that could be awaited.

use std::time::{Duration, Instant};

/// An idle gap must last so long to be seen for sure, and so long a lock must be free for another to get it.
pub(super) const GAP: Duration = Duration::from_millis(1);

/// Between two looks at a FIFO that was full: the standard library cannot wait for room.
const LOOK: Duration = Duration::from_millis(5);

/// Sleeps until `since` is [`GAP`] ago; not at all where it is already.
pub(super) fn until_seen(since: Instant) {
    std::thread::sleep(GAP.saturating_sub(since.elapsed()));
}

/// Sleeps a moment; false where `deadline` has passed.
pub(super) fn before_another_look(deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    std::thread::sleep(LOOK.min(left));
    !left.is_zero()
}
