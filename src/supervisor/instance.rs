//! The automaton of one instance: every phase, every piece of news, every transition.
//!
//! Two entrances: [`Instance::observe`] takes news of the live run, [`Instance::settle`] acts on what is wanted
//! and on the time. Both leave through [`Instance::enter`], the one place that sets the phase.

use super::drain::NOT_WANTED;
use super::edit::outdated;
use super::flights::{Flights, waits_text};
use super::mutant::mutant;
use super::random::Random;
use super::storm::Storm;
use super::wish::Wish;
use super::{
    Action, Drain, Fact, Instance, Notice, Patience, Phase, PhaseKind, Replace, Run, StopStage, Trial, Work,
};
use crate::model::{
    Exit, Generation, HookKind, InstanceLabel, LaunchFailure, Moment, Program, RunId, Slot, StartConcurrency,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// News of a live run; the core has already seen that it is not of a past one.
#[derive(Debug, Clone)]
pub(super) enum News {
    Launched { pid: u32 },
    LaunchFailed(LaunchFailure),
    Exited(Exit, Option<String>),
    TreeLeft(u32),
    TreeEmpty,
    StopCommandDone(Option<Exit>),
    HookDone(HookKind, Option<Exit>),
    Ready,
    Beat(Moment),
    Stuck(String),
    BeatEvery(Duration),
    Extend(Duration),
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
    /// A process of the slot's past, of which nothing is recorded, has to be gone before a launch.
    pub(super) blocked: bool,
    /// Its turn to be replaced has come.
    pub(super) may_replace: bool,
    pub(super) out: &'a mut VecDeque<Action>,
    pub(super) random: &'a mut Random,
    /// The launches that are in flight or wait, and how many may be in flight.
    pub(super) flights: &'a mut Flights,
    pub(super) most_flights: StartConcurrency,
    /// Holds restarts of crash loops back when there are many.
    pub(super) storm: &'a mut Storm,
    /// Which slot each live run belongs to.
    pub(super) runs: &'a mut BTreeMap<RunId, Slot>,
    /// What may be done only when the slot's new state is on disk: releases and launches.
    pub(super) then: Vec<Action>,
    /// Set when `restart.then: shutdown` applies.
    pub(super) give_up: Option<String>,
}

impl Turn<'_> {
    pub(super) fn note(&mut self, label: InstanceLabel, fact: Fact) {
        self.out.push_back(Action::Note(Notice { slot: self.slot.clone(), label, fact }));
    }

    /// No process of `run` is left, or none that is ours.
    pub(super) fn release(&mut self, run: RunId) {
        self.runs.remove(&run);
        self.then.push(Action::Release { run });
    }

    fn note_exit(&mut self, run: &Run, exit: Exit) {
        let fact = Fact::Exited { pid: run.pid.unwrap_or_default(), exit, cause: run.cause_of(exit) };
        self.note(run.label.clone(), fact);
    }

    pub(super) fn label(&self) -> InstanceLabel {
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
            overdue: None,
            failures: Vec::new(),
            failures_in_row: 0,
            exhausted: false,
            replace: None,
            trial: Trial::None,
            hurry: false,
            queued: false,
        }
    }

    /// The phase, for people and for sums.
    pub fn kind(&self) -> PhaseKind {
        match &self.phase {
            Phase::Stopped => PhaseKind::Stopped,
            Phase::Completed => PhaseKind::Completed,
            Phase::Failed(_) => PhaseKind::Failed,
            Phase::Backoff(_) => PhaseKind::Backoff,
            Phase::Waiting(_) => PhaseKind::Waiting,
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
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) | Phase::Waiting(_) => {
                None
            }
            Phase::Starting(run)
            | Phase::Running(run)
            | Phase::Draining(run, _)
            | Phase::Stopping(run, _)
            | Phase::Killing(run) => Some(run),
        }
    }

    /// A stop waits for the end of a task.
    pub(super) fn drains(&self) -> bool {
        matches!(self.phase, Phase::Draining(..))
    }

    pub(super) fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.phase {
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) | Phase::Waiting(_) => {
                None
            }
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
            Phase::Stopped | Phase::Completed | Phase::Waiting(_) | Phase::Killing(_) => None,
            Phase::Starting(run) => run.ready_deadline(),
            Phase::Failed(at) => *at,
            Phase::Backoff(at) => (!mutant!(EndlessBackoff)).then_some(*at),
            Phase::Running(run) => {
                let steady = match self.trial {
                    Trial::Running => run.ready_at.map(|at| at + run.spec.restart.min_uptime),
                    Trial::None | Trial::Failed(_) => None,
                };
                steady.into_iter().chain(self.pulse_deadline(run)).min()
            }
            Phase::Draining(_, Drain::Hook { deadline, .. }) => Some(*deadline),
            Phase::Draining(_, Drain::Task { until }) => *until,
            Phase::Stopping(_, StopStage::Asked { deadline, .. } | StopStage::Sweeping { deadline }) => {
                Some(*deadline)
            }
            Phase::Stopping(_, StopStage::Finishing { until, .. } | StopStage::Leftovers { until, .. }) => {
                *until
            }
        }
    }

    /// Takes news of the live run.
    pub(super) fn observe(&mut self, turn: &mut Turn<'_>, news: News) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        match phase {
            // Without a live run there are no news; the core looked that up.
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) | Phase::Waiting(_) => {
                self.phase = phase
            }
            Phase::Starting(run) => self.while_starting(turn, run, news),
            Phase::Running(run) => self.while_running(turn, run, news),
            Phase::Draining(run, drain) => self.while_draining(turn, run, drain, news),
            Phase::Stopping(run, stage) => self.while_stopping(turn, run, stage, news),
            Phase::Killing(run) => self.while_killing(turn, run, news),
        }
    }

    fn while_running(&mut self, turn: &mut Turn<'_>, mut run: Run, news: News) {
        match news {
            News::Exited(exit, words) => {
                run.words = words;
                let deadline = turn.now + run.spec.stop.grace();
                self.main_ended(turn, run, exit, deadline);
            }
            news @ (News::Launched { .. }
            | News::LaunchFailed(_)
            | News::TreeLeft(_)
            | News::TreeEmpty
            | News::StopCommandDone(_)
            | News::HookDone(..)
            | News::Ready
            | News::Beat(_)
            | News::Stuck(_)
            | News::BeatEvery(_)
            | News::Extend(_)
            | News::Work(_)) => {
                self.feels_pulse(turn, &mut run, &news);
                run.takes_note(turn.now, &news);
                self.phase = Phase::Running(run);
            }
        }
    }

    fn while_killing(&mut self, turn: &mut Turn<'_>, mut run: Run, news: News) {
        match news {
            News::Exited(exit, _) if run.exit.is_none() => {
                run.exit = Some((exit, turn.now));
                turn.note_exit(&run, exit);
                turn.out.push_back(Action::CheckTree { run: run.id });
                self.phase = Phase::Killing(run);
            }
            // KILL is only over when main is, too: its exit comes first.
            News::TreeEmpty if run.exit.is_some() => self.run_ended(turn, run),
            News::Exited(..)
            | News::TreeEmpty
            | News::Launched { .. }
            | News::LaunchFailed(_)
            | News::TreeLeft(_)
            | News::StopCommandDone(_)
            | News::HookDone(..)
            | News::Ready
            | News::Beat(_)
            | News::Stuck(_)
            | News::BeatEvery(_)
            | News::Extend(_)
            | News::Work(_) => self.phase = Phase::Killing(run),
        }
    }

    /// Main is gone: remember how, and see what it left.
    pub(super) fn main_ended(&mut self, turn: &mut Turn<'_>, mut run: Run, exit: Exit, deadline: Moment) {
        // By the policy that it had: an edit while its tree is looked at does not take that back.
        if run.ready_at.is_some_and(|at| turn.now.since(at) >= run.spec.restart.min_uptime) {
            self.passes_trial();
        }
        run.exit = Some((exit, turn.now));
        run.busy_since = None;
        run.busy_what = None;
        turn.note_exit(&run, exit);
        if mutant!(IgnoreTree) {
            return self.run_ended(turn, run);
        }
        turn.out.push_back(Action::CheckTree { run: run.id });
        // Not told as a phase of its own: mostly nothing is left, and it is over before anybody could look.
        self.why = format!("it {exit}; looking for processes that it left");
        self.since = turn.now;
        self.phase = Phase::Stopping(run, StopStage::Sweeping { deadline });
    }

    /// Acts on what is wanted and on what time it is.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) {
        self.hurry |= turn.wish.is_forced();
        self.notice_edit(turn);
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        match phase {
            Phase::Stopped => self.settle_stopped(turn),
            Phase::Completed => self.settle_resting(turn, Phase::Completed, None),
            Phase::Failed(retry) => self.settle_resting(turn, Phase::Failed(retry), retry),
            Phase::Backoff(until) => self.settle_resting(turn, Phase::Backoff(until), Some(until)),
            Phase::Waiting(ticket) => self.settle_waiting(turn, ticket),
            Phase::Starting(run) => self.settle_starting(turn, run),
            Phase::Running(run) => self.settle_running(turn, run),
            Phase::Draining(run, drain) => self.settle_draining(turn, run, drain),
            Phase::Stopping(run, stage) => self.settle_stopping(turn, run, stage),
            Phase::Killing(run) => self.phase = Phase::Killing(run),
        }
    }

    /// That a run is outdated follows from what it runs and from the plan, so no crash and no cancelled stop can lose
    /// it. What is to stop is neither replaced nor on trial, and has a new beginning if the stop is taken back.
    pub(super) fn notice_edit(&mut self, turn: &mut Turn<'_>) {
        if !turn.wish.is_run() {
            self.replace = None;
            self.calm_down();
            if !mutant!(TrialNeverEnds) {
                self.passes_trial();
            }
            return;
        }
        let Some(run) = self.run() else { return };
        match &self.replace {
            Some(Replace::Operator { .. } | Replace::Stuck(_)) => {}
            // Signalled for an edit that was taken back: it ends all the same.
            Some(Replace::Edit(_)) if run.asked => {}
            Some(Replace::Edit(_)) | None => {
                let next = outdated(run, turn);
                let begins = self.replace.is_none() && next.is_some();
                self.replace = next;
                if begins {
                    self.drains_anew(turn);
                }
            }
        }
    }

    fn settle_stopped(&mut self, turn: &mut Turn<'_>) {
        match &turn.wish {
            Wish::Run => {
                let why =
                    self.launch_text("started").unwrap_or_else(|| "started as the configuration says".into());
                self.launch(turn, why, false);
            }
            Wish::Stop(reason) => {
                self.why = reason.text(turn.slot.program.as_str());
                self.hurry = false;
            }
        }
    }

    /// Completed, failed and backoff: no process, but not simply stopped.
    fn settle_resting(&mut self, turn: &mut Turn<'_>, phase: Phase, due: Option<Moment>) {
        self.phase = phase;
        match &turn.wish {
            Wish::Stop(reason) => {
                let why = reason.text(turn.slot.program.as_str());
                self.stop_here(turn, why);
            }
            Wish::Run if self.replace.is_some() => {
                let why = self.launch_text("started again").unwrap_or_default();
                let judged = matches!(self.replace, Some(Replace::Edit(_)));
                self.calm_down();
                self.launch(turn, why, judged);
            }
            Wish::Run if due.is_some_and(|due| due <= turn.now) => {
                if !self.queued
                    && let Some(later) = turn.storm.turn(turn.now)
                {
                    self.queued = true;
                    self.phase = Phase::Backoff(later);
                    return;
                }
                let why = format!("restarted: {}", self.why);
                self.launch(turn, why, false);
            }
            Wish::Run => {}
        }
    }

    fn settle_running(&mut self, turn: &mut Turn<'_>, mut run: Run) {
        let steady_at = run.ready_at.map(|at| at + run.spec.restart.min_uptime);
        if steady_at.is_some_and(|at| at <= turn.now) {
            self.passes_trial();
        }
        let wanted = turn.wish.is_run() && self.replace.is_none();
        if wanted && run.patience == Patience::GivenUp {
            run.patience = Patience::Whole;
            self.why = NOT_WANTED.to_owned();
        }
        let given_up = run.patience == Patience::GivenUp && !turn.wish.is_shutdown() && !self.is_forced(turn);
        let replace_now = self.replace.is_some() && turn.may_replace;
        let forgotten = mutant!(StopLostInLaunch) && run.started_at == Some(turn.now);
        if (turn.wish.is_run() && !replace_now) || given_up || forgotten {
            // A forced stop that was taken back must not make the next one forced.
            self.hurry &= mutant!(HurryStays);
            self.watch_pulse(turn, &mut run);
            self.phase = Phase::Running(run);
            return;
        }
        self.open_gate(turn, run);
    }

    /// The one place that sets the phase. `why` = `None` keeps the reason.
    pub(super) fn enter(&mut self, turn: &mut Turn<'_>, phase: Phase, why: Option<String>) {
        self.phase = phase;
        self.since = turn.now;
        if let Some(why) = why {
            self.why = why;
        }
        self.tell_phase(turn);
    }

    /// Says which phase it is in, and why.
    pub(super) fn tell_phase(&self, turn: &mut Turn<'_>) {
        let label = self.run().map_or_else(|| turn.label(), |run| run.label.clone());
        let reason = match self.phase {
            Phase::Waiting(_) => waits_text(turn.most_flights),
            _ => self.why.clone(),
        };
        turn.note(label, Fact::Phase { to: self.kind(), reason });
    }
}
