//! The line to the supervisor: orders come in, news go out. Neither ever waits.

use super::claim::{Claim, Refusal};
use super::link::{Order, Report, SignalOrigin};
use super::order_frames::{self, Arrived};
use super::outbox::Item;
use super::poller::{self, Interest, Source};
use super::report_frames::{self, Outgoing};
use super::state::{Ending, Keeper};
use super::supervisor::Pulse;
use super::table::{Serial, Told};
use super::{say, supervisor_life};
use crate::linux::packet::{self, Packet, Waiting};
use crate::linux::{clock, signals::Caught};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Orders of one turn.
const ORDERS_A_TURN: usize = 128;
/// Orders read from a supervisor that died. It cannot send more; who still has a copy of its socket could.
const LAST_ORDERS: usize = 16 * 1024;
/// Until something that was short (memory, descriptors on their way) is tried again.
const SHORTAGE: Duration = Duration::from_millis(20);
/// Children's ends, as a number of signal(7).
const CHILD: i32 = 17;

/// What was sent.
enum Sent {
    /// News of a run, and what is told thereby; `None`: it had become void.
    Run(Serial, Option<Told>),
    /// Anything else.
    Other,
}

impl Keeper {
    /// Reads what the supervisor ordered, a bounded part.
    pub(super) fn read_orders(&mut self) {
        for _ in 0..ORDERS_A_TURN {
            if !self.has_room() || !self.read_order() {
                return;
            }
        }
    }

    /// Reads everything that a dead supervisor had ordered.
    pub(super) fn read_last_orders(&mut self) {
        for _ in 0..LAST_ORDERS {
            if !self.read_order() {
                return;
            }
        }
    }

    /// Reads and executes one order. Returns whether there may be more.
    fn read_order(&mut self) -> bool {
        let Some(line) = self.line() else { return false };
        match packet::receive(line, Waiting::Never) {
            Ok(packet) if packet.bytes.is_empty() => {
                // An empty packet looks like the end of the line, but only a closed line is.
                let closed = packet::is_closed(line);
                if closed {
                    self.hang_up();
                }
                !closed
            }
            Ok(packet) => {
                self.execute(packet);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // It died with reports unread. Told once; what it had ordered comes with the next reads.
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => true,
            Err(_) => {
                self.hang_up();
                false
            }
        }
    }

    /// Waits for nothing but the next order, if that was ordered: those who end meanwhile are all looked at afterwards.
    pub(super) fn rest(&mut self) {
        let Some(until) = self.rest_until.take() else { return };
        if self.in_flight == 0
            && self.launches.is_empty()
            && let Some(line) = self.line()
        {
            poller::wait_for(line, clock::now(), until);
        }
    }

    fn line(&self) -> Option<&OwnedFd> {
        self.supervisor.as_ref()?.line.as_ref()
    }

    /// A supervisor without a line is of no use: it is made an end of (if it has not ended by itself).
    fn hang_up(&mut self) {
        if let Some(supervisor) = &mut self.supervisor
            && let Some(line) = supervisor.line.take()
        {
            self.poller.remove(&line);
            supervisor.pulse = Pulse::AnswerBy(clock::now() + supervisor_life::LINELESS);
        }
    }

    fn execute(&mut self, packet: Packet) {
        self.rest_until = None;
        match order_frames::decode(packet) {
            Ok(Arrived::Order(order)) => self.obey(order),
            Ok(Arrived::Launch(order)) => self.order_launch(order),
            Ok(Arrived::LostLaunch { run, tag, errno }) => self.launch_lost(run, tag, errno),
            Err(garbled) => say::seldom(&format!("an order was ignored: {garbled}")),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Claim { runtime_dir, pid_file } => {
                let claimed = match &mut self.claim {
                    Some(claim) => claim.again(&runtime_dir, &pid_file),
                    None => Claim::take(&runtime_dir, &pid_file).map(|claim| self.claim = Some(claim)),
                };
                self.outbox.add(match claimed {
                    Ok(()) => Item::Claimed,
                    Err(Refusal { holder, message }) => Item::ClaimRefused { holder, message },
                });
            }
            Order::Launch(order) => self.order_launch(order),
            Order::Release { run } => self.release(run),
            Order::Hold { name, fd, purpose } => self.held.hold(name, fd, purpose),
            Order::Unhold { name } => self.held.drop_it(&name),
            Order::Ready => self.supervisor_ready(),
            Order::TellAbove { text } => self.above.tell(&text),
            Order::Pong => self.supervisor_answered(),
            Order::Rest { at_most } => self.rest_until = Some(clock::now() + at_most),
            Order::Goodbye { code } => self.ending = Some(Ending::goodbye(code)),
        }
    }

    /// Signals to us are passed on; SIGCHLD is for the strangers.
    pub(super) fn read_signals(&mut self) {
        while let Ok(Some(caught)) = self.signals.next() {
            if caught.signal.number() == CHILD {
                self.strangers.child_ended(clock::now(), caught.pid);
            } else {
                self.relay(caught);
            }
        }
    }

    fn relay(&mut self, caught: Caught) {
        let Caught { signal, code, pid, uid } = caught;
        let from_kernel = code > 0;
        if from_kernel && self.deaf_to.contains(&signal) {
            return;
        }
        if self.nobody_left(signal) {
            return;
        }
        let origin = if from_kernel { SignalOrigin::Kernel } else { SignalOrigin::Process { pid, uid } };
        self.outbox.add(Item::Signal { signal, origin });
    }

    /// Sends what there is to tell, until the socket is full.
    pub(super) fn tell(&mut self) {
        if self.outbox.table_due() && self.launches.is_empty() && self.supervisor.is_some() {
            let runs = self.table.hand_over();
            self.outbox.add_table(runs, self.held.kept());
        }
        let full = self.send_again_at.is_some_and(|at| at > clock::now()) || self.send_all();
        self.update_interest(full && self.send_again_at.is_none());
    }

    /// Returns whether something is left because the socket is full.
    fn send_all(&mut self) -> bool {
        self.send_again_at = None;
        while let Some((sent, item)) = self.send_first() {
            match sent {
                Ok(()) => self.was_sent(item),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => match error.raw_os_error() {
                    Some(libc::ETOOMANYREFS | libc::ENOMEM | libc::ENOBUFS) => {
                        self.send_again_at = Some(clock::now() + SHORTAGE);
                        return true;
                    }
                    // The supervisor is gone: its end will be told. What it had ordered counts.
                    Some(_) | None => {
                        self.read_last_orders();
                        self.hang_up();
                        return false;
                    }
                },
            }
        }
        false
    }

    fn was_sent(&mut self, item: Sent) {
        let more = match item {
            Sent::Run(serial, told) => self.table.get_mut(serial).is_some_and(|entry| {
                entry.queued = told.is_some_and(|level| entry.was_told(level));
                entry.queued
            }),
            Sent::Other => false,
        };
        if !more {
            self.outbox.done(clock::now());
        }
    }

    /// Sends the first item. `None`: there is none, or nobody to tell. An item that has become void counts as sent.
    fn send_first(&self) -> Option<(io::Result<()>, Sent)> {
        let line = self.line()?;
        let send = |(bytes, fds): Outgoing<'_>| packet::send(line, &bytes, &fds, Waiting::Never);
        let report = |report: Report| (send(report_frames::encode(&report)), Sent::Other);
        Some(match self.outbox.first()? {
            Item::Run(serial) => match self.table.get(*serial).and_then(|entry| entry.news()) {
                Some((outgoing, level)) => (send(outgoing), Sent::Run(*serial, Some(level))),
                None => (Ok(()), Sent::Run(*serial, None)),
            },
            Item::Held(name) => match self.held.get(name) {
                Some(fd) => (send(report_frames::held(name, fd)), Sent::Other),
                None => (Ok(()), Sent::Other),
            },
            Item::Hello => report(self.hello()),
            Item::TableEnd => report(Report::TableEnd),
            Item::Claimed => report(Report::Claimed),
            Item::ClaimRefused { holder, message } => {
                report(Report::ClaimRefused { holder: *holder, message: message.clone() })
            }
            Item::Signal { signal, origin } => report(Report::Signal { signal: *signal, origin: *origin }),
            Item::Strangers => report(Report::Strangers),
            Item::Ping => report(Report::Ping),
        })
    }

    /// Watches the line for what can be done with it now.
    fn update_interest(&mut self, write: bool) {
        let wanted = Interest { read: self.has_room(), write, once: false };
        if wanted == self.interest {
            return;
        }
        if let Some(line) = self.line()
            && self.poller.change(line.as_fd(), Source::Line, wanted).is_ok()
        {
            self.interest = wanted;
        }
    }
}
