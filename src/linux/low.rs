//! Low numbers for the descriptors that a child takes along.
//!
//! fork(2) copies the table of descriptors, and a keeper has thousands. A child that shares the table at first, and then
//! takes a copy of its low part only (close_range(2) with `CLOSE_RANGE_UNSHARE`, since Linux 5.9), is born sooner. So what
//! it takes along must have low numbers, and keep them until it is apart: rows of three are reserved when the table is
//! still empty. The fewer there are below, the sooner it is apart: each of them is copied, and closed again.
//!
//! With a row comes, where a child can share our memory, what it stands on and reads until its exec (a loan).
//!
//! Never add here: what the child does with them.

use super::prepared::Prepared;
use super::stack::Stack;
use rustix::fs::{Mode, OFlags};
use rustix::io::DupFlags;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// So many children can be on their way to be apart at once.
const ROWS: usize = 6;
/// The report, and two pipes for output.
const WIDTH: usize = 3;

/// Consecutive numbers, for one child at a time. Plugged with a descriptor that means nothing while nobody needs them.
#[derive(Debug)]
pub(super) struct Row {
    places: [OwnedFd; WIDTH],
    is_plugged: bool,
}

/// What a child that shares our memory stands on and reads. Neither goes before the child has left our memory: what is dropped
/// instead of being given back stays for ever.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) stack: Stack,
    pub(super) prepared: ManuallyDrop<Option<Box<Prepared>>>,
}

/// What one child has of us: its row until it is apart, its loan until it is executed or dead.
#[derive(Debug)]
pub struct Seat {
    pub(super) row: Option<Row>,
    pub(super) loan: Option<Loan>,
    /// Signals that we ignore; bit 0 is signal 1.
    pub(super) ignored: u64,
}

/// What is free.
#[derive(Debug)]
pub struct Seats {
    /// An open /dev/null: lower than all rows, so that children can take it along.
    null: Option<OwnedFd>,
    plug: Option<OwnedFd>,
    rows: Vec<Row>,
    /// How many rows children have.
    taken: usize,
    stacks: Vec<Stack>,
    can_share_memory: bool,
    /// Known with the first child: until then it may change.
    ignored: Option<u64>,
}

impl Seats {
    /// To be called early. Where the kernel cannot do it, or no descriptors are to be had, there are no seats.
    pub fn reserve() -> Self {
        let open = |access| rustix::fs::open(c"/dev/null", access | OFlags::CLOEXEC, Mode::empty()).ok();
        let null = open(OFlags::RDONLY | OFlags::NOCTTY);
        let plug = open(OFlags::PATH).filter(|_| super::fork::can_part());
        let mut rows = Vec::with_capacity(ROWS);
        if let Some(plug) = &plug {
            let mut in_between = Vec::new();
            while rows.len() < ROWS && in_between.len() < ROWS {
                let dup = || rustix::io::fcntl_dupfd_cloexec(plug, 3);
                let (Ok(first), Ok(second), Ok(third)) = (dup(), dup(), dup()) else { break };
                let row = Row { places: [first, second, third], is_plugged: true };
                // Where somebody else's descriptor lies in between (a shell's, 10 often), the next ones are behind it.
                if row.is_consecutive() { rows.push(row) } else { in_between.push(row) }
            }
        }
        // The lowest is taken first.
        rows.reverse();
        let can_share_memory = super::fork::can_share_memory();
        Self { null, plug, rows, taken: 0, stacks: Vec::new(), can_share_memory, ignored: None }
    }

    /// Nothing to read, for children with a seat and without. `None`: it could not be opened.
    pub fn null(&self) -> Option<BorrowedFd<'_>> {
        self.null.as_ref().map(AsFd::as_fd)
    }

    /// Whether there is none now, and will be one when a child has gone its own way.
    pub fn are_coming(&self) -> bool {
        self.rows.is_empty() && self.taken > 0
    }

    /// A free one, if there is one.
    pub fn take(&mut self) -> Option<Seat> {
        let row = self.rows.pop()?;
        self.taken += 1;
        let stack = self.can_share_memory.then(|| self.stacks.pop().or_else(Stack::new)).flatten();
        let loan = stack.map(|stack| Loan { stack, prepared: ManuallyDrop::new(None) });
        let ignored = *self.ignored.get_or_insert_with(|| super::signals::ignored().unwrap_or(u64::MAX));
        Some(Seat { row: Some(row), loan, ignored })
    }

    /// Lets go of the memory of stacks that nobody stands on.
    pub fn forget_stacks(&self) {
        self.stacks.iter().for_each(Stack::forget);
    }

    /// Closes what the row holds, and has the next child take it: this one has descriptors of its own.
    pub fn part(&mut self, seat: &mut Seat) {
        let (Some(mut row), Some(plug)) = (seat.row.take(), &self.plug) else { return };
        self.taken -= 1;
        row.is_plugged = row.is_plugged || row.places.iter_mut().all(|place| put(plug, place).is_ok());
        if row.is_plugged {
            self.rows.push(row);
        }
    }

    /// To be called when the child that had it is known to be executed or dead, or was never there: it shares nothing then.
    pub fn give_back(&mut self, mut seat: Seat) {
        self.part(&mut seat);
        if let Some(mut loan) = seat.loan {
            // The report ends by the kernel's closing at exec, or after death: by then the child has left our memory, in both
            // cases.
            loan.prepared.take();
            self.stacks.push(loan.stack);
        }
    }
}

impl Row {
    fn is_consecutive(&self) -> bool {
        let first = self.first();
        self.places.iter().zip(first..).all(|(place, number)| place.as_raw_fd() == number)
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
        let mut seats = (0..1000).map(|_| Seats::reserve()).find(|seats| !seats.rows.is_empty()).unwrap();
        let mut seat = seats.take().unwrap();
        let (first, free) = (seat.row.as_ref().unwrap().first(), seats.rows.len());
        let (read, write) = rustix::pipe::pipe().unwrap();
        seat.row.as_mut().unwrap().fill(&write, Some((write.as_fd(), write.as_fd()))).unwrap();
        drop(write);
        seats.part(&mut seat);
        // Nobody holds the other end any more.
        assert_eq!(rustix::io::read(&read, &mut [0; 1]).unwrap(), 0);
        let next = seats.take().unwrap();
        assert_eq!((next.row.as_ref().unwrap().first(), seats.rows.len()), (first, free));
        // The stack of the first is its own until it is given back.
        let stack = |seat: &Seat| seat.loan.as_ref().map(|loan| loan.stack.bounds());
        let of_the_first = stack(&seat);
        assert!(of_the_first.is_none() || stack(&next) != of_the_first);
        seats.give_back(seat);
        seats.give_back(next);
        assert_eq!(seats.rows.len(), free + 1);
    }
}
