//! What the keeper hands to a new supervisor: its table with descriptors, and what was left in its keeping.

use super::options::StartError;
use super::processes::Process;
use super::tag::Owner;
use crate::keeper::link::{Link, Order, ProcessFds, Report, Sender, Stage};
use crate::logs::Logger;
use crate::model::{Exit, Program, RunId};
use crate::supervisor::{Instance, Supervisor, TableEntry, TableStage};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The names under which descriptors are left with the keeper.
pub(super) const CONTROL: &str = "control";
/// Where a take-over finds the folders: the file may be invalid by then.
pub(super) const PLACES: &str = "places";

/// What the keeper told before anything else.
#[derive(Default)]
pub(super) struct Inheritance {
    pub(super) fresh_state: bool,
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

    pub(super) fn take_control(&mut self) -> Option<OwnedFd> {
        self.held.remove(CONTROL)
    }
}

/// Reads the keeper's table to its end.
pub(super) fn inherit(link: &Link) -> Result<Inheritance, StartError> {
    let mut inherited = Inheritance::default();
    loop {
        match next_report(link)? {
            Report::Hello { fresh_state, .. } => inherited.fresh_state = fresh_state,
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
    loop {
        match link.receive() {
            Ok(Some(report)) => return Ok(report),
            Ok(None) => return Err(StartError::new("error: the keeper is gone")),
            // A report that cannot be read is lost; the next one is not.
            Err(_) => {}
        }
    }
}

/// Processes of the keeper's table, with the specs that the core knows for them.
pub(super) fn take_processes(
    inherited: &mut Inheritance,
    core: &Supervisor,
    logger: &Logger,
    processes: &mut BTreeMap<RunId, Process>,
    sender: &Sender,
) -> Vec<TableEntry> {
    let mut table = Vec::new();
    for held in &mut inherited.processes {
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
        let stage = match &held.stage {
            Stage::Forked => TableStage::Forked,
            Stage::Execed | Stage::Exited(_) => TableStage::Running { pid: held.pid },
            Stage::Failed { stage, errno, path } => {
                TableStage::Failed(process.failure(*stage, *errno, path.as_deref()))
            }
        };
        processes.insert(held.run, process);
        if owner.helper_of.is_none() {
            let Owner { slot, label, generation, .. } = owner;
            table.push(TableEntry { run: held.run, slot, label, generation, stage });
        }
    }
    table
}

fn spec_of(core: &Supervisor, owner: &Owner) -> Option<Arc<Program>> {
    let run = core.instance(&owner.slot).and_then(Instance::run);
    let planned = core.plan().and_then(|(_, plan)| plan.programs.get(&owner.slot.program));
    run.map(|run| &run.spec).or(planned).cloned()
}

/// What ended while nobody was there. It is announced when its last output is in the log, as always.
pub(super) fn ended(inherited: &Inheritance) -> Vec<(RunId, Exit)> {
    let exit = |held: &HeldProcess| match held.stage {
        Stage::Exited(exit) => Some((held.run, exit)),
        Stage::Forked | Stage::Execed | Stage::Failed { .. } => None,
    };
    inherited.processes.iter().filter_map(exit).collect()
}
