//! The keeper's one value and its turn: wait, look at what happened, do what was ordered, tell the news.

use super::above::Above;
use super::claim::Claim;
use super::crashes::Crashes;
use super::held::Held;
use super::link::{LaunchOrder, Predecessor};
use super::outbox::Outbox;
use super::poller::{Interest, Poller, Source};
use super::strangers::Strangers;
use super::supervisor::{Recipe, Supervisor};
use super::table::{Serial, Table};
use super::{KeeperOptions, say};
use crate::linux::low::Seats;
use crate::linux::memory::Thrift;
use crate::linux::signals::{self, SignalQueue};
use crate::linux::{clock, limits};
use crate::model::{Moment, Signal};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Signals that are passed on to the supervisor: HUP, INT, QUIT, USR1, USR2, TERM.
const RELAYED: [i32; 6] = [1, 2, 3, 10, 12, 15];
/// Nothing of a terminal, a closed pipe or a full disk may stop or end the keeper: PIPE, TTIN, TTOU, XFSZ.
const IGNORED: [i32; 4] = [13, 21, 22, 25];
const CHILD: i32 = 17;

/// How long a supervisor that said goodbye may take to end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Everything.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) poller: Poller,
    pub(super) signals: SignalQueue,
    /// Relayed signals that were ignored when we were started (nohup, a shell's background job).
    pub(super) deaf_to: Vec<Signal>,
    pub(super) recipe: Recipe,
    pub(super) crashes: Crashes,
    pub(super) supervisor: Option<Supervisor>,
    /// The one before, so that the next can say why it is needed.
    pub(super) predecessor: Option<Predecessor>,
    /// When the next supervisor is started, while there is none.
    pub(super) start_at: Option<Moment>,
    pub(super) interest: Interest,
    /// Sending failed for want of something that comes back by itself.
    pub(super) send_again_at: Option<Moment>,
    pub(super) outbox: Outbox,
    pub(super) table: Table,
    /// Ordered, not forked yet; in order.
    pub(super) launches: VecDeque<Box<LaunchOrder>>,
    /// Forked, not executed yet.
    pub(super) in_flight: usize,
    /// Since all seats are taken: how long launches wait for one.
    pub(super) patient_until: Option<Moment>,
    /// Forked so lately that nobody was told yet, the first first, and until when that can wait.
    pub(super) on_their_way: VecDeque<(Moment, Serial)>,
    pub(super) held: Held,
    pub(super) claim: Option<Claim>,
    pub(super) above: Above,
    pub(super) strangers: Strangers,
    pub(super) soft_open_files: Option<u64>,
    /// What children have of us until they are executed.
    pub(super) seats: Seats,
    pub(super) ending: Option<Ending>,
    /// Until when nothing but orders is looked at.
    pub(super) rest_until: Option<Moment>,
    /// Gives the memory of many launches back.
    pub(super) thrift: Thrift,
}

/// The way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) code: i32,
    /// When the supervisor is no longer waited for.
    pub(super) until: Moment,
}

impl Ending {
    pub(super) fn goodbye(code: u8) -> Self {
        Self { code: i32::from(code), until: clock::now() + GOODBYE }
    }

    pub(super) fn now(code: i32) -> Self {
        Self { code, until: clock::now() }
    }
}

impl Keeper {
    pub(super) fn new(options: &KeeperOptions) -> io::Result<Self> {
        let numbered = |numbers: &[i32]| -> Vec<Signal> {
            numbers.iter().filter_map(|number| Signal::from_number(*number)).collect()
        };
        // First of all, while the low numbers are free.
        let seats = Seats::reserve();
        let relayed = numbered(&RELAYED);
        let deaf_to = relayed.iter().copied().filter(|signal| signals::is_ignored(*signal)).collect();
        for signal in numbered(&IGNORED) {
            signals::ignore(signal)?;
        }
        signals::want_child_exits()?;
        let signals = SignalQueue::new(&[relayed, numbered(&[CHILD])].concat())?;
        nix::sys::prctl::set_child_subreaper(true)?;
        let soft_open_files = limits::raise_open_files().unwrap_or_else(|error| {
            say::say(&format!("cannot raise the limit of open files: {error}"));
            limits::open_files()
        });
        let poller = Poller::new()?;
        poller.add(&signals, Source::Signals, Interest::READ)?;
        Ok(Self {
            poller,
            signals,
            deaf_to,
            recipe: Recipe::new(options),
            crashes: Crashes::default(),
            supervisor: None,
            predecessor: None,
            start_at: Some(clock::now()),
            interest: Interest::READ,
            send_again_at: None,
            outbox: Outbox::default(),
            table: Table::default(),
            launches: VecDeque::new(),
            in_flight: 0,
            patient_until: None,
            on_their_way: VecDeque::new(),
            held: Held::default(),
            claim: None,
            above: Above::named_by_environment(),
            strangers: Strangers::default(),
            soft_open_files,
            seats,
            ending: None,
            rest_until: None,
            thrift: Thrift::begun(clock::now()),
        })
    }

    /// Turns until the end. Returns the exit code.
    pub(super) fn live(mut self) -> i32 {
        loop {
            self.rest();
            let sources = self.poller.wait(clock::now(), self.deadline());
            let mut signalled = false;
            for source in sources {
                match source {
                    Source::Signals => signalled = true,
                    Source::Line => self.read_orders(),
                    Source::Supervisor => self.supervisor_ended(),
                    Source::Outcome(serial) => self.launch_told(serial),
                    Source::Process(serial) => self.process_ended(serial),
                }
            }
            self.look_for_strangers();
            if signalled {
                self.read_signals();
            }
            self.launch_next();
            self.tell_late_ones();
            self.mind_the_supervisor();
            self.tell();
            if self.thrift.tick(clock::now()) {
                self.seats.forget_stacks();
            }
            if let Some(code) = self.finished() {
                return code;
            }
        }
    }

    fn finished(&mut self) -> Option<i32> {
        let ending = self.ending?;
        if self.supervisor.is_some() && clock::now() < ending.until {
            return None;
        }
        if let Some(claim) = &self.claim {
            claim.remove_pid_file();
        }
        // What a supervisor that is given up on has frozen now must not stay so either.
        self.held.let_go();
        if let Some(supervisor) = &self.supervisor {
            // It had its time; a keeper that is gone must not leave it behind.
            let _ = crate::linux::pidfd::send_signal(&supervisor.pidfd, Signal::KILL);
        }
        Some(ending.code)
    }

    /// When something is to be done without any event.
    fn deadline(&self) -> Option<Moment> {
        let now = clock::now();
        if self.can_launch(now) {
            return Some(Moment::default());
        }
        let moments = [
            self.start_at,
            self.send_again_at,
            self.seat_due(now),
            self.late_at(),
            self.strangers.deadline(),
            self.ending.map(|ending| ending.until),
            self.pulse_deadline(),
            self.thrift.deadline(),
        ];
        moments.into_iter().flatten().min()
    }
}
