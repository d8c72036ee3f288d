//! The handle of the thread that hears all runs.

use super::Heard;
use super::listening::{Order, Silence, Thread};
use crate::model::RunId;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

/// How long a drain is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hears what runs say, on one thread, which ends with this.
#[derive(Debug)]
pub struct Ears {
    orders: mpsc::Sender<Order>,
    wake: Arc<OwnedFd>,
    silence: Silence,
    /// Orders were given of which the thread was not told.
    quiet: AtomicBool,
    /// The runs that it does not hear yet for that reason.
    unheard: Mutex<BTreeSet<RunId>>,
}

impl Ears {
    /// Starts the thread. `heard` is called on it, in the order in which each way of a run was used, and must not block.
    ///
    /// # Errors
    /// EMFILE, EAGAIN: no descriptor or no thread to be had.
    pub fn start(heard: Box<dyn Fn(RunId, Heard) + Send>) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (orders, inbox) = mpsc::channel();
        let thread = Thread::new(inbox, Arc::clone(&wake), heard)?;
        let silence = thread.silence();
        std::thread::Builder::new().name("sppm-ears".to_owned()).spawn(move || thread.live())?;
        Ok(Self { orders, wake, silence, quiet: AtomicBool::new(false), unheard: Mutex::default() })
    }

    /// Hears this run from now on: its FIFO, and its socket of sd_notify(3) where it has one, both non-blocking. What was
    /// said before is heard too. The thread learns of it by [`Ears::prick`].
    pub fn attach(&self, run: RunId, fifo: OwnedFd, sd: Option<OwnedFd>) {
        self.unheard().insert(run);
        self.leave(Order::Attach { run, fifo, sd });
    }

    /// Nothing of this run is left: it is heard no more, whoever else holds its ends, and what was not heard is thrown away.
    /// The thread learns of it by [`Ears::prick`].
    pub fn detach(&self, run: RunId) {
        self.unheard().remove(&run);
        self.leave(Order::Detach { run });
    }

    /// Whether everything was heard that this run has said. Costs one system call; `false` may be said too often, for it is asked
    /// whether anybody who is heard by now has said anything.
    pub fn are_done(&self, run: RunId) -> bool {
        !self.unheard().contains(&run) && self.silence.is_so()
    }

    /// Waits until everything that the run had said before this call was heard, at most a second. Returns whether it was.
    /// A run that is not attached has said nothing.
    pub fn drain(&self, run: RunId) -> bool {
        let (done, waits) = mpsc::sync_channel(1);
        self.order(Order::Drain { run, done });
        waits.recv_timeout(PATIENCE).unwrap_or(false)
    }

    /// The thread is told what it was not told yet: once for all that was ordered since.
    pub fn prick(&self) {
        if self.quiet.swap(false, Ordering::AcqRel) {
            self.ring();
            // Only now, when the bell shows that there is something to be done.
            self.unheard().clear();
        }
    }

    /// Whoever panicked while holding the lock has changed it or not: both are fine.
    fn unheard(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            self.quiet.store(true, Ordering::Release);
        }
    }

    fn ring(&self) {
        // It can only fail by being full, which wakes as well.
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            self.ring();
        }
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.order(Order::Stop);
    }
}
