//! What follows the end of a run: nothing, a pause, giving up, or the next launch.

use super::edit::outdated;
use super::instance::Turn;
use super::restart::{AfterFailure, Failures, Verdict, judge};
use super::wish::Wish;
use super::{Action, EndCause, Instance, Launch, Phase, Replace, Run, Ticket, Trial};
use crate::model::{Exit, LaunchFailure, Moment, Program, Signal};
use std::sync::Arc;
use std::time::Duration;

impl Instance {
    /// Nothing of the run lives any more: what next?
    pub(super) fn run_ended(&mut self, turn: &mut Turn<'_>, run: Run) {
        turn.release(run.id);
        let (exit, at) = run.exit.unwrap_or((Exit::Unknown, turn.now));
        self.last_exit = Some((exit, at));
        self.overdue.clone_from(&run.overdue);
        match (&turn.wish, turn.spec) {
            (Wish::Stop(reason), _) => {
                let why = reason.text(turn.slot.program.as_str());
                self.stop_here(turn, why);
            }
            (Wish::Run, None) => self.stop_here(turn, String::new()),
            (Wish::Run, Some(spec)) if let (Some(late), None) = (&run.late, &self.replace) => {
                let spec = Arc::clone(spec);
                self.failed_start(turn, &spec, late);
            }
            // Stuck again and again is no better than ending again and again.
            (Wish::Run, Some(spec))
                if let (Some(Replace::Stuck(how)), false) = (&self.replace, run.was_steady(at)) =>
            {
                let (spec, how) = (Arc::clone(spec), how.clone());
                self.replace = None;
                self.failed_start(turn, &spec, &how);
            }
            (Wish::Run, Some(_)) if run.asked || self.replace.is_some() => {
                let why =
                    self.launch_text("restarted").unwrap_or_else(|| "started again after a stop".to_owned());
                // A stuck one is no replacement by something else.
                let judged = match &self.replace {
                    Some(Replace::Stuck(_)) => outdated(&run, turn).is_some(),
                    Some(Replace::Edit(_) | Replace::Operator { .. }) => true,
                    None => false,
                };
                self.calm_down();
                self.launch(turn, why, judged);
            }
            (Wish::Run, Some(spec)) => {
                let spec = Arc::clone(spec);
                self.ended_by_itself(turn, &spec, &run, (exit, at));
            }
        }
    }

    fn ended_by_itself(
        &mut self,
        turn: &mut Turn<'_>,
        spec: &Program,
        run: &Run,
        (exit, at): (Exit, Moment),
    ) {
        let policy = &spec.restart;
        let lasted = at.since(run.started_at.unwrap_or(at));
        let after = humane(lasted);
        let how = run.how_it_ended(exit);
        let saying = run.saying(exit);
        // Never ready, it was never steady either.
        let steady = run.ready_at.is_some() && lasted >= policy.min_uptime;
        if steady {
            self.calm_down();
            self.passes_trial();
        }
        match judge(policy, exit, steady) {
            Verdict::RestartNow => {
                self.launch(turn, format!("restarted: it {how} after {after}{saying}"), false);
            }
            Verdict::FailedStart => self.failed_start(turn, spec, &format!("it {how} after {after}{saying}")),
            Verdict::Completed => {
                let why = format!("it {how}, a success that restart.policy does not start again");
                self.passes_trial();
                self.enter(turn, Phase::Completed, Some(why));
            }
            Verdict::NotRestarted => {
                let why = format!("it {how}, and restart.policy does not start it again{saying}");
                self.fail_trial(&why);
                self.enter(turn, Phase::Failed(None), Some(why));
            }
            Verdict::Forbidden => {
                let why = format!("it {how}, which restart.never_codes forbids to start again{saying}");
                self.fail_trial(&why);
                self.enter(turn, Phase::Failed(None), Some(why));
            }
        }
    }

    pub(super) fn after_failed_launch(&mut self, turn: &mut Turn<'_>, failure: LaunchFailure) {
        match (&turn.wish, turn.spec) {
            (Wish::Stop(reason), _) => {
                let why = reason.text(turn.slot.program.as_str());
                self.stop_here(turn, why);
            }
            (Wish::Run, None) => self.stop_here(turn, String::new()),
            (Wish::Run, Some(_)) if self.replace.is_some() => {
                let why = self.launch_text("restarted").unwrap_or_default();
                self.calm_down();
                self.launch(turn, why, true);
            }
            (Wish::Run, Some(spec)) => {
                let spec = Arc::clone(spec);
                self.failed_start(turn, &spec, &failure.message);
            }
        }
    }

    fn failed_start(&mut self, turn: &mut Turn<'_>, spec: &Program, what: &str) {
        self.fail_trial(what);
        let mut failures = Failures {
            recent: &mut self.failures,
            in_row: &mut self.failures_in_row,
            exhausted: &mut self.exhausted,
        };
        let after = failures.count(&spec.restart, turn.now, turn.random);
        let count = self.failures_in_row;
        match after {
            AfterFailure::Pause(until) => {
                let why = match count {
                    1 => what.to_owned(),
                    _ => format!("{what}; {count} failed starts in a row"),
                };
                self.enter(turn, Phase::Backoff(until), Some(why));
            }
            AfterFailure::GiveUp(retry) => {
                let why = format!("{what}; given up after {count} failed starts in a row");
                self.enter(turn, Phase::Failed(retry), Some(why));
            }
            AfterFailure::Shutdown => {
                let why = format!("{what}; given up after {count} failed starts in a row");
                turn.give_up = Some(format!("{} failed, and restart.then says shutdown", turn.slot.program));
                self.enter(turn, Phase::Failed(None), Some(why));
            }
        }
    }

    /// Starts a new run with the newest spec, as soon as it is its turn. The old one, if any, is gone with all its descendants.
    /// `judged`: it replaces another run, and its siblings are replaced only if it does well.
    pub(super) fn launch(&mut self, turn: &mut Turn<'_>, why: String, judged: bool) {
        if turn.blocked {
            return self.wait_for_stray(turn);
        }
        let first = matches!(self.phase, Phase::Stopped) && self.last_exit.is_none();
        self.replace = None;
        self.hurry = false;
        self.queued = false;
        let ticket = Ticket { number: turn.flights.draw(), judged, again: !first };
        match turn.flights.admit(turn.most_flights) {
            true => self.take_off(turn, ticket, why),
            false => self.enter(turn, Phase::Waiting(ticket), Some(why)),
        }
    }

    /// It waits for its turn to be launched. A new reason to be launched leaves it its place.
    pub(super) fn settle_waiting(&mut self, turn: &mut Turn<'_>, mut ticket: Ticket) {
        if let Wish::Stop(reason) = &turn.wish {
            let why = reason.text(turn.slot.program.as_str());
            return self.stop_here(turn, why);
        }
        if turn.blocked {
            return self.wait_for_stray(turn);
        }
        if let Some(why) = self.launch_text("started again") {
            ticket.judged |= matches!(self.replace, Some(Replace::Edit(_)));
            self.calm_down();
            self.replace = None;
            self.why = why;
        }
        if turn.flights.calls(turn.slot, turn.most_flights) {
            let why = std::mem::take(&mut self.why);
            return self.take_off(turn, ticket, why);
        }
        self.phase = Phase::Waiting(ticket);
    }

    fn wait_for_stray(&mut self, turn: &mut Turn<'_>) {
        let why = "waits until an earlier process of it, of which there is no record, is gone".to_owned();
        self.enter(turn, Phase::Stopped, Some(why));
    }

    fn take_off(&mut self, turn: &mut Turn<'_>, ticket: Ticket, why: String) {
        let Some(spec) = turn.spec else { return };
        self.restarts = self.restarts.saturating_add(u32::from(ticket.again));
        if ticket.judged && turn.has_siblings {
            self.trial = Trial::Running;
        }
        let run = Run::new(turn.random.run_id(), turn.label(), Arc::clone(spec), turn.generation);
        turn.runs.insert(run.id, turn.slot.clone());
        turn.then.push(Action::Launch(Box::new(Launch {
            run: run.id,
            slot: turn.slot.clone(),
            label: run.label.clone(),
            spec: Arc::clone(spec),
            generation: turn.generation,
        })));
        self.enter(turn, Phase::Starting(run), Some(why));
    }

    /// Why the next launch happens, where it is asked for or a replacement. `verb`: what the operator's part was.
    pub(super) fn launch_text(&self, verb: &str) -> Option<String> {
        self.replace.as_ref().map(|replace| match replace {
            Replace::Edit(keys) => format!("restarted because the configuration changed ({keys})"),
            Replace::Operator { by, .. } => format!("{verb} by {by}"),
            Replace::Stuck(how) => format!("restarted: {how}"),
        })
    }

    pub(super) fn stop_here(&mut self, turn: &mut Turn<'_>, why: String) {
        self.calm_down();
        self.replace = None;
        self.hurry = false;
        self.queued = false;
        self.enter(turn, Phase::Stopped, Some(why));
    }

    /// A new beginning: earlier failures count no more.
    pub(super) fn calm_down(&mut self) {
        self.failures.clear();
        self.failures_in_row = 0;
        self.exhausted = false;
    }

    /// The others may follow: it is steady, or done, or not wanted any more.
    pub(super) fn passes_trial(&mut self) {
        if self.trial == Trial::Running {
            self.trial = Trial::None;
        }
    }

    fn fail_trial(&mut self, why: &str) {
        if self.trial == Trial::Running {
            self.trial = Trial::Failed(why.to_owned());
        }
    }
}

impl Run {
    /// Whether it had been ready for long enough, at its end, to count as a good start.
    fn was_steady(&self, end: Moment) -> bool {
        self.ready_at.is_some_and(|at| end.since(at) >= self.spec.restart.min_uptime)
    }

    /// What is known of why main ended so.
    pub(super) fn cause_of(&self, exit: Exit) -> EndCause {
        match exit {
            Exit::Signal { signal: Signal::KILL, .. } if self.asked => EndCause::Killed,
            Exit::Code(_) | Exit::Signal { .. } | Exit::Unknown if self.asked => EndCause::Asked,
            Exit::Signal { signal, .. } if self.sent == Some(signal) => EndCause::Signalled,
            Exit::Code(_) | Exit::Signal { .. } | Exit::Unknown => EndCause::Own,
        }
    }

    /// A fragment that follows "it": "exited with code 1", "was ended by SIGKILL (not sent by sppm)".
    fn how_it_ended(&self, exit: Exit) -> String {
        match (exit, self.cause_of(exit)) {
            (Exit::Signal { signal, .. }, EndCause::Own) if !signal.is_fault() => {
                format!("{exit} (not sent by sppm)")
            }
            (Exit::Signal { .. }, EndCause::Signalled) => format!("{exit} (sent by `sppm signal`)"),
            (Exit::Signal { .. }, EndCause::Own | EndCause::Asked | EndCause::Killed)
            | (Exit::Code(_) | Exit::Unknown, _) => exit.to_string(),
        }
    }

    /// `, saying "…"`: its last words, where it had any and knew that they would be.
    fn saying(&self, exit: Exit) -> String {
        match (exit, &self.words) {
            (Exit::Signal { signal, .. }, _) if !signal.is_fault() => String::new(),
            (_, Some(words)) => format!(", saying \"{words}\""),
            (_, None) => String::new(),
        }
    }
}

/// A span as people say it: two units at most.
pub(super) fn humane(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{millis}ms"),
        1..=9 => format!("{seconds}.{}s", millis / 100),
        10..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
