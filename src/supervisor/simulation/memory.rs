//! Laws that need memory: replacements one at a time, the restart limit, what rests, shutdown_timeout.
//!
//! It learns of the end of a run when that is on disk, and of a launch when it is ordered: what a crash undoes is
//! never remembered.

use super::driver::Sim;
use super::laws::{Checked, Law, demand};
use super::wishes::Wishes;
use super::world::Stage;
use crate::model::{Exit, GiveUp, Moment, ProgramName, RestartPolicy, RestartWhen, RunId, Slot};
use crate::supervisor::{Instance, Launch, Phase, Replace, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How far the replacement of an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacing {
    Down,
    Trial(RunId),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Failing {
    recent: Vec<Moment>,
    exhausted: bool,
    /// No launch before; `None`: never.
    not_before: Option<Moment>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    pub(super) wishes: Wishes,
    /// Slots of which a restart was asked for and has not happened.
    pub(super) restarts: BTreeSet<Slot>,
    pub(super) forced_restarts: BTreeSet<Slot>,
    /// Runs that an operator wants gone at once.
    pub(super) forced: BTreeSet<RunId>,
    pub(super) shutdown_forced: bool,
    /// An operator asked for the force; else it needs the timeout.
    pub(super) force_asked: bool,
    /// How long the shutdown has lasted in the life of this core, drains not counted.
    pub(super) shutdown_lasted: Duration,
    replacing: BTreeMap<Slot, Replacing>,
    /// Their next launch replaces another run.
    pub(super) judged: BTreeSet<Slot>,
    failed: BTreeSet<Slot>,
    failing: BTreeMap<Slot, Failing>,
    /// The policy does not start them again.
    resting: BTreeSet<Slot>,
    /// The slots that the request under way is about, and those of which a crash left open whether it was granted.
    pub(super) asked_for: Vec<Slot>,
    unsure: BTreeSet<Slot>,
    pub(super) order: super::flights::Order,
    /// The records were lost: what went on then is not held against the core.
    pub(super) amnesia: bool,
}

impl Watch {
    /// The records are gone, and with them all that the core could know.
    pub(super) fn forget_all(&mut self) {
        *self = Self {
            wishes: std::mem::take(&mut self.wishes),
            shutdown_forced: self.shutdown_forced,
            force_asked: self.force_asked,
            amnesia: true,
            ..Self::default()
        };
    }

    /// An operator acted on this slot: a new beginning.
    pub(super) fn begin_anew(&mut self, slot: &Slot) {
        self.failed.remove(slot);
        self.failing.remove(slot);
        self.resting.remove(slot);
    }

    /// The entry changed; `restart`: in what it is launched with.
    pub(super) fn edited(&mut self, program: &ProgramName, restart: bool) {
        self.failed.retain(|slot| slot.program != *program);
        if restart {
            self.resting.retain(|slot| slot.program != *program);
            self.failing.retain(|slot, _| slot.program != *program);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Slot) -> bool) {
        self.restarts.retain(&keep);
        self.forced_restarts.retain(&keep);
        self.judged.retain(&keep);
        self.resting.retain(&keep);
        self.replacing.retain(|slot, _| keep(slot));
        self.failing.retain(|slot, _| keep(slot));
    }

    pub(super) fn rests(&self, slot: &Slot) -> bool {
        self.resting.contains(slot) || self.unsure.contains(slot)
    }

    /// The request under way may or may not have been granted, and a signal that was sent just before may not be on
    /// disk: the next supervisor decides anew.
    pub(super) fn crashed(&mut self, kept: &BTreeMap<Slot, Instance>) {
        self.order.crashed();
        self.unsure.extend(std::mem::take(&mut self.asked_for));
        let asked = |slot: &Slot| kept.get(slot).and_then(|i| i.run()).is_some_and(|run| run.asked);
        self.replacing.retain(|slot, how| *how != Replacing::Down || asked(slot));
        for (slot, instance) in kept {
            if matches!(instance.replace, Some(Replace::Operator { force: true, .. })) {
                self.forced_restarts.insert(slot.clone());
            }
            self.forced.extend(instance.run().filter(|_| instance.hurry).map(|run| run.id));
        }
    }

    /// The limit is reached and nothing but people helps.
    pub(super) fn gave_up(&self, slot: &Slot) -> bool {
        self.unsure.contains(slot)
            || self.failing.get(slot).is_some_and(|failing| failing.exhausted && failing.not_before.is_none())
    }

    pub(super) fn rollout_failed(&self, program: &ProgramName) -> bool {
        self.failed.iter().any(|slot| slot.program == *program)
    }
}

impl Sim {
    /// What is not wanted any more has no history.
    pub(super) fn forget_unwanted(&mut self) {
        let plan = self.core.plan().map(|(_, plan)| std::sync::Arc::clone(plan));
        let wishes = std::mem::take(&mut self.watch.wishes);
        self.watch.retain(|slot| wishes.wants(plan.as_deref(), slot));
        self.watch.wishes = wishes;
        let known = |slot: &Slot| self.core.instance(slot).is_some();
        self.watch.failed.retain(known);
    }

    /// The record of `slot` becomes `new`.
    pub(super) fn remember_record(&mut self, slot: &Slot, new: Option<&Instance>) {
        let old = self.ledger.instances.get(slot).and_then(|old| old.run()).cloned();
        self.watch.order.record(slot, new);
        let next = new.and_then(|new| new.run()).map(|run| run.id);
        if let Some(run) = old.filter(|run| next != Some(run.id)) {
            self.remember_end(slot, &run);
        }
    }

    fn remember_end(&mut self, slot: &Slot, run: &Run) {
        let Some(stage) = self.world.table.get(&run.id).map(|process| process.stage) else { return };
        let late = run.late.is_some();
        let why = self.ledger.instances.get(slot).and_then(|old| old.replace.as_ref());
        let taken_back = run.asked && matches!(why, Some(Replace::Edit(_)));
        let replaced = self.watch.restarts.contains(slot) || self.is_outdated(run.id) || taken_back;
        // Signalled for an edit that was taken back counts too.
        if replaced || (!late && self.watch.replacing.get(slot) == Some(&Replacing::Down)) {
            self.watch.judged.insert(slot.clone());
        }
        // It was to be restarted, and ended by itself before it was asked to.
        let stuck = matches!(why, Some(Replace::Stuck(_)));
        if !self.wanted(slot) || (run.asked && !late) || replaced || stuck {
            self.watch.resting.remove(slot);
            self.watch.failing.remove(slot);
            return;
        }
        let Some(policy) = self.core.spec(&slot.program).map(|spec| spec.restart.clone()) else { return };
        let exit = match (stage, run.exit, run.started_at) {
            (Stage::Exited(exit), Some((_, at)), Some(started)) => Some((exit, at.since(started))),
            (Stage::Exited(exit), None, Some(started)) => Some((exit, self.now.since(started))),
            (Stage::Exited(exit), _, None) => Some((exit, Duration::ZERO)),
            (Stage::Failed, _, _) => None,
            (Stage::Forked | Stage::Runs, _, _) => return,
        };
        match exit {
            None => self.remember_failure(slot, &policy),
            Some(_) if late => self.remember_failure(slot, &policy),
            Some((exit, _)) if run.ready_at.is_none() => self.remember_exit(slot, &policy, exit, None),
            Some((exit, lasted)) => self.remember_exit(slot, &policy, exit, Some(lasted)),
        }
    }

    /// `lasted`: `None` where it had not got ready.
    fn remember_exit(&mut self, slot: &Slot, policy: &RestartPolicy, exit: Exit, lasted: Option<Duration>) {
        let steady = lasted.is_some_and(|lasted| lasted >= policy.min_uptime);
        if steady {
            self.watch.failing.remove(slot);
            self.watch.replacing.remove(slot);
        }
        let success = policy.is_success(exit);
        let again = match policy.when {
            RestartWhen::Always => true,
            RestartWhen::OnFailure => !success,
            RestartWhen::OnSuccess => success,
            RestartWhen::Never => false,
        };
        if again && !policy.forbids(exit) {
            if !steady {
                self.remember_failure(slot, policy);
            }
            return;
        }
        self.watch.resting.insert(slot.clone());
        if success && !policy.forbids(exit) {
            self.watch.replacing.remove(slot);
        } else {
            self.fail_rollout(slot);
        }
    }

    fn remember_failure(&mut self, slot: &Slot, policy: &RestartPolicy) {
        self.fail_rollout(slot);
        let now = self.now;
        let failing = self.watch.failing.entry(slot.clone()).or_default();
        let limit = policy.limit as usize;
        // Without a limit nothing is counted.
        if limit > 0 {
            failing.recent.retain(|at| now.since(*at) < policy.window);
            failing.recent.push(now);
            let excess = failing.recent.len().saturating_sub(limit + 1);
            failing.recent.drain(..excess);
        }
        failing.exhausted = limit > 0 && (failing.exhausted || failing.recent.len() > limit);
        let shortest = policy.delay * (1000 - policy.jitter.0) / 1000;
        failing.not_before = match (failing.exhausted, policy.then) {
            (false, _) => Some(now + shortest),
            (true, GiveUp::Retry(after)) => Some(now + after),
            (true, GiveUp::Stay) => None,
            (true, GiveUp::Shutdown) => {
                self.watch.wishes.shutdown = true;
                None
            }
        };
    }

    /// The others are left alone, and restarts that were asked for are called off.
    fn fail_rollout(&mut self, slot: &Slot) {
        if !matches!(self.watch.replacing.get(slot), Some(Replacing::Trial(_))) {
            return;
        }
        self.watch.replacing.remove(slot);
        self.watch.failed.insert(slot.clone());
        // What was asked to stop for it comes up again all the same.
        let table = &self.world.table;
        let begun = |slot: &Slot| table.values().any(|p| p.slot == *slot && (p.asks > 0 || p.killed));
        let stays = |other: &Slot| other.program != slot.program || other == slot || begun(other);
        self.watch.restarts.retain(stays);
    }

    pub(super) fn remember_launch(&mut self, launch: &Launch) -> Checked {
        let slot = &launch.slot;
        demand(!self.watch.resting.contains(slot), Law::Concerned, || {
            format!("{slot:?} launched, though its policy does not restart it")
        })?;
        if let Some(failing) = self.watch.failing.get(slot) {
            let now = self.now;
            let may = failing.not_before.is_some_and(|at| at <= now);
            demand(may, Law::Limit, || format!("{slot:?} launched at {now}, but {failing:?}"))?;
        }
        let judged = self.watch.judged.remove(slot) && self.count_of(&slot.program) > 1;
        self.watch.replacing.remove(slot);
        if judged {
            self.watch.replacing.insert(slot.clone(), Replacing::Trial(launch.run));
        }
        self.watch.restarts.remove(slot);
        self.watch.forced_restarts.remove(slot);
        self.watch.unsure.remove(slot);
        Ok(())
    }

    /// The first blow against a run: if it is to be replaced, nothing else of its program may be in motion.
    pub(super) fn remember_replacing(&mut self, run: RunId) -> Checked {
        let Some(slot) = self.world.table.get(&run).map(|process| process.slot.clone()) else {
            return Ok(());
        };
        if !self.wanted(&slot) {
            return Ok(());
        }
        if self.count_of(&slot.program) <= 1 {
            self.watch.replacing.insert(slot, Replacing::Down);
            return Ok(());
        }
        self.forget_unwanted();
        self.forget_steady();
        // One on trial that is to be replaced itself has nothing left to prove.
        let moot = |other: &Slot, how: &Replacing| match *how {
            Replacing::Down => false,
            Replacing::Trial(run) => {
                // As far as the core can know.
                let phase = self.core.instance(other).map(|instance| &instance.phase);
                let runs = matches!(phase, Some(Phase::Running(live)) if live.id == run);
                runs && (self.is_outdated(run) || self.watch.restarts.contains(other))
            }
        };
        let siblings = self.watch.replacing.iter().filter(|(other, how)| !moot(other, how));
        let siblings = siblings.map(|(other, _)| other).filter(|other| other.program == slot.program);
        let moving: Vec<&Slot> = siblings.filter(|other| **other != slot).collect();
        demand(moving.is_empty(), Law::OneAtATime, || format!("{slot:?} is replaced while {moving:?} is"))?;
        let may = !self.watch.rollout_failed(&slot.program) || self.watch.restarts.contains(&slot);
        demand(may, Law::FirstFailure, || {
            format!("{slot:?} is replaced after {:?} failed", self.watch.failed)
        })?;
        self.watch.replacing.insert(slot, Replacing::Down);
        Ok(())
    }

    pub(super) fn forget_steady(&mut self) {
        let now = self.now;
        let core = &self.core;
        self.watch.replacing.retain(|slot, how| {
            let Replacing::Trial(run) = *how else { return true };
            let live = core.instance(slot).and_then(|i| i.run()).filter(|live| live.id == run);
            let lasted = live.and_then(|live| {
                let until = live.exit.map_or(now, |(_, at)| at);
                Some((until.since(live.ready_at?), live.spec.restart.min_uptime))
            });
            lasted.is_none_or(|(lasted, uptime)| lasted < uptime)
        });
    }

    /// Without an operator's word a shutdown becomes hard when its time is over.
    pub(super) fn check_patience(&mut self, force: bool) -> Checked {
        self.watch.wishes.shutdown = true;
        if !force {
            return Ok(());
        }
        let timeout =
            self.core.plan().map_or(Duration::from_secs(120), |(_, plan)| plan.supervisor.shutdown_timeout);
        let lasted = self.watch.shutdown_lasted;
        let may = self.watch.force_asked || self.watch.shutdown_forced || lasted >= timeout;
        demand(may, Law::Grace, || format!("the shutdown became hard after {lasted:?}, not {timeout:?}"))?;
        self.watch.shutdown_forced = true;
        Ok(())
    }
}
