//! Operators at random.

use super::dice::{Kind, weighted};
use super::driver::{Cause, Sim};
use super::laws::Checked;
use super::plans::{any_name, name};
use crate::model::{Signal, Slot};
use crate::supervisor::{Author, Request, ScaleTo, Target, Trial};
use std::sync::Arc;

/// What operators do; the weights of the swarm are in this order.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Start,
    Stop,
    ForceStop,
    Restart,
    ForceRestart,
    Signal,
    Scale,
    Shutdown,
}

const VERBS: [Verb; 8] = [
    Verb::Start,
    Verb::Stop,
    Verb::ForceStop,
    Verb::Restart,
    Verb::ForceRestart,
    Verb::Signal,
    Verb::Scale,
    Verb::Shutdown,
];

impl Sim {
    /// One request, and now and then another one about the same thing: people change their minds.
    pub(super) fn operate(&mut self) -> Checked {
        let targets = self.any_targets();
        self.operate_on(&targets)?;
        match self.dice.percent(Kind::Operator, 30) && !self.finished {
            true => self.operate_on(&targets),
            false => Ok(()),
        }
    }

    fn operate_on(&mut self, targets: &[Target]) -> Checked {
        let verbs = self.swarm.verbs;
        let Some(verb) = weighted(&mut self.dice, Kind::Operator, &verbs) else { return Ok(()) };
        match self.any_request(VERBS[verb], targets.to_vec()) {
            Some(request) => self.request(request),
            None => Ok(()),
        }
    }

    fn any_targets(&mut self) -> Vec<Target> {
        let mut targets = vec![self.any_target()];
        if self.dice.percent(Kind::Operator, 30) {
            targets.push(self.any_target());
        }
        targets
    }

    fn any_target(&mut self) -> Target {
        // Where something hangs on an instance, much can go wrong.
        let on_trial = self.core.instances().find(|(_, i)| i.trial == Trial::Running).map(|(slot, _)| slot);
        if let Some(slot) = on_trial.filter(|_| self.dice.percent(Kind::Operator, 20)) {
            return Target::Instance(slot);
        }
        let program = name(any_name(&mut self.dice, &self.swarm, Kind::Operator));
        match self.dice.percent(Kind::Operator, 60) {
            true => Target::Program(program),
            false => Target::Instance(Slot::new(program, 1 + self.dice.below(Kind::Operator, 3) as u32)),
        }
    }

    fn any_request(&mut self, verb: Verb, targets: Vec<Target>) -> Option<Request> {
        let runtime = self.dice.percent(Kind::Operator, 20);
        let count = self.dice.below(Kind::Operator, 5) as u32;
        let program = targets[0].program().clone();
        Some(match verb {
            Verb::Start => Request::Start { targets },
            Verb::Stop => Request::Stop { targets, force: false, runtime },
            Verb::ForceStop => Request::Stop { targets, force: true, runtime },
            Verb::Restart => Request::Restart { targets, force: false },
            Verb::ForceRestart => Request::Restart { targets, force: true },
            Verb::Signal => Request::Signal { targets, signal: Signal::HUP },
            Verb::Scale => {
                let to = [ScaleTo::Exactly(count), ScaleTo::Up(1), ScaleTo::Down(1)];
                Request::Scale { program, to: self.dice.pick(Kind::Operator, &to) }
            }
            // Most seeds should live longer.
            Verb::Shutdown if self.dice.percent(Kind::Operator, 85) => return None,
            Verb::Shutdown => Request::Shutdown { force: self.dice.percent(Kind::Operator, 30) },
        })
    }

    pub(super) fn request(&mut self, request: Request) -> Checked {
        let by = Author { who: "op".to_owned(), at: "now".to_owned() };
        let plan = self.core.plan().map(|(_, plan)| Arc::clone(plan));
        let granted = self.core.ask(self.now, &by, request.clone());
        self.say(|| format!("ASK {request:?} -> {granted:?}"));
        let cause = if matches!(request, Request::Signal { .. }) { Cause::Signal } else { Cause::Other };
        if let (Ok(slots), Some(plan)) = (granted, plan) {
            self.watch.wishes.take(&plan, &by, &request);
            self.note_request(&request, &slots);
            self.watch.asked_for = slots;
        }
        self.drain(&cause)?;
        self.watch.asked_for.clear();
        Ok(())
    }

    /// What a granted request permits.
    fn note_request(&mut self, request: &Request, slots: &[Slot]) {
        for slot in slots {
            let run = self.core.instance(slot).and_then(|instance| instance.run()).map(|run| run.id);
            match request {
                Request::Start { .. } => {
                    self.watch.begin_anew(slot);
                    self.watch.forced.retain(|forced| Some(*forced) != run);
                }
                Request::Restart { force, .. } => {
                    self.watch.begin_anew(slot);
                    self.watch.forced.retain(|forced| Some(*forced) != run);
                    if self.wanted(slot) {
                        self.watch.restarts.insert(slot.clone());
                    }
                    match force {
                        true => self.watch.forced_restarts.insert(slot.clone()),
                        false => self.watch.forced_restarts.remove(slot),
                    };
                }
                Request::Stop { force: true, .. } => self.watch.forced.extend(run),
                Request::Shutdown { force: true } => {
                    self.watch.force_asked = true;
                }
                Request::Stop { .. }
                | Request::Signal { .. }
                | Request::Scale { .. }
                | Request::Shutdown { force: false } => {}
            }
        }
        self.watch.force_asked |= matches!(request, Request::Shutdown { force: true });
    }
}
