//! Ready and alive: what a run says of itself, and what its silence means.

use super::drain::NOT_WANTED;
use super::ended::humane;
use super::instance::{News, Turn};
use super::mutant::mutant;
use super::{Action, Fact, Instance, Patience, Phase, Replace, Run, Watchdog};
use crate::model::{Moment, ReadyBy};
use std::time::Duration;

impl Instance {
    pub(super) fn while_starting(&mut self, turn: &mut Turn<'_>, mut run: Run, news: News) {
        match news {
            News::Launched { pid } if run.started_at.is_none() => {
                run.pid = Some(pid);
                run.started_at = Some(turn.now);
                turn.note(run.label.clone(), Fact::Started { pid });
                match run.ready.by {
                    ReadyBy::Notify if !run.ready_said && !mutant!(ReadyAtOnce) => {
                        self.why = "waits for its word that it is ready".to_owned();
                        self.phase = Phase::Starting(run);
                    }
                    ReadyBy::Notify | ReadyBy::Spawn => self.gets_ready(turn, run, None),
                }
            }
            News::Ready if run.started_at.is_none() => {
                run.ready_said = true;
                self.phase = Phase::Starting(run);
            }
            News::Ready => self.gets_ready(turn, run, Some("it said that it is ready")),
            News::LaunchFailed(failure) => {
                turn.note(run.label.clone(), Fact::LaunchFailed(failure.clone()));
                turn.release(run.id);
                self.after_failed_launch(turn, failure);
            }
            News::Exited(exit, words) => {
                // That it was executed may have been told to a supervisor that is no more.
                run.started_at = run.started_at.or(Some(turn.now));
                if run.ready.by == ReadyBy::Spawn || run.ready_said {
                    run.ready_at = run.started_at;
                }
                run.words = words;
                let deadline = turn.now + run.spec.stop.grace();
                self.main_ended(turn, run, exit, deadline);
            }
            news @ (News::Launched { .. }
            | News::TreeLeft(_)
            | News::TreeEmpty
            | News::StopCommandDone(_)
            | News::HookDone(..)
            | News::Beat(_)
            | News::Stuck(_)
            | News::BeatEvery(_)
            | News::Extend(_)
            | News::Work(_)) => {
                run.takes_note(turn.now, &news);
                self.phase = Phase::Starting(run);
            }
        }
    }

    fn gets_ready(&mut self, turn: &mut Turn<'_>, mut run: Run, why: Option<&str>) {
        run.is_ready(turn.now);
        // A late start that was left running has come to its end.
        if turn.wish.is_run() && self.replace.is_none() {
            run.patience = Patience::Whole;
        }
        self.enter(turn, Phase::Running(run), why.map(str::to_owned));
    }

    /// It runs and is not ready: a stop need not wait for that, and it must not take for ever.
    pub(super) fn settle_starting(&mut self, turn: &mut Turn<'_>, mut run: Run) {
        if mutant!(SecondLaunch) && self.replace.is_some() && turn.wish.is_run() {
            return self.launch(turn, String::new(), false);
        }
        if run.started_at.is_none() {
            self.phase = Phase::Starting(run);
            return;
        }
        let wanted = turn.wish.is_run() && self.replace.is_none() && run.late.is_none();
        if wanted && run.patience == Patience::GivenUp {
            run.patience = Patience::Whole;
            self.why = NOT_WANTED.to_owned();
        }
        let given_up = run.patience == Patience::GivenUp && !turn.wish.is_shutdown() && !self.is_forced(turn);
        let too_late = run.ready_deadline().is_some_and(|at| at <= turn.now);
        let replace_now = self.replace.is_some() && turn.may_replace;
        if given_up {
            self.phase = Phase::Starting(run);
            return;
        }
        if too_late {
            let timeout = humane(run.ready.timeout);
            let how = format!("it did not say that it is ready within {timeout} (ready.timeout)");
            turn.note(run.label.clone(), Fact::NotReady { how: how.clone() });
            run.late = Some(how);
        } else if turn.wish.is_run() && !replace_now && run.late.is_none() {
            self.phase = Phase::Starting(run);
            return;
        }
        self.open_gate(turn, run);
    }

    /// When its silence is too long, as far as is known. What is to be stopped anyway is not watched.
    pub(super) fn pulse_deadline(&self, run: &Run) -> Option<Moment> {
        let wanted = matches!(self.replace, None | Some(Replace::Edit(_)));
        let watched = wanted && run.patience != Patience::GivenUp && !mutant!(NoWatchdog);
        run.watchdog
            .filter(|watchdog| watched && !watchdog.checking)
            .map(|watchdog| watchdog.last + watchdog.every)
    }

    /// No beat was heard for too long: ask, since the rewriting of a lock tells nobody.
    pub(super) fn watch_pulse(&mut self, turn: &mut Turn<'_>, run: &mut Run) {
        let due = self.pulse_deadline(run).is_some_and(|at| at <= turn.now);
        if let Some(watchdog) = run.watchdog.as_mut().filter(|_| due) {
            watchdog.checking = true;
            turn.out.push_back(Action::CheckBeat { run: run.id });
        }
    }

    /// What a running program's sign of life, or the lack of one, means.
    pub(super) fn feels_pulse(&mut self, turn: &mut Turn<'_>, run: &mut Run, news: &News) {
        let silent = match (news, &mut run.watchdog) {
            (News::Beat(at), Some(watchdog)) => {
                watchdog.last = watchdog.last.max(*at);
                let asked = std::mem::replace(&mut watchdog.checking, false);
                let silent = turn.now.since(watchdog.last);
                (asked && silent >= watchdog.every)
                    .then(|| format!("it gave no sign of life for {}", humane(silent)))
            }
            (News::Stuck(how), _) => Some(how.clone()),
            _ => None,
        };
        if let (Some(silent), None | Some(Replace::Edit(_))) = (silent, &self.replace) {
            turn.note(run.label.clone(), Fact::Stuck { how: silent.clone() });
            self.replace = Some(Replace::Stuck(silent));
        }
    }
}

impl Run {
    /// It can do its job, even if it was too late to say so and left running since it is busy.
    pub(super) fn is_ready(&mut self, now: Moment) {
        self.ready_at = Some(now);
        self.late = None;
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.last = now;
        }
    }

    /// When it must be ready, if it is not and has to say so.
    pub(super) fn ready_deadline(&self) -> Option<Moment> {
        if self.ready.by == ReadyBy::Spawn || self.ready_at.is_some() || mutant!(EndlessStart) {
            return None;
        }
        // Nothing follows from it any more, or not while a stop is given up.
        if self.late.is_some() || self.patience == Patience::GivenUp {
            return None;
        }
        let at = self.started_at? + self.ready.timeout;
        Some(self.extended.map_or(at, |extended| extended.max(at)))
    }

    /// News that matter only later.
    pub(super) fn takes_note(&mut self, now: Moment, news: &News) {
        match news {
            News::Ready => self.ready_said = true,
            News::Beat(at) => {
                if let Some(watchdog) = &mut self.watchdog {
                    watchdog.last = watchdog.last.max(*at);
                    watchdog.checking = false;
                }
            }
            // So it switches the watch off (sd_notify(3)).
            News::BeatEvery(Duration::ZERO) => self.watchdog = None,
            News::BeatEvery(every) => {
                let last = self.watchdog.map_or(now, |watchdog| watchdog.last.max(now));
                self.watchdog = Some(Watchdog { every: *every, last, checking: false });
            }
            News::Extend(by) => self.extended = Some(now + *by),
            _ => {}
        }
    }
}
