//! Whether this process is in the middle of a task: counted here, published in the file `$SPPM_LOCK`.

use super::{environment, locked, notify, rest, state_file};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where tasks follow without a gap one is made so often: a stop finds its moment, short tasks lose little.
const REST_EVERY: Duration = Duration::from_millis(50);

/// All marks of one process.
#[derive(Debug)]
pub(super) struct Marks {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By [`working_lock`].
    marked: bool,
    /// Open [`Task`]s, of all threads.
    tasks: usize,
    /// A `busy` went into the FIFO, and must be taken back there.
    told: bool,
    idle_since: Option<Instant>,
    rested_at: Option<Instant>,
}

/// Where marks go. Read from the environment at each mark, and given by the tests.
#[derive(Debug, Default)]
pub(super) struct Ways {
    pub(super) lock: Option<PathBuf>,
    pub(super) fifo: Option<PathBuf>,
    /// Whether a text may go into the FIFO: what a helper said there would outlive its death.
    pub(super) main: bool,
}

impl Ways {
    fn given() -> Self {
        let lock = environment::path("SPPM_LOCK");
        let main = lock.is_some() && environment::is_main();
        Self { lock, fifo: environment::path("SPPM_NOTIFY"), main }
    }

    fn tell(&self, word: &str, text: &str, patience: Duration) -> bool {
        self.fifo.as_deref().is_some_and(|fifo| notify::send_to(fifo, word, text, patience))
    }

    fn write(&self, path: &Path, busy: bool) -> bool {
        state_file::write(path, busy).is_ok()
    }
}

static MARKS: Marks = Marks::new();

impl Marks {
    pub(super) const fn new() -> Self {
        let inner = Inner { marked: false, tasks: 0, told: false, idle_since: None, rested_at: None };
        Self { inner: Mutex::new(inner) }
    }

    /// A task begins; the first of the process is published before this returns.
    pub(super) fn open(&self, ways: &Ways, what: &str) {
        self.rest();
        let mut inner = locked(&self.inner);
        inner.tasks += 1;
        if inner.tasks == 1 {
            inner.publish(ways, true);
        }
        if !what.is_empty() && ways.main && ways.tell("busy", what, Duration::ZERO) {
            inner.told = true;
        }
    }

    /// One that was opened has ended.
    pub(super) fn close(&self, ways: &Ways) {
        let mut inner = locked(&self.inner);
        if inner.tasks == 1 {
            inner.untell(ways);
            let busy = inner.marked;
            inner.publish(ways, busy);
        }
        inner.tasks = inner.tasks.saturating_sub(1);
        inner.ended();
    }

    /// What [`working_lock`] does.
    pub(super) fn mark(&self, ways: &Ways, busy: bool) {
        if busy {
            self.rest();
        }
        let mut inner = locked(&self.inner);
        let any = busy || inner.tasks > 0;
        inner.publish(ways, any);
        inner.marked = busy;
        inner.ended();
    }

    /// Leaves a gap that can be seen before a task that follows the last one at once, not more often than it must.
    fn rest(&self) {
        let since = {
            let mut inner = locked(&self.inner);
            let Some(since) = inner.idle_since else { return };
            let now = Instant::now();
            let seen = since.elapsed() >= rest::GAP;
            let lately = inner.rested_at.is_some_and(|at| now.duration_since(at) < REST_EVERY);
            if inner.marked || inner.tasks > 0 || (lately && !seen) {
                return;
            }
            inner.rested_at = Some(now);
            since
        };
        rest::until_seen(since);
    }
}

impl Inner {
    fn publish(&mut self, ways: &Ways, busy: bool) {
        let Some(path) = &ways.lock else { return };
        if ways.write(path, busy) {
            return;
        }
        // No room on the disk, or a folder that is not ours: the mark takes the other way, rather than the task fail.
        if busy {
            self.told = ways.tell("busy", "", notify::PATIENCE) || self.told;
        } else {
            self.untell(ways);
        }
    }

    fn untell(&mut self, ways: &Ways) {
        if self.told && ways.tell("idle", "", notify::PATIENCE) {
            self.told = false;
        }
    }

    fn ended(&mut self) {
        if self.tasks == 0 && !self.marked {
            self.idle_since = Some(Instant::now());
        }
    }
}

/// A task in hand: busy until it is dropped. Made by [`task`].
#[derive(Debug)]
#[must_use = "the task ends when this is dropped: bind it, `let _task = …`"]
pub struct Task {
    _private: PhantomData<()>,
}

/// Begins a task: until what this gives is dropped, no stop and no restart cuts this program short.
///
/// `what` is for people (`sppm status` shows it), and may be empty. Tasks may be nested and open in several threads; the
/// program is busy while any of them is. Without a supervisor it marks nothing.
///
/// ```
/// fn fetch(page: &str) -> usize {
///     let _task = sppm::client::task(page);
///     page.len() // busy up to here, also where this panics
/// }
/// assert_eq!(fetch("example.org"), 11);
/// ```
pub fn task(what: &str) -> Task {
    MARKS.open(&Ways::given(), what);
    Task { _private: PhantomData }
}

impl Drop for Task {
    fn drop(&mut self) {
        MARKS.close(&Ways::given());
    }
}

/// Marks this program busy (`true`) or idle (`false`) until the next call: [`task`] for loops that cannot hold a guard.
///
/// ```
/// sppm::client::working_lock(true);
/// // … a task …
/// sppm::client::working_lock(false);
/// ```
pub fn working_lock(busy: bool) {
    MARKS.mark(&Ways::given(), busy);
}
