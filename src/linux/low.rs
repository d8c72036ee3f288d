//! Low numbers for the descriptors that a child takes along.
//!
//! fork(2) copies the table of descriptors, and a keeper has thousands. A child that shares the table at first, and then
//! takes a copy of its low part only (close_range(2) with `CLOSE_RANGE_UNSHARE`, since Linux 5.9), is born sooner. So what
//! it takes along must have low numbers, and keep them until it is apart: rows of three are reserved when the table is
//! still empty.
//!
//! Never add here: what the child does with them.

use rustix::io::DupFlags;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// So many children can be on their way to be apart; who comes next is forked plainly.
const ROWS: usize = 16;
/// The report, and two pipes for output.
const WIDTH: usize = 3;

/// Consecutive numbers, for one child at a time. Plugged with a descriptor that means nothing while nobody needs them.
#[derive(Debug)]
pub struct Row([OwnedFd; WIDTH]);

/// The rows that are free.
#[derive(Debug)]
pub struct Rows {
    plug: Option<OwnedFd>,
    free: Vec<Row>,
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
            return Self { plug: None, free: Vec::new() };
        };
        let mut free = Vec::with_capacity(ROWS);
        for _ in 0..ROWS {
            let dup = || rustix::io::fcntl_dupfd_cloexec(&plug, 3);
            let (Ok(first), Ok(second), Ok(third)) = (dup(), dup(), dup()) else { break };
            let row = Row([first, second, third]);
            // Somebody else's descriptor lies in between: the next ones are behind it.
            if row.is_consecutive() {
                free.push(row);
            }
        }
        free.reverse();
        Self { plug: Some(plug), free }
    }

    /// A free row, if there is one.
    pub fn take(&mut self) -> Option<Row> {
        self.free.pop()
    }

    /// Closes what a row holds, and keeps its numbers.
    pub fn give_back(&mut self, mut row: Row) {
        let Some(plug) = &self.plug else { return };
        let plugged = row.0.iter_mut().all(|place| put(plug, place).is_ok());
        if plugged {
            self.free.push(row);
        }
    }
}

impl Row {
    fn is_consecutive(&self) -> bool {
        let first = self.first();
        self.0.iter().zip(first..).all(|(place, number)| place.as_raw_fd() == number)
    }

    pub(super) fn first(&self) -> RawFd {
        self.0[0].as_raw_fd()
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
        let [report, out, err] = &mut self.0;
        put(told, report)?;
        if let Some((stdout, stderr)) = output {
            put(stdout, out)?;
            put(stderr, err)?;
        }
        Ok(())
    }

    /// The places of the two pipes; one for both where they are one.
    pub(super) fn output(&self, merged: bool) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        let [_, out, err] = &self.0;
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
