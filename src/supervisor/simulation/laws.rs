//! The laws, as checks of single actions against the world. What needs memory is in `memory`.

use super::crash::asks_for_work;
use super::driver::{Cause, Sim};
use super::world::{Process, Stage};
use crate::model::{HookKind, Moment, OnStop, Orphans, PastMaxBusy, RunId, Slot};
use crate::supervisor::diff::compare;
use crate::supervisor::{Action, Instance, Launch, Replace};

/// The laws of ARCHITECTURE.md by what they are about. The tenth (same seed, same trace) is kept by a test in `mutants`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    /// 1: at most one live run per instance.
    OneRun,
    /// 2: every live process belongs to exactly one instance.
    Owned,
    /// 3: nothing is launched while its predecessor's tree lives.
    TreeGone,
    /// 4: what is busy is not signalled, and not killed before its time.
    Busy,
    /// 5: nothing is killed before its grace is over.
    Grace,
    /// 6: the world becomes what the plan says, in bounded time.
    Converges,
    /// 7: a plan touches only what it concerns; nothing is stopped or started without a cause.
    Concerned,
    /// 8: everything ends, and `Finish` comes last.
    EndsLast,
    /// 9: what has to say that it is ready is not ready before.
    Ready,
    /// Hooks are run before what they are for.
    Hooks,
    /// 11: news of a past run change nothing.
    Past,
    /// 12: a take-over changes nothing.
    Handoff,
    /// What operators want holds until they, or the file, say otherwise.
    Wishes,
    /// Of several instances one is replaced at a time.
    OneAtATime,
    /// The first replacement that fails ends the rollout.
    FirstFailure,
    /// The restart limit and the pauses are kept.
    Limit,
    /// At most so many launches are in flight, in the order in which they came, and nobody waits where there is room.
    Flights,
    /// An order that the world cannot make sense of.
    Contract,
}

/// A law that was broken.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) law: Law,
    pub(super) text: String,
}

impl Law {
    pub(super) fn broken(self, text: impl Into<String>) -> Broken {
        Broken { law: self, text: text.into() }
    }
}

pub(super) type Checked = Result<(), Broken>;

pub(super) fn demand(holds: bool, law: Law, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(law.broken(text())) }
}

impl Sim {
    /// Looks at an action before it is carried out.
    pub(super) fn check_action(&mut self, action: &Action, cause: &Cause) -> Checked {
        self.check_concerned(action, cause)?;
        match action {
            Action::Launch(launch) => self.check_launch(launch),
            Action::AskToStop { run, .. } | Action::RunStopCommand { run, .. } => self.check_ask(*run),
            Action::Kill { run } => self.check_kill(*run),
            Action::Signal { run, .. } => {
                let process = self.process(*run)?;
                let asked = matches!(cause, Cause::Signal) && process.stage != Stage::Forked;
                demand(asked, Law::Concerned, || format!("a signal for {run} that nobody asked for"))
            }
            Action::CheckTree { run } => {
                let over = !self.process(*run)?.main_lives();
                demand(over, Law::Contract, || format!("CheckTree while main of {run} lives"))
            }
            Action::LookAtWork { run } => {
                self.process(*run)?;
                let process = self.process(*run)?;
                // What was signalled is looked at before a KILL; what main left, before it is asked to end.
                let later = process.asks > 0 || !process.main_lives();
                let resumed = matches!(cause, Cause::Table) || later;
                demand(resumed || self.has_cause(*run), Law::Concerned, || {
                    format!("{run} drains without a cause")
                })
            }
            Action::RunHook { run, .. } => {
                let resumed = matches!(cause, Cause::Table) || self.has_cause(*run);
                demand(resumed, Law::Concerned, || format!("a hook of {run} without a cause"))
            }
            Action::CheckBeat { run } => self.process(*run).map(|_| ()),
            Action::TellStop { run, .. }
            | Action::ForgetWork { run, .. }
            | Action::EndHook { run, .. }
            | Action::Respec { run, .. } => self.process(*run).map(|_| ()),
            Action::Release { run } => self.check_release(*run),
            Action::Finish { .. } => {
                let nothing = self.world.table.is_empty();
                let shutdown = self.ledger.shutdown.is_some();
                demand(nothing && shutdown, Law::EndsLast, || format!("the end, but {:?}", self.world.table))
            }
            Action::RecordShutdown(record) => self.check_patience(record.force),
            Action::Record { .. }
            | Action::RecordPlan { .. }
            | Action::KeepOverride { .. }
            | Action::Note(_) => Ok(()),
        }
    }

    fn process(&self, run: RunId) -> Result<&Process, Broken> {
        let known = self.world.table.get(&run);
        known.ok_or_else(|| Law::Contract.broken(format!("the keeper does not know {run}")))
    }

    /// Which program an action touches.
    fn touched(&self, action: &Action) -> Option<Slot> {
        let of = |run: &RunId| self.world.table.get(run).map(|process| process.slot.clone());
        match action {
            Action::Launch(launch) => Some(launch.slot.clone()),
            Action::Record { slot, .. } => Some(slot.clone()),
            Action::AskToStop { run, .. }
            | Action::RunStopCommand { run, .. }
            | Action::Kill { run }
            | Action::LookAtWork { run }
            | Action::RunHook { run, .. }
            | Action::EndHook { run, .. }
            | Action::TellStop { run, .. }
            | Action::ForgetWork { run, .. }
            | Action::Respec { run, .. } => of(run),
            Action::RecordShutdown(_)
            | Action::RecordPlan { .. }
            | Action::KeepOverride { .. }
            | Action::Signal { .. }
            | Action::CheckTree { .. }
            | Action::CheckBeat { .. }
            | Action::Release { .. }
            | Action::Note(_)
            | Action::Finish { .. } => None,
        }
    }

    /// Law 7 at the moment of an edit.
    fn check_concerned(&self, action: &Action, cause: &Cause) -> Checked {
        match cause {
            Cause::SamePlan => {
                let quiet = matches!(action, Action::RecordPlan { .. });
                demand(quiet, Law::Concerned, || format!("the same plan again led to {action:?}"))
            }
            Cause::Plan(programs) => {
                let touched = self.touched(action);
                let concerned = touched.is_none_or(|slot| programs.contains(&slot.program));
                // An edit makes room for those that wait: another start_concurrency, or what was starting is not wanted.
                let concerned = concerned || self.is_take_off(action);
                demand(concerned, Law::Concerned, || format!("an edit of {programs:?} led to {action:?}"))
            }
            Cause::Past => Err(Law::Past.broken(format!("news of a past run led to {action:?}"))),
            Cause::Table | Cause::Signal | Cause::Other => Ok(()),
        }
    }

    fn check_launch(&mut self, launch: &Launch) -> Checked {
        let slot = &launch.slot;
        for (run, other) in self.world.table.iter().filter(|(_, other)| other.slot == *slot) {
            demand(!other.main_lives(), Law::OneRun, || format!("{slot:?} launched while {run} runs"))?;
            demand(other.left == 0, Law::TreeGone, || format!("{slot:?} launched; {run} left some"))?;
        }
        demand(!self.watch.wishes.shutdown, Law::EndsLast, || format!("{slot:?} launched in a shutdown"))?;
        demand(self.wanted(slot), Law::Wishes, || format!("{slot:?} launched, but it is not wanted"))?;
        let kept = self.ledger.instances.get(slot).and_then(|kept| kept.run());
        let known = kept.is_some_and(|run| run.id == launch.run && run.spec == launch.spec);
        demand(known, Law::Handoff, || format!("{slot:?} launched before that was on disk"))?;
        let newest = self.core.spec(&slot.program) == Some(&launch.spec);
        demand(newest, Law::Converges, || format!("{slot:?} launched with an old spec"))?;
        self.check_flights(launch)?;
        self.remember_launch(launch)
    }

    /// Whether something wants this run to end.
    fn has_cause(&self, run: RunId) -> bool {
        let Some(process) = self.world.table.get(&run) else { return false };
        let slot = &process.slot;
        !self.wanted(slot)
            || self.watch.restarts.contains(slot)
            || self.is_outdated(run)
            || self.is_silent(run)
            || self.is_late(run)
    }

    /// It gave no sign of life for so long that it may be taken for stuck.
    pub(super) fn is_silent(&self, run: RunId) -> bool {
        let Some(process) = self.world.table.get(&run) else { return false };
        let every = process.at_launch.watchdog;
        !process.behaviour.beats && every.is_some_and(|every| self.now.since(process.beat_at) >= every)
    }

    /// It did not say in time that it is ready.
    fn is_late(&self, run: RunId) -> bool {
        let Some(process) = self.world.table.get(&run) else { return false };
        let slot = self.core.instance(&process.slot).and_then(Instance::run);
        let judged = slot.is_some_and(|live| live.id == run && live.late.is_some());
        let timeout = process.at_launch.ready.timeout;
        let in_time = |by: Moment| process.heard_ready.is_some_and(|heard| heard < by);
        let late = |at: Moment| self.now.since(at) >= timeout && !in_time(at + timeout);
        judged && process.started_at.is_some_and(late)
    }

    pub(super) fn is_outdated(&self, run: RunId) -> bool {
        let Some(process) = self.world.table.get(&run) else { return false };
        let spec = self.core.spec(&process.slot.program);
        spec.is_some_and(|spec| !compare(&process.spec, spec).restart.is_empty())
    }

    fn check_ask(&mut self, run: RunId) -> Checked {
        let process = self.process(run)?;
        if !process.main_lives() {
            // Told so late that the core did not know, or the sweep.
            let keeps = process.spec.orphans == Orphans::Keep && self.core_knows_exit(run);
            let spared = process.left_works(self.now) && self.core_knows_exit(run) && !process.overran;
            let overran = self.is_patient(process) && process.spec.work.then != PastMaxBusy::Keep;
            demand(!spared || overran, Law::Busy, || {
                format!("what {run} left was signalled in the middle of a task")
            })?;
            if let Some(process) = self.world.table.get_mut(&run) {
                process.overran |= overran;
            }
            return demand(!keeps, Law::Contract, || format!("what {run} left is to be left alone"));
        }
        demand(process.stage == Stage::Runs, Law::Contract, || {
            format!("{run} asked to stop before its exec")
        })?;
        let overran = self.is_patient(process) && process.spec.work.then != PastMaxBusy::Keep;
        if process.asks > 0 {
            // A crash may have lost that it was asked.
            if let Some(process) = self.world.table.get_mut(&run) {
                process.overran |= overran;
            }
            return Ok(());
        }
        let at_once = process.spec.work.on_stop == OnStop::Signal;
        let busy = process.busy || !process.looked;
        demand(!busy || at_once || overran, Law::Busy, || {
            format!("{run} was signalled in the middle of a task")
        })?;
        let hooked = process.hooks_changed || self.has_run_hooks(process);
        demand(hooked, Law::Hooks, || format!("{run} was signalled before its hooks were run"))?;
        if let Some(process) = self.world.table.get_mut(&run) {
            process.overran |= overran;
        }
        demand(self.has_cause(run), Law::Concerned, || format!("{run} was asked to stop without a cause"))?;
        self.remember_blow(run)
    }

    /// The first blow against a run: a failed start is ended, all else is replaced or not wanted.
    fn remember_blow(&mut self, run: RunId) -> Checked {
        let asked =
            self.world.table.get(&run).is_some_and(|process| self.watch.restarts.contains(&process.slot));
        let live = self.world.table.get(&run).and_then(|process| self.core.instance(&process.slot));
        let told = live.is_some_and(|instance| matches!(instance.replace, Some(Replace::Stuck(_))));
        let stuck = told && self.is_silent(run) && !asked;
        if self.is_late(run) || stuck { Ok(()) } else { self.remember_replacing(run) }
    }

    fn has_run_hooks(&self, process: &Process) -> bool {
        let hooks = &process.spec.hooks;
        let stopped = hooks.before_stop.is_none() || process.hooked.contains(&HookKind::BeforeStop);
        let restarts = self.wanted(&process.slot) && hooks.before_restart.is_some();
        stopped && (!restarts || process.hooked.contains(&HookKind::BeforeRestart))
    }

    /// It was waited for as long as max_busy says. As the disk has it: the end of the wait may not be known yet.
    fn is_patient(&self, process: &Process) -> bool {
        let patience = process.spec.work.max_busy;
        let waits = self.ledger.instances.get(&process.slot).is_some_and(asks_for_work);
        let since = process.drains_since;
        waits && patience.is_some_and(|patience| since.is_some_and(|at| self.now.since(at) >= patience))
    }

    fn core_knows_exit(&self, run: RunId) -> bool {
        let slot = self.core.slot_of(run);
        let instance = slot.and_then(|slot| self.core.instance(slot));
        instance.and_then(|instance| instance.run()).is_some_and(|run| run.exit.is_some())
    }

    fn is_forced(&self, run: RunId, slot: &Slot) -> bool {
        let restart = self.watch.forced_restarts.contains(slot) && self.wanted(slot);
        self.watch.forced.contains(&run) || self.watch.shutdown_forced || restart
    }

    fn check_kill(&mut self, run: RunId) -> Checked {
        let now = self.now;
        let process = self.process(run)?;
        if self.core.strays.contains(run) {
            let lost = self.watch.amnesia;
            return demand(lost, Law::Owned, || format!("{run} is killed as a stray"));
        }
        if process.killed || self.is_forced(run, &process.slot) {
            let first = process.main_lives() && process.asks == 0 && !process.killed;
            return if first { self.remember_blow(run) } else { Ok(()) };
        }
        let passed = |since: Option<Moment>, span| since.is_some_and(|since| now.since(since) >= span);
        let patient = self.is_patient(process) && process.spec.work.then != PastMaxBusy::Keep;
        let over = patient || process.overran;
        let busy = if process.main_lives() { process.busy } else { process.left_works(now) };
        demand(!busy || over, Law::Busy, || format!("{run} was killed in the middle of a task"))?;
        if let Some(began) = process.grace_began()
            && !patient
        {
            return demand(passed(Some(began), process.grace), Law::Grace, || {
                format!("{run} was killed {:?} into a grace of {:?}", now.since(began), process.grace)
            });
        }
        let law = if process.busy { Law::Busy } else { Law::Grace };
        demand(patient, law, || format!("{run} was killed and never asked to stop"))?;
        // What was asked before had its cause then; what main left has none but that.
        if process.asks > 0 || !process.main_lives() {
            return Ok(());
        }
        demand(self.has_cause(run), Law::Concerned, || format!("{run} was killed without a cause"))?;
        self.remember_blow(run)
    }

    fn check_release(&self, run: RunId) -> Checked {
        // A run that was lost with its order is released too; the keeper ignores that.
        let Some(process) = self.world.table.get(&run) else { return Ok(()) };
        let kept = process.spec.orphans == Orphans::Keep || self.watch.amnesia;
        demand(!process.main_lives(), Law::TreeGone, || format!("{run} was released and runs"))?;
        demand(process.left == 0 || kept, Law::TreeGone, || format!("{run} was released and left some"))
    }
}
