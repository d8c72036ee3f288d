//! One run's two ends, and how much of it is heard when.

use super::line::{Lines, saying};
use super::notify::{MAX_MESSAGE, message};
use super::text::beginning;
use super::{Heard, Way};
use crate::linux::datagram;
use crate::model::{RunId, Saying};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Read from a FIFO in one turn, in bytes: two lines of the longest.
const CHUNK: usize = 8 * 1024;

/// Messages of a socket in one turn.
const MESSAGES: usize = 16;

/// How much of one run is heard in a [`SPAN`], in things said; more waits, and so does who writes it. As much as one thing is what
/// it takes to read so many bytes.
const RATE: u32 = 10_000;
const COSTS: usize = 256;
const SPAN: Duration = Duration::from_secs(1);

/// The most that a drain reads: a FIFO holds at most 1 MiB for a user without privileges, a socket as many
/// messages as net.unix.max_dgram_qlen says.
const DRAIN_BYTES: usize = 1024 * 1024;
const DRAIN_MESSAGES: usize = 4096;

/// How many of a run's descriptors may be waiting for their close, each on a thread of its own. One whose close takes long is a
/// trick; its run is not heard by its socket meanwhile.
const CLOSING: usize = 4;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Fifo,
    Socket,
}

pub(super) struct Voice {
    pub(super) run: RunId,
    pub(super) fifo: OwnedFd,
    pub(super) sd: Option<OwnedFd>,
    lines: Lines,
    /// What was heard since `since`.
    count: u32,
    since: Instant,
    /// Descriptors that came and are being closed elsewhere.
    closing: Arc<AtomicUsize>,
}

/// Where what was heard goes to; equal things in a row count once where saying them again changes nothing.
pub(super) struct Batch {
    pub(super) heard: Vec<Heard>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { heard: Vec::new() }
    }

    fn push(&mut self, heard: Heard) {
        let again = self.heard.last() == Some(&heard);
        let counts = match &heard.saying {
            Saying::Request
            | Saying::Publish { .. }
            | Saying::Unknown(_)
            | Saying::RestartMe(_)
            | Saying::StopMe(_)
            | Saying::Extend(_) => true,
            Saying::Ready
            | Saying::Busy(_)
            | Saying::Idle
            | Saying::Beat
            | Saying::Stuck
            | Saying::BeatEvery(_)
            | Saying::Status(_)
            | Saying::Reloading
            | Saying::Stopping
            | Saying::MainPid(_) => false,
        };
        if counts || !again {
            self.heard.push(heard);
        }
    }
}

impl Voice {
    pub(super) fn new(run: RunId, fifo: OwnedFd, sd: Option<OwnedFd>, now: Instant) -> Self {
        let closing = Arc::new(AtomicUsize::new(0));
        Self { run, fifo, sd, lines: Lines::default(), count: 0, since: now, closing }
    }

    /// Until when nothing more of it is to be heard, if it has said too much lately.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        let end = self.since + SPAN;
        (self.count >= RATE && now < end).then_some(end)
    }

    /// Whether its socket has to wait for closes.
    pub(super) fn is_stuck(&self) -> bool {
        self.closing.load(Ordering::Acquire) >= CLOSING
    }

    fn counted(&mut self, said: usize, now: Instant) {
        if now.saturating_duration_since(self.since) >= SPAN {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(u32::try_from(said).unwrap_or(u32::MAX));
    }

    /// Hears one turn's worth.
    pub(super) fn turn(&mut self, end: End, now: Instant, wake: &Wake) -> Batch {
        let mut batch = Batch::new();
        let said = match end {
            End::Fifo => self.read_fifo(CHUNK, &mut batch),
            End::Socket => self.read_socket(MESSAGES, &mut batch, wake).0,
        };
        self.counted(said, now);
        batch
    }

    /// Hears everything that is there. Returns whether that was all.
    pub(super) fn drain(&mut self, batch: &mut Batch, wake: &Wake) -> bool {
        self.read_fifo(DRAIN_BYTES, batch);
        self.read_socket(DRAIN_MESSAGES, batch, wake).1
    }

    /// Reads at most so many bytes. Returns how many things were said, also those that are not worth telling.
    fn read_fifo(&mut self, most: usize, batch: &mut Batch) -> usize {
        let (mut buffer, mut left, mut said) = ([0; CHUNK], most, 0);
        while left > 0 {
            let count = match rustix::io::read(&self.fifo, &mut buffer) {
                Err(rustix::io::Errno::INTR) => continue,
                // Nothing more, or nothing can be had of it.
                Ok(0) | Err(_) => return said,
                Ok(count) => count,
            };
            left = left.saturating_sub(count);
            said += count / COSTS;
            let read = buffer.get(..count).unwrap_or(&buffer);
            self.lines.feed(read, |line| {
                said += 1;
                let saying = match line {
                    Ok(line) => saying(line),
                    Err(too_long) => Some(Saying::Unknown(beginning(too_long))),
                };
                if let Some(saying) = saying {
                    batch.push(Heard { way: Way::Line, saying });
                }
            });
        }
        said
    }

    /// Takes at most so many messages. Returns how many things were said, and whether no message is left.
    fn read_socket(&mut self, most: usize, batch: &mut Batch, wake: &Wake) -> (usize, bool) {
        let (mut buffer, mut said) = ([0; MAX_MESSAGE], 0);
        for _ in 0..most {
            if self.is_stuck() {
                return (said, false);
            }
            let Some(sd) = &self.sd else { return (said, true) };
            let came = match datagram::receive(sd, &mut buffer) {
                Ok(Some(came)) => came,
                Ok(None) | Err(_) => return (said, true),
            };
            said += 1;
            let way = Way::Notify { pid: came.sender.pid };
            if came.cut {
                batch.push(Heard { way, saying: Saying::Unknown(beginning(&came.bytes)) });
                self.close(came.fds, wake);
                continue;
            }
            let message = message(&came.bytes);
            said += message.sayings.len();
            for saying in message.sayings {
                batch.push(Heard { way, saying });
            }
            if message.barrier {
                // What was written before it by the other way is before it too.
                self.read_fifo(DRAIN_BYTES, batch);
                wake.tell(self.run, batch);
            }
            self.close(came.fds, wake);
        }
        (said, false)
    }

    /// Closes descriptors that came. Pipes close at once; of anything else the sender may have made the close as slow as it likes.
    fn close(&self, fds: Vec<OwnedFd>, wake: &Wake) {
        let (quick, slow): (Vec<_>, Vec<_>) = fds.into_iter().partition(|fd| datagram::closes_quickly(fd));
        drop(quick);
        if slow.is_empty() {
            return;
        }
        self.closing.fetch_add(1, Ordering::AcqRel);
        let (closing, eventfd) = (Arc::clone(&self.closing), Arc::clone(&wake.eventfd));
        let close = move || {
            drop(slow);
            closing.fetch_sub(1, Ordering::AcqRel);
            let _ = rustix::io::write(&*eventfd, &1_u64.to_ne_bytes());
        };
        let thread = std::thread::Builder::new().name("sppm-close".to_owned()).stack_size(64 * 1024);
        if thread.spawn(close).is_err() {
            // They were closed with the closure, here.
            self.closing.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The run is gone: nobody can send any more, and what was sent is thrown away. The last holder of a socket closes the
    /// descriptors on their way in it, and that must not be the keeper.
    pub(super) fn end(mut self, wake: &Wake) {
        if let Some(sd) = &self.sd {
            let _: io::Result<()> = datagram::refuse_more(sd);
        }
        self.read_socket(DRAIN_MESSAGES, &mut Batch::new(), wake);
    }
}

/// What a voice needs of the thread that hears it.
pub(super) struct Wake {
    pub(super) eventfd: Arc<OwnedFd>,
    pub(super) heard: Box<dyn Fn(RunId, Heard) + Send>,
}

impl Wake {
    /// Tells what was heard.
    pub(super) fn tell(&self, run: RunId, batch: &mut Batch) {
        for heard in batch.heard.drain(..) {
            (self.heard)(run, heard);
        }
    }
}
