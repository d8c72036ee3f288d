//! Programs: launching them in order, learning how launches went, and how processes ended.

use super::launch;
use super::link::LaunchOrder;
use super::poller::{Interest, Source};
use super::say;
use super::state::Keeper;
use super::table::{Entry, MAX_RUNS, Progress, Serial, Told};
use crate::linux::child_setup::{self, Outcome};
use crate::linux::clock;
use crate::linux::pidfd;
use crate::model::{Exit, LaunchStage, Moment, RunId};
use std::time::Duration;

/// Launches between fork and exec at once.
const MAX_IN_FLIGHT: usize = 64;
/// Forks of one turn: exits and orders in between must not wait for a thousand of them.
const FORKS_A_TURN: usize = 16;
/// So long a launch waits for a seat. Each is needed for microseconds, and without one the child copies all that we have; but
/// nobody can say when a child runs whose processor or cgroup is not given any time.
const PATIENCE: Duration = Duration::from_millis(20);
/// So long the supervisor is not told of a process that is forked and not executed: most are executed by then, and it is told of
/// both at once.
const SOON_EXECUTED: Duration = Duration::from_millis(2);
/// Orders that wait; beyond, the supervisor's socket is not read.
const MAX_WAITING: usize = 4096;

impl Keeper {
    /// Takes a launch order. A run that is known already is never started twice.
    pub(super) fn order_launch(&mut self, order: Box<LaunchOrder>) {
        let waits = self.launches.iter().any(|waiting| waiting.run == order.run);
        if waits || self.table.find(order.run).is_some() {
            say::seldom("a launch of a run that exists was ordered: ignored");
        } else if self.table.len() + self.launches.len() >= MAX_RUNS {
            self.insert(launch::failed(order.run, order.tag, LaunchStage::Prepare, libc::ENOSPC));
        } else {
            self.launches.push_back(order);
        }
    }

    /// A launch whose contents were lost.
    pub(super) fn launch_lost(&mut self, run: RunId, tag: Vec<u8>, errno: i32) {
        if self.table.find(run).is_none() {
            self.insert(launch::failed(run, tag, LaunchStage::Prepare, errno));
        }
    }

    /// Whether more orders can be taken.
    pub(super) fn has_room(&self) -> bool {
        self.launches.len() < MAX_WAITING
    }

    /// Before a table is told, all that was ordered must be in it: then the cap does not count.
    pub(super) fn can_launch(&self, now: Moment) -> bool {
        let unlimited = self.supervisor.is_none() || self.outbox.table_due();
        let has_place = || self.in_flight < MAX_IN_FLIGHT && self.seat_due(now).is_none();
        !self.launches.is_empty() && (unlimited || has_place())
    }

    /// Until when the next launch waits for a seat, if it does.
    pub(super) fn seat_due(&self, now: Moment) -> Option<Moment> {
        let until = self.patient_until.unwrap_or(now + PATIENCE);
        (!self.launches.is_empty() && self.seats.are_coming() && now < until).then_some(until)
    }

    /// Forks some of what waits.
    pub(super) fn launch_next(&mut self) {
        self.fork_some();
        self.patient_until = match self.seats.are_coming() {
            true => self.patient_until.or_else(|| Some(clock::now() + PATIENCE)),
            false => None,
        };
    }

    fn fork_some(&mut self) {
        for _ in 0..FORKS_A_TURN {
            if !self.can_launch(clock::now()) {
                return;
            }
            if !self.seats.are_coming() {
                self.patient_until = None;
            }
            if let Some(order) = self.launches.pop_front() {
                let entry = launch::launch(order, self.soft_open_files, &mut self.seats);
                self.insert(entry);
                self.thrift.worked(clock::now(), 1);
            }
        }
    }

    fn insert(&mut self, entry: Entry) {
        let serial = self.table.insert(entry);
        if let Err(error) = self.watch(serial) {
            // Nobody would see its end. Nothing of it has run long enough to be missed.
            self.give_up(serial, error.raw_os_error().unwrap_or(libc::EIO));
        }
        match self.table.get(serial).is_some_and(Entry::is_on_its_way) {
            true => self.on_their_way.push_back((clock::now() + SOON_EXECUTED, serial)),
            false => self.has_news(serial),
        }
    }

    /// Those who are not executed soon are told of as they are.
    pub(super) fn tell_late_ones(&mut self) {
        while let Some((due, serial)) = self.on_their_way.front().copied() {
            if self.table.get(serial).is_some_and(Entry::is_on_its_way) {
                if clock::now() < due {
                    return;
                }
                self.has_news(serial);
            }
            self.on_their_way.pop_front();
        }
    }

    /// When there is one to be told of.
    pub(super) fn late_at(&self) -> Option<Moment> {
        self.on_their_way.front().map(|(due, _)| *due)
    }

    fn watch(&mut self, serial: Serial) -> std::io::Result<()> {
        let Some(entry) = self.table.get(serial) else { return Ok(()) };
        if let Some(fds) = &entry.fds {
            self.poller.add(&fds.pidfd, Source::Process(serial), Interest::END)?;
        }
        if let Progress::Starting { report, .. } = &entry.progress {
            self.poller.add(report, Source::Outcome(serial), Interest::READ)?;
            self.in_flight += 1;
        }
        Ok(())
    }

    /// It has descriptors of its own, or none any more.
    fn parted(&mut self, serial: Serial) {
        if let Some(seat) = self.table.get_mut(serial).and_then(Entry::seat).and_then(Option::as_mut) {
            self.seats.part(seat);
        }
    }

    /// It is executed or dead: it shares nothing with us any more.
    fn take_seat(&mut self, serial: Serial) {
        if let Some(seat) = self.table.get_mut(serial).and_then(Entry::seat).and_then(Option::take) {
            self.seats.give_back(seat);
        }
    }

    fn give_up(&mut self, serial: Serial, errno: i32) {
        let Some(entry) = self.table.get_mut(serial) else { return };
        if let Some(fds) = entry.fds.take() {
            self.poller.remove(&fds.pidfd);
            child_setup::give_up(entry.pid);
        }
        self.take_seat(serial);
        let Some(entry) = self.table.get_mut(serial) else { return };
        let failure = launch::failed(entry.run, Vec::new(), LaunchStage::Prepare, errno);
        entry.progress = failure.progress;
    }

    /// The pipe of a launch says something.
    pub(super) fn launch_told(&mut self, serial: Serial) {
        let Some(Progress::Starting { report, .. }) = self.table.get(serial).map(|entry| &entry.progress)
        else {
            return;
        };
        let mut outcome = child_setup::outcome(report);
        if outcome == Outcome::Pending {
            return;
        }
        self.parted(serial);
        let Some(entry) = self.table.get_mut(serial) else { return };
        let Progress::Starting { report, paths, seat } = &mut entry.progress else { return };
        if outcome == Outcome::Apart {
            // Our own copy of the other end was in the row: only now the end can be seen.
            outcome = child_setup::outcome(report);
        }
        let (stage, seat) = match outcome {
            Outcome::Pending | Outcome::Apart => return,
            Outcome::Execed => (None, seat.take()),
            Outcome::Failed(failure) => (Some(paths.failed(failure)), seat.take()),
        };
        self.poller.remove(report);
        entry.progress = match stage {
            // It still stands on its stack for a moment.
            Some(stage) => Progress::Failing { stage, seat },
            None => {
                seat.into_iter().for_each(|seat| self.seats.give_back(seat));
                Progress::Running
            }
        };
        self.in_flight = self.in_flight.saturating_sub(1);
        self.has_news(serial);
    }

    /// A pidfd says that its process has ended.
    pub(super) fn process_ended(&mut self, serial: Serial) {
        // How the launch went comes first, and is known now.
        self.parted(serial);
        self.launch_told(serial);
        self.take_seat(serial);
        let Some(entry) = self.table.get_mut(serial) else { return };
        let Some(fds) = &entry.fds else { return };
        let exit = match pidfd::peek(&fds.pidfd) {
            // Whoever traces it has it first: it is asked for again.
            Ok(None) => {
                let _ = self.poller.change(&fds.pidfd, Source::Process(serial), Interest::END);
                return;
            }
            Ok(Some(exit)) => exit,
            Err(_) => Exit::Unknown,
        };
        self.strangers.known_ended(entry.pid);
        // A sibling that is just born may have a copy of the report for a moment: nothing more will come all the same.
        if let Progress::Starting { report, .. } = &entry.progress {
            self.poller.remove(report);
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        match &entry.progress {
            Progress::Failing { stage, .. } => {
                entry.progress = Progress::Failed(stage.clone());
                if entry.told != Told::Nothing || self.outbox.table_due() || self.supervisor.is_none() {
                    entry.unpin_failed();
                }
            }
            Progress::Starting { .. } | Progress::Running => entry.progress = Progress::Exited(exit),
            Progress::Failed(_) | Progress::Exited(_) => {}
        }
        if entry.released {
            self.forget(serial);
        } else {
            self.has_news(serial);
        }
    }

    /// The supervisor needs this run no longer.
    pub(super) fn release(&mut self, run: RunId) {
        self.launches.retain(|waiting| waiting.run != run);
        let Some(serial) = self.table.find(run) else { return };
        let Some(entry) = self.table.get_mut(serial) else { return };
        match entry.progress {
            Progress::Exited(_) | Progress::Failed(_) => self.forget(serial),
            Progress::Starting { .. } | Progress::Failing { .. } | Progress::Running => entry.released = true,
        }
    }

    fn forget(&mut self, serial: Serial) {
        let Some(entry) = self.table.remove(serial) else { return };
        if let Some(fds) = &entry.fds {
            // ECHILD: somebody else has reaped it, which is what is wanted.
            let _ = pidfd::reap(&fds.pidfd);
        }
    }

    /// Puts a run into the outbox, once.
    fn has_news(&mut self, serial: Serial) {
        if self.outbox.table_due() || self.supervisor.is_none() {
            return;
        }
        if let Some(entry) = self.table.get_mut(serial)
            && !entry.queued
            && !entry.released
        {
            entry.queued = true;
            self.outbox.add_run(serial);
        }
    }
}
