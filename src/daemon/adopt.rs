//! Programs that outlived their keeper: found again by the records of the supervisor before, so that no second copy
//! is ever started. They are nobody's child of ours any more: their end is seen by pidfd, their exit status is not
//! (before PIDFD_GET_INFO of Linux 6.15, which this version does not use).

use super::inbox::{Inbox, Message};
use super::processes::Process;
use super::tag::Owner;
use crate::keeper::link::ProcessFds;
use crate::linux::{pidfd, proc};
use crate::logs::Logger;
use crate::model::{Exit, RunId, Slot, StderrSink};
use crate::supervisor::{Instance, Run, TableEntry, TableStage};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{FileType, Mode, OFlags};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Looks for the process of each recorded run that the keeper does not hold.
pub(super) fn find_foreign(
    instances: &[(Slot, Instance)],
    processes: &mut BTreeMap<RunId, Process>,
    logger: &Logger,
    inbox: &Inbox,
) -> Vec<TableEntry> {
    let mut found = Vec::new();
    let mut watched = Vec::new();
    for (slot, instance) in instances {
        let Some(run) = instance.run().filter(|run| !processes.contains_key(&run.id)) else { continue };
        let Some((pid, pidfd)) = find(run) else { continue };
        let Ok(watch) = pidfd.try_clone() else { continue };
        tracing::warn!(instance = %run.label, pid, "found again; its keeper is gone, so its exit status will be unknown");
        processes.insert(run.id, process(slot, run, pid, pidfd, logger));
        watched.push((run.id, watch));
        found.push(TableEntry {
            run: run.id,
            slot: slot.clone(),
            label: run.label.clone(),
            generation: run.generation,
            stage: TableStage::Running { pid },
        });
    }
    if !watched.is_empty() {
        let inbox = inbox.clone();
        let thread = std::thread::Builder::new().name("foreign".to_owned());
        if let Err(error) = thread.spawn(move || watch(watched, &inbox)) {
            tracing::error!(%error, "cannot watch the programs that were found again");
        }
    }
    found
}

/// The process of a run, if it lives: the one with the recorded pid that has the run's id in its environment. Start
/// times alone do not tell processes apart (the kernel's clock ticks are coarse).
fn find(run: &Run) -> Option<(u32, OwnedFd)> {
    let pid = run.pid?;
    let pidfd = pidfd::open(pid).ok()?;
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let wanted = format!("SPPM_RUN={}", run.id);
    let same = environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes());
    let alive = proc::stat(pid).is_ok_and(|stat| !stat.is_dead());
    (same && alive).then_some((pid, pidfd))
}

fn process(slot: &Slot, run: &Run, pid: u32, pidfd: OwnedFd, logger: &Logger) -> Process {
    let owner = Owner {
        slot: slot.clone(),
        label: run.label.clone(),
        generation: run.generation,
        helper_of: None,
        cgroup: None,
    };
    let mut process = Process::new(run.id, owner, run.spec.clone());
    process.pid = pid;
    process.kept = false;
    let apart = matches!(run.spec.logs.stderr, StderrSink::Apart(_));
    let stderr = if apart { output_pipe(pid, 2) } else { None };
    match output_pipe(pid, 1) {
        Some(stdout) => process.attach(ProcessFds { pidfd, stdout, stderr }, logger),
        None => process.pidfd = Some(pidfd),
    }
    process
}

/// The read end of the pipe that a process writes to, opened anew through /proc (proc_pid_fd(5)).
fn output_pipe(pid: u32, number: u32) -> Option<OwnedFd> {
    let path = format!("/proc/{pid}/fd/{number}");
    let is_pipe = FileType::from_raw_mode(rustix::fs::stat(&path).ok()?.st_mode) == FileType::Fifo;
    if !is_pipe {
        return None;
    }
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Waits for the ends of all of them.
fn watch(mut watched: Vec<(RunId, OwnedFd)>, inbox: &Inbox) {
    while !watched.is_empty() {
        let mut polled: Vec<PollFd<'_>> =
            watched.iter().map(|(_, pidfd)| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(errno) => {
                let error = io::Error::from(errno);
                return tracing::error!(%error, "cannot watch the programs that were found again");
            }
        }
        let over: Vec<bool> = polled.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let mut over = over.into_iter();
        watched.retain(|(run, _)| {
            let ended = over.next().unwrap_or(false);
            if ended {
                inbox.send(Message::ForeignExited { run: *run, exit: Exit::Unknown });
            }
            !ended
        });
    }
}
