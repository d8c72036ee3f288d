//! What stands between a wanted stop and the signal: hooks, then the end of the task in hand. And what stands before a KILL.

use super::ended::humane;
use super::instance::{News, Turn};
use super::mutant::mutant;
use super::wish::{StopReason, Wish};
use super::{Action, Drain, Fact, HookFailure, Instance, Patience, Phase, Replace, Run, StopStage, Work};
use crate::model::{Exit, HookKind, Moment, OnStop, PastMaxBusy, StopKind};
use std::time::Duration;

/// Why it runs after a stop that was taken back.
pub(super) const NOT_WANTED: &str = "the stop is not wanted any more";

impl Instance {
    /// A stop is wanted. Whatever wants it passes here: nothing is signalled in the middle of a task.
    pub(super) fn open_gate(&mut self, turn: &mut Turn<'_>, mut run: Run) {
        if self.is_forced(turn) {
            return self.kill(turn, run, "without waiting, as asked");
        }
        run.busy_since = None;
        run.busy_what = None;
        run.patience = Patience::Whole;
        self.tell_stop(turn, &run);
        self.next_hook(turn, run, None);
    }

    pub(super) fn tell_stop(&self, turn: &mut Turn<'_>, run: &Run) {
        let kind = match &turn.wish {
            Wish::Stop(StopReason::Shutdown { .. }) => StopKind::Shutdown,
            Wish::Stop(_) => StopKind::Stop,
            Wish::Run => StopKind::Restart,
        };
        let why = self.stop_text(turn, run);
        turn.out.push_back(Action::TellStop { run: run.id, stop: Some((kind, why)) });
    }

    /// Neither a task nor a grace period is waited for.
    pub(super) fn is_forced(&self, turn: &Turn<'_>) -> bool {
        self.hurry
            || (turn.may_replace && matches!(self.replace, Some(Replace::Operator { force: true, .. })))
    }

    /// Hooks come first, one after the other, then the gate.
    fn next_hook(&mut self, turn: &mut Turn<'_>, run: Run, done: Option<HookKind>) {
        let kinds = [HookKind::BeforeRestart, HookKind::BeforeStop];
        let applies = |kind: &HookKind| match kind {
            HookKind::BeforeRestart => turn.wish.is_run(),
            HookKind::BeforeStop => true,
        };
        let next = kinds
            .into_iter()
            .filter(|kind| applies(kind) && done.is_none_or(|done| *kind > done) && !mutant!(NoHooks))
            .find_map(|kind| run.spec.hooks.get(kind).map(|hook| (kind, hook.clone())));
        let Some((kind, hook)) = next else { return self.wait_for_task(turn, run) };
        let deadline = turn.now + hook.timeout;
        turn.out.push_back(Action::RunHook { run: run.id, hook: kind, argv: hook.argv });
        let why = self.stop_text(turn, &run);
        self.enter(turn, Phase::Draining(run, Drain::Hook { hook: kind, deadline }), Some(why));
    }

    /// The gate. Mostly nothing is in hand, and that is known at once: it is told as a phase only where it is not.
    fn wait_for_task(&mut self, turn: &mut Turn<'_>, run: Run) {
        if !run.waits_for_task() || mutant!(SkipGate) {
            return self.ask_to_stop(turn, run);
        }
        let until = patience_ends(turn, &run);
        turn.out.push_back(Action::LookAtWork { run: run.id });
        self.why = self.stop_text(turn, &run);
        self.since = turn.now;
        self.phase = Phase::Draining(run, Drain::Task { until });
    }

    pub(super) fn while_draining(&mut self, turn: &mut Turn<'_>, mut run: Run, drain: Drain, news: News) {
        match (drain, news) {
            (_, News::Exited(exit, words)) => {
                run.words = words;
                self.leave_drain(turn, &run, drain, false);
                let deadline = turn.now + run.spec.stop.grace();
                self.main_ended(turn, run, exit, deadline);
            }
            (Drain::Task { .. }, News::Work(Work::Busy { since, what })) if !mutant!(BusyIsIdle) => {
                let first = run.busy_since.is_none();
                run.is_busy(since, what);
                self.phase = Phase::Draining(run, drain);
                if first {
                    self.tell_phase(turn);
                }
            }
            (Drain::Task { .. }, News::Work(_)) => {
                // Only then: what is idle is kept from beginning a task until it has been asked.
                let forget = Action::ForgetWork { run: run.id, signalled: true };
                run.busy_since = None;
                self.ask_to_stop(turn, run);
                turn.out.push_back(forget);
            }
            (Drain::Hook { hook, .. }, News::HookDone(done, exit)) if hook == done => {
                note_hook(turn, &run, hook, exit);
                self.next_hook(turn, run, Some(hook));
            }
            (Drain::Hook { .. } | Drain::Task { .. }, news) => {
                run.takes_note(turn.now, &news);
                self.phase = Phase::Draining(run, drain);
            }
        }
    }

    pub(super) fn settle_draining(&mut self, turn: &mut Turn<'_>, mut run: Run, drain: Drain) {
        if self.is_forced(turn) {
            let left = run.clone();
            self.kill(turn, run, "without waiting, as asked");
            return self.leave_drain(turn, &left, drain, false);
        }
        if turn.wish.is_run() && self.replace.is_none() && run.late.is_none() {
            self.leave_drain(turn, &run, drain, false);
            return self.go_on(turn, run, NOT_WANTED);
        }
        match drain {
            Drain::Hook { hook, deadline } if deadline <= turn.now => {
                self.leave_drain(turn, &run, drain, false);
                turn.note(run.label.clone(), Fact::HookFailed { hook, how: HookFailure::TimedOut });
                self.next_hook(turn, run, Some(hook));
            }
            Drain::Task { until: Some(until) } if until <= turn.now => match past_max_busy(turn, &run) {
                Past::Kill => {
                    let left = run.clone();
                    self.kill(turn, run, "busy for longer than working_lock.max_busy");
                    self.leave_drain(turn, &left, drain, false);
                }
                Past::Signal => {
                    run.patience = Patience::Over;
                    let forget = Action::ForgetWork { run: run.id, signalled: true };
                    self.ask_to_stop(turn, run);
                    turn.out.push_back(forget);
                }
                Past::Keep => {
                    // A start that was too late may have come to its end meanwhile: nothing is given up then.
                    let wanted = turn.wish.is_run() && self.replace.is_none() && run.ready_said;
                    run.patience = if wanted { Patience::Whole } else { Patience::GivenUp };
                    self.leave_drain(turn, &run, drain, false);
                    let why = format!("{}; given up: it was busy for longer than max_busy", self.why);
                    self.go_on(turn, run, &why);
                }
                Past::Wait => self.phase = Phase::Draining(run, Drain::Task { until: None }),
            },
            Drain::Hook { .. } | Drain::Task { .. } => self.phase = Phase::Draining(run, drain),
        }
    }

    /// Back to what it was: nothing was signalled.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_>, run: Run, why: &str) {
        turn.out.push_back(Action::TellStop { run: run.id, stop: None });
        let phase = undrained(turn.now, run);
        self.enter(turn, phase, Some(why.to_owned()));
    }

    /// It drained since it was not wanted, and now it is to be replaced: another thing, with another hook before it.
    pub(super) fn drains_anew(&mut self, turn: &mut Turn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        self.phase = match phase {
            Phase::Draining(run, drain) if run.late.is_none() && run.spec.hooks.before_restart.is_some() => {
                self.leave_drain(turn, &run, drain, false);
                turn.out.push_back(Action::TellStop { run: run.id, stop: None });
                undrained(turn.now, run)
            }
            other => other,
        };
    }

    /// Nobody waits any more for what a drain waited for.
    pub(super) fn leave_drain(&self, turn: &mut Turn<'_>, run: &Run, drain: Drain, signalled: bool) {
        turn.out.push_back(match drain {
            Drain::Hook { hook, .. } => Action::EndHook { run: run.id, hook },
            Drain::Task { .. } => Action::ForgetWork { run: run.id, signalled },
        });
    }

    /// All its time is over. Not in the middle of a task either: KILL waits for its end.
    pub(super) fn finish(&mut self, turn: &mut Turn<'_>, mut run: Run, step: u32) {
        if run.patience == Patience::Over || mutant!(KillBusy) {
            return self.kill_overdue(turn, run);
        }
        run.busy_since = None;
        run.busy_what = None;
        let until = patience_ends(turn, &run);
        turn.out.push_back(Action::LookAtWork { run: run.id });
        self.phase = Phase::Stopping(run, StopStage::Finishing { step, until });
    }

    /// News of the work of what was signalled long ago.
    pub(super) fn while_finishing(
        &mut self,
        turn: &mut Turn<'_>,
        mut run: Run,
        (step, until): (u32, Option<Moment>),
        work: Work,
    ) {
        match work {
            Work::Busy { since, what } => {
                run.is_busy(since, what);
                self.phase = Phase::Stopping(run, StopStage::Finishing { step, until });
            }
            Work::Idle => {
                let was_busy = run.busy_since.take().is_some();
                let run_id = run.id;
                // Signalled in the middle of a task, its time begins only now.
                let graced = run.patience == Patience::Graced || run.waits_for_task();
                if was_busy && !graced {
                    run.patience = Patience::Graced;
                    let deadline = turn.now + super::stop::last_wait(&run.spec.stop);
                    self.phase = Phase::Stopping(run, StopStage::Asked { step, deadline });
                } else {
                    self.kill_overdue(turn, run);
                }
                turn.out.push_back(Action::ForgetWork { run: run_id, signalled: true });
            }
        }
    }

    /// What main left may be in the middle of a task, too.
    pub(super) fn while_leftovers(
        &mut self,
        turn: &mut Turn<'_>,
        mut run: Run,
        (grace, until): (Duration, Option<Moment>),
        work: Work,
    ) {
        match work {
            Work::Busy { since, what } => {
                run.is_busy(since, what);
                self.phase = Phase::Stopping(run, StopStage::Leftovers { grace, until });
            }
            Work::Idle => self.ask_leftovers(turn, run, grace),
        }
    }

    /// The patience with a task has ended while something was to be ended that had no more time.
    pub(super) fn past_patience(&mut self, turn: &mut Turn<'_>, run: Run, stage: StopStage) {
        let forget = Action::ForgetWork { run: run.id, signalled: true };
        match (past_max_busy(turn, &run), stage) {
            (Past::Keep | Past::Wait, StopStage::Finishing { step, .. }) => {
                self.phase = Phase::Stopping(run, StopStage::Finishing { step, until: None });
            }
            (Past::Keep | Past::Wait, StopStage::Leftovers { grace, .. }) => {
                self.phase = Phase::Stopping(run, StopStage::Leftovers { grace, until: None });
            }
            (Past::Signal, StopStage::Leftovers { grace, .. }) => self.ask_leftovers(turn, run, grace),
            (_, StopStage::Asked { .. } | StopStage::Sweeping { .. }) => {
                self.phase = Phase::Stopping(run, stage);
            }
            (Past::Kill | Past::Signal, StopStage::Finishing { .. } | StopStage::Leftovers { .. }) => {
                self.kill(turn, run, "busy for longer than working_lock.max_busy");
                turn.out.push_back(forget);
            }
        }
    }
}

/// What follows the end of the patience.
enum Past {
    Kill,
    Signal,
    Keep,
    /// There is nobody who could take up later what is given up now.
    Wait,
}

fn past_max_busy(turn: &Turn<'_>, run: &Run) -> Past {
    let ends = matches!(turn.wish, Wish::Stop(StopReason::Shutdown { .. }));
    match run.spec.work.then {
        // Nobody has said that it is busy, as after a take-over that lasted: the gentle way is due.
        PastMaxBusy::Kill if run.busy_since.is_none() => Past::Signal,
        PastMaxBusy::Kill => Past::Kill,
        PastMaxBusy::Signal => Past::Signal,
        PastMaxBusy::Keep if ends => Past::Wait,
        PastMaxBusy::Keep => Past::Keep,
    }
}

pub(super) fn patience_ends(turn: &Turn<'_>, run: &Run) -> Option<Moment> {
    run.spec.work.max_busy.map(|patience| turn.now + patience)
}

/// That it is ready may have been said while it drained.
fn undrained(now: Moment, mut run: Run) -> Phase {
    if run.ready_at.is_none() && run.ready_said {
        run.is_ready(now);
    }
    if run.ready_at.is_some() { Phase::Running(run) } else { Phase::Starting(run) }
}

fn note_hook(turn: &mut Turn<'_>, run: &Run, hook: HookKind, exit: Option<Exit>) {
    let how = match exit {
        Some(Exit::Code(0)) => return,
        Some(exit) => HookFailure::Ended(exit),
        None => HookFailure::NotLaunched,
    };
    turn.note(run.label.clone(), Fact::HookFailed { hook, how });
}

impl Run {
    /// Whether its first signal comes after its task.
    fn waits_for_task(&self) -> bool {
        self.spec.work.on_stop == OnStop::Wait || self.of_unknown_plan
    }

    pub(super) fn is_busy(&mut self, since: Moment, what: Option<String>) {
        self.busy_since = Some(since);
        self.busy_what = what;
    }

    /// `busy for 3m12s (crawl example.org)`.
    pub(super) fn busy_text(&self, now: Moment) -> Option<String> {
        let since = self.busy_since?;
        let what = self.busy_what.as_ref().map(|what| format!(" ({what})")).unwrap_or_default();
        Some(format!("busy for {}{what}", humane(now.since(since))))
    }
}
