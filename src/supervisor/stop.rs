//! The way down: the gate, the steps, KILL, and the sweep of what main left behind.

use super::drain::patience_ends;
use super::ended::humane;
use super::instance::{News, Turn};
use super::mutant::mutant;
use super::wish::Wish;
use super::{Action, Fact, Instance, Patience, Phase, Replace, Run, StopStage};
use crate::model::{Exit, Moment, Orphans, Signal, StopBy, StopPolicy, StopScope, StopStep};
use std::time::Duration;

impl Instance {
    /// The first step of the stop policy.
    pub(super) fn ask_to_stop(&mut self, turn: &mut Turn<'_>, mut run: Run) {
        run.asked = true;
        let deadline = take_step(turn, &run, 0);
        let why = self.stop_text(turn, &run);
        self.enter(turn, Phase::Stopping(run, StopStage::Asked { step: 0, deadline }), Some(why));
    }

    pub(super) fn settle_stopping(&mut self, turn: &mut Turn<'_>, run: Run, stage: StopStage) {
        let due = match stage {
            StopStage::Asked { deadline, .. } | StopStage::Sweeping { deadline } => Some(deadline),
            StopStage::Finishing { until, .. } | StopStage::Leftovers { until, .. } => until,
        };
        let overdue = due.is_some_and(|due| due <= turn.now) || mutant!(NoGrace);
        if !self.hurry && !overdue {
            self.phase = Phase::Stopping(run, stage);
            return;
        }
        if matches!(stage, StopStage::Sweeping { .. }) && run.spec.orphans == Orphans::Keep {
            return self.run_ended(turn, run);
        }
        if self.hurry {
            let looked = matches!(stage, StopStage::Finishing { .. } | StopStage::Leftovers { .. });
            let forget = looked.then_some(Action::ForgetWork { run: run.id, signalled: true });
            self.kill(turn, run, "without waiting, as asked");
            turn.out.extend(forget);
            return;
        }
        match stage {
            StopStage::Asked { step, .. } if next_step(&run.spec.stop, step).is_some() => {
                let step = step + 1;
                let deadline = take_step(turn, &run, step);
                self.phase = Phase::Stopping(run, StopStage::Asked { step, deadline });
            }
            StopStage::Asked { step, .. } => self.finish(turn, run, step),
            StopStage::Finishing { .. } | StopStage::Leftovers { .. } => {
                self.past_patience(turn, run, stage);
            }
            // Nobody has told yet what main left; that may be in the middle of a task.
            StopStage::Sweeping { .. } if run.patience != Patience::Over && !mutant!(SkipGate) => {
                self.look_at_leftovers(turn, run, Duration::ZERO);
            }
            StopStage::Sweeping { .. } => self.kill(turn, run, "its descendants did not end in time"),
        }
    }

    /// It did not heed its stop policy.
    pub(super) fn kill_overdue(&mut self, turn: &mut Turn<'_>, mut run: Run) {
        let stop = &run.spec.stop;
        let why = format!("it did not end within {} of {}", humane(stop.grace()), asked_by(stop));
        run.overdue = Some(why.clone());
        self.kill(turn, run, &why);
    }

    pub(super) fn while_stopping(&mut self, turn: &mut Turn<'_>, run: Run, stage: StopStage, news: News) {
        match (stage, news) {
            (StopStage::Asked { step, deadline }, News::Exited(exit, _)) => {
                let deadline = deadline + later_steps(&run.spec.stop, step);
                self.main_ended(turn, run, exit, deadline);
            }
            (StopStage::Asked { step, deadline }, News::Extend(by)) => {
                let deadline = deadline.max(turn.now + by);
                self.phase = Phase::Stopping(run, StopStage::Asked { step, deadline });
            }
            (StopStage::Finishing { .. }, News::Exited(exit, _)) => {
                turn.out.push_back(Action::ForgetWork { run: run.id, signalled: true });
                let deadline = turn.now + last_wait(&run.spec.stop);
                self.main_ended(turn, run, exit, deadline);
            }
            (StopStage::Finishing { step, until }, News::Work(work)) => {
                self.while_finishing(turn, run, (step, until), work);
            }
            (StopStage::Leftovers { grace, until }, News::Work(work)) => {
                self.while_leftovers(turn, run, (grace, until), work);
            }
            (StopStage::Leftovers { .. }, News::TreeEmpty) => {
                turn.out.push_back(Action::ForgetWork { run: run.id, signalled: true });
                self.run_ended(turn, run);
            }
            (StopStage::Leftovers { .. }, News::TreeLeft(_)) => {
                turn.out.push_back(Action::LookAtWork { run: run.id });
                self.phase = Phase::Stopping(run, stage);
            }
            (StopStage::Sweeping { .. }, News::TreeEmpty) => self.run_ended(turn, run),
            (StopStage::Sweeping { deadline }, News::TreeLeft(processes)) => {
                self.sweep(turn, run, deadline, processes);
            }
            (_, News::StopCommandDone(exit)) => {
                if exit != Some(Exit::Code(0)) {
                    turn.note(run.label.clone(), Fact::StopCommandFailed { exit });
                }
                // A command that could not even be launched asked nobody: TERM does.
                if exit.is_none() && run.exit.is_none() {
                    let (signal, scope) = (Signal::TERM, run.spec.stop.scope);
                    turn.out.push_back(Action::AskToStop { run: run.id, signal, scope });
                }
                self.phase = Phase::Stopping(run, stage);
            }
            (
                StopStage::Asked { .. }
                | StopStage::Finishing { .. }
                | StopStage::Leftovers { .. }
                | StopStage::Sweeping { .. },
                News::Launched { .. }
                | News::LaunchFailed(_)
                | News::Exited(..)
                | News::TreeLeft(_)
                | News::TreeEmpty
                | News::HookDone(..)
                | News::Ready
                | News::Beat(_)
                | News::Stuck(_)
                | News::BeatEvery(_)
                | News::Extend(_)
                | News::Work(_),
            ) => self.phase = Phase::Stopping(run, stage),
        }
    }

    fn sweep(&mut self, turn: &mut Turn<'_>, run: Run, deadline: Moment, processes: u32) {
        let kept = run.spec.orphans == Orphans::Keep;
        turn.note(run.label.clone(), Fact::Leftovers { processes, kept });
        if kept {
            return self.run_ended(turn, run);
        }
        let noun = if processes == 1 { "process, which is" } else { "processes, which are" };
        self.why = format!("it ended and left {processes} {noun} to end");
        let grace = deadline.since(turn.now);
        if mutant!(SkipGate) {
            return self.ask_leftovers(turn, run, grace);
        }
        self.look_at_leftovers(turn, run, grace);
    }

    fn look_at_leftovers(&mut self, turn: &mut Turn<'_>, run: Run, grace: Duration) {
        let until = patience_ends(turn, &run);
        turn.out.push_back(Action::LookAtWork { run: run.id });
        self.phase = Phase::Stopping(run, StopStage::Leftovers { grace, until });
    }

    /// From now on they have their grace, and nothing else is waited for.
    pub(super) fn ask_leftovers(&mut self, turn: &mut Turn<'_>, mut run: Run, grace: Duration) {
        run.patience = Patience::Over;
        turn.out.push_back(Action::AskToStop { run: run.id, signal: Signal::TERM, scope: StopScope::Tree });
        turn.out.push_back(Action::ForgetWork { run: run.id, signalled: true });
        let deadline = turn.now + grace;
        self.phase = Phase::Stopping(run, StopStage::Sweeping { deadline });
    }

    pub(super) fn kill(&mut self, turn: &mut Turn<'_>, mut run: Run, why: &str) {
        run.asked = run.asked || run.exit.is_none();
        turn.out.push_back(Action::Kill { run: run.id });
        self.enter(turn, Phase::Killing(run), Some(format!("killed: {why}")));
    }

    /// Why it is being stopped.
    pub(super) fn stop_text(&self, turn: &Turn<'_>, run: &Run) -> String {
        match (&turn.wish, &self.replace) {
            (Wish::Stop(reason), _) => reason.text(turn.slot.program.as_str()),
            (Wish::Run, Some(Replace::Edit(keys))) => {
                format!("to be restarted because the configuration changed ({keys})")
            }
            (Wish::Run, Some(Replace::Operator { by, .. })) => format!("to be restarted, asked by {by}"),
            (Wish::Run, Some(Replace::Stuck(how))) => format!("to be restarted: {how}"),
            (Wish::Run, None) => match &run.late {
                Some(late) => format!("to be started again: {late}"),
                None => "to be started again".to_owned(),
            },
        }
    }
}

/// Orders step `step` and says when the next one is due.
fn take_step(turn: &mut Turn<'_>, run: &Run, step: u32) -> Moment {
    match &run.spec.stop.by {
        StopBy::Command { argv, timeout } => {
            turn.out.push_back(Action::RunStopCommand { run: run.id, argv: argv.clone() });
            turn.now + *timeout
        }
        StopBy::Signals(steps) => {
            let StopStep { signal, wait } = steps
                .get(step as usize)
                .copied()
                .unwrap_or(StopStep { signal: Signal::TERM, wait: Duration::ZERO });
            turn.out.push_back(Action::AskToStop { run: run.id, signal, scope: run.spec.stop.scope });
            turn.now + wait
        }
    }
}

fn next_step(policy: &StopPolicy, step: u32) -> Option<&StopStep> {
    match &policy.by {
        StopBy::Signals(steps) => steps.get(step as usize + 1),
        StopBy::Command { .. } => None,
    }
}

/// The waits after `step`: what is left of the grace when main ends early.
fn later_steps(policy: &StopPolicy, step: u32) -> Duration {
    match &policy.by {
        StopBy::Signals(steps) => steps
            .iter()
            .skip(step as usize + 1)
            .fold(Duration::ZERO, |sum, next| sum.saturating_add(next.wait)),
        StopBy::Command { .. } => Duration::ZERO,
    }
}

/// How long the last step has.
pub(super) fn last_wait(policy: &StopPolicy) -> Duration {
    match &policy.by {
        StopBy::Signals(steps) => steps.last().map_or(Duration::ZERO, |step| step.wait),
        StopBy::Command { timeout, .. } => *timeout,
    }
}

/// What it was asked by, all in all: "SIGINT and SIGTERM".
fn asked_by(policy: &StopPolicy) -> String {
    match &policy.by {
        StopBy::Signals(steps) => {
            let signals: Vec<String> = steps.iter().map(|step| step.signal.to_string()).collect();
            signals.join(" and ")
        }
        StopBy::Command { .. } => "its stop command".to_owned(),
    }
}

/// The signal that follows step `step`.
pub(super) fn next_signal(policy: &StopPolicy, step: u32) -> Signal {
    next_step(policy, step).map_or(Signal::KILL, |next| next.signal)
}

/// What was done in step `step`: "asked with SIGTERM".
pub(super) fn step_text(policy: &StopPolicy, step: u32) -> String {
    match &policy.by {
        StopBy::Signals(steps) => match steps.get(step as usize) {
            Some(StopStep { signal, .. }) => format!("asked with {signal}"),
            None => "asked to end".to_owned(),
        },
        StopBy::Command { .. } => "asked by its stop command".to_owned(),
    }
}
