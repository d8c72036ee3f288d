//! Carries out what the core wants, and turns what happens into its events. Chooses nothing.

use super::aftermath::{Aftermath, Concerned, Haste, Released};
use super::budget::{Expected, Purpose};
use super::dialogue::Dialogue;
use super::launcher::{Launcher, Launching, Preparation};
use super::options::StartError;
use super::processes::{Parent, Process, Processes, Reach};
use super::records::{Records, Wishes};
use super::tag::{Job, Owner, Service};
use super::trees::Trees;
use super::words::telling_line;
use crate::journal::Journal;
use crate::keeper::link::{MAX_REST, Order, ProcessFds, Sender, Stage};
use crate::linux::signals::signal_group;
use crate::linux::tree::Root;
use crate::linux::{cgroup, clock, proc};
use crate::logs::Logger;
use crate::model::{Exit, HookKind, LaunchFailure, Moment, RunId, Signal, StopScope, Template};
use crate::supervisor::{Action, Class, Event, Instance, Launch, PhaseKind, Supervisor, Work};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// So many that are found idle are told at once: many enough that those who end do not come between each two signals, and few enough
/// that the first are signalled, and end, while the last are looked at.
const IDLE_TOGETHER: usize = 256;

/// So long a program that was executed is thought to need until it runs: the kernel maps it, a loader its libraries.
const A_START: Duration = Duration::from_millis(2);

/// When so many are told at once, they end before anybody looks at the first: keeper and pump leave the processors to them.
const MANY: usize = 64;

/// Everything outside of the core.
pub(super) struct World {
    pub(super) keeper: Sender,
    pub(super) launcher: Launcher,
    pub(super) trees: Trees,
    pub(super) logger: Logger,
    pub(super) journal: Journal,
    pub(super) aftermath: Aftermath,
    pub(super) records: Records,
    pub(super) wishes: Wishes,
    pub(super) processes: Processes,
    pub(super) dialogue: Dialogue,
    /// Descriptors of launches that are under way.
    pub(super) expected: Expected,
    pub(super) burst: Burst,
    /// Events that follow from actions at once.
    pub(super) pending: VecDeque<Event>,
    /// The exit code, once the core is at its end.
    pub(super) finished: Option<u8>,
}

/// What is done for many at once, or left until they are through.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// Who was signalled and not continued yet.
    signalled: BTreeMap<RunId, Reach>,
    /// Keeper and pump rest.
    at_rest: bool,
    /// Until when what was executed last is probably still on its way to its first instruction.
    starting_until: Moment,
}

impl Burst {
    /// Whether it is a question about one that was signalled: who is held while it is answered must not be continued then.
    fn concerns(&self, class: Class) -> bool {
        matches!(class, Class::Look(run) if self.signalled.contains_key(&run))
    }
}

impl World {
    pub(super) fn carry_out(&mut self, action: Action) {
        let class = action.class();
        if class.is_written() || self.burst.concerns(class) {
            self.continue_signalled();
        }
        // Records that come one after the other are one write; whatever else comes finds them on disk.
        if !class.is_written() {
            self.write_down();
        }
        match action {
            Action::Record { slot, record } => self.records.slot(&slot, record.as_deref()),
            Action::RecordShutdown(record) => self.records.shutdown(&record),
            Action::RecordPlan { generation, stale } => self.records.plan(generation, &stale),
            Action::KeepOverride { program, wish } => {
                self.records.wish(&program, wish.as_deref());
                self.wishes.keep(&program, wish.as_deref());
            }
            Action::Launch(launch) => self.launch(*launch),
            Action::AskToStop { run, signal, scope } => self.ask_to_stop(run, signal, scope),
            Action::RunStopCommand { run, argv } => self.serve(Service { run, job: Job::Stop }, argv),
            Action::RunHook { run, hook, argv } => self.serve(Service { run, job: Job::of(hook) }, argv),
            Action::EndHook { run, hook } => self.end_service(Service { run, job: Job::of(hook) }),
            Action::Signal { run, signal } => self.signal(run, signal),
            Action::Kill { run } => {
                if let Some(process) = self.processes.get(&run) {
                    self.trees.kill(process.root());
                }
            }
            Action::CheckTree { run } => self.check_tree(run),
            Action::TellStop { run, stop } => self.dialogue.tell_stop(run, stop),
            Action::LookAtWork { run } => {
                if let Some(process) = self.processes.get_mut(&run) {
                    self.dialogue.look_at_work(process);
                }
                if self.dialogue.idle_count() >= IDLE_TOGETHER {
                    self.tell_idle();
                }
            }
            // What is frozen is thawed when the signal is there: also where another thread sends it.
            Action::ForgetWork { run, signalled: true } => self.trees.then(run, self.dialogue.signalled(run)),
            Action::ForgetWork { run, signalled: false } => {
                if let Some(process) = self.processes.get_mut(&run) {
                    self.dialogue.cancel_work(process);
                }
            }
            Action::CheckBeat { run } => {
                if let Some(process) = self.processes.get(&run) {
                    let at = self.dialogue.last_beat(process);
                    self.pending.push_back(Event::Beat { run, at });
                }
            }
            Action::Respec { run, spec, .. } => {
                if let Some(process) = self.processes.get_mut(&run) {
                    process.respec(&spec, &self.logger);
                }
            }
            Action::Release { run } => self.release(run),
            Action::Note(notice) => self.aftermath.note(notice),
            Action::Finish { code } => self.finished = Some(code),
        }
    }

    /// Goes on listening to what was taken over.
    pub(super) fn resume_dialogue(&mut self, core: &Supervisor) -> Result<(), StartError> {
        for process in self.processes.values_mut().filter(|process| process.owner.helper_of.is_none()) {
            let instance = core.instance(&process.owner.slot);
            let run = instance.and_then(|instance| instance.run());
            let stops =
                !matches!(instance.map(Instance::kind), Some(PhaseKind::Starting | PhaseKind::Running));
            self.dialogue.take_over_lock(process, stops);
            if let Some(at) = run.filter(|run| run.id == process.run).and_then(|run| run.started_at) {
                process.launch = crate::work::Launch::at(at);
            }
            self.dialogue.begin(process, true);
            if process.parent != Parent::Keeper {
                self.dialogue.open_mouth(process);
            }
            self.dialogue.hear(process);
        }
        self.dialogue.open(self.processes.values().map(Box::as_ref))
    }

    /// Those that were found idle become news. Returns whether there were any.
    pub(super) fn tell_idle(&mut self) -> bool {
        let idle = self.dialogue.all_idle();
        let found = !idle.is_empty();
        if idle.len() >= MANY && !self.burst.at_rest {
            self.rest(MAX_REST);
        }
        self.pending.extend(idle.into_iter().map(|run| Event::Work { run, work: Work::Idle }));
        found
    }

    /// Keeper and pump need not look at anything for so long; zero: they had better go on.
    fn rest(&mut self, at_most: Duration) {
        self.burst.at_rest = !at_most.is_zero();
        self.logger.rest(at_most);
        // A keeper that is behind does not rest, and one that is gone does nothing.
        let _ = self.keeper.try_send(&Order::Rest { at_most });
    }

    /// Everything that was wanted together is done: it is written down, and what follows is done if it is due. `ending`: everything
    /// is being stopped.
    pub(super) fn conclude(&mut self, ending: bool) {
        self.continue_signalled();
        self.write_down();
        if self.burst.at_rest {
            self.rest(Duration::ZERO);
        }
        self.dialogue.tell();
        let now = clock::now();
        let starts = !self.expected.is_empty() || self.burst.starting_until > now;
        let haste = match (ending, starts) {
            (true, _) => Haste::Shutdown,
            (false, true) => Haste::Launches,
            (false, false) => Haste::None,
        };
        let Self { keeper, logger, journal, launcher, aftermath, .. } = self;
        aftermath.tick(now, haste, &Concerned { launcher, keeper, logger, journal });
    }

    /// What follows from all that was done is done, too: somebody is about to look, or this is the end.
    pub(super) fn do_all(&mut self) {
        let Self { keeper, logger, journal, launcher, aftermath, .. } = self;
        aftermath.do_all(&Concerned { launcher, keeper, logger, journal });
    }

    fn write_down(&mut self) {
        self.records.flush();
        self.wishes.flush();
    }

    /// Most programs leave nothing behind, and a cgroup says so at once: one read of a file that the kernel makes up.
    fn check_tree(&mut self, run: RunId) {
        let root = self.processes.get(&run).map(|process| process.root());
        let lives = |root: &Root| !root.cgroup.as_deref().is_some_and(cgroup::is_empty);
        match root.filter(lives) {
            Some(root) => self.trees.check(root),
            None => self.pending.push_back(Event::TreeEmpty { run }),
        }
    }

    fn launch(&mut self, launch: Launch) {
        let Launch { run, slot, label, spec, generation } = launch;
        let owner = Owner { slot, label, generation, helper_of: None, cgroup: None };
        let process = Process::new(run, owner.clone(), spec.clone());
        self.dialogue.begin(&process, false);
        self.processes.insert(run, Box::new(process));
        let kept = self.dialogue.descriptors_to_come();
        if let Err(failure) = self.expected.add(run, &spec, Purpose::Program, kept) {
            return self.launch_failed(run, failure);
        }
        self.prepare(Preparation { run, owner, spec, shown_run: run, instead: None });
    }

    /// Runs a command for a run, in its place and with its rights.
    fn serve(&mut self, service: Service, argv: Vec<Template>) {
        let Some(main) = self.processes.get(&service.run) else { return };
        let run = service.id();
        if self.processes.contains_key(&run) {
            return;
        }
        let owner = Owner { helper_of: Some(service), ..main.owner.clone() };
        let spec = main.spec.clone();
        self.processes.insert(run, Box::new(Process::new(run, owner.clone(), spec.clone())));
        if let Err(failure) = self.expected.add(run, &spec, Purpose::Stop, 0) {
            return self.launch_failed(run, failure);
        }
        self.prepare(Preparation { run, owner, spec, shown_run: service.run, instead: Some(argv) });
    }

    fn prepare(&mut self, preparation: Preparation) {
        let (run, mut told) = (preparation.run, Vec::new());
        let past =
            self.launcher.prepare(preparation, self.expected.is_alone(), |launching| told.push(launching));
        past.into_iter().for_each(|past| self.aftermath.clear(past));
        told.into_iter().for_each(|launching| self.launching(run, launching));
    }

    /// Such a command is not waited for any more. It leads a process group of its own.
    fn end_service(&self, service: Service) {
        let Some(process) = self.processes.get(&service.id()).filter(|process| process.pid != 0) else {
            return;
        };
        if let Err(error) = signal_group(process.pid, Signal::KILL) {
            tracing::warn!(instance = %process.owner.label, %error, "cannot end a hook");
        }
    }

    /// Such a command has ended, or could not be launched.
    fn served(&mut self, service: Service, exit: Option<Exit>) {
        let Service { run, job } = service;
        let hook = match job {
            Job::Stop => return self.pending.push_back(Event::StopCommandDone { run, exit }),
            Job::BeforeRestart => HookKind::BeforeRestart,
            Job::BeforeStop => HookKind::BeforeStop,
        };
        self.pending.push_back(Event::HookDone { run, hook, exit });
    }

    /// The launcher's news of a run.
    pub(super) fn launching(&mut self, run: RunId, launching: Launching) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        match launching {
            Launching::Ordered { tried, cgroup, lock } => {
                process.ordered(tried, cgroup);
                process.lock.untouched = lock;
            }
            Launching::Failed(failure) => self.launch_failed(run, failure),
            Launching::NotSent { errno } => {
                let failure = process.failure(crate::model::LaunchStage::Prepare, errno, None);
                self.launch_failed(run, failure);
            }
        }
    }

    fn launch_failed(&mut self, run: RunId, failure: LaunchFailure) {
        match self.processes.get(&run).and_then(|process| process.owner.helper_of) {
            Some(service) => {
                tracing::warn!(%failure, "a stop command or hook could not be launched");
                self.release(run);
                self.served(service, None);
            }
            None => self.pending.push_back(Event::LaunchFailed { run, failure }),
        }
    }

    /// The keeper's news of a process.
    pub(super) fn process_news(&mut self, run: RunId, pid: u32, stage: Stage, fds: Option<ProcessFds>) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        if pid != 0 {
            process.pid = pid;
        }
        if let Some(fds) = fds {
            process.attach(fds, &self.logger);
            self.dialogue.hear(process);
            self.expected.files_only(run, &process.spec);
        }
        match stage {
            Stage::Forked => {}
            Stage::Execed => {
                self.burst.starting_until = clock::now() + A_START;
                let ours = process.executed();
                // The one before ordered it, and only now it has its user.
                if !ours
                    && process.owner.helper_of.is_none()
                    && let Some(uid) = proc::user(pid)
                {
                    self.dialogue.channel.admit(run, &process.owner.label, Some(uid));
                }
                self.expected.remove(run);
                if process.owner.helper_of.is_none() {
                    self.pending.push_back(Event::Launched { run, pid });
                }
            }
            Stage::Failed { stage, errno, path } => {
                let failure = process.failure(stage, errno, path.as_deref());
                self.launch_failed(run, failure);
            }
            // Announced when its last output is in the log.
            Stage::Exited(exit) => {
                process.ended = Some(exit);
                match process.silent.take() {
                    Some(last) => self.drained(run, &last),
                    None => self.logger.drain(run),
                }
            }
        }
    }

    /// No more output of a run can come, and all is in its log: if its end is known, it is news now, else when it is.
    pub(super) fn closed(&mut self, run: RunId, last: Vec<u8>) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        match process.ended {
            Some(_) => self.drained(run, &last),
            None => process.silent = Some(last.into_boxed_slice()),
        }
    }

    /// The output of a run that ended is in its log: now its end is news.
    pub(super) fn drained(&mut self, run: RunId, last: &[u8]) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        let Some(exit) = process.ended.take() else { return };
        match process.owner.helper_of {
            Some(service) => {
                self.release(run);
                self.served(service, Some(exit));
            }
            None => {
                self.dialogue.main_ended(run);
                let words = telling_line(last);
                self.pending.push_back(Event::Exited { run, exit, words });
            }
        }
    }

    /// A process that is not the keeper's child has ended.
    pub(super) fn foreign_exited(&mut self, run: RunId, exit: Exit) {
        if let Some(process) = self.processes.get_mut(&run) {
            process.ended = Some(exit);
            self.logger.drain(run);
        }
    }

    /// The signal; CONT follows when all have been signalled.
    fn ask_to_stop(&mut self, run: RunId, signal: Signal, scope: StopScope) {
        let Some(process) = self.processes.get(&run) else { return };
        let reach = match scope {
            StopScope::Main => Reach::Main,
            StopScope::Group => Reach::Group,
            StopScope::Tree => return self.trees.ask(process.root(), signal),
        };
        match process.signal_all(reach, signal) {
            // The number of one that is not pinned may be another's by then.
            Ok(true) if process.parent != Parent::Keeper => continue_all(process, reach),
            Ok(true) => drop(self.burst.signalled.insert(run, reach)),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(instance = %process.owner.label, %signal, %error, "cannot send the stop signal");
            }
        }
    }

    /// A stopped process cannot act on its signal otherwise. Most have ended by now, for whom this is nothing, and no signal had to wait
    /// for it. Before anything is written down of the signals: a successor that believes them sent does not repeat them.
    fn continue_signalled(&mut self) {
        for (run, reach) in std::mem::take(&mut self.burst.signalled) {
            // One that is gone already needs it no more, and its number may be another's.
            if let Some(process) = self.processes.get(&run) {
                continue_all(process, reach);
            }
        }
    }

    fn signal(&self, run: RunId, signal: Signal) {
        let Some(process) = self.processes.get(&run) else { return };
        if let Err(error) = process.signal(signal) {
            tracing::warn!(instance = %process.owner.label, %signal, %error, "cannot send the signal");
        }
    }

    fn release(&mut self, run: RunId) {
        self.trees.forget(run);
        self.expected.remove(run);
        let Some(process) = self.processes.remove(&run) else { return };
        let Process { owner, parent, .. } = *process;
        let released = Released { run, parent, cgroup: owner.cgroup };
        if owner.helper_of.is_some() {
            // The next one for the same purpose has the same number. It lived in the cgroup of the run that it served.
            return Released { cgroup: None, ..released }.clear_up(&self.keeper, &self.logger);
        }
        self.dialogue.end(run);
        self.aftermath.release(released);
    }
}

fn continue_all(process: &Process, reach: Reach) {
    if let Err(error) = process.signal_all(reach, Signal::CONT) {
        tracing::warn!(instance = %process.owner.label, %error, "cannot continue what was asked to stop");
    }
}
