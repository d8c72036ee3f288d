//! That a stop of this program is wanted, and by whom.

use super::{Channel, environment, locked};
use std::sync::{Condvar, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

/// That a stop is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What comes after it.
    pub kind: StopKind,
    /// The reason, for people.
    pub why: String,
}

/// What comes after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopKind {
    /// Nothing: it stays stopped.
    Stop,
    /// Its next run.
    Restart,
    /// The supervisor ends as well.
    Shutdown,
    /// Not known: the program itself said so, by [`want_stop`].
    Asked,
}

/// What ends early when a stop is wanted.
pub(super) trait Ends: Send + Sync {
    /// A stop is wanted: whoever waits shall look again.
    fn end(&self);
}

/// All that this process knows of a stop.
pub(super) struct Wanted {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    stop: Option<Stop>,
    ends: Vec<Weak<dyn Ends>>,
}

static WANTED: Wanted = Wanted::new();

impl Wanted {
    pub(super) const fn new() -> Self {
        Self { known: Mutex::new(Known { stop: None, ends: Vec::new() }), changed: Condvar::new() }
    }

    /// The first who says it is the one that is believed.
    pub(super) fn set(&self, stop: Stop) {
        let ends = {
            let mut known = locked(&self.known);
            known.stop.get_or_insert(stop);
            std::mem::take(&mut known.ends)
        };
        self.changed.notify_all();
        ends.iter().filter_map(Weak::upgrade).for_each(|ends| ends.end());
    }

    pub(super) fn get(&self) -> Option<Stop> {
        locked(&self.known).stop.clone()
    }

    /// Has `ends` told of a stop, at once where one is wanted already.
    pub(super) fn tell(&self, ends: Weak<dyn Ends>) {
        let mut known = locked(&self.known);
        if known.stop.is_none() {
            known.ends.retain(|other| other.strong_count() > 0);
            known.ends.push(ends);
            return;
        }
        drop(known);
        if let Some(ends) = ends.upgrade() {
            ends.end();
        }
    }

    fn wait(&self, timeout: Duration) -> Option<Stop> {
        let deadline = Instant::now().checked_add(timeout);
        let mut known = locked(&self.known);
        while known.stop.is_none() {
            // Further away than the clock goes: look once in a while.
            let left = deadline
                .map_or(Duration::from_secs(3600), |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(known, left);
            known = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        known.stop.clone()
    }
}

/// The process's own, with the supervisor asked to say it, from the first call on.
pub(super) fn listen() -> &'static Wanted {
    static CHANNEL: OnceLock<Option<Channel>> = OnceLock::new();
    CHANNEL.get_or_init(|| {
        environment::variable("SPPM_SOCKET")?;
        let channel = Channel::open();
        channel.on_stop(|stop| WANTED.set(stop));
        Some(channel)
    });
    &WANTED
}

/// What asks this program to end; `None`: nothing does.
///
/// A supervisor that waits for the end of a task says so here before it sends any signal: a loop asks between two tasks,
/// and a long task may look from time to time and come to an early end. The first call connects to `$SPPM_SOCKET` in a
/// thread of its own, and never waits. Without a supervisor only [`want_stop`] counts.
#[must_use]
pub fn stop_wanted() -> Option<Stop> {
    listen().get()
}

/// Waits until a stop is wanted, at most so long: a sleep between two looks that ends early.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(sppm::client::wait_stop(Duration::from_millis(5)), None);
/// ```
pub fn wait_stop(timeout: Duration) -> Option<Stop> {
    listen().wait(timeout)
}

/// Says that a stop is wanted: for a signal that came, see [the module](super). Wakes whoever waits.
///
/// It takes locks, so it must not be called within a signal handler itself, only from a thread.
///
/// ```
/// use sppm::client::{self, StopKind};
/// client::want_stop("Ctrl-C");
/// let stop = client::stop_wanted().expect("somebody has just said so");
/// assert_eq!((stop.kind, stop.why.as_str()), (StopKind::Asked, "Ctrl-C"));
/// ```
pub fn want_stop(why: &str) {
    WANTED.set(Stop { kind: StopKind::Asked, why: why.to_owned() });
}
