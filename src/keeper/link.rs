//! The supervisor's end of the line to its keeper: orders out, reports in.
//!
//! In: the socket that the keeper left at descriptor [`LINK_FD`]. Never add here: decisions, retries, threads.

pub use super::order::{
    Ends, HoldFor, Identity, LaunchOrder, MAX_ABOVE, MAX_HELD, MAX_REST, MAX_TAG, Order, Output,
};
pub use super::report::{Predecessor, ProcessFds, Report, SignalOrigin, Stage};

use super::{order_frames, report_frames};
use crate::linux::fds;
use crate::linux::packet::{self, Waiting};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Where the supervisor finds its end of the socket.
pub const LINK_FD: i32 = 3;

/// How often and how long an order waits for descriptors on their way: five seconds at most.
const MAX_PAUSES: u32 = 5000;
const PAUSE: Duration = Duration::from_millis(1);

/// The line to the keeper.
#[derive(Debug)]
pub struct Link {
    socket: Arc<OwnedFd>,
    /// The second report of the packet that was read last.
    second: RefCell<Option<Report>>,
}

/// Sends orders; any number of these can exist, on any threads.
#[derive(Debug, Clone)]
pub struct Sender {
    socket: Arc<OwnedFd>,
}

impl Link {
    /// The line that the keeper left for this process at [`LINK_FD`]. Call it once, first of all.
    ///
    /// # Errors
    /// EBADF: this process was not started by a keeper.
    pub fn inherited() -> io::Result<Self> {
        fds::inherited(LINK_FD).map(Self::from_fd)
    }

    /// A line over this socket.
    pub fn from_fd(socket: OwnedFd) -> Self {
        Self { socket: Arc::new(socket), second: RefCell::default() }
    }

    /// An end for sending.
    pub fn sender(&self) -> Sender {
        Sender { socket: Arc::clone(&self.socket) }
    }

    /// The next report, if there is one already.
    ///
    /// # Errors
    /// As [`Link::receive`]; EAGAIN: there is none now.
    pub fn try_receive(&self) -> io::Result<Option<Report>> {
        self.take(Waiting::Never)
    }

    /// Waits for the next report. `None`: the keeper is gone. A report that could not be understood or that lost its
    /// descriptors on the way is an error: the keeper believes that it was told, so the supervisor had better end without a
    /// goodbye, and its successor is told everything.
    ///
    /// # Errors
    /// EMFILE: no descriptor was free for those of the report, which is lost. EBADMSG: not a report.
    pub fn receive(&self) -> io::Result<Option<Report>> {
        self.take(Waiting::Allowed)
    }

    fn take(&self, waiting: Waiting) -> io::Result<Option<Report>> {
        if let Some(report) = self.second.borrow_mut().take() {
            return Ok(Some(report));
        }
        let packet = loop {
            match packet::receive(self.socket.as_fd(), waiting) {
                // The keeper died with orders unread. Told once; what it had reported comes with the next reads.
                Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {}
                received => break received?,
            }
        };
        if packet.bytes.is_empty() {
            return Ok(None);
        }
        if packet.cut {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let garbled = |_| io::Error::from_raw_os_error(libc::EBADMSG);
        let (first, second) = report_frames::decode(packet).map_err(garbled)?;
        *self.second.borrow_mut() = second;
        Ok(Some(first))
    }
}

/// For waiting for reports together with other things: when [`Link::try_receive`] has found none.
impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Sender {
    /// Sends an order if that can be done at once.
    ///
    /// # Errors
    /// As [`Sender::send`]. EAGAIN, ETOOMANYREFS: the keeper is behind; that passes.
    pub fn try_send(&self, order: &Order) -> io::Result<()> {
        let (bytes, beside) = order_frames::encode(order)?;
        packet::send(self.socket.as_fd(), &bytes, &beside.all(), Waiting::Never)
    }

    /// Sends an order. Waits only while the keeper is behind with hundreds of orders.
    ///
    /// # Errors
    /// EPIPE: the keeper is gone. EMSGSIZE: a tag, path, name or text is too long. EMFILE, ENOMEM: the order was not sent.
    pub fn send(&self, order: &Order) -> io::Result<()> {
        let (bytes, beside) = order_frames::encode(order)?;
        let fds = beside.all();
        let mut pauses = 0;
        loop {
            match packet::send(self.socket.as_fd(), &bytes, &fds, Waiting::Allowed) {
                // A user without root's rights has as many descriptors on their way as RLIMIT_NOFILE says. The keeper is about to
                // take them, and no event tells when.
                Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) && pauses < MAX_PAUSES => {
                    pauses += 1;
                    std::thread::sleep(PAUSE);
                }
                result => return result,
            }
        }
    }
}
