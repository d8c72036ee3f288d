//! After a take-over: what the records say is held against what the keeper holds. The table wins.

use super::core::TableState;
use super::instance::{News, Turn};
use super::mutant::mutant;
use super::wish::wanted_count;
use super::{
    Action, Drain, Instance, Patience, Phase, Run, StopStage, Supervisor, TableEntry, TableStage, Watchdog,
};
use crate::model::{Exit, Generation, Moment, Program, ProgramName, RunId, Slot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// News that waited for a supervisor have been told so long after a take-over.
const LATE_NEWS: Duration = Duration::from_secs(1);

/// Processes of the keeper's table that belong to no instance: nothing can be said of them but where they were.
#[derive(Debug, Default)]
pub(super) struct Strays {
    runs: BTreeMap<RunId, Slot>,
    slots: BTreeSet<(Slot, RunId)>,
}

impl Strays {
    fn insert(&mut self, run: RunId, slot: Slot) {
        self.slots.insert((slot.clone(), run));
        self.runs.insert(run, slot);
    }

    fn remove(&mut self, run: RunId) -> Option<Slot> {
        let slot = self.runs.remove(&run)?;
        self.slots.remove(&(slot.clone(), run));
        Some(slot)
    }

    pub(super) fn contains(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Nothing may be launched into this slot before its stray is gone.
    pub(super) fn block(&self, slot: &Slot) -> bool {
        let from = (slot.clone(), RunId::from_bits(0));
        !self.is_empty() && self.slots.range(from..).next().is_some_and(|(other, _)| other == slot)
    }
}

impl Supervisor {
    /// The keeper's table: from now on the core acts.
    pub(super) fn learn_table(&mut self, now: Moment, mut entries: Vec<TableEntry>) {
        let early = match std::mem::replace(&mut self.table, TableState::Known) {
            TableState::Awaited(early) => early,
            TableState::Known => return,
        };
        self.lose_runs(now, &entries);
        if let Some((generation, plan)) = early {
            self.take_plan(now, generation, &plan);
        }
        let slots: Vec<Slot> = self.instances().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.turn(now, &slot, false, Instance::resume);
        }
        // What lives has the better claim to a slot.
        entries.sort_by_key(|entry| (entry.stage.is_over(), entry.run));
        for entry in entries {
            self.learn_entry(now, entry);
        }
        // A slot that was wanted and never recorded has no record to be restored from.
        let programs: Vec<ProgramName> =
            self.plan.iter().flat_map(|plan| plan.programs.keys().cloned()).collect();
        for name in programs.into_iter().filter(|_| !mutant!(SlotsForgotten)) {
            self.add_slots(now, &name);
        }
        self.settle_all(now);
    }

    /// Runs of the records that the keeper does not hold.
    fn lose_runs(&mut self, now: Moment, entries: &[TableEntry]) {
        let held: BTreeSet<RunId> = entries.iter().map(|entry| entry.run).collect();
        let is_lost = |run: &RunId| !held.contains(run) || mutant!(HandoffRelaunches);
        let lost: Vec<(RunId, Slot)> = self
            .runs
            .iter()
            .filter(|(run, _)| is_lost(run))
            .map(|(run, slot)| (*run, slot.clone()))
            .collect();
        for (run, slot) in lost {
            self.turn(now, &slot, false, Instance::lost);
            self.runs.remove(&run);
        }
    }

    fn learn_entry(&mut self, now: Moment, entry: TableEntry) {
        if !self.runs.contains_key(&entry.run) && !self.adopt(now, &entry) {
            return self.learn_stray(&entry);
        }
        let news = match entry.stage {
            TableStage::Forked => return,
            TableStage::Running { pid } => vec![News::Launched { pid }],
            TableStage::Failed(failure) => vec![News::LaunchFailed(failure)],
            TableStage::Exited { pid, exit } => vec![News::Launched { pid }, News::Exited(exit, None)],
        };
        // What follows is decided when all is known: else what has ended would be asked to stop.
        let slot = self.runs.get(&entry.run).cloned().unwrap_or(entry.slot);
        self.turn(now, &slot, false, |instance, turn| {
            for news in news {
                instance.observe(turn, news);
            }
        });
    }

    /// A process that belongs to no slot: it ends. What has ended was seen to its end, and its release alone was lost
    /// with the crash; what it left, if anything, was to be left alone.
    fn learn_stray(&mut self, entry: &TableEntry) {
        let run = entry.run;
        match entry.stage {
            TableStage::Failed(_) | TableStage::Exited { .. } => {
                return self.out.push_back(Action::Release { run });
            }
            TableStage::Running { .. } => self.out.push_back(Action::Kill { run }),
            TableStage::Forked => {}
        }
        self.strays.insert(run, entry.slot.clone());
    }

    pub(super) fn news_of_stray(&mut self, now: Moment, run: RunId, news: &News) {
        if !self.strays.contains(run) {
            return;
        }
        match news {
            News::Launched { .. } | News::TreeLeft(_) => self.out.push_back(Action::Kill { run }),
            News::Exited(..) => self.out.push_back(Action::CheckTree { run }),
            News::TreeEmpty | News::LaunchFailed(_) => {
                self.out.push_back(Action::Release { run });
                if let Some(slot) = self.strays.remove(run) {
                    self.settle(now, &slot);
                }
            }
            News::StopCommandDone(_)
            | News::HookDone(..)
            | News::Ready
            | News::Beat(_)
            | News::Stuck(_)
            | News::BeatEvery(_)
            | News::Extend(_)
            | News::Work(_) => {}
        }
    }

    /// Takes a process without a record (they were lost) into its slot, if that is known and free.
    fn adopt(&mut self, now: Moment, entry: &TableEntry) -> bool {
        let slot = &entry.slot;
        let Some(spec) = self.spec(&slot.program).cloned() else { return false };
        let free = match (self.instance(slot), &entry.stage) {
            (Some(instance), TableStage::Forked | TableStage::Running { .. }) => instance.run().is_none(),
            // The record has already drawn the conclusions.
            (Some(_), TableStage::Exited { .. } | TableStage::Failed(_)) => false,
            (None, TableStage::Forked | TableStage::Running { .. }) => true,
            // Without a record where one should be, the records were lost; else the slot had come to its end.
            (None, TableStage::Exited { .. }) => {
                slot.index <= wanted_count(Some(&spec), self.overrides.get(&slot.program))
            }
            (None, TableStage::Failed(_)) => false,
        };
        if free {
            let slots = self.instances.entry(slot.program.clone()).or_default();
            slots.entry(slot.index).or_insert_with(|| Arc::new(Instance::new(now)));
            self.runs.insert(entry.run, slot.clone());
            self.turn(now, slot, false, |instance, turn| instance.adopt(turn, entry, spec));
        }
        free
    }
}

impl TableStage {
    fn is_over(&self) -> bool {
        match self {
            Self::Forked | Self::Running { .. } => false,
            Self::Failed(_) | Self::Exited { .. } => true,
        }
    }
}

impl Instance {
    fn adopt(&mut self, turn: &mut Turn<'_>, entry: &TableEntry, spec: Arc<Program>) {
        let mut run = Run::new(entry.run, entry.label.clone(), spec, turn.generation);
        run.adopted = true;
        run.of_unknown_plan = entry.generation != turn.generation;
        let why = "found running by a supervisor that had no record of it".to_owned();
        self.enter(turn, Phase::Starting(run), Some(why));
    }

    /// The keeper does not hold the run that the record speaks of.
    fn lost(&mut self, turn: &mut Turn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        match phase {
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) | Phase::Waiting(_) => {
                self.phase = phase
            }
            // The order never reached the keeper: no process, no failure.
            Phase::Starting(run) => {
                turn.runs.remove(&run.id);
                let why = "its launch was lost with an earlier supervisor".to_owned();
                self.enter(turn, Phase::Stopped, Some(why));
            }
            Phase::Running(mut run)
            | Phase::Draining(mut run, _)
            | Phase::Stopping(mut run, _)
            | Phase::Killing(mut run) => {
                run.exit = run.exit.or(Some((Exit::Unknown, turn.now)));
                self.run_ended(turn, run);
            }
        }
    }

    /// Orders whose answer may have been lost are given again.
    fn resume(&mut self, turn: &mut Turn<'_>) {
        self.take_spec(turn);
        if let Phase::Draining(run, _) | Phase::Stopping(run, StopStage::Asked { .. }) = &self.phase {
            self.tell_stop(turn, run);
        }
        match &mut self.phase {
            // What it said meanwhile is told in a moment.
            Phase::Starting(run) if run.ready_deadline().is_some_and(|at| at <= turn.now) => {
                run.extended = Some(turn.now + LATE_NEWS);
            }
            Phase::Draining(run, Drain::Task { .. }) | Phase::Stopping(run, StopStage::Finishing { .. }) => {
                turn.out.push_back(Action::LookAtWork { run: run.id });
            }
            Phase::Running(run) if run.watchdog.is_some_and(|watchdog| watchdog.checking) => {
                turn.out.push_back(Action::CheckBeat { run: run.id });
            }
            // What is left is told again, and with it begins what followed.
            Phase::Stopping(run, StopStage::Sweeping { .. } | StopStage::Leftovers { .. }) => {
                turn.out.push_back(Action::CheckTree { run: run.id });
            }
            Phase::Killing(run) => {
                turn.out.push_back(Action::Kill { run: run.id });
                if run.exit.is_some() {
                    turn.out.push_back(Action::CheckTree { run: run.id });
                }
            }
            // A hook that was lost is not waited for longer than it may take.
            Phase::Draining(_, Drain::Hook { .. })
            | Phase::Stopping(_, StopStage::Asked { .. })
            | Phase::Stopped
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Waiting(_)
            | Phase::Starting(_)
            | Phase::Running(_) => {}
        }
    }
}

impl Run {
    /// A run of which nothing is known yet.
    pub(super) fn new(
        id: RunId,
        label: crate::model::InstanceLabel,
        spec: Arc<Program>,
        generation: Generation,
    ) -> Self {
        let ready = spec.ready;
        let unknown = Moment::from_nanos(0);
        let watchdog = spec.watchdog.map(|every| Watchdog { every, last: unknown, checking: false });
        Self {
            id,
            label,
            spec,
            generation,
            pid: None,
            started_at: None,
            adopted: false,
            of_unknown_plan: false,
            exit: None,
            asked: false,
            ready,
            ready_said: false,
            ready_at: None,
            extended: None,
            watchdog,
            busy_since: None,
            busy_what: None,
            patience: Patience::Whole,
            late: None,
            words: None,
            sent: None,
            overdue: None,
        }
    }
}
