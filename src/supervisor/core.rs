//! The supervisor: programs, slots, timers, and the turn that every event takes.
//!
//! A turn: an event changes what is wanted or what is known of one instance; the instance settles; what changed
//! is recorded; the timer is set anew. Work is proportional to what the event is about, never to all programs;
//! a new plan and a shutdown alone look at everything.

use super::batch::Batch;
use super::flights::Flights;
use super::instance::{News, Turn};
use super::mutant::mutant;
use super::random::Random;
use super::shutdown::{Shutdown, Untold};
use super::storm::Storm;
use super::takeover::Strays;
use super::wish::{Wish, wanted_count, wish_for};
use super::{Action, Event, Instance, Override, Phase, Restored, ShutdownRecord, Trial};
use crate::model::{Generation, Moment, Plan, Program, ProgramName, RunId, Slot};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The decider. See the module's head.
#[derive(Debug)]
pub struct Supervisor {
    pub(super) plan: Option<Arc<Plan>>,
    pub(super) generation: Generation,
    /// Shared with the record that is to be written, and with the state before a turn: copied once in each.
    pub(super) instances: BTreeMap<ProgramName, BTreeMap<u32, Arc<Instance>>>,
    pub(super) overrides: BTreeMap<ProgramName, Override>,
    pub(super) shutdown: Option<Shutdown>,
    /// Who has not been told of it yet.
    pub(super) untold: Untold,
    /// Programs of which some instance waits to be replaced or is on trial.
    pub(super) rolling: BTreeSet<ProgramName>,
    pub(super) runs: BTreeMap<RunId, Slot>,
    /// Processes of the keeper's table that belong to no slot: they are ended and released.
    pub(super) strays: Strays,
    timers: BTreeSet<(Moment, Slot)>,
    /// What the present turn wants.
    pub(super) out: VecDeque<Action>,
    /// So much of `out` was looked through for signals.
    seen: usize,
    pub(super) batch: Batch,
    random: Random,
    storm: Storm,
    pub(super) flights: Flights,
    pub(super) table: TableState,
}

/// Before the keeper's table is known nothing is decided, least of all a launch.
#[derive(Debug)]
pub(super) enum TableState {
    /// Not told yet; a plan that came too early waits here.
    Awaited(Option<(Generation, Arc<Plan>)>),
    /// Told.
    Known,
}

impl TableState {
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited(_))
    }
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
            untold: Untold::default(),
            rolling: BTreeSet::new(),
            runs: BTreeMap::new(),
            strays: Strays::default(),
            timers: BTreeSet::new(),
            out: VecDeque::new(),
            seen: 0,
            batch: Batch::default(),
            random: Random::new(seed),
            storm: Storm::default(),
            flights: Flights::default(),
            table: TableState::Awaited(None),
        };
        if let Some((generation, plan)) = restored.plan {
            core.generation = generation;
            core.plan = Some(plan);
        }
        for (slot, mut instance) in restored.instances {
            if mutant!(HandoffForgets) {
                instance.replace = None;
            }
            if let Some(run) = instance.run_mut() {
                run.adopted = true;
                core.runs.insert(run.id, slot.clone());
            }
            core.rolling.insert(slot.program.clone());
            core.flights.count(&slot, &instance);
            core.instances.entry(slot.program).or_default().insert(slot.index, Arc::new(instance));
        }
        if let Some(record) = restored.shutdown {
            core.begin_shutdown(now, record);
        }
        core
    }

    /// Takes news. Actions and the next deadline may have changed afterwards.
    pub fn handle(&mut self, now: Moment, event: Event) {
        if self.has_finished() {
            return;
        }
        match event {
            Event::PlanAccepted { generation, plan } => self.accept_plan(now, generation, plan),
            Event::Table { entries } => self.learn_table(now, entries),
            Event::Launched { run, pid } => self.news(now, run, News::Launched { pid }),
            Event::LaunchFailed { run, failure } => self.news(now, run, News::LaunchFailed(failure)),
            Event::Exited { run, exit, words } => self.news(now, run, News::Exited(exit, words)),
            Event::TreeLeft { run, processes } => self.news(now, run, News::TreeLeft(processes)),
            Event::TreeEmpty { run } => self.news(now, run, News::TreeEmpty),
            Event::StopCommandDone { run, exit } => self.news(now, run, News::StopCommandDone(exit)),
            Event::HookDone { run, hook, exit } => self.news(now, run, News::HookDone(hook, exit)),
            Event::Ready { run } => self.news(now, run, News::Ready),
            Event::Beat { run, at } => self.news(now, run, News::Beat(at)),
            Event::Stuck { run, how } => self.news(now, run, News::Stuck(how)),
            Event::BeatEvery { run, every } => self.news(now, run, News::BeatEvery(every)),
            Event::Extend { run, by } => self.news(now, run, News::Extend(by)),
            Event::Work { run, work } => self.news(now, run, News::Work(work)),
        }
        self.call_waiting(now);
        self.finish_if_over();
    }

    /// Acts on the time alone. Calling it too early, or too often, is harmless.
    pub fn tick(&mut self, now: Moment) {
        while let Some((at, slot)) = self.timers.first().cloned() {
            if at > now || self.table.is_awaited() {
                break;
            }
            self.timers.pop_first();
            self.settle(now, &slot);
        }
        self.end_patience(now);
        self.call_waiting(now);
        self.finish_if_over();
    }

    /// What to do next, in order. `None`: nothing until more news or the deadline. What was wanted since the last `None` may come
    /// in another order than it arose: see `batch`.
    pub fn next_action(&mut self) -> Option<Action> {
        loop {
            self.sort();
            // What answers to one of these want comes before what is written down.
            if let Some(action) = self.batch.next() {
                return Some(action);
            }
            if !self.tell_some_of_the_end() {
                self.batch.end();
                return self.batch.next();
            }
        }
    }

    /// Whether the next action is one that comes before everything that is written down. If not, whoever has answers to what was
    /// asked may give them first: what they lead to is written down together then.
    pub fn has_more_now(&mut self) -> bool {
        self.sort();
        self.batch.has_more_now()
    }

    fn sort(&mut self) {
        self.seen = 0;
        let ending = self.shutdown.is_some();
        for action in std::mem::take(&mut self.out) {
            self.batch.put(action, &self.runs, ending);
        }
    }

    /// Whether something waits to be done that more news could overtake: a signal that is meant for what runs now.
    pub fn is_urgent(&mut self) -> bool {
        let seen = std::mem::replace(&mut self.seen, self.out.len());
        self.out.range(seen..).any(|action| action.class().is_urgent())
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
            instances.iter().map(|(index, instance)| (Slot::new(name.clone(), *index), instance.as_ref()))
        })
    }

    /// Every program that has instances, in the order of names.
    pub fn with_instances(&self) -> impl Iterator<Item = &ProgramName> {
        self.instances.keys()
    }

    /// Every operator's wish.
    pub fn overrides(&self) -> impl Iterator<Item = (&ProgramName, &Override)> {
        self.overrides.iter()
    }

    /// The shutdown under way.
    pub fn shutdown_record(&self) -> Option<&ShutdownRecord> {
        self.shutdown.as_ref().map(|shutdown| &shutdown.record)
    }

    /// Whether this slot should be running: neither stopped nor done, in the plan, and no shutdown is under way.
    pub fn is_wanted(&self, slot: &Slot) -> bool {
        self.wish_of(slot).is_run()
    }

    /// The slot that `run` lives in, if it is not past.
    pub fn slot_of(&self, run: RunId) -> Option<&Slot> {
        self.runs.get(&run)
    }

    /// One instance.
    pub fn instance(&self, slot: &Slot) -> Option<&Instance> {
        self.instances.get(&slot.program)?.get(&slot.index).map(Arc::as_ref)
    }

    /// The program of that name in the accepted plan.
    pub fn spec(&self, name: &ProgramName) -> Option<&Arc<Program>> {
        self.plan.as_ref()?.programs.get(name)
    }

    /// News of a run: the one place where those of past runs end.
    pub(super) fn news(&mut self, now: Moment, run: RunId, news: News) {
        let past = || self.runs.values().next().filter(|_| mutant!(BelievePast));
        let Some(slot) = self.runs.get(&run).or_else(past).cloned() else {
            return self.news_of_stray(now, run, &news);
        };
        self.turn(now, &slot, false, |instance, turn| {
            instance.observe(turn, news);
            instance.settle(turn);
        });
        self.advance_rollout(now, &slot.program);
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
        if self.table.is_awaited() {
            return;
        }
        let wish = self.wish_of(slot);
        let spec = self.plan.as_ref().and_then(|plan| plan.programs.get(&slot.program));
        let operator = self.overrides.get(&slot.program);
        let most_flights = self.most_flights();
        let count = wanted_count(spec.map(AsRef::as_ref), operator);
        let single = wish.is_run() && count == 1;
        let Some(instance) = self.instances.get_mut(&slot.program).and_then(|all| all.get_mut(&slot.index))
        else {
            return;
        };
        let before = Arc::clone(instance);
        let mut turn = Turn {
            now,
            slot,
            wish,
            spec,
            generation: self.generation,
            has_siblings: count > 1,
            blocked: self.strays.block(slot),
            may_replace: may_replace || single || mutant!(ReplaceAll),
            out: &mut self.out,
            random: &mut self.random,
            flights: &mut self.flights,
            most_flights,
            storm: &mut self.storm,
            runs: &mut self.runs,
            then: Vec::new(),
            give_up: None,
        };
        change(Arc::make_mut(instance), &mut turn);
        let Turn { then, give_up, .. } = turn;
        let after = Arc::clone(instance);
        // On disk before the slot's own record: a crash between the two must not lose the shutdown.
        let ends = give_up
            .is_some_and(|why| self.declare_shutdown(now, ShutdownRecord { why, code: 1, force: false }));
        let (early, late) = if mutant!(RecordsLate) { (then, Vec::new()) } else { (Vec::new(), then) };
        self.out.extend(early);
        self.keep(now, slot, &before, after);
        self.out.extend(late);
        if ends {
            self.tell_all_of_the_end(now);
        }
    }

    /// Follows up on a turn: timers, records, sums.
    fn keep(&mut self, now: Moment, slot: &Slot, before: &Instance, after: Arc<Instance>) {
        if let Some(at) = before.deadline() {
            self.timers.remove(&(at, slot.clone()));
        }
        self.flights.forget(slot, before);
        self.flights.count(slot, &after);
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.count_draining(now, before.drains(), after.drains());
        }
        if matches!(after.trial, Trial::Failed(_)) && before.trial != after.trial {
            self.call_off_restarts(now, slot);
        }
        if self.is_over(slot, &after) {
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
        if *before != *after {
            if after.replace.is_some() || after.trial == Trial::Running {
                self.rolling.insert(slot.program.clone());
            }
            self.out.push_back(Action::Record { slot: slot.clone(), record: Some(after) });
        }
    }

    /// A slot ends when nothing runs in it and nobody wants it: its program is gone, or its index too high.
    fn is_over(&self, slot: &Slot, instance: &Instance) -> bool {
        let at_rest = matches!(instance.phase, Phase::Stopped);
        let spec = self.spec(&slot.program).map(AsRef::as_ref);
        let wanted = slot.index <= wanted_count(spec, self.overrides.get(&slot.program));
        !wanted && (at_rest || mutant!(ForgetTooEarly))
    }

    /// Every slot acts: stops first, the late starters first; then starts, the early ones first.
    pub(super) fn settle_all(&mut self, now: Moment) {
        if self.table.is_awaited() {
            return;
        }
        self.settle_slots(now, self.slots_by_priority());
    }

    /// Every slot, the early starters first.
    pub(super) fn slots_by_priority(&self) -> Vec<(i32, Slot)> {
        let of = |name: &ProgramName| self.spec(name).map_or(0, |spec| spec.priority);
        let mut slots: Vec<(i32, Slot)> = self
            .instances
            .iter()
            .flat_map(|(name, all)| all.keys().map(move |index| (of(name), Slot::new(name.clone(), *index))))
            .collect();
        slots.sort();
        slots
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
}
