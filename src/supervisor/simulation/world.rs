//! The simulated machine: the keeper's table, processes with what they leave behind, and news on their way.
//!
//! It keeps the promises that the shell makes: per run Launched (or LaunchFailed) before Exited before TreeEmpty,
//! nothing between runs; an idle program stays idle from the word until `ForgetWork` or the signal.

use super::behaviour::{Behaviour, failure};
use super::dice::{Dice, Kind, Swarm};
use crate::model::{
    Exit, Generation, HookKind, InstanceLabel, Moment, Program, ReadyBy, RunId, Signal, Slot,
};
use crate::supervisor::{Event, Launch, TableEntry, TableStage, Work};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Forked,
    Runs,
    Failed,
    Exited(Exit),
}

/// One entry of the keeper's table.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) slot: Slot,
    pub(super) label: InstanceLabel,
    pub(super) generation: Generation,
    /// What it was launched with; live changes included.
    pub(super) spec: Arc<Program>,
    pub(super) stage: Stage,
    pub(super) pid: u32,
    pub(super) behaviour: Behaviour,
    /// Descendants that live.
    pub(super) left: u32,
    /// What main left is in the middle of a task until then.
    pub(super) left_busy_until: Moment,
    pub(super) busy: bool,
    /// Kept from beginning a task.
    pub(super) held: bool,
    /// Somebody wants to know whether it is busy, since then.
    pub(super) looked: bool,
    pub(super) drains_since: Option<Moment>,
    /// The drain before that, which a crash may bring back.
    drained_since: Option<Moment>,
    /// CheckTree was ordered and not answered with `TreeEmpty`.
    pub(super) watched: bool,
    pub(super) asks: u32,
    pub(super) asked_at: Option<Moment>,
    pub(super) exited_at: Option<Moment>,
    pub(super) killed: bool,
    /// It was busy for longer than max_busy, and was signalled all the same.
    pub(super) overran: bool,
    /// The spec that it was launched with, whatever became of it.
    pub(super) at_launch: Arc<Program>,
    pub(super) started_at: Option<Moment>,
    pub(super) said_ready: bool,
    /// When that can be known.
    pub(super) heard_ready: Option<Moment>,
    pub(super) beat_at: Moment,
    /// Hooks that were run, and whether the spec's have changed since the launch.
    pub(super) hooked: BTreeSet<HookKind>,
    pub(super) hooks_changed: bool,
    /// The shortest grace of all the policies that it had since it was asked to stop or ended.
    pub(super) grace: Duration,
}

impl Process {
    pub(super) fn main_lives(&self) -> bool {
        matches!(self.stage, Stage::Forked | Stage::Runs)
    }

    /// Some of what main left is in the middle of a task.
    pub(super) fn left_works(&self, now: Moment) -> bool {
        !self.main_lives() && self.left > 0 && now < self.left_busy_until
    }

    /// From when its grace counts.
    pub(super) fn grace_began(&self) -> Option<Moment> {
        self.asked_at.or(self.exited_at)
    }
}

fn busy(since: Moment) -> Work {
    Work::Busy { since, what: None }
}

/// What happens by itself.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Launch,
    Exit(Exit),
    LeftoversEnd,
    LeftoversIdle,
    TaskBegins,
    TaskEnds,
    CommandDone(Option<Exit>),
    /// It ends as it was asked to, as soon as it has nothing in hand.
    Heeds(Exit),
    SaysReady,
    HookDone(HookKind, Option<Exit>),
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) table: BTreeMap<RunId, Process>,
    agenda: BTreeMap<(Moment, u64), (RunId, Happening)>,
    news: BTreeMap<RunId, VecDeque<(Moment, Event)>>,
    pub(super) past: Vec<RunId>,
    number: u64,
    /// Programs give no trouble any more.
    pub(super) healed: bool,
    /// No supervisor listens: what happens shows in the table alone.
    pub(super) deaf: bool,
}

impl World {
    pub(super) fn next_at(&self) -> Option<Moment> {
        let happening = self.agenda.keys().next().map(|(at, _)| *at);
        happening.into_iter().chain(self.next_news_at()).min()
    }

    fn next_news_at(&self) -> Option<Moment> {
        self.news.values().filter_map(|queue| queue.front()).map(|(at, _)| *at).min()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// News that have arrived.
    pub(super) fn take_news(&mut self, now: Moment, dice: &mut Dice) -> Option<Event> {
        let due = |queue: &VecDeque<(Moment, Event)>| queue.front().is_some_and(|(at, _)| *at <= now);
        let runs: Vec<RunId> =
            self.news.iter().filter(|(_, queue)| due(queue)).map(|(run, _)| *run).collect();
        if runs.is_empty() {
            return None;
        }
        let run = dice.pick(Kind::Step, &runs);
        let queue = self.news.get_mut(&run)?;
        let (_, event) = queue.pop_front()?;
        if queue.is_empty() {
            self.news.remove(&run);
        }
        Some(event)
    }

    /// Lets the next thing happen that is due; `false`: nothing is.
    pub(super) fn pass(&mut self, now: Moment, dice: &mut Dice, swarm: &Swarm) -> bool {
        let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) else {
            return false;
        };
        let (run, happening) = entry.remove();
        match happening {
            Happening::Launch => self.launched(now, run, dice, swarm),
            Happening::Exit(exit) => self.exit(now, run, exit, dice, swarm),
            Happening::Heeds(exit) => {
                let busy = self.table.get(&run).is_some_and(|process| process.busy);
                match busy {
                    true => self.plan_at(now + Duration::from_millis(100), run, happening),
                    false => self.exit(now, run, exit, dice, swarm),
                }
            }
            Happening::SaysReady => {
                if let Some(process) = self.table.get_mut(&run).filter(|p| p.stage == Stage::Runs) {
                    process.said_ready = true;
                    self.tell_ready(now, run, dice, swarm);
                }
            }
            Happening::HookDone(hook, exit) => {
                self.tell(now, run, Event::HookDone { run, hook, exit }, dice, swarm);
            }
            Happening::LeftoversIdle => {
                if self.table.get(&run).is_some_and(|p| p.looked && p.left > 0) {
                    self.tell(now, run, Event::Work { run, work: Work::Idle }, dice, swarm);
                }
            }
            Happening::LeftoversEnd => self.leftovers_end(now, run, dice, swarm),
            Happening::TaskBegins | Happening::TaskEnds => self.task(now, run, happening, dice, swarm),
            Happening::CommandDone(exit) => {
                if exit == Some(Exit::Code(0)) {
                    self.heed(now, run, dice);
                }
                self.tell(now, run, Event::StopCommandDone { run, exit }, dice, swarm);
            }
        }
        true
    }

    fn plan_at(&mut self, at: Moment, run: RunId, happening: Happening) {
        self.number += 1;
        self.agenda.insert((at, self.number), (run, happening));
    }

    fn tell(&mut self, now: Moment, run: RunId, event: Event, dice: &mut Dice, swarm: &Swarm) {
        let latency = if self.healed { 5 } else { swarm.latency };
        let arrives = now + dice.millis(Kind::Latency, 0, latency);
        if self.deaf {
            return;
        }
        let queue = self.news.entry(run).or_default();
        let after = queue.back().map_or(now, |(at, _)| *at);
        queue.push_back((arrives.max(after), event));
    }

    fn tell_ready(&mut self, now: Moment, run: RunId, dice: &mut Dice, swarm: &Swarm) {
        self.tell(now, run, Event::Ready { run }, dice, swarm);
        let arrives = self.news.get(&run).and_then(|queue| queue.back()).map(|(at, _)| *at);
        if let Some(process) = self.table.get_mut(&run) {
            process.heard_ready = arrives;
        }
    }

    /// What a program says waits for the next supervisor, and it is told again rather than lost.
    pub(super) fn say_again(&mut self, now: Moment, dice: &mut Dice, swarm: &Swarm) {
        let said =
            self.table.iter().filter(|(_, process)| process.said_ready && process.stage == Stage::Runs);
        for run in said.map(|(run, _)| *run).collect::<Vec<RunId>>() {
            self.tell_ready(now, run, dice, swarm);
        }
    }

    pub(super) fn launch(&mut self, now: Moment, order: &Launch, dice: &mut Dice, swarm: &Swarm) {
        let healed = self.healed;
        let drawn = Behaviour::any(dice, swarm, &order.spec);
        let behaviour = if healed { Behaviour::good() } else { drawn };
        self.plan_at(now + behaviour.launch, order.run, Happening::Launch);
        self.number += 1;
        let process = Process {
            slot: order.slot.clone(),
            label: order.label.clone(),
            generation: order.generation,
            spec: Arc::clone(&order.spec),
            stage: Stage::Forked,
            pid: self.number as u32,
            behaviour,
            left: 0,
            left_busy_until: now,
            busy: false,
            held: false,
            looked: false,
            drains_since: None,
            drained_since: None,
            watched: false,
            asks: 0,
            asked_at: None,
            exited_at: None,
            killed: false,
            overran: false,
            at_launch: Arc::clone(&order.spec),
            started_at: None,
            said_ready: false,
            heard_ready: None,
            beat_at: now,
            hooked: BTreeSet::new(),
            hooks_changed: false,
            grace: order.spec.stop.grace(),
        };
        self.table.insert(order.run, process);
    }

    fn launched(&mut self, now: Moment, run: RunId, dice: &mut Dice, swarm: &Swarm) {
        let Some(process) = self.table.get_mut(&run) else { return };
        let behaviour = process.behaviour.clone();
        let pid = process.pid;
        if behaviour.fails {
            process.stage = Stage::Failed;
            return self.tell(now, run, Event::LaunchFailed { run, failure: failure() }, dice, swarm);
        }
        process.stage = Stage::Runs;
        process.left = behaviour.leaves;
        process.beat_at = now;
        process.started_at = Some(now);
        let gated = process.behaviour.works;
        if let Some(after) = behaviour.ready.filter(|_| process.spec.ready.by == ReadyBy::Notify) {
            self.plan_at(now + after, run, Happening::SaysReady);
        }
        if let Some((after, exit)) = behaviour.ends {
            self.plan_at(now + after, run, Happening::Exit(exit));
        }
        if gated {
            let first = if behaviour.begins_busy { Duration::ZERO } else { behaviour.pause };
            self.plan_at(now + first, run, Happening::TaskBegins);
        }
        self.tell(now, run, Event::Launched { run, pid }, dice, swarm);
    }

    fn exit(&mut self, now: Moment, run: RunId, exit: Exit, dice: &mut Dice, swarm: &Swarm) {
        let Some(process) = self.table.get_mut(&run).filter(|process| process.stage == Stage::Runs) else {
            return;
        };
        process.stage = Stage::Exited(exit);
        process.exited_at = Some(now);
        process.busy = false;
        // What is kept from beginning a task is so with all that belongs to it.
        let kept = process.looked && process.held;
        process.left_busy_until = now + if kept { Duration::ZERO } else { process.behaviour.left_task };
        if process.asked_at.is_none() {
            process.grace = process.spec.stop.grace();
        }
        let left_end = process.behaviour.left_end.filter(|_| process.left > 0);
        if let Some(after) = left_end {
            self.plan_at(now + after, run, Happening::LeftoversEnd);
        }
        self.tell(now, run, Event::Exited { run, exit, words: None }, dice, swarm);
    }

    fn leftovers_end(&mut self, now: Moment, run: RunId, dice: &mut Dice, swarm: &Swarm) {
        let Some(process) = self.table.get_mut(&run) else { return };
        process.left = 0;
        if std::mem::take(&mut process.watched) {
            self.tell(now, run, Event::TreeEmpty { run }, dice, swarm);
        }
    }

    fn task(&mut self, now: Moment, run: RunId, happening: Happening, dice: &mut Dice, swarm: &Swarm) {
        let healed = self.healed;
        let Some(process) = self.table.get_mut(&run).filter(|process| process.stage == Stage::Runs) else {
            return;
        };
        let begins = matches!(happening, Happening::TaskBegins);
        if begins && process.held {
            return self.plan_at(now + Duration::from_millis(100), run, Happening::TaskBegins);
        }
        let ends = process.asked_at.is_some() && process.behaviour.heeds.is_some();
        if begins && (healed || ends) {
            return;
        }
        process.busy = begins;
        let looked = process.looked;
        process.held = looked && !begins;
        let next = match begins {
            true => (now + process.behaviour.task, Happening::TaskEnds),
            false => (now + process.behaviour.pause, Happening::TaskBegins),
        };
        self.plan_at(next.0, run, next.1);
        if looked {
            let work = if begins { busy(now) } else { Work::Idle };
            self.tell(now, run, Event::Work { run, work }, dice, swarm);
        }
    }

    fn heed(&mut self, now: Moment, run: RunId, dice: &mut Dice) {
        let Some(process) = self.table.get_mut(&run).filter(|process| process.stage == Stage::Runs) else {
            return;
        };
        // What it was kept from since a KILL waits for its idleness, a late word of a stop command does not allow.
        process.held &= process.looked;
        let heeds = process.behaviour.heeds.filter(|(nth, _)| process.asks >= *nth);
        let last_words = process.behaviour.last_words;
        if let Some((_, after)) = heeds {
            let after = if dice.percent(Kind::Behaviour, 90) { after } else { after * 2 };
            self.plan_at(now + after, run, Happening::Heeds(last_words));
        }
    }

    /// A stop signal.
    pub(super) fn ask_to_stop(&mut self, now: Moment, run: RunId, dice: &mut Dice) {
        let Some(process) = self.table.get_mut(&run) else { return };
        process.asks += 1;
        if process.stage == Stage::Runs {
            process.asked_at = process.asked_at.or(Some(now));
            return self.heed(now, run, dice);
        }
        if let Some(after) = process.behaviour.left_heed {
            self.plan_at(now + after, run, Happening::LeftoversEnd);
        }
    }

    pub(super) fn stop_command(&mut self, now: Moment, run: RunId) {
        let Some(process) = self.table.get_mut(&run) else { return };
        process.asks += 1;
        process.asked_at = process.asked_at.or(Some(now));
        let (after, exit) = process.behaviour.command;
        self.plan_at(now + after, run, Happening::CommandDone(exit));
    }

    pub(super) fn kill(&mut self, now: Moment, run: RunId, dice: &mut Dice) {
        let Some(process) = self.table.get_mut(&run) else { return };
        process.killed = true;
        let at = now + dice.millis(Kind::Latency, 0, 300);
        if process.stage == Stage::Runs {
            let exit = Exit::Signal { signal: Signal::KILL, core: false };
            self.plan_at(at, run, Happening::Exit(exit));
        }
        self.plan_at(at, run, Happening::LeftoversEnd);
    }

    pub(super) fn check_tree(&mut self, now: Moment, run: RunId, dice: &mut Dice, swarm: &Swarm) {
        let Some(process) = self.table.get_mut(&run) else { return };
        let processes = process.left;
        process.watched = processes > 0;
        let event = match processes {
            0 => Event::TreeEmpty { run },
            _ => Event::TreeLeft { run, processes },
        };
        self.tell(now, run, event, dice, swarm);
    }

    pub(super) fn look_at_work(&mut self, now: Moment, run: RunId, dice: &mut Dice, swarm: &Swarm) {
        let Some(process) = self.table.get_mut(&run) else { return };
        process.drains_since = process.drains_since.or(Some(now));
        process.looked = true;
        if process.stage != Stage::Runs {
            let work = if process.left_works(now) { busy(now) } else { Work::Idle };
            if process.left_works(now) {
                let until = process.left_busy_until;
                self.plan_at(until, run, Happening::LeftoversIdle);
            }
            return self.tell(now, run, Event::Work { run, work }, dice, swarm);
        }
        process.held = !process.busy;
        let work = if process.busy { busy(now) } else { Work::Idle };
        self.tell(now, run, Event::Work { run, work }, dice, swarm);
    }

    pub(super) fn forget_work(&mut self, run: RunId) {
        let Some(process) = self.table.get_mut(&run) else { return };
        process.looked = false;
        process.held = false;
        process.drained_since = process.drains_since.take();
        if let Some(queue) = self.news.get_mut(&run) {
            queue.retain(|(_, event)| !matches!(event, Event::Work { .. }));
            if queue.is_empty() {
                self.news.remove(&run);
            }
        }
    }

    pub(super) fn run_hook(&mut self, now: Moment, run: RunId, hook: HookKind) {
        let Some(process) = self.table.get_mut(&run) else { return };
        process.hooked.insert(hook);
        let (after, exit) = process.behaviour.hook;
        self.plan_at(now + after, run, Happening::HookDone(hook, exit));
    }

    pub(super) fn check_beat(&mut self, now: Moment, run: RunId, dice: &mut Dice, swarm: &Swarm) {
        let Some(process) = self.table.get_mut(&run) else { return };
        if process.behaviour.beats {
            process.beat_at = now;
        }
        let at = process.beat_at;
        self.tell(now, run, Event::Beat { run, at }, dice, swarm);
    }

    pub(super) fn release(&mut self, run: RunId) {
        if self.table.remove(&run).is_some() {
            self.past.push(run);
        }
    }

    /// The supervisor died: nobody listens, and its locks are gone. `drains`: whether the disk says so.
    pub(super) fn supervisor_dies(&mut self, drains: impl Fn(&Slot) -> bool) {
        self.deaf = true;
        self.news.clear();
        for process in self.table.values_mut() {
            process.looked = false;
            process.held = false;
            process.watched = false;
            if drains(&process.slot) {
                process.drains_since = process.drains_since.or(process.drained_since);
            }
        }
    }

    /// What the keeper tells a new supervisor, in any order.
    pub(super) fn entries(&self, dice: &mut Dice) -> Vec<TableEntry> {
        let entry = |(run, process): (&RunId, &Process)| TableEntry {
            run: *run,
            slot: process.slot.clone(),
            label: process.label.clone(),
            generation: process.generation,
            stage: match process.stage {
                Stage::Forked => TableStage::Forked,
                Stage::Runs => TableStage::Running { pid: process.pid },
                Stage::Failed => TableStage::Failed(failure()),
                Stage::Exited(exit) => TableStage::Exited { pid: process.pid, exit },
            },
        };
        let mut entries: Vec<TableEntry> = self.table.iter().map(entry).collect();
        for last in (1..entries.len()).rev() {
            let other = dice.below(Kind::Step, last as u64 + 1) as usize;
            entries.swap(last, other);
        }
        entries
    }

    /// From now on nothing gives trouble: what runs goes on running, what comes is good, tasks end.
    pub(super) fn heal(&mut self) {
        self.healed = true;
        let table = &self.table;
        let stays = |run: &RunId| table.get(run).is_none_or(|process| process.asks > 0 || process.killed);
        self.agenda.retain(|_, (run, happening)| !matches!(happening, Happening::Exit(_)) || stays(run));
        for process in self.table.values_mut() {
            process.behaviour.fails = false;
            process.behaviour.ends = None;
        }
    }
}
