//! Output of programs: pipes in, files out, on one thread with one epoll.
//!
//! In: pipes with their sinks, orders (respec, drain, detach, reopen, follow). Out: files, [`LogEvent`]s, lines for
//! followers. The pump never waits for anything but its epoll: a full disk, a slow terminal or a slow follower costs
//! that one sink or follower bytes or lines (counted and said), never time of the others.
//!
//! Never add here: decisions (restart, order, policy), or anything that blocks on what another process does.

mod follow;
mod history;
mod line;
mod logfile;
mod pump;
mod recent;
mod rotate;
mod settings;
mod sink;
mod sinks;
mod standard;
pub mod tail;
#[cfg(test)]
mod tests;

pub use recent::KEPT;
pub use settings::{
    FollowItem, FollowSink, FollowSource, FollowVerdict, LogEvent, Output, SinkSettings, SinkTarget,
};

use crate::model::{InstanceLabel, LogStream, RunId};
use follow::Wish;
use pump::{Line, Order, Pump};
use rustix::event::EventfdFlags;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The handle of the log pump. Cheap to clone; every method returns at once.
#[derive(Clone)]
pub struct Logger {
    shared: Arc<Shared>,
}

struct Shared {
    line: Line,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Logger {
    /// Starts the pump's thread. `on_event` runs on that thread and must not block.
    ///
    /// # Errors
    /// No descriptors or no thread to be had.
    pub fn start(on_event: impl Fn(LogEvent) + Send + 'static) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let wake = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let line = Line { orders, wake, quiet: Arc::default() };
        let pump = Pump::new(inbox, line.clone(), Box::new(on_event))?;
        let thread = std::thread::Builder::new().name("logger".into()).spawn(move || pump.run())?;
        let shared = Shared { line, thread: Mutex::new(Some(thread)) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins to read these pipes, all that the run has (read ends; they are made non-blocking). A pipe that it already has
    /// for a stream is closed. The pump learns of it by [`Logger::tell`], or with whatever else it is told.
    pub fn attach(&self, run: RunId, label: InstanceLabel, outputs: Vec<Output>) {
        self.shared.line.leave(Order::Attach { run, label, outputs });
    }

    /// Whether there is something that the pump was not told.
    pub fn is_owed_a_word(&self) -> bool {
        self.shared.line.quiet.load(Ordering::Acquire)
    }

    /// The pump is told what it was not told yet: once for all.
    pub fn tell(&self) {
        self.shared.line.tell();
    }

    /// Sends the run's output elsewhere from now on. Unknown runs are ignored.
    pub fn respec(&self, run: RunId, stream: LogStream, sink: SinkSettings) {
        self.shared.order(Order::Respec { run, stream, sink });
    }

    /// The run's main process has ended: [`LogEvent::Drained`] comes when all that its pipes hold has been written,
    /// after a second at most. What a descendant writes later is still read, until [`Logger::detach`].
    pub fn drain(&self, run: RunId) {
        self.shared.order(Order::Drain { run });
    }

    /// Closes what is left of the run's pipes (after a last look).
    pub fn detach(&self, run: RunId) {
        self.shared.order(Order::Detach { run });
    }

    /// Many programs are about to end, and nobody listens meanwhile: pipes may be left for so long, or until the next order comes,
    /// and are looked at together then. With a run that drains there is no rest.
    pub fn rest(&self, at_most: Duration) {
        self.shared.order(Order::Rest { until: Instant::now() + at_most });
    }

    /// Opens every log file anew (SIGUSR1), for tools that move them away.
    pub fn reopen(&self) {
        self.shared.order(Order::Reopen);
    }

    /// Gives `sink` the last lines of each source's history, then (with `keep_following`) every new line, each
    /// exactly once, over rotations and restarts of the program. Without, [`FollowItem::End`] comes last. History is
    /// bounded by a million lines and 16 MiB per source (64 MiB together), and read at the receiver's pace.
    pub fn follow(
        &self,
        sources: Vec<FollowSource>,
        last_lines: usize,
        sink: Box<dyn FollowSink>,
        keep_following: bool,
    ) {
        self.shared.order(Order::Follow(Wish { sources, last_lines, sink, keep_following }));
    }

    /// Ends the pump and waits for it: every byte that was read has been written. Pipes are closed on our side
    /// only; whoever holds them too (the keeper) loses nothing. Not to be called from `on_event`.
    pub fn stop(&self) {
        self.shared.order(Order::Stop);
        let thread = self.shared.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn order(&self, order: Order) {
        self.line.order(order);
    }
}

impl Drop for Shared {
    /// Asks the thread to end but does not wait: the owner may be that very thread's callback.
    fn drop(&mut self) {
        self.order(Order::Stop);
    }
}
