//! The supervisor: programs, slots, timers, and the turn that every event takes.
//!
//! A turn: an event changes what is wanted or what is known of one instance; the instance settles; what changed
//! is recorded; the timer is set anew. Work is proportional to what the event is about, never to all programs;
//! a new plan and a shutdown alone look at everything.

use super::instance::{News, Turn};
use super::mutant::mutant;
use super::random::Random;
use super::wish::{Wish, wanted_count, wish_for};
use super::{
    Action, Event, Instance, Override, Phase, Restored, ShutdownRecord, TableEntry, TableStage, Trial,
};
use crate::model::{Exit, Generation, Moment, Plan, Program, ProgramName, RunId, Slot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The decider. See the module's head.
#[derive(Debug)]
pub struct Supervisor {
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) generation: Generation,
    pub(super) instances: BTreeMap<ProgramName, BTreeMap<u32, Instance>>,
    pub(super) overrides: BTreeMap<ProgramName, Override>,
    pub(super) shutdown: Option<Shutdown>,
    /// Programs of which some instance waits to be replaced or is on trial.
    pub(super) rolling: BTreeSet<ProgramName>,
    runs: BTreeMap<RunId, Slot>,
    /// Processes of the keeper's table that belong to no slot: they are killed and released.
    strays: BTreeSet<RunId>,
    timers: BTreeSet<(Moment, Slot)>,
    pub(super) out: VecDeque<Action>,
    random: Random,
    /// Before the keeper's table is known nothing may be launched.
    table: TableState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableState {
    Awaited,
    Known,
}

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    pub(super) record: ShutdownRecord,
    /// What is left of shutdown_timeout.
    left: Duration,
    /// Since when `left` runs; it stands still while something drains.
    running_since: Option<Moment>,
    draining: u32,
    finished: bool,
}

impl Supervisor {
    /// A core that goes on from what an earlier one recorded, or starts from nothing. `seed`: 128 random bits.
    /// It acts only when it has been told the keeper's table ([`Event::Table`]).
    pub fn new(seed: u128, now: Moment, restored: Restored) -> Self {
        let mut core = Self {
            plan: None,
            generation: Generation(0),
            instances: BTreeMap::new(),
            overrides: restored.overrides.into_iter().collect(),
            shutdown: None,
            rolling: BTreeSet::new(),
            runs: BTreeMap::new(),
            strays: BTreeSet::new(),
            timers: BTreeSet::new(),
            out: VecDeque::new(),
            random: Random::new(seed),
            table: TableState::Awaited,
        };
        if let Some((generation, plan)) = restored.plan {
            core.generation = generation;
            core.plan = Some(plan);
        }
        for (slot, mut instance) in restored.instances {
            if mutant!(HandoffForgets) {
                instance.replace = None;
                instance.hurry = false;
                if matches!(instance.phase, Phase::Backoff(_)) {
                    instance.phase = Phase::Completed;
                }
            }
            if let Some(run) = instance.run_mut() {
                run.adopted = true;
                core.runs.insert(run.id, slot.clone());
            }
            core.rolling.insert(slot.program.clone());
            core.instances.entry(slot.program).or_default().insert(slot.index, instance);
        }
        if let Some(record) = restored.shutdown {
            core.begin_shutdown(now, record);
        }
        core
    }

    /// Takes news. Actions and the next deadline may have changed afterwards.
    pub fn handle(&mut self, now: Moment, event: Event) {
        match event {
            Event::PlanAccepted { generation, plan } => self.accept_plan(now, generation, plan),
            Event::Table { entries } => self.learn_table(now, entries),
            Event::Launched { run, pid } => self.news(now, run, News::Launched { pid }),
            Event::LaunchFailed { run, failure } => self.news(now, run, News::LaunchFailed(failure)),
            Event::Exited { run, exit } => self.news(now, run, News::Exited(exit)),
            Event::TreeLeft { run, processes } => self.news(now, run, News::TreeLeft(processes)),
            Event::TreeEmpty { run } => self.news(now, run, News::TreeEmpty),
            Event::StopCommandDone { run, exit } => self.news(now, run, News::StopCommandDone(exit)),
            Event::Work { run, work } => self.news(now, run, News::Work(work)),
        }
    }

    /// Acts on the time alone. Calling it too early, or too often, is harmless.
    pub fn tick(&mut self, now: Moment) {
        while let Some((at, slot)) = self.timers.first().cloned() {
            if at > now || self.table == TableState::Awaited {
                break;
            }
            self.timers.pop_first();
            self.settle(now, &slot);
        }
        let over = self.shutdown.as_ref().and_then(Shutdown::deadline).is_some_and(|at| at <= now);
        if over {
            self.force_shutdown(now, "shutdown_timeout has passed".to_owned());
        }
    }

    /// What to do next, in order. `None`: nothing until more news or the deadline.
    pub fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// When [`Supervisor::tick`] is due, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Moment> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let shutdown = self.shutdown.as_ref().and_then(Shutdown::deadline);
        timer.into_iter().chain(shutdown).min()
    }

    /// The accepted plan.
    pub fn plan(&self) -> Option<(Generation, &Arc<Plan>)> {
        self.plan.as_ref().map(|plan| (self.generation, plan))
    }

    /// Every slot with its state, for records that are written anew.
    pub fn instances(&self) -> impl Iterator<Item = (Slot, &Instance)> {
        self.instances.iter().flat_map(|(name, instances)| {
            instances.iter().map(|(index, instance)| (Slot::new(name.clone(), *index), instance))
        })
    }

    /// Every operator's wish.
    pub fn overrides(&self) -> impl Iterator<Item = (&ProgramName, &Override)> {
        self.overrides.iter()
    }

    /// The slot that `run` lives in, if it is not past.
    pub fn slot_of(&self, run: RunId) -> Option<&Slot> {
        self.runs.get(&run)
    }

    /// One instance.
    pub fn instance(&self, slot: &Slot) -> Option<&Instance> {
        self.instances.get(&slot.program)?.get(&slot.index)
    }

    pub(super) fn spec(&self, name: &ProgramName) -> Option<&Arc<Program>> {
        self.plan.as_ref()?.programs.get(name)
    }

    /// News of a run: the one place where those of past runs end.
    fn news(&mut self, now: Moment, run: RunId, news: News) {
        let Some(slot) = self.runs.get(&run).cloned() else {
            if mutant!(BelievePast) && matches!(news, News::TreeEmpty | News::Exited(_)) {
                if let Some(slot) = self.runs.values().next().cloned() {
                    self.turn(now, &slot, false, |instance, turn| instance.observe(turn, news));
                }
                return;
            }
            return self.news_of_stray(run, &news);
        };
        self.turn(now, &slot, false, |instance, turn| {
            instance.observe(turn, news);
            instance.settle(turn);
        });
        self.advance_rollout(now, &slot.program);
    }

    fn news_of_stray(&mut self, run: RunId, news: &News) {
        if !self.strays.contains(&run) {
            return;
        }
        match news {
            News::Exited(_) => self.out.push_back(Action::CheckTree { run }),
            News::TreeEmpty | News::LaunchFailed(_) => {
                self.strays.remove(&run);
                self.out.push_back(Action::Release { run });
            }
            News::Launched { .. } => self.out.push_back(Action::Kill { run }),
            News::TreeLeft(_) | News::StopCommandDone(_) | News::Work(_) => {}
        }
    }

    /// Lets a slot act on what is wanted and on the time.
    pub(super) fn settle(&mut self, now: Moment, slot: &Slot) {
        self.turn(now, slot, false, Instance::settle);
        self.advance_rollout(now, &slot.program);
    }

    /// One turn of one instance: change, record, timer, and the slot's end if it is not wanted any more.
    pub(super) fn turn(
        &mut self,
        now: Moment,
        slot: &Slot,
        may_replace: bool,
        change: impl FnOnce(&mut Instance, &mut Turn<'_>),
    ) {
        if self.table == TableState::Awaited {
            return;
        }
        let spec = self.plan.as_ref().and_then(|plan| plan.programs.get(&slot.program));
        let operator = self.overrides.get(&slot.program);
        let shutdown = self.shutdown.as_ref().map(|shutdown| &shutdown.record);
        let wish = wish_for(slot.index, spec.map(AsRef::as_ref), operator, shutdown);
        let count = wanted_count(spec.map(AsRef::as_ref), operator);
        let single = wish.is_run() && count == 1;
        let Some(instance) = self.instances.get_mut(&slot.program).and_then(|all| all.get_mut(&slot.index))
        else {
            return;
        };
        let before = instance.clone();
        let mut give_up = None;
        let mut turn = Turn {
            now,
            slot,
            wish,
            spec,
            generation: self.generation,
            has_siblings: count > 1,
            may_replace: may_replace || single || mutant!(ReplaceAll),
            out: &mut self.out,
            random: &mut self.random,
            runs: &mut self.runs,
            give_up: &mut give_up,
        };
        change(instance, &mut turn);
        let after = instance.clone();
        self.keep(now, slot, &before, &after);
        if let Some(why) = give_up {
            self.begin_shutdown(now, ShutdownRecord { why, code: 1, force: false });
        }
        self.finish_if_over();
    }

    /// Follows up on a turn: timers, records, sums.
    fn keep(&mut self, now: Moment, slot: &Slot, before: &Instance, after: &Instance) {
        if let Some(at) = before.deadline() {
            self.timers.remove(&(at, slot.clone()));
        }
        if let Some(shutdown) = &mut self.shutdown {
            let drains = |instance: &Instance| matches!(instance.phase, Phase::Draining(..));
            shutdown.count_draining(now, drains(before), drains(after));
        }
        if self.is_over(slot, after) {
            if let Some(instances) = self.instances.get_mut(&slot.program) {
                instances.remove(&slot.index);
                if instances.is_empty() {
                    self.instances.remove(&slot.program);
                }
            }
            self.out.push_back(Action::Record { slot: slot.clone(), record: None });
            return;
        }
        if let Some(at) = after.deadline() {
            self.timers.insert((at, slot.clone()));
        }
        if before != after {
            if after.replace.is_some() || after.trial == Trial::Running {
                self.rolling.insert(slot.program.clone());
            }
            let record = Some(Box::new(after.clone()));
            self.out.push_back(Action::Record { slot: slot.clone(), record });
        }
    }

    /// A slot ends when nothing runs in it and nobody wants it: its program is gone, or its index too high.
    fn is_over(&self, slot: &Slot, instance: &Instance) -> bool {
        let at_rest = instance.run().is_none() && matches!(instance.phase, Phase::Stopped);
        let spec = self.spec(&slot.program).map(AsRef::as_ref);
        let wanted = slot.index <= wanted_count(spec, self.overrides.get(&slot.program));
        !wanted && (at_rest || mutant!(ForgetTooEarly))
    }

    /// Starts a shutdown, or makes the one under way harder.
    pub(super) fn begin_shutdown(&mut self, now: Moment, record: ShutdownRecord) {
        match &mut self.shutdown {
            Some(shutdown) => {
                if !record.force || shutdown.record.force {
                    return;
                }
                shutdown.record.force = true;
            }
            None => {
                let timeout = self.plan.as_ref().map(|plan| plan.supervisor.shutdown_timeout);
                let draining =
                    self.instances().filter(|(_, i)| matches!(i.phase, Phase::Draining(..))).count();
                self.shutdown = Some(Shutdown {
                    record,
                    left: timeout.unwrap_or(Duration::from_secs(120)),
                    running_since: (draining == 0).then_some(now),
                    draining: u32::try_from(draining).unwrap_or(u32::MAX),
                    finished: false,
                });
            }
        }
        if let Some(shutdown) = &self.shutdown {
            self.out.push_back(Action::RecordShutdown(shutdown.record.clone()));
        }
        self.settle_all(now);
        self.finish_if_over();
    }

    fn force_shutdown(&mut self, now: Moment, why: String) {
        let code = self.shutdown.as_ref().map_or(0, |shutdown| shutdown.record.code);
        self.begin_shutdown(now, ShutdownRecord { why, code, force: true });
    }

    fn finish_if_over(&mut self) {
        let nothing_lives = (self.runs.is_empty() && self.strays.is_empty()) || mutant!(FinishEarly);
        if self.table == TableState::Awaited || !nothing_lives {
            return;
        }
        if let Some(shutdown) = &mut self.shutdown
            && !shutdown.finished
        {
            shutdown.finished = true;
            self.out.push_back(Action::Finish { code: shutdown.record.code });
        }
    }

    /// Every slot acts: stops first, the late starters first; then starts, the early ones first.
    pub(super) fn settle_all(&mut self, now: Moment) {
        if self.table == TableState::Awaited {
            return;
        }
        let mut slots: Vec<(i32, Slot)> = self
            .instances
            .iter()
            .flat_map(|(name, instances)| {
                let priority = self.spec(name).map_or(0, |spec| spec.priority);
                instances.keys().map(move |index| (priority, Slot::new(name.clone(), *index)))
            })
            .collect();
        slots.sort();
        self.settle_slots(now, slots);
    }

    pub(super) fn settle_slots(&mut self, now: Moment, slots: Vec<(i32, Slot)>) {
        let wants_run = |core: &Self, slot: &Slot| core.wish_of(slot).is_run();
        let (starts, stops): (Vec<_>, Vec<_>) = slots.into_iter().partition(|(_, s)| wants_run(self, s));
        for (_, slot) in stops.iter().rev() {
            self.settle(now, slot);
        }
        for (_, slot) in &starts {
            self.settle(now, slot);
        }
    }

    pub(super) fn wish_of(&self, slot: &Slot) -> Wish {
        let spec = self.spec(&slot.program).map(AsRef::as_ref);
        let shutdown = self.shutdown.as_ref().map(|shutdown| &shutdown.record);
        wish_for(slot.index, spec, self.overrides.get(&slot.program), shutdown)
    }

    /// After a take-over: what the records say is held against what the keeper holds. The table wins.
    fn learn_table(&mut self, now: Moment, entries: Vec<TableEntry>) {
        if self.table == TableState::Known {
            return;
        }
        self.table = TableState::Known;
        let held: BTreeSet<RunId> = entries.iter().map(|entry| entry.run).collect();
        let lost: Vec<(RunId, Slot)> = self
            .runs
            .iter()
            .filter(|(run, _)| !held.contains(run) || mutant!(HandoffRelaunches))
            .map(|(run, slot)| (*run, slot.clone()))
            .collect();
        for (run, slot) in lost {
            self.turn(now, &slot, false, |instance, turn| instance.lost(turn));
            self.runs.remove(&run);
        }
        for entry in entries {
            self.learn_entry(now, entry);
        }
        let slots: Vec<Slot> = self.instances().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.turn(now, &slot, false, |instance, turn| instance.resume(turn));
            if let Some(at) = self.instance(&slot).and_then(Instance::deadline) {
                self.timers.insert((at, slot));
            }
        }
        self.settle_all(now);
        self.finish_if_over();
    }

    fn learn_entry(&mut self, now: Moment, entry: TableEntry) {
        if !self.runs.contains_key(&entry.run) && !self.adopt(now, &entry) {
            self.strays.insert(entry.run);
            match entry.stage {
                TableStage::Forked => {}
                TableStage::Running { .. } => self.out.push_back(Action::Kill { run: entry.run }),
                TableStage::Failed(_) => self.news_of_stray(entry.run, &News::TreeEmpty),
                TableStage::Exited { exit, .. } => self.news_of_stray(entry.run, &News::Exited(exit)),
            }
            return;
        }
        match entry.stage {
            TableStage::Forked => {}
            TableStage::Running { pid } => self.news(now, entry.run, News::Launched { pid }),
            TableStage::Failed(failure) => self.news(now, entry.run, News::LaunchFailed(failure)),
            TableStage::Exited { pid, exit } => {
                self.news(now, entry.run, News::Launched { pid });
                self.news(now, entry.run, News::Exited(exit));
            }
        }
    }

    /// Takes a process without a record (they were lost) into its slot, if that is free and known.
    fn adopt(&mut self, now: Moment, entry: &TableEntry) -> bool {
        let Some(spec) = self.spec(&entry.slot.program).cloned() else { return false };
        let slots = self.instances.entry(entry.slot.program.clone()).or_default();
        let instance = slots.entry(entry.slot.index).or_insert_with(|| Instance::new(now));
        if instance.run().is_some() {
            return false;
        }
        let run = super::Run {
            id: entry.run,
            label: entry.label.clone(),
            spec,
            generation: self.generation,
            pid: None,
            started_at: None,
            adopted: true,
            exit: None,
            asked: false,
            busy_since: None,
        };
        instance.phase = Phase::Starting(run);
        instance.why = "found running by a supervisor that had no record of it".to_owned();
        self.runs.insert(entry.run, entry.slot.clone());
        true
    }
}

impl Shutdown {
    fn deadline(&self) -> Option<Moment> {
        if self.record.force {
            return None;
        }
        self.running_since.map(|since| since + self.left)
    }

    fn count_draining(&mut self, now: Moment, before: bool, after: bool) {
        match (before, after) {
            (false, true) => {
                self.draining += 1;
                if let Some(since) = self.running_since.take() {
                    self.left = self.left.saturating_sub(now.since(since));
                }
            }
            (true, false) => {
                self.draining = self.draining.saturating_sub(1);
                if self.draining == 0 {
                    self.running_since = Some(now);
                }
            }
            (false, false) | (true, true) => {}
        }
    }
}

impl Instance {
    /// The keeper does not hold the run that the record speaks of.
    fn lost(&mut self, turn: &mut Turn<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped);
        match phase {
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => self.phase = phase,
            // The order never reached the keeper: no process, no failure.
            Phase::Starting(run) => {
                turn.runs.remove(&run.id);
                self.why = "its launch was lost with an earlier supervisor".to_owned();
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

    /// After a take-over: orders whose answer may have been lost are given again.
    fn resume(&mut self, turn: &mut Turn<'_>) {
        match &self.phase {
            Phase::Draining(run, _) => turn.out.push_back(Action::LookAtWork { run: run.id }),
            Phase::Stopping(run, super::StopStage::Sweeping { .. }) => {
                turn.out.push_back(Action::CheckTree { run: run.id });
            }
            Phase::Killing(run) => {
                turn.out.push_back(Action::Kill { run: run.id });
                if run.exit.is_some() {
                    turn.out.push_back(Action::CheckTree { run: run.id });
                }
            }
            Phase::Stopping(_, super::StopStage::Asked { .. })
            | Phase::Stopped
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Starting(_)
            | Phase::Running(_) => {}
        }
    }
}
