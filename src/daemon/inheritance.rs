//! What the keeper hands to a new supervisor: its table with descriptors, and what was left in its keeping.

use super::dialogue::Left;
use super::keeping::take_locks;
use super::options::StartError;
use super::processes::{Process, Processes};
use super::tag::Owner;
use crate::keeper::link::{Link, Order, Predecessor, ProcessFds, Report, Sender, Stage};
use crate::logs::Logger;
use crate::model::{Program, RunId};
use crate::supervisor::{Instance, Supervisor, TableEntry, TableStage};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The names under which descriptors are left with the keeper.
pub(super) const CONTROL: &str = "control";
/// The file to which that socket is bound: its path may lead elsewhere by now.
pub(super) const CONTROL_FILE: &str = "control-file";
/// Where a take-over finds the folders: the file may be invalid by then.
pub(super) const PLACES: &str = "places";

/// What programs share: the store's memory file.
pub(super) const STORE: &str = "store";
/// Which programs have said that they are busy.
pub(super) const MARKS: &str = "marks";

/// What the keeper told before anything else.
#[derive(Default)]
pub(super) struct Inheritance {
    pub(super) fresh_state: bool,
    /// The supervisor before, as the keeper saw it end.
    pub(super) predecessor: Option<Predecessor>,
    processes: Vec<HeldProcess>,
    held: BTreeMap<String, OwnedFd>,
    /// News that came between.
    pub(super) later: VecDeque<Report>,
}

struct HeldProcess {
    run: RunId,
    owner: Option<Owner>,
    pid: u32,
    stage: Stage,
    fds: Option<ProcessFds>,
}

impl Inheritance {
    pub(super) fn places(&self) -> Option<&OwnedFd> {
        self.held.get(PLACES)
    }

    /// What the supervisor before left for the talk with programs.
    pub(super) fn take_left(&mut self) -> Left {
        Left {
            store: self.held.remove(STORE),
            marks: self.held.remove(MARKS),
            locks: take_locks(&mut self.held),
        }
    }

    /// The control socket and its file.
    pub(super) fn take_control(&mut self) -> Option<(OwnedFd, OwnedFd)> {
        Some((self.held.remove(CONTROL)?, self.held.remove(CONTROL_FILE)?))
    }
}

/// Reads the keeper's table to its end.
pub(super) fn inherit(link: &Link) -> Result<Inheritance, StartError> {
    let mut inherited = Inheritance::default();
    loop {
        match next_report(link)? {
            Report::Hello { fresh_state, predecessor, .. } => {
                inherited.fresh_state = fresh_state;
                inherited.predecessor = predecessor;
            }
            Report::Process { run, tag, pid, stage, fds } => {
                inherited.processes.push(HeldProcess { run, owner: Owner::decode(&tag), pid, stage, fds });
            }
            Report::Held { name, fd } => {
                inherited.held.insert(name, fd);
            }
            Report::TableEnd => return Ok(inherited),
            other => inherited.later.push_back(other),
        }
    }
}

pub(super) fn next_report(link: &Link) -> Result<Report, StartError> {
    match link.receive() {
        Ok(Some(report)) => Ok(report),
        Ok(None) => Err(StartError::new("error: the keeper is gone")),
        // A process that is not known would be started a second time; our successor is told everything again.
        Err(error) => {
            Err(StartError::new(format!("error: a report of the keeper could not be read: {error}")))
        }
    }
}

/// Processes of the keeper's table, with the specs that the core knows for them.
pub(super) fn take_processes(
    inherited: &mut Inheritance,
    core: &Supervisor,
    logger: &Logger,
    processes: &mut Processes,
    sender: &Sender,
) -> Vec<TableEntry> {
    let mut table = Vec::new();
    let Inheritance { processes: held, later, .. } = inherited;
    for held in held {
        let known = held.owner.as_ref().and_then(|owner| Some((owner.clone(), spec_of(core, owner)?)));
        let Some((owner, spec)) = known else {
            // Nobody can say whose it is: it is let go, not killed.
            let _ = sender.send(&Order::Release { run: held.run });
            continue;
        };
        let mut process = Process::new(held.run, owner.clone(), spec);
        process.pid = held.pid;
        if let Some(fds) = held.fds.take() {
            process.attach(fds, logger);
        }
        let helper = owner.helper_of.is_some();
        let pid = held.pid;
        let stage = match &held.stage {
            Stage::Forked => TableStage::Forked,
            Stage::Execed => TableStage::Running { pid },
            // Its end is announced when its last output is in the log, as always.
            Stage::Exited(exit) if helper || core.slot_of(held.run).is_some() => {
                process.ended = Some(*exit);
                logger.drain(held.run);
                TableStage::Running { pid }
            }
            // It was announced before; that the keeper is to let it go was lost.
            Stage::Exited(exit) => TableStage::Exited { pid, exit: *exit },
            Stage::Failed { stage, errno, path } => {
                TableStage::Failed(process.failure(*stage, *errno, path.as_deref()))
            }
        };
        processes.insert(held.run, Box::new(process));
        match helper {
            true if matches!(stage, TableStage::Failed(_)) => {
                let (tag, stage) = (Vec::new(), held.stage.clone());
                later.push_back(Report::Process { run: held.run, tag, pid, stage, fds: None });
            }
            true => {}
            false => {
                let Owner { slot, label, generation, .. } = owner;
                table.push(TableEntry { run: held.run, slot, label, generation, stage });
            }
        }
    }
    table
}

fn spec_of(core: &Supervisor, owner: &Owner) -> Option<Arc<Program>> {
    let run = core.instance(&owner.slot).and_then(Instance::run);
    let planned = core.plan().and_then(|(_, plan)| plan.programs.get(&owner.slot.program));
    run.map(|run| &run.spec).or(planned).cloned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::daemon::loader::Reader;
    use crate::daemon::sources::Recording;
    use crate::linux::packet;
    use crate::model::{Exit, Generation, InstanceLabel, LaunchStage, Moment, ProgramName, Slot};
    use crate::supervisor::Restored;

    fn core_with(yaml: &str) -> Supervisor {
        let path = std::path::PathBuf::from("/x/sppm.yaml");
        let reader = Reader { path: path.clone(), environment: Arc::default() };
        let loaded = reader.load(&Recording::of(&path, yaml)).unwrap();
        let plan = Some((Generation(1), Arc::new(loaded.plan)));
        Supervisor::new(1, Moment::default(), Restored { plan, ..Restored::default() })
    }

    fn held(run: u128, helper_of: Option<u128>, stage: Stage) -> HeldProcess {
        let slot = Slot::new(ProgramName::new("a").unwrap(), 1);
        let (label, helper_of) = (InstanceLabel::of(&slot, false), helper_of.map(RunId::from_bits));
        let helper_of = helper_of.map(|run| crate::daemon::tag::Service { run, job: Default::default() });
        let owner = Owner { slot, label, generation: Generation(1), helper_of, cgroup: None };
        HeldProcess { run: RunId::from_bits(run), owner: Some(owner), pid: 77, stage, fds: None }
    }

    #[test]
    fn an_end_that_was_announced_before_is_no_news_and_a_failed_stop_command_is() {
        let core = core_with("programs: { a: { command: [x] } }");
        let failed = Stage::Failed { stage: LaunchStage::Exec, errno: 2, path: None };
        let mut inherited = Inheritance {
            processes: vec![held(1, None, Stage::Exited(Exit::Code(0))), held(2, Some(1), failed)],
            ..Inheritance::default()
        };
        let logger = Logger::start(|_| {}).unwrap();
        let sender = Link::from_fd(packet::pair().unwrap().0).sender();
        let mut processes = BTreeMap::new();
        let table = take_processes(&mut inherited, &core, &logger, &mut processes, &sender);
        let stages: Vec<&TableStage> = table.iter().map(|entry| &entry.stage).collect();
        assert_eq!(stages, [&TableStage::Exited { pid: 77, exit: Exit::Code(0) }]);
        assert_eq!(processes.len(), 2);
        assert!(matches!(inherited.later.front(), Some(Report::Process { stage: Stage::Failed { .. }, .. })));
        logger.stop();
    }
}
