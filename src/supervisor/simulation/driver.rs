//! The run of one seed: steps, the world's time, crashes, and what is checked when the core is at rest.

use super::dice::{Dice, Kind, Swarm, weighted};
use super::laws::{Broken, Checked, Law, demand};
use super::ledger::Ledger;
use super::memory::Watch;
use super::plans::{any_plan, edited};
use super::trace::{brief, brief_action};
use super::world::World;
use crate::model::{HookKind, Moment, Plan, ProgramName, ReadyBy, RunId, Slot};
use crate::supervisor::diff::{compare, diff};
use crate::supervisor::{Action, Drain, Event, Instance, Phase, Restored, Supervisor, Work};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// More actions than this after one event are an endless loop.
const MOST_ACTIONS: u32 = 2000;

/// What the actions that are being carried out are about.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// The same plan was read again.
    SamePlan,
    /// An edit of these programs, and perhaps of how many launches may be in flight.
    Plan(BTreeSet<ProgramName>),
    /// An operator's signal.
    Signal,
    /// News of a run that is over.
    Past,
    /// A take-over.
    Table,
    Other,
}

/// One seed.
pub(super) struct Sim {
    pub(super) now: Moment,
    pub(super) core: Supervisor,
    pub(super) dice: Dice,
    pub(super) swarm: Swarm,
    pub(super) world: World,
    pub(super) ledger: Ledger,
    pub(super) watch: Watch,
    /// What stands in the file.
    pub(super) file: Arc<Plan>,
    pub(super) trace: Option<Vec<String>>,
    pub(super) finished: bool,
    pub(super) step: u32,
    pub(super) actions: u64,
    pub(super) crashes: u32,
    /// No crash any more.
    pub(super) calm: bool,
}

impl Sim {
    pub(super) fn new(seed: u64, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let swarm = Swarm::new(&mut dice);
        let file = any_plan(&mut dice, &swarm);
        let now = Moment::from_nanos(1_000_000_000);
        let core = Supervisor::new(dice.seed128(Kind::Checks), now, Restored::default());
        Self {
            now,
            core,
            dice,
            swarm,
            world: World::default(),
            ledger: Ledger::default(),
            watch: Watch::default(),
            file,
            trace: traced.then(Vec::new),
            finished: false,
            step: 0,
            actions: 0,
            crashes: 0,
            calm: false,
        }
    }

    pub(super) fn say(&mut self, text: impl FnOnce() -> String) {
        let (now, step) = (self.now, self.step);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now} #{step} {}", text()));
        }
    }

    pub(super) fn begin(&mut self) -> Checked {
        self.feed(Event::Table { entries: Vec::new() }, &Cause::Table)?;
        self.accept_file()
    }

    pub(super) fn one_step(&mut self) -> Checked {
        self.step += 1;
        if self.dice.below(Kind::Crash, 1000) < self.swarm.crashes.0 {
            self.crash()?;
        }
        if self.dice.percent(Kind::Step, 70) {
            return self.advance(true).map(|_| ());
        }
        let steps = self.swarm.steps;
        match weighted(&mut self.dice, Kind::Step, &steps) {
            Some(0) => self.edit(),
            Some(1) => self.read_again(),
            Some(2) => self.operate(),
            Some(3) => self.late_news(),
            Some(_) => self.tick(&Cause::Other),
            None => self.advance(true).map(|_| ()),
        }
    }

    pub(super) fn wanted(&self, slot: &Slot) -> bool {
        self.watch.wishes.wants(self.core.plan().map(|(_, plan)| plan.as_ref()), slot)
    }

    pub(super) fn count_of(&self, program: &ProgramName) -> u32 {
        self.core.spec(program).map_or(0, |spec| self.watch.wishes.count(spec))
    }

    /// Gives the core an event and carries out what it wants.
    pub(super) fn feed(&mut self, event: Event, cause: &Cause) -> Checked {
        self.say(|| format!("EVENT {}", brief(&event)));
        self.core.handle(self.now, event);
        self.drain(cause)
    }

    fn tick(&mut self, cause: &Cause) -> Checked {
        self.core.tick(self.now);
        self.drain(cause)
    }

    pub(super) fn drain(&mut self, cause: &Cause) -> Checked {
        for _ in 0..MOST_ACTIONS {
            let wants = !self.core.out.is_empty() || !self.core.batch.is_empty();
            if wants && !self.calm && self.crash_strikes() {
                return self.crash();
            }
            let Some(action) = self.core.next_action() else { return self.check_rest() };
            self.actions += 1;
            self.say(|| format!("      {}", brief_action(&action)));
            self.check_action(&action, cause)?;
            self.carry_out(action)?;
        }
        Err(Law::Converges.broken("endless actions"))
    }

    fn crash_strikes(&mut self) -> bool {
        self.dice.below(Kind::Crash, 1000) < self.swarm.crashes.1
    }

    fn carry_out(&mut self, action: Action) -> Checked {
        let (now, world, dice) = (self.now, &mut self.world, &mut self.dice);
        match action {
            Action::Record { slot, record } => {
                self.remember_record(&slot, record.as_deref());
                self.believe_adopted(&slot, record.as_deref());
                self.note_patience(record.as_deref());
                return self.ledger.keep(&slot, record.as_deref());
            }
            Action::RecordShutdown(record) => self.ledger.shutdown = Some(record),
            Action::RecordPlan { generation, stale } => return self.ledger.accept(generation, &stale),
            Action::KeepOverride { program, wish } => match wish {
                Some(wish) => {
                    self.ledger.overrides.insert(program, *wish);
                }
                None => {
                    self.ledger.overrides.remove(&program);
                }
            },
            Action::Launch(launch) => world.launch(now, &launch, dice, &self.swarm),
            Action::AskToStop { run, .. } => world.ask_to_stop(now, run, dice),
            Action::RunStopCommand { run, .. } => world.stop_command(now, run),
            Action::Kill { run } => world.kill(now, run, dice),
            Action::CheckTree { run } => world.check_tree(now, run, dice, &self.swarm),
            Action::LookAtWork { run } => world.look_at_work(now, run, dice, &self.swarm),
            Action::ForgetWork { run, .. } => world.forget_work(run),
            Action::RunHook { run, hook, .. } => world.run_hook(now, run, hook),
            Action::CheckBeat { run } => world.check_beat(now, run, dice, &self.swarm),
            Action::Respec { run, spec, generation } => {
                if let Some(process) = world.table.get_mut(&run) {
                    process.grace = process.grace.min(spec.stop.grace());
                    process.hooks_changed |= process.spec.hooks != spec.hooks;
                    process.spec = spec;
                    process.generation = generation;
                }
            }
            Action::Release { run } => world.release(run),
            Action::Signal { .. } | Action::EndHook { .. } | Action::TellStop { .. } | Action::Note(_) => {}
            Action::Finish { .. } => {
                self.finished = true;
                let last = self.core.next_action();
                return demand(last.is_none(), Law::EndsLast, || format!("after the end: {last:?}"));
            }
        }
        Ok(())
    }

    /// A wait for the end of a task counts from its record on, even if the question was lost with a supervisor.
    fn note_patience(&mut self, record: Option<&Instance>) {
        let Some(Phase::Draining(run, Drain::Task { .. })) = record.map(|record| &record.phase) else {
            return;
        };
        if let Some(process) = self.world.table.get_mut(&run.id) {
            process.drains_since = process.drains_since.or(Some(self.now));
        }
    }

    /// When the records were lost nobody can say what a process was launched with: it counts as what the core says.
    fn believe_adopted(&mut self, slot: &Slot, record: Option<&Instance>) {
        let Some(run) = record.and_then(Instance::run).filter(|_| self.watch.amnesia) else { return };
        let known =
            self.ledger.instances.get(slot).and_then(Instance::run).is_some_and(|kept| kept.id == run.id);
        if let Some(process) = self.world.table.get_mut(&run.id).filter(|_| !known) {
            process.grace = process.grace.min(run.spec.stop.grace());
            process.spec = Arc::clone(&run.spec);
        }
    }

    /// The next thing that is due: of the world, of the news, of the core's clock. `may_wait`: time may pass for it.
    pub(super) fn advance(&mut self, may_wait: bool) -> Result<bool, Broken> {
        let deadline = self.core.next_deadline();
        let Some(at) = self.world.next_at().into_iter().chain(deadline).min() else { return Ok(false) };
        if at > self.now {
            if !may_wait {
                return Ok(false);
            }
            self.let_time_pass(at);
        }
        let ticks = deadline.is_some_and(|deadline| deadline <= self.now);
        if ticks && (self.dice.percent(Kind::Time, 50) || self.world.next_at().is_none_or(|at| at > self.now))
        {
            self.say(|| "TICK".to_owned());
            let crashes = self.crashes;
            self.tick(&Cause::Other)?;
            let again = self.core.next_deadline();
            demand(
                self.finished || self.crashes > crashes || again.is_none_or(|at| at > self.now),
                Law::Converges,
                || format!("a tick at {} leaves the deadline {again:?}", self.now),
            )?;
            return Ok(true);
        }
        if self.dice.percent(Kind::Time, 50) && self.world.pass(self.now, &mut self.dice, &self.swarm) {
            return Ok(true);
        }
        if let Some(event) = self.world.take_news(self.now, &mut self.dice) {
            // The shell takes what has come before it acts.
            let mut next = Some(event);
            while let Some(event) = next {
                self.say(|| format!("EVENT {}", brief(&event)));
                self.core.handle(self.now, event);
                let more = !self.core.is_urgent() && self.dice.percent(Kind::Time, 60);
                next = more.then(|| self.world.take_news(self.now, &mut self.dice)).flatten();
            }
            self.drain(&Cause::Other)?;
            return Ok(true);
        }
        Ok(self.world.pass(self.now, &mut self.dice, &self.swarm))
    }

    fn let_time_pass(&mut self, until: Moment) {
        let drains = self.core.instances().any(|(_, instance)| instance.drains());
        if self.core.shutdown.is_some() && !drains {
            self.watch.shutdown_lasted += until.since(self.now);
        }
        self.now = until;
    }

    fn edit(&mut self) -> Checked {
        let (next, story) = edited(&mut self.dice, &self.swarm, &self.file);
        self.say(|| format!("EDIT{story}"));
        self.file = next;
        self.accept_file()
    }

    fn read_again(&mut self) -> Checked {
        self.say(|| "READ AGAIN".to_owned());
        self.accept_file()
    }

    /// The file is read, and the core told.
    pub(super) fn accept_file(&mut self) -> Checked {
        let old = self.core.plan().map(|(_, plan)| Arc::clone(plan));
        let new = Arc::clone(&self.file);
        let generation = self.ledger.next_generation();
        self.ledger.plans.insert(generation, Arc::clone(&new));
        let cause = match &old {
            Some(old) => match (diff(old, &new).programs, has_other_room(old, &new)) {
                (programs, false) if programs.is_empty() => Cause::SamePlan,
                (programs, _) => Cause::Plan(programs.into_iter().map(|(name, _)| name).collect()),
            },
            None => Cause::Other,
        };
        self.note_edits(old.as_deref(), &new);
        self.feed(Event::PlanAccepted { generation, plan: new }, &cause)
    }

    /// What another plan permits.
    pub(super) fn note_edits(&mut self, old: Option<&Plan>, new: &Plan) {
        self.forget_steady();
        self.watch.wishes.accept(old, new);
        for (name, spec) in &new.programs {
            let before = old.and_then(|old| old.programs.get(name));
            let change = before.map(|before| compare(before, spec));
            if change.as_ref().is_some_and(|change| change.is_none()) {
                continue;
            }
            let restart = change.is_none_or(|change| !change.restart.is_empty());
            self.watch.edited(name, restart);
            let rests = |i: &Instance| match &i.phase {
                Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => true,
                Phase::Waiting(ticket) => ticket.again,
                Phase::Stopped
                | Phase::Starting(_)
                | Phase::Running(_)
                | Phase::Draining(..)
                | Phase::Stopping(..)
                | Phase::Killing(_) => false,
            };
            let resting = self.core.instances().filter(|(s, i)| restart && s.program == *name && rests(i));
            self.watch.judged.extend(resting.map(|(slot, _)| slot));
        }
    }

    fn late_news(&mut self) -> Checked {
        if self.world.past.is_empty() {
            return Ok(());
        }
        let run = self.dice.pick(Kind::Step, &self.world.past);
        let exit = self.dice.exit();
        let events = [
            Event::Launched { run, pid: 1 },
            Event::Exited { run, exit, words: None },
            Event::TreeEmpty { run },
            Event::TreeLeft { run, processes: 1 },
            Event::Work { run, work: Work::Idle },
            Event::LaunchFailed { run, failure: super::behaviour::failure() },
            Event::StopCommandDone { run, exit: None },
            Event::HookDone { run, hook: HookKind::BeforeStop, exit: None },
            Event::Ready { run },
            Event::Beat { run, at: self.now },
            Event::Stuck { run, how: String::new() },
            Event::Extend { run, by: Duration::from_secs(1) },
        ];
        let event = events[self.dice.below(Kind::Step, events.len() as u64) as usize].clone();
        let before: Vec<(Slot, Instance)> = self.core.instances().map(|(s, i)| (s, i.clone())).collect();
        self.feed(event, &Cause::Past)?;
        let same = before.iter().map(|(s, i)| (s.clone(), i)).eq(self.core.instances());
        demand(same, Law::Past, || format!("late news of {run} changed something"))
    }

    /// What holds whenever the core has nothing more to say.
    fn check_rest(&mut self) -> Checked {
        if self.finished {
            return Ok(());
        }
        let over = self.core.shutdown.is_some() && self.world.table.is_empty();
        demand(!over, Law::EndsLast, || "nothing lives, and that is not the end".to_owned())?;
        self.forget_unwanted();
        self.forget_steady();
        let restored =
            self.ledger.instances.iter().map(|(slot, instance)| (&slot.program, slot.index, instance));
        let known = self.core.instances.iter();
        let known = known.flat_map(|(name, all)| all.iter().map(move |(index, i)| (name, *index, &**i)));
        demand(restored.eq(known), Law::Handoff, || {
            let core: Vec<_> = self.core.instances().collect();
            format!("records and core differ:\n{:?}\n{core:?}", self.ledger.instances)
        })?;
        demand(self.ledger.overrides == self.core.overrides, Law::Handoff, || "overrides differ".to_owned())?;
        self.check_owned()?;
        self.check_ready()?;
        self.check_room()?;
        for (slot, _) in self.core.instances() {
            let (wanted, wished) = (self.wanted(&slot), self.core.wish_of(&slot).is_run());
            demand(wanted == wished, Law::Wishes, || format!("{slot:?}: wanted {wanted}, wish {wished}"))?;
        }
        if self.dice.percent(Kind::Checks, 10) { self.check_twin() } else { Ok(()) }
    }

    /// Law 9.
    fn check_ready(&self) -> Checked {
        for (slot, instance) in self.core.instances() {
            let Phase::Running(run) = &instance.phase else { continue };
            let said = self.world.table.get(&run.id).is_none_or(|process| process.said_ready);
            let may = said || run.ready.by == ReadyBy::Spawn;
            demand(may, Law::Ready, || format!("{slot:?} counts as ready and never said so"))?;
        }
        Ok(())
    }

    fn check_owned(&self) -> Checked {
        for (run, process) in &self.world.table {
            let owned = self.core.slot_of(*run) == Some(&process.slot) || self.core.strays.contains(*run);
            demand(owned, Law::Owned, || format!("{run} of {:?} belongs to nobody", process.slot))?;
        }
        let slots = self.core.instances().filter_map(|(_, instance)| instance.run()).map(|run| run.id);
        for run in slots.collect::<Vec<RunId>>() {
            let known = self.world.table.contains_key(&run);
            demand(known, Law::Owned, || {
                format!("{run} is believed to live, and the keeper has no such run")
            })?;
        }
        Ok(())
    }
}

/// The edit is of how many launches may be in flight.
fn has_other_room(old: &Plan, new: &Plan) -> bool {
    old.supervisor.start_concurrency != new.supervisor.start_concurrency
}
