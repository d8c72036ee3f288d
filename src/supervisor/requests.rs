//! Operators' requests.

use super::instance::Turn;
use super::mutant::mutant;
use super::wish::wanted_count;
use super::{
    Action, Author, Instance, MAX_INSTANCES, Override, Patience, Phase, Refused, Replace, Request, ScaleTo,
    ScaleWish, ShutdownRecord, Started, StopWish, Supervisor, Target, Trial,
};
use crate::model::{Instances, Moment, ProgramName, Signal, Slot};
use std::collections::BTreeSet;

impl Supervisor {
    /// Takes an operator's request. On success: the slots that it is about.
    ///
    /// # Errors
    /// Says why nothing was done.
    pub fn ask(&mut self, now: Moment, by: &Author, request: Request) -> Result<Vec<Slot>, Refused> {
        let fits = matches!(request, Request::Shutdown { .. } | Request::Signal { .. });
        if self.has_finished() || (self.shutdown.is_some() && !fits) {
            return Err(Refused::ShuttingDown);
        }
        let granted = self.grant(now, by, request);
        self.call_waiting(now);
        self.finish_if_over();
        granted
    }

    fn grant(&mut self, now: Moment, by: &Author, request: Request) -> Result<Vec<Slot>, Refused> {
        match request {
            Request::Start { targets } => self.start(now, by, &targets),
            Request::Stop { targets, force, runtime } => {
                self.stop(now, &targets, force, &StopWish { by: by.clone(), runtime })
            }
            Request::Restart { targets, force } => self.restart(now, by, &targets, force),
            Request::Signal { targets, signal } => self.signal(now, &targets, signal),
            Request::Scale { program, to } => self.scale(now, by, &program, to),
            Request::Shutdown { force } => {
                let why = format!("asked by {}", by.who);
                self.begin_shutdown(now, ShutdownRecord { why, code: 0, force });
                Ok(self.instances().map(|(slot, _)| slot).collect())
            }
        }
    }

    fn start(&mut self, now: Moment, by: &Author, targets: &[Target]) -> Result<Vec<Slot>, Refused> {
        let slots = self.resolve_planned(targets)?;
        for target in targets {
            self.clear_stop(target);
            self.mark_started(target);
        }
        for slot in &slots {
            self.turn(now, slot, false, |instance, _| instance.start_over(&by.who));
        }
        self.settle_sorted(now, &slots);
        Ok(slots)
    }

    fn stop(
        &mut self,
        now: Moment,
        targets: &[Target],
        force: bool,
        wish: &StopWish,
    ) -> Result<Vec<Slot>, Refused> {
        let slots = self.resolve(targets)?;
        for target in targets {
            let entry = self.overrides.entry(target.program().clone()).or_default();
            entry.stop(target, wish);
            self.keep_override(target.program());
        }
        for slot in &slots {
            self.turn(now, slot, false, |instance, _| instance.ask_for_stop(force));
        }
        self.settle_sorted(now, &slots);
        Ok(slots)
    }

    fn restart(
        &mut self,
        now: Moment,
        by: &Author,
        targets: &[Target],
        force: bool,
    ) -> Result<Vec<Slot>, Refused> {
        let slots = self.resolve_planned(targets)?;
        for target in targets {
            self.clear_stop(target);
            self.mark_started(target);
        }
        for slot in &slots {
            let replace = Replace::Operator { by: by.who.clone(), force };
            self.turn(now, slot, false, |instance, turn| instance.ask_for_restart(turn, replace));
            self.rolling.insert(slot.program.clone());
        }
        self.settle_sorted(now, &slots);
        Ok(slots)
    }

    fn signal(&mut self, now: Moment, targets: &[Target], signal: Signal) -> Result<Vec<Slot>, Refused> {
        let slots = self.resolve(targets)?;
        let running: Vec<Slot> = slots.into_iter().filter(|slot| self.main_lives(slot)).collect();
        if running.is_empty()
            && let Some(target) = targets.first()
        {
            return Err(Refused::NotRunning(target.clone()));
        }
        for slot in &running {
            if let Some(run) = self.instance(slot).and_then(Instance::run).map(|run| run.id) {
                self.turn(now, slot, false, |instance, _| instance.was_sent(signal));
                self.out.push_back(Action::Signal { run, signal });
            }
        }
        Ok(running)
    }

    fn main_lives(&self, slot: &Slot) -> bool {
        let run = self.instance(slot).and_then(Instance::run);
        run.is_some_and(|run| run.pid.is_some() && run.exit.is_none())
    }

    fn scale(
        &mut self,
        now: Moment,
        by: &Author,
        program: &ProgramName,
        to: ScaleTo,
    ) -> Result<Vec<Slot>, Refused> {
        self.resolve(&[Target::Program(program.clone())])?;
        let Some(spec) = self.spec(program).cloned() else {
            return Err(Refused::Unknown(Target::Program(program.clone())));
        };
        let current = wanted_count(Some(&spec), self.overrides.get(program));
        let count = match to {
            ScaleTo::Exactly(count) => count,
            ScaleTo::Up(more) => current.saturating_add(more),
            ScaleTo::Down(less) => current.saturating_sub(less),
        };
        if count > MAX_INSTANCES {
            return Err(Refused::TooMany(program.clone()));
        }
        if spec.instances == Instances::Single && count > 1 {
            return Err(Refused::NotNumbered(program.clone()));
        }
        let file_count = spec.instances.count();
        let wish = self.overrides.entry(program.clone()).or_default();
        wish.scale = (count != file_count).then(|| ScaleWish { count, file_count, by: by.clone() });
        self.keep_override(program);
        self.add_slots(now, program);
        let slots = self.program_slots(program);
        self.settle_sorted(now, &slots);
        Ok(slots)
    }

    /// The slots that targets stand for.
    fn resolve(&self, targets: &[Target]) -> Result<Vec<Slot>, Refused> {
        let mut slots = BTreeSet::new();
        for target in targets {
            let program = target.program();
            let known = self.spec(program).is_some() || self.instances.contains_key(program);
            if !known && self.plan.as_ref().is_some_and(|plan| plan.disabled.contains_key(program)) {
                return Err(Refused::Disabled(program.clone()));
            }
            match target {
                Target::Program(name) if known => slots.extend(self.program_slots(name)),
                Target::Instance(slot) if self.instance(slot).is_some() => {
                    slots.insert(slot.clone());
                }
                Target::Program(_) | Target::Instance(_) => return Err(Refused::Unknown(target.clone())),
            }
        }
        Ok(slots.into_iter().collect())
    }

    /// The same, of what the plan names: what was removed or scaled away and still ends can only be stopped.
    fn resolve_planned(&self, targets: &[Target]) -> Result<Vec<Slot>, Refused> {
        let mut slots = self.resolve(targets)?;
        let count = |program: &ProgramName| {
            wanted_count(self.spec(program).map(AsRef::as_ref), self.overrides.get(program))
        };
        let is_gone = |target: &&Target| match target {
            Target::Program(name) => self.spec(name).is_none(),
            Target::Instance(slot) => slot.index > count(&slot.program),
        };
        if let Some(target) = targets.iter().find(is_gone) {
            return Err(Refused::Unknown(target.clone()));
        }
        slots.retain(|slot| slot.index <= count(&slot.program));
        Ok(slots)
    }

    fn program_slots(&self, name: &ProgramName) -> Vec<Slot> {
        let indexes = self.instances.get(name).into_iter().flat_map(|all| all.keys());
        indexes.map(|index| Slot::new(name.clone(), *index)).collect()
    }

    fn settle_sorted(&mut self, now: Moment, slots: &[Slot]) {
        let priority = |slot: &Slot| self.spec(&slot.program).map_or(0, |spec| spec.priority);
        let mut sorted: Vec<(i32, Slot)> = slots.iter().map(|slot| (priority(slot), slot.clone())).collect();
        sorted.sort();
        self.settle_slots(now, sorted);
    }

    fn clear_stop(&mut self, target: &Target) {
        let Some(wish) = self.overrides.get_mut(target.program()) else { return };
        match target {
            Target::Program(_) => {
                wish.stopped = None;
                wish.stopped_instances.clear();
            }
            Target::Instance(slot) => {
                // A stop of the whole program becomes one of the others.
                if let Some(stop) = wish.stopped.take() {
                    let count = self.plan.as_ref().and_then(|plan| plan.programs.get(&slot.program));
                    let count = wanted_count(count.map(AsRef::as_ref), Some(wish));
                    wish.stopped_instances = (1..=count).map(|index| (index, stop.clone())).collect();
                }
                wish.stopped_instances.retain(|(index, _)| *index != slot.index);
            }
        }
        self.keep_override(target.program());
    }

    fn mark_started(&mut self, target: &Target) {
        if self.spec(target.program()).is_none_or(|spec| spec.autostart) {
            return;
        }
        let wish = self.overrides.entry(target.program().clone()).or_default();
        wish.started = match (target, std::mem::take(&mut wish.started)) {
            (Target::Program(_), _) | (Target::Instance(_), Started::All) => Started::All,
            (Target::Instance(slot), Started::No) => Started::Only(BTreeSet::from([slot.index])),
            (Target::Instance(slot), Started::Only(mut which)) => {
                which.insert(slot.index);
                Started::Only(which)
            }
        };
        self.keep_override(target.program());
    }
}

impl Target {
    /// The program that it is, or that it is an instance of.
    pub fn program(&self) -> &ProgramName {
        match self {
            Self::Program(name) => name,
            Self::Instance(slot) => &slot.program,
        }
    }
}

impl Override {
    fn stop(&mut self, target: &Target, wish: &StopWish) {
        match target {
            Target::Program(_) => {
                // Asking twice keeps the first: since when and by whom.
                let stronger = self.stopped.as_ref().is_none_or(|old| old.runtime && !wish.runtime);
                if stronger {
                    self.stopped = Some(wish.clone());
                }
                self.started = Started::No;
            }
            Target::Instance(slot) => {
                self.stopped_instances.retain(|(index, _)| *index != slot.index);
                self.stopped_instances.push((slot.index, wish.clone()));
                self.stopped_instances.sort_by_key(|(index, _)| *index);
            }
        }
    }
}

impl Instance {
    /// `start`: what rests is tried again at once, what runs goes on.
    fn start_over(&mut self, by: &str) {
        self.begin_anew();
        match &self.phase {
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => {
                self.replace = Some(Replace::Operator { by: by.to_owned(), force: false });
            }
            // A forced stop, if there was one, is taken back with the stop.
            Phase::Starting(_) | Phase::Running(_) | Phase::Draining(..) => self.hurry &= mutant!(HurryStays),
            Phase::Waiting(_) | Phase::Stopping(..) | Phase::Killing(_) => {}
        }
    }

    /// So that an end by this signal is known for what it is.
    fn was_sent(&mut self, signal: Signal) {
        if let Some(run) = self.run_mut() {
            run.sent = Some(signal);
        }
    }

    fn ask_for_stop(&mut self, force: bool) {
        self.hurry |= force && self.run().is_some();
        self.waits_anew();
    }

    fn ask_for_restart(&mut self, turn: &mut Turn<'_>, replace: Replace) {
        self.begin_anew();
        self.waits_anew();
        if self.replace.is_none() {
            self.drains_anew(turn);
        }
        let force = matches!(replace, Replace::Operator { force: true, .. });
        match &self.phase {
            // On its way down, and it will come up with the newest spec.
            Phase::Stopping(..) | Phase::Killing(_) => self.hurry |= force,
            // Whether it is forced is looked at when its turn comes.
            Phase::Starting(_) | Phase::Running(_) | Phase::Draining(..) => self.hurry = false,
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) | Phase::Waiting(_) => {}
        }
        self.replace = Some(replace);
    }

    /// A stop that was given up is tried again when somebody asks again.
    fn waits_anew(&mut self) {
        if let Some(run) = self.run_mut().filter(|run| run.patience == Patience::GivenUp) {
            run.patience = Patience::Whole;
        }
    }

    /// Earlier failures count no more, whatever it is doing.
    fn begin_anew(&mut self) {
        self.calm_down();
        if matches!(self.trial, Trial::Failed(_)) {
            self.trial = Trial::None;
        }
    }
}
