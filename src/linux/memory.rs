//! The heap of this process: fewer arenas (mallopt(3)), and what a burst has freed goes back (malloc_trim(3)).
//!
//! Only the GNU C library has these calls and the habits that they are against; elsewhere nothing happens.
//! Never add here: caches, counts of what anybody uses.

use crate::model::Moment;
use std::time::Duration;

/// So much work is a burst: before it there is little to give back.
const BURST: usize = 64;

/// A burst is over when it has been quiet for so long.
const QUIET: Duration = Duration::from_secs(1);

/// One arena for all threads, and large blocks on their own. By default each thread gets an arena, and a block that one
/// thread frees for another leaves a hole there; a thousand launches through five threads leave megabytes of them.
/// To be called before there are threads.
pub fn be_frugal() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, 128 * 1024)] {
        // SAFETY: mallopt(3) takes two integers and only changes the allocator's own settings.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// Gives free pages in the middle of the heap back to the kernel. Takes about a millisecond for ten megabytes.
pub fn give_back() {
    // SAFETY: malloc_trim(3) takes an integer, locks the allocator itself, and moves nothing that is in use.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Knows when a burst is over and its memory can be given back.
#[derive(Debug, Default)]
pub struct Thrift {
    work: usize,
    due: Option<Moment>,
}

impl Thrift {
    /// So much was done.
    pub fn worked(&mut self, now: Moment, amount: usize) {
        self.work = self.work.saturating_add(amount);
        if amount > 0 && self.work >= BURST {
            self.due = Some(now + QUIET);
        }
    }

    /// When [`Thrift::tick`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        self.due
    }

    /// Gives memory back if a burst is over. Returns whether it did.
    pub fn tick(&mut self, now: Moment) -> bool {
        let over = self.due.is_some_and(|due| due <= now);
        if over {
            *self = Self::default();
            give_back();
        }
        over
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_and_only_after_a_burst() {
        let at = |seconds| Moment::default() + Duration::from_secs(seconds);
        let mut thrift = Thrift::default();
        thrift.worked(at(0), BURST - 1);
        assert_eq!(thrift.deadline(), None);
        thrift.worked(at(1), 1);
        thrift.worked(at(2), 1);
        assert_eq!(thrift.deadline(), Some(at(2) + QUIET));
        assert!(!thrift.tick(at(2)));
        thrift.worked(at(3), 0);
        assert!(thrift.tick(at(3)));
        assert!(!thrift.tick(at(100)));
        assert_eq!(thrift.deadline(), None);
    }
}
