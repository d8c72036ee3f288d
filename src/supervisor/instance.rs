//! The automaton of one instance: every phase, every piece of news, every transition.
//!
//! Two entrances: [`Instance::observe`] takes news of the live run, [`Instance::settle`] acts on what is wanted
//! and on the time. Both leave through [`Instance::enter`], the one place that sets the phase.

use super::mutant::mutant;
use super::random::Random;
use super::restart::{AfterFailure, Failures, Verdict, judge};
use super::wish::Wish;
use super::{Action, Fact, Instance, Launch, Notice, Phase, PhaseKind, Replace, Run, StopStage, Trial, Work};
use crate::model::{Exit, Generation, InstanceLabel, LaunchFailure, Moment, Program, RunId, Slot};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// News of a live run; the core has already seen that it is not of a past one.
#[derive(Debug, Clone)]
pub(super) enum News {
    Launched { pid: u32 },
    LaunchFailed(LaunchFailure),
    Exited(Exit),
    TreeLeft(u32),
    TreeEmpty,
    StopCommandDone(Option<Exit>),
    Work(Work),
}

/// What an instance may look at and use while it changes.
pub(super) struct Turn<'a> {
    pub(super) now: Moment,
    pub(super) slot: &'a Slot,
    pub(super) wish: Wish,
    /// What a new run would be launched with; `None`: the program is gone from the plan.
    pub(super) spec: Option<&'a Arc<Program>>,
    pub(super) generation: Generation,
    /// The program has other instances, so a replacement is on trial.
    pub(super) has_siblings: bool,
    /// Its turn to be replaced has come.
    pub(super) may_replace: bool,
    pub(super) out: &'a mut VecDeque<Action>,
    pub(super) random: &'a mut Random,
    /// Which slot each live run belongs to.
    pub(super) runs: &'a mut BTreeMap<RunId, Slot>,
    /// Set when `restart.then: shutdown` applies.
    pub(super) give_up: &'a mut Option<String>,
}

impl Turn<'_> {
    pub(super) fn note(&mut self, label: InstanceLabel, fact: Fact) {
        self.out.push_back(Action::Note(Notice { slot: self.slot.clone(), label, fact }));
    }

    fn note_exit(&mut self, run: &Run, exit: Exit) {
        let fact = Fact::Exited { pid: run.pid.unwrap_or_default(), exit, asked: run.asked };
        self.note(run.label.clone(), fact);
    }

    fn label(&self) -> InstanceLabel {
        InstanceLabel::of(self.slot, self.spec.is_some_and(|spec| spec.instances.numbered()))
    }
}

impl Instance {
    /// A slot that has never run anything.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            phase: Phase::Stopped,
            since: now,
            why: String::new(),
            restarts: 0,
            last_exit: None,
            failures: Vec::new(),
            failures_in_row: 0,
            exhausted: false,
            replace: None,
            trial: Trial::None,
            hurry: false,
        }
    }

    /// The phase, for people and for sums.
    pub fn kind(&self) -> PhaseKind {
        match &self.phase {
            Phase::Stopped => PhaseKind::Stopped,
            Phase::Completed => PhaseKind::Completed,
            Phase::Failed(_) => PhaseKind::Failed,
            Phase::Backoff(_) => PhaseKind::Backoff,
            Phase::Starting(_) => PhaseKind::Starting,
            Phase::Running(_) => PhaseKind::Running,
            Phase::Draining(..) => PhaseKind::Draining,
            Phase::Stopping(..) => PhaseKind::Stopping,
            Phase::Killing(_) => PhaseKind::Killing,
        }
    }

    /// The live run, if there is one.
    pub fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => None,
            Phase::Starting(run)
            | Phase::Running(run)
            | Phase::Draining(run, _)
            | Phase::Stopping(run, _)
            | Phase::Killing(run) => Some(run),
        }
    }

    pub(super) fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.phase {
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => None,
            Phase::Starting(run)
            | Phase::Running(run)
            | Phase::Draining(run, _)
            | Phase::Stopping(run, _)
            | Phase::Killing(run) => Some(run),
        }
    }

    /// When something is to happen although no news come.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Stopped | Phase::Completed | Phase::Starting(_) | Phase::Killing(_) => None,
            Phase::Failed(at) | Phase::Draining(_, at) => *at,
            Phase::Backoff(at) => (!mutant!(EndlessBackoff)).then_some(*at),
            Phase::Running(run) => match self.trial {
                Trial::Running => run.started_at.map(|at| at + run.spec.restart.min_uptime),
                Trial::None | Trial::Failed(_) => None,
            },
            Phase::Stopping(_, StopStage::Asked { deadline, .. } | StopStage::Sweeping { deadline }) => {
                Some(*deadline)
            }
        }
    }

    /// Takes news of the live run.
    pub(super) fn observe(&mut self, turn: &mut Turn<'_>, news: News) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        match phase {
            // Without a live run there are no news; the core looked that up.
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => self.phase = phase,
            Phase::Starting(run) => self.while_starting(turn, run, news),
            Phase::Running(run) => self.while_running(turn, run, news),
            Phase::Draining(run, until) => self.while_draining(turn, run, until, news),
            Phase::Stopping(run, stage) => self.while_stopping(turn, run, stage, news),
            Phase::Killing(run) => self.while_killing(turn, run, news),
        }
    }

    fn while_starting(&mut self, turn: &mut Turn<'_>, mut run: Run, news: News) {
        match news {
            News::Launched { pid } => {
                run.pid = Some(pid);
                run.started_at = Some(turn.now);
                turn.note(run.label.clone(), Fact::Started { pid });
                self.enter(turn, Phase::Running(run), None);
            }
            News::LaunchFailed(failure) => {
                turn.note(run.label.clone(), Fact::LaunchFailed(failure.clone()));
                turn.out.push_back(Action::Release { run: run.id });
                turn.runs.remove(&run.id);
                self.after_failed_launch(turn, failure);
            }
            News::Exited(_)
            | News::TreeLeft(_)
            | News::TreeEmpty
            | News::StopCommandDone(_)
            | News::Work(_) => self.phase = Phase::Starting(run),
        }
    }

    fn while_running(&mut self, turn: &mut Turn<'_>, mut run: Run, news: News) {
        match news {
            News::Exited(exit) => {
                let deadline = turn.now + run.spec.stop.grace();
                self.main_ended(turn, run, exit, deadline);
            }
            News::Work(work) => {
                run.saw(work, turn.now);
                self.phase = Phase::Running(run);
            }
            News::Launched { .. }
            | News::LaunchFailed(_)
            | News::TreeLeft(_)
            | News::TreeEmpty
            | News::StopCommandDone(_) => self.phase = Phase::Running(run),
        }
    }

    fn while_draining(&mut self, turn: &mut Turn<'_>, mut run: Run, until: Option<Moment>, news: News) {
        match news {
            News::Exited(exit) => {
                turn.out.push_back(Action::ForgetWork { run: run.id });
                let deadline = turn.now + run.spec.stop.grace();
                self.main_ended(turn, run, exit, deadline);
            }
            News::Work(work) => {
                run.saw(work, turn.now);
                match work {
                    Work::Busy => self.phase = Phase::Draining(run, until),
                    Work::Idle => {
                        turn.out.push_back(Action::ForgetWork { run: run.id });
                        self.ask_to_stop(turn, run);
                    }
                }
            }
            News::Launched { .. }
            | News::LaunchFailed(_)
            | News::TreeLeft(_)
            | News::TreeEmpty
            | News::StopCommandDone(_) => self.phase = Phase::Draining(run, until),
        }
    }

    fn while_killing(&mut self, turn: &mut Turn<'_>, mut run: Run, news: News) {
        match news {
            News::Exited(exit) => {
                run.exit = run.exit.or(Some((exit, turn.now)));
                turn.note_exit(&run, exit);
                turn.out.push_back(Action::CheckTree { run: run.id });
                self.phase = Phase::Killing(run);
            }
            // KILL is only over when main is, too: its exit comes first.
            News::TreeEmpty if run.exit.is_some() => self.run_ended(turn, run),
            News::TreeEmpty
            | News::Launched { .. }
            | News::LaunchFailed(_)
            | News::TreeLeft(_)
            | News::StopCommandDone(_)
            | News::Work(_) => self.phase = Phase::Killing(run),
        }
    }

    /// Main is gone: remember how, and see what it left.
    pub(super) fn main_ended(&mut self, turn: &mut Turn<'_>, mut run: Run, exit: Exit, deadline: Moment) {
        run.exit = Some((exit, turn.now));
        run.busy_since = None;
        turn.note_exit(&run, exit);
        if mutant!(IgnoreTree) {
            return self.run_ended(turn, run);
        }
        turn.out.push_back(Action::CheckTree { run: run.id });
        let why = format!("it {exit}; looking for processes that it left");
        self.enter(turn, Phase::Stopping(run, StopStage::Sweeping { deadline }), Some(why));
    }

    /// Nothing of the run lives any more: what next?
    pub(super) fn run_ended(&mut self, turn: &mut Turn<'_>, run: Run) {
        turn.out.push_back(Action::Release { run: run.id });
        turn.runs.remove(&run.id);
        let (exit, at) = run.exit.unwrap_or((Exit::Unknown, turn.now));
        self.last_exit = Some((exit, at));
        match (&turn.wish, turn.spec) {
            (Wish::Stop(reason), _) => {
                let why = reason.text(turn.slot.program.as_str());
                self.stop_here(turn, why);
            }
            (Wish::Run, None) => self.stop_here(turn, String::new()),
            (Wish::Run, Some(_)) if run.asked || self.replace.is_some() => {
                let why = self.replacement_text().unwrap_or_else(|| "started again after a stop".to_owned());
                let judged = self.replace.is_some();
                self.calm_down();
                self.launch(turn, why, judged);
            }
            (Wish::Run, Some(spec)) => {
                let spec = Arc::clone(spec);
                self.ended_by_itself(turn, &spec, exit, at.since(run.started_at.unwrap_or(at)));
            }
        }
    }

    fn ended_by_itself(&mut self, turn: &mut Turn<'_>, spec: &Program, exit: Exit, lasted: Duration) {
        let policy = &spec.restart;
        let after = humane(lasted);
        if lasted >= policy.min_uptime {
            self.calm_down();
        }
        match judge(policy, exit, lasted) {
            Verdict::RestartNow => {
                self.launch(turn, format!("restarted after it {exit} ({after} of life)"), false);
            }
            Verdict::FailedStart => self.failed_start(turn, spec, &format!("it {exit} after {after}")),
            Verdict::Completed => {
                let why = format!("it {exit}, a success that restart.policy does not start again");
                self.enter(turn, Phase::Completed, Some(why));
            }
            Verdict::NotRestarted => {
                let why = format!("it {exit}, and restart.policy does not start it again");
                self.fail_trial(&why);
                self.enter(turn, Phase::Failed(None), Some(why));
            }
            Verdict::Forbidden => {
                let why = format!("it {exit}, which restart.never_codes forbids to start again");
                self.fail_trial(&why);
                self.enter(turn, Phase::Failed(None), Some(why));
            }
        }
    }

    fn after_failed_launch(&mut self, turn: &mut Turn<'_>, failure: LaunchFailure) {
        match (&turn.wish, turn.spec) {
            (Wish::Stop(reason), _) => {
                let why = reason.text(turn.slot.program.as_str());
                self.stop_here(turn, why);
            }
            (Wish::Run, None) => self.stop_here(turn, String::new()),
            (Wish::Run, Some(_)) if self.replace.is_some() => {
                let why = self.replacement_text().unwrap_or_default();
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
                *turn.give_up = Some(format!("{} failed, and restart.then says shutdown", turn.slot.program));
                self.enter(turn, Phase::Failed(None), Some(why));
            }
        }
    }

    /// Acts on what is wanted and on what time it is.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) {
        self.hurry |= turn.wish.is_forced();
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        match phase {
            Phase::Stopped => self.settle_stopped(turn),
            Phase::Completed => self.settle_resting(turn, Phase::Completed, None),
            Phase::Failed(retry) => self.settle_resting(turn, Phase::Failed(retry), retry),
            Phase::Backoff(until) => self.settle_resting(turn, Phase::Backoff(until), Some(until)),
            Phase::Starting(run) => {
                if mutant!(SecondLaunch) && self.replace.is_some() && turn.wish.is_run() {
                    return self.launch(turn, String::new(), false);
                }
                self.phase = Phase::Starting(run);
            }
            Phase::Running(run) => self.settle_running(turn, run),
            Phase::Draining(run, until) => self.settle_draining(turn, run, until),
            Phase::Stopping(run, stage) => self.settle_stopping(turn, run, stage),
            Phase::Killing(run) => self.phase = Phase::Killing(run),
        }
    }

    fn settle_stopped(&mut self, turn: &mut Turn<'_>) {
        match &turn.wish {
            Wish::Run => {
                let why =
                    self.replacement_text().unwrap_or_else(|| "started as the configuration says".into());
                self.launch(turn, why, false);
            }
            Wish::Stop(reason) => {
                self.why = reason.text(turn.slot.program.as_str());
                self.replace = None;
            }
        }
    }

    /// Completed, failed and backoff: no process, but not simply stopped.
    fn settle_resting(&mut self, turn: &mut Turn<'_>, phase: Phase, due: Option<Moment>) {
        match &turn.wish {
            Wish::Stop(reason) => {
                let why = reason.text(turn.slot.program.as_str());
                self.phase = phase;
                self.stop_here(turn, why);
            }
            Wish::Run if self.replace.is_some() => {
                let why = self.replacement_text().unwrap_or_default();
                let judged = matches!(self.replace, Some(Replace::Edit(_)));
                self.calm_down();
                self.phase = phase;
                self.launch(turn, why, judged);
            }
            Wish::Run if due.is_some_and(|due| due <= turn.now) => {
                let why = format!("restarted: {}", self.why);
                self.phase = phase;
                self.launch(turn, why, false);
            }
            Wish::Run => self.phase = phase,
        }
    }

    fn settle_running(&mut self, turn: &mut Turn<'_>, run: Run) {
        let steady_at = run.started_at.map(|at| at + run.spec.restart.min_uptime);
        if self.trial == Trial::Running && steady_at.is_some_and(|at| at <= turn.now) {
            self.trial = Trial::None;
        }
        let replace_now = self.replace.is_some() && turn.may_replace;
        let forgotten = mutant!(StopLostInLaunch) && run.started_at == Some(turn.now);
        if (turn.wish.is_run() && !replace_now) || forgotten {
            self.phase = Phase::Running(run);
            return;
        }
        self.hurry |=
            turn.wish.is_run() && matches!(self.replace, Some(Replace::Operator { force: true, .. }));
        self.open_gate(turn, run);
    }

    /// Starts a new run with the newest spec. The old one, if any, is gone with all its descendants.
    /// `judged`: it replaces another run, and its siblings are replaced only if it does well.
    pub(super) fn launch(&mut self, turn: &mut Turn<'_>, why: String, judged: bool) {
        let Some(spec) = turn.spec else { return };
        let first = matches!(self.phase, Phase::Stopped) && self.last_exit.is_none();
        self.restarts = if first { self.restarts } else { self.restarts.saturating_add(1) };
        if judged && turn.has_siblings {
            self.trial = Trial::Running;
        }
        self.replace = None;
        self.hurry = false;
        let run = Run {
            id: turn.random.run_id(),
            label: turn.label(),
            spec: Arc::clone(spec),
            generation: turn.generation,
            pid: None,
            started_at: None,
            adopted: false,
            exit: None,
            asked: false,
            busy_since: None,
        };
        turn.runs.insert(run.id, turn.slot.clone());
        let launch = Launch {
            run: run.id,
            slot: turn.slot.clone(),
            label: run.label.clone(),
            spec: Arc::clone(spec),
            generation: turn.generation,
        };
        self.enter(turn, Phase::Starting(run), Some(why));
        // On disk before the order: what the keeper runs, the records know.
        turn.out.push_back(Action::Record { slot: turn.slot.clone(), record: Some(Box::new(self.clone())) });
        turn.out.push_back(Action::Launch(Box::new(launch)));
    }

    fn stop_here(&mut self, turn: &mut Turn<'_>, why: String) {
        self.calm_down();
        self.replace = None;
        self.hurry = false;
        self.enter(turn, Phase::Stopped, Some(why));
    }

    /// A new beginning: earlier failures count no more.
    pub(super) fn calm_down(&mut self) {
        self.failures.clear();
        self.failures_in_row = 0;
        self.exhausted = false;
    }

    fn fail_trial(&mut self, why: &str) {
        if self.trial == Trial::Running {
            self.trial = Trial::Failed(why.to_owned());
        }
    }

    /// Why the next launch happens, where it is a replacement.
    fn replacement_text(&self) -> Option<String> {
        self.replace.as_ref().map(|replace| match replace {
            Replace::Edit(keys) => format!("restarted because the configuration changed ({keys})"),
            Replace::Operator { by, .. } => format!("restarted by {by}"),
        })
    }

    /// The one place that sets the phase. `why` = `None` keeps the reason.
    pub(super) fn enter(&mut self, turn: &mut Turn<'_>, phase: Phase, why: Option<String>) {
        self.phase = phase;
        self.since = turn.now;
        if let Some(why) = why {
            self.why = why;
        }
        let label = self.run().map_or_else(|| turn.label(), |run| run.label.clone());
        turn.note(label, Fact::Phase { to: self.kind(), reason: self.why.clone() });
    }
}

impl Run {
    fn saw(&mut self, work: Work, now: Moment) {
        self.busy_since = match work {
            Work::Busy => self.busy_since.or(Some(now)),
            Work::Idle => None,
        };
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
