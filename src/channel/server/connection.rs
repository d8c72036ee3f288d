//! One connection: bytes in, lines out, both bounded. Never add here: what a line means.

use super::super::hub::{Delivery, Subscription};
use super::super::protocol::{LINE, Say};
use super::seats::{Party, Seat};
use crate::model::{InstanceLabel, Moment, RunId};
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// While so many bytes are not taken, nothing more is read or delivered.
const HIGH: usize = 64 * 1024;
/// The longest first line: `hello` and a UUID, and some room for a mistake.
const HELLO: usize = 256;
/// An empty buffer of more than this is given back.
const KEPT: usize = 4096;

/// Who is at the other end.
#[derive(Debug)]
pub(super) enum Guest {
    /// It has until then to say hello.
    Unknown {
        until: Moment,
    },
    Known {
        run: RunId,
        label: InstanceLabel,
    },
}

/// What can be had of a connection's input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line without its newline.
    Line(Vec<u8>),
    /// A line was longer than may be; it is skipped.
    TooLong,
    /// Nothing whole.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    pub(super) number: u64,
    pub(super) uid: u32,
    pid: u32,
    pub(super) guest: Guest,
    input: Vec<u8>,
    /// So many bytes were ever read.
    read: u64,
    /// So many bytes of it are done with.
    done: usize,
    /// The rest of a line that is too long is still to come.
    skipping: bool,
    pub(super) output: Vec<u8>,
    sent: usize,
    pub(super) subscription: Option<Subscription>,
    pub(super) busy: bool,
    pub(super) waits_for_stop: bool,
    /// The other end says nothing more.
    ended: bool,
    /// It is to be closed as soon as everything is out.
    pub(super) closing: bool,
    /// It cannot be used any more.
    pub(super) broken: bool,
    /// What it is watched for.
    pub(super) watched: (bool, bool),
}

impl Connection {
    pub(super) fn new(stream: UnixStream, number: u64, (uid, pid): (u32, u32), until: Moment) -> Self {
        Self {
            stream,
            number,
            uid,
            pid,
            guest: Guest::Unknown { until },
            input: Vec::new(),
            read: 0,
            done: 0,
            skipping: false,
            output: Vec::new(),
            sent: 0,
            subscription: None,
            busy: false,
            waits_for_stop: false,
            ended: false,
            closing: false,
            broken: false,
            watched: (true, false),
        }
    }

    pub(super) fn run(&self) -> Option<RunId> {
        match self.guest {
            Guest::Known { run, .. } => Some(run),
            Guest::Unknown { .. } => None,
        }
    }

    pub(super) fn seat(&self, weight: usize) -> Seat {
        let party = self.run().map_or(Party::Process(self.pid), Party::Run);
        Seat { number: self.number, uid: self.uid, party, busy: self.busy, weight }
    }

    /// Bytes of memory that it holds.
    pub(super) fn held(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    fn owed(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Whether the other end takes what it gets, so that it may get more.
    pub(super) fn has_room(&self) -> bool {
        self.owed() < HIGH
    }

    /// Whether there is nothing more to do with it.
    pub(super) fn is_over(&self) -> bool {
        self.broken
            || ((self.ended || self.closing) && self.owed() == 0 && (self.closing || !self.has_line()))
    }

    /// What it is to be watched for: reading and writing.
    pub(super) fn interest(&self) -> (bool, bool) {
        (!self.ended && !self.closing && self.has_room(), self.owed() > 0)
    }

    /// How many bytes were read so far.
    pub(super) fn has_read(&self) -> u64 {
        self.read
    }

    /// How many will have been, when all that has arrived by now is.
    pub(super) fn arrived(&self) -> u64 {
        self.read + rustix::io::ioctl_fionread(&self.stream).unwrap_or(0)
    }

    /// Changes with every byte that is read or done with.
    pub(super) fn progress(&self) -> (u64, usize) {
        (self.read, self.input.len() - self.done)
    }

    /// Reads once, as much as `scratch` holds. Whether there was anything.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> bool {
        if self.ended || self.broken {
            return false;
        }
        match rustix::net::recv(&self.stream, &mut *scratch, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => self.ended = true,
            Ok((_, count)) => {
                self.compact();
                self.read += count as u64;
                self.input.extend_from_slice(&scratch[..count]);
                return true;
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // What came before the end was read before it.
            Err(_) => (self.ended, self.broken) = (true, !self.has_line()),
        }
        false
    }

    fn compact(&mut self) {
        self.input.drain(..self.done);
        self.done = 0;
        if self.input.is_empty() && self.input.capacity() > KEPT {
            self.input = Vec::new();
        }
    }

    /// Whether [`Connection::next`] has something.
    pub(super) fn has_line(&self) -> bool {
        let rest = &self.input[self.done..];
        memchr::memchr(b'\n', rest).is_some() || (!self.skipping && rest.len() >= self.longest())
    }

    fn longest(&self) -> usize {
        match self.guest {
            Guest::Unknown { .. } => HELLO,
            Guest::Known { .. } => LINE,
        }
    }

    /// The next line that has come.
    pub(super) fn next(&mut self) -> Input {
        loop {
            let rest = &self.input[self.done..];
            let longest = self.longest();
            match memchr::memchr(b'\n', rest) {
                Some(at) => {
                    let line = (at < longest).then(|| rest[..at].to_vec());
                    self.done += at + 1;
                    if std::mem::take(&mut self.skipping) {
                        continue;
                    }
                    return line.map_or(Input::TooLong, Input::Line);
                }
                None if self.skipping => {
                    self.done = self.input.len();
                    self.compact();
                    return Input::Nothing;
                }
                None if rest.len() >= longest => {
                    (self.skipping, self.done) = (true, self.input.len());
                    self.compact();
                    return Input::TooLong;
                }
                None => {
                    self.compact();
                    return Input::Nothing;
                }
            }
        }
    }

    /// Puts messages into the output as long as there is room. Whether there may be more.
    pub(super) fn deliver(&mut self) -> bool {
        while self.has_room() {
            match self.subscription.as_ref().and_then(Subscription::next) {
                Some(Delivery::Message(message)) => self.output.message(&message),
                Some(Delivery::Missed(count)) => self.output.line(format_args!("missed {count}")),
                None => return false,
            }
        }
        true
    }

    /// Sends what can be sent now.
    pub(super) fn flush(&mut self) {
        while self.owed() > 0 && !self.broken {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(&self.stream, &self.output[self.sent..], flags) {
                Ok(count) => self.sent += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => self.lose(),
            }
        }
        if self.owed() == 0 {
            self.sent = 0;
            self.output.clear();
            if self.output.capacity() > KEPT {
                self.output = Vec::new();
            }
        } else if self.sent > HIGH {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Nobody takes answers any more; what was said before still counts.
    fn lose(&mut self) {
        self.sent = self.output.len();
        (self.subscription, self.waits_for_stop) = (None, false);
        self.broken = self.ended && !self.has_line();
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Takes one connection of those that wait.
///
/// # Errors
/// As accept4(2); `WouldBlock`: there is none.
pub(super) fn accept(listener: impl AsFd) -> io::Result<UnixStream> {
    use rustix::net::SocketFlags;
    let stream = rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    Ok(UnixStream::from(stream))
}
