//! The supervisor's life as the keeper minds it: started, ready, answering, ended, started again.

use super::crashes::{Life, Verdict};
use super::link::{Predecessor, Report};
use super::outbox::Item;
use super::poller::{Interest, Source};
use super::say;
use super::state::{Ending, Keeper};
use super::supervisor::Pulse;
use crate::linux::child_setup::{self, Failure, Outcome};
use crate::linux::{clock, pidfd};
use crate::model::{Exit, Moment, Signal};
use std::io;
use std::time::Duration;

/// Between two questions whether it still lives.
const PING_PAUSE: Duration = Duration::from_secs(60);
/// How long it may take to answer.
const PING_PATIENCE: Duration = Duration::from_secs(60);
/// How long it may live without its line.
pub(super) const LINELESS: Duration = Duration::from_secs(1);

impl Keeper {
    /// Starts one if it is time, asks for its pulse if it is time.
    pub(super) fn mind_the_supervisor(&mut self) {
        let now = clock::now();
        if self.ending.is_none() && self.start_at.is_some_and(|at| at <= now) {
            self.start_supervisor(now);
        }
        let Some(supervisor) = &mut self.supervisor else { return };
        match supervisor.pulse {
            Pulse::AskAt(at) if at <= now => {
                supervisor.pulse = Pulse::AnswerBy(now + PING_PATIENCE);
                self.outbox.add(Item::Ping);
            }
            Pulse::AnswerBy(at) if at <= now => {
                supervisor.pulse = Pulse::GivenUp;
                if self.ending.is_none() {
                    say::say("the supervisor does not answer: it is replaced");
                }
                // ESRCH: it has ended already.
                let _ = pidfd::send_signal(&supervisor.pidfd, Signal::KILL);
            }
            Pulse::Unasked | Pulse::AskAt(_) | Pulse::AnswerBy(_) | Pulse::GivenUp => {}
        }
    }

    pub(super) fn pulse_deadline(&self) -> Option<Moment> {
        match self.supervisor.as_ref()?.pulse {
            Pulse::AskAt(at) | Pulse::AnswerBy(at) => Some(at),
            Pulse::Unasked | Pulse::GivenUp => None,
        }
    }

    pub(super) fn supervisor_ready(&mut self) {
        let now = clock::now();
        self.crashes.ready();
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.ready_at.get_or_insert(now);
            if supervisor.pulse == Pulse::Unasked {
                supervisor.pulse = Pulse::AskAt(now + PING_PAUSE);
            }
        }
    }

    pub(super) fn supervisor_answered(&mut self) {
        if let Some(supervisor) = &mut self.supervisor
            && supervisor.line.is_some()
            && let Pulse::AnswerBy(_) = supervisor.pulse
        {
            supervisor.pulse = Pulse::AskAt(clock::now() + PING_PAUSE);
        }
    }

    fn start_supervisor(&mut self, now: Moment) {
        self.start_at = None;
        self.crashes.starting();
        let started = self.recipe.start(now).and_then(|supervisor| {
            let watched =
                self.poller.add(&supervisor.pidfd, Source::Supervisor, Interest::READ).and_then(|()| {
                    match &supervisor.line {
                        Some(line) => self.poller.add(line, Source::Line, Interest::READ),
                        None => Ok(()),
                    }
                });
            match watched {
                Ok(()) => Ok(supervisor),
                Err(error) => {
                    child_setup::give_up(supervisor.pid);
                    Err(failure(&error))
                }
            }
        });
        match started {
            Ok(supervisor) => {
                self.supervisor = Some(supervisor);
                self.interest = Interest::READ;
                self.send_again_at = None;
                self.outbox.begin();
            }
            Err(failure) => {
                self.not_started(failure);
                self.judge(Life { started_at: now, ready_at: None, ended_at: clock::now(), exit: None });
            }
        }
    }

    fn not_started(&self, failure: Failure) {
        let error = io::Error::from_raw_os_error(failure.errno);
        say::say(&format!("cannot start the supervisor ({}): {error}", failure.stage));
    }

    pub(super) fn hello(&self) -> Report {
        Report::Hello {
            supervisors_before: self.crashes.starts().saturating_sub(1),
            fresh_state: self.crashes.fresh_state(),
            predecessor: self.predecessor,
        }
    }

    /// Its pidfd says that it has ended.
    pub(super) fn supervisor_ended(&mut self) {
        let Some(supervisor) = &self.supervisor else { return };
        let exit = match pidfd::reap(&supervisor.pidfd) {
            Ok(None) => return,
            Ok(Some(exit)) => exit,
            Err(_) => Exit::Unknown,
        };
        // What it had ordered counts, whatever became of it.
        self.read_last_orders();
        self.rest_until = None;
        self.held.let_go();
        self.outbox.recall(clock::now());
        let Some(supervisor) = self.supervisor.take() else { return };
        self.poller.remove(&supervisor.pidfd);
        if let Some(line) = &supervisor.line {
            self.poller.remove(line);
        }
        if self.ending.is_some() {
            return;
        }
        let exit = match child_setup::outcome(&supervisor.outcome) {
            Outcome::Failed(failure) => {
                self.not_started(failure);
                None
            }
            Outcome::Execed | Outcome::Apart | Outcome::Pending => Some(exit),
        };
        self.predecessor = exit.map(|exit| Predecessor {
            pid: supervisor.pid,
            exit,
            hung: supervisor.pulse == Pulse::GivenUp,
        });
        self.judge(Life {
            started_at: supervisor.started_at,
            ready_at: supervisor.ready_at,
            ended_at: clock::now(),
            exit,
        });
    }

    fn judge(&mut self, life: Life) {
        let programs = self.table.has_live() || !self.launches.is_empty();
        match self.crashes.died(life, programs) {
            Verdict::End(code) => self.ending = Some(Ending::now(code)),
            Verdict::StartAt(at) => {
                let pause = at.since(life.ended_at);
                if let Some(exit) = life.exit {
                    say::say(&format!("the supervisor {exit}; the programs go on, it is started again"));
                }
                if !pause.is_zero() {
                    say::say(&format!(
                        "next supervisor in {} ms (failure {} in a row)",
                        pause.as_millis(),
                        self.crashes.in_row()
                    ));
                }
                self.start_at = Some(at);
            }
        }
    }

    /// A wish to end, while no supervisor can be had and no program lives: then there is nobody to ask. Returns whether the
    /// keeper ends.
    pub(super) fn nobody_left(&mut self, signal: Signal) -> bool {
        let wish = matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT);
        let alone = self.supervisor.is_none() && self.launches.is_empty() && !self.table.has_live();
        if wish && alone && self.ending.is_none() {
            self.ending = Some(Ending::now(128 + signal.number()));
            return true;
        }
        false
    }
}

fn failure(error: &io::Error) -> Failure {
    Failure {
        stage: crate::model::LaunchStage::Prepare,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        candidate: 0,
    }
}
