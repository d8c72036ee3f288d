//! Low numbers for the descriptors that a child takes along.
//!
//! fork(2) copies the table of descriptors, and a keeper has thousands. A child that shares the table at first, and then
//! takes a copy of its low part only (close_range(2) with `CLOSE_RANGE_UNSHARE`, since Linux 5.9), is born sooner. So what
//! it takes along must have low numbers, and keep them until it is apart: rows of three are reserved when the table is
//! still empty.
//!
//! Never add here: what the child does with them.

use super::prepared::Prepared;
use super::stack::Stack;
use rustix::io::DupFlags;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// So many children can be on their way to be apart; who comes next is forked plainly.
const ROWS: usize = 16;
/// The report, and two pipes for output.
const WIDTH: usize = 3;

/// Consecutive numbers, for one child at a time. Plugged with a descriptor that means nothing while nobody needs them.
///
/// With a stack, and with what a child that shares our memory reads: neither goes before the row is given back.
#[derive(Debug)]
pub struct Row {
    places: [OwnedFd; WIDTH],
    is_plugged: bool,
    stack: Option<Stack>,
    lent: ManuallyDrop<Option<Box<Prepared>>>,
}

/// The rows that are free.
#[derive(Debug)]
pub struct Rows {
    plug: Option<OwnedFd>,
    free: Vec<Row>,
    can_share_memory: bool,
}

impl Rows {
    /// To be called early. Where the kernel cannot do it, or no descriptors are to be had, there are no rows.
    pub fn reserve() -> Self {
        let plug = rustix::fs::open(
            c"/dev/null",
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        );
        let (Ok(plug), true) = (plug, super::fork::can_part()) else {
            return Self { plug: None, free: Vec::new(), can_share_memory: false };
        };
        let mut free = Vec::with_capacity(ROWS);
        for _ in 0..ROWS {
            let dup = || rustix::io::fcntl_dupfd_cloexec(&plug, 3);
            let (Ok(first), Ok(second), Ok(third)) = (dup(), dup(), dup()) else { break };
            let row = Row::new([first, second, third]);
            // Somebody else's descriptor lies in between: the next ones are behind it.
            if row.is_consecutive() {
                free.push(row);
            }
        }
        free.reverse();
        Self { plug: Some(plug), free, can_share_memory: super::fork::can_share_memory() }
    }

    /// A free row, if there is one.
    pub fn take(&mut self) -> Option<Row> {
        let mut row = self.free.pop()?;
        if self.can_share_memory && row.stack.is_none() {
            row.stack = Stack::new();
        }
        Some(row)
    }

    /// Lets go of the memory of stacks that nobody stands on.
    pub fn forget_stacks(&self) {
        self.free.iter().filter_map(|row| row.stack.as_ref()).for_each(Stack::forget);
    }

    /// Closes what a row holds, and keeps its numbers: its child has descriptors of its own.
    pub fn empty(&self, row: &mut Row) {
        let Some(plug) = &self.plug else { return };
        row.is_plugged = row.is_plugged || row.places.iter_mut().all(|place| put(plug, place).is_ok());
    }

    /// To be called when the child that had it is known to be executed or dead, or was never there: it shares nothing then.
    pub fn give_back(&mut self, mut row: Row) {
        self.empty(&mut row);
        // The report ends by the kernel's closing at exec, or after death: by then the child has left our memory, in both cases.
        row.lent.take();
        if row.is_plugged {
            self.free.push(row);
        }
    }
}

impl Row {
    fn new(places: [OwnedFd; WIDTH]) -> Self {
        Self { places, is_plugged: true, stack: None, lent: ManuallyDrop::new(None) }
    }

    fn is_consecutive(&self) -> bool {
        let first = self.first();
        self.places.iter().zip(first..).all(|(place, number)| place.as_raw_fd() == number)
    }

    /// A stack for a child that shares our memory, where one can.
    pub(super) fn stack(&self) -> Option<&Stack> {
        self.stack.as_ref()
    }

    /// Keeps this until the row is given back: for a child that shares our memory.
    pub(super) fn lend(&mut self, prepared: Box<Prepared>) {
        *self.lent = Some(prepared);
    }

    pub(super) fn first(&self) -> RawFd {
        self.places[0].as_raw_fd()
    }

    /// The number behind the row.
    pub(super) fn end(&self) -> RawFd {
        self.first() + WIDTH as RawFd
    }

    /// Puts what a child needs into the row.
    pub(super) fn fill(
        &mut self,
        told: &OwnedFd,
        output: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
    ) -> io::Result<()> {
        self.is_plugged = false;
        let [report, out, err] = &mut self.places;
        put(told, report)?;
        if let Some((stdout, stderr)) = output {
            put(stdout, out)?;
            put(stderr, err)?;
        }
        Ok(())
    }

    /// The places of the two pipes; one for both where they are one.
    pub(super) fn output(&self, merged: bool) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        let [_, out, err] = &self.places;
        (out.as_fd(), if merged { out.as_fd() } else { err.as_fd() })
    }
}

fn put(fd: impl AsFd, place: &mut OwnedFd) -> io::Result<()> {
    Ok(rustix::io::dup3(fd, place, DupFlags::CLOEXEC)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_numbers_and_lets_go_of_what_it_held() {
        // Other tests of this process open and close descriptors meanwhile, and lie in between.
        let mut rows = (0..1000).map(|_| Rows::reserve()).find(|rows| !rows.free.is_empty()).unwrap();
        let mut row = rows.take().unwrap();
        let (first, free) = (row.first(), rows.free.len());
        let (read, write) = rustix::pipe::pipe().unwrap();
        row.fill(&write, Some((write.as_fd(), write.as_fd()))).unwrap();
        drop(write);
        rows.give_back(row);
        // Nobody holds the other end any more.
        assert_eq!(rustix::io::read(&read, &mut [0; 1]).unwrap(), 0);
        assert_eq!((rows.take().unwrap().first(), rows.free.len()), (first, free));
    }
}
