//! What other threads want of the server's thread, and how it is woken.

use crate::model::{InstanceLabel, RunId, StopKind};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) enum Order {
    Admit { run: RunId, label: InstanceLabel, uid: u32 },
    Dismiss { run: RunId },
    StopWanted { run: RunId, stop: Option<(StopKind, String)> },
    Drain { run: RunId, done: Sender<()> },
    Leave,
}

/// So many orders may wait for somebody to knock.
const PATIENT: usize = 64;

/// Orders, and connections for which messages wait, with a descriptor that is readable while there are any.
#[derive(Debug)]
pub(super) struct Post {
    bell: OwnedFd,
    box_: Mutex<Contents>,
}

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) orders: Vec<Order>,
    pub(super) awaited: BTreeSet<u64>,
    rung: bool,
}

impl Post {
    pub(super) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { bell, box_: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.box_.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread learns of it by [`Post::tell`], or with what comes next.
    pub(super) fn leave(&self, order: Order) {
        self.lock().orders.push(order);
    }

    /// The thread is told what was left for it, if that cannot wait until somebody knocks: then it looks here first.
    pub(super) fn tell(&self) {
        let mut contents = self.lock();
        let waits = |order: &Order| matches!(order, Order::Admit { .. });
        if contents.orders.len() > PATIENT || !contents.orders.iter().all(waits) {
            self.ring(&mut contents);
        }
    }

    pub(super) fn send(&self, order: Order) {
        let mut contents = self.lock();
        contents.orders.push(order);
        self.ring(&mut contents);
    }

    /// There is something for this connection.
    pub(super) fn wake(&self, connection: u64) {
        let mut contents = self.lock();
        contents.awaited.insert(connection);
        self.ring(&mut contents);
    }

    /// One write for all that comes until it is taken.
    fn ring(&self, contents: &mut Contents) {
        if !std::mem::replace(&mut contents.rung, true) {
            // It cannot be full: it is written once between two reads.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    /// Everything that there is, in its order.
    pub(super) fn take(&self) -> Contents {
        let mut contents = self.lock();
        if contents.rung {
            // Nothing else is ever to be read there.
            let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        }
        std::mem::take(&mut *contents)
    }
}

impl AsFd for Post {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
