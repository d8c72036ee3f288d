//! Programs that outlived their keeper, and what those left that did not: found again by the records of the supervisor
//! before, so that no second copy is ever started. They are nobody's child of ours any more: their end is seen by pidfd, their exit status is not
//! (before PIDFD_GET_INFO of Linux 6.15, which this version does not use).

use super::inbox::{Inbox, Message};
use super::launcher::cgroup_name;
use super::processes::{Parent, Process, Processes};
use super::tag::Owner;
use crate::keeper::link::ProcessFds;
use crate::linux::cgroup::{self, Cgroups};
use crate::linux::tree::{Member, Snapshot};
use crate::linux::{pidfd, proc};
use crate::logs::Logger;
use crate::model::{Exit, RunId, Slot, StderrSink};
use crate::supervisor::{Instance, Run, TableEntry, TableStage};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{FileType, Mode, OFlags};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What is left of a run that the keeper does not hold.
enum Remains {
    Main {
        member: Member,
        pidfd: OwnedFd,
        cgroup: Option<PathBuf>,
    },
    /// Main has ended, nobody knows how; others live.
    Others {
        cgroup: Option<PathBuf>,
    },
}

/// Where remains are looked for.
struct Search<'a> {
    snapshot: Snapshot,
    cgroups: Option<&'a Cgroups>,
}

/// Looks for the processes of each recorded run that the keeper does not hold.
pub(super) fn find_foreign(
    instances: &[(Slot, Instance)],
    keeper: u32,
    cgroups: Option<&Cgroups>,
    processes: &mut Processes,
    logger: &Logger,
    inbox: &Inbox,
) -> Vec<TableEntry> {
    let missing: Vec<(&Slot, &Run)> = instances
        .iter()
        .filter_map(|(slot, instance)| Some((slot, instance.run()?)))
        .filter(|(_, run)| !processes.contains_key(&run.id))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let snapshot = match Snapshot::take(keeper) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::error!(%error, "cannot look for programs that outlived their keeper");
            return Vec::new();
        }
    };
    let search = Search { snapshot, cgroups };
    let mut found = Vec::new();
    let mut watched = Vec::new();
    for (slot, run) in missing {
        let Some(remains) = search.remains(run) else { continue };
        let (process, stage) = match remains {
            Remains::Main { member, pidfd, cgroup } => {
                let Ok(watch) = pidfd.try_clone() else { continue };
                watched.push((run.id, watch));
                let pid = member.pid;
                tracing::warn!(instance = %run.label, pid, "found again; its keeper is gone, so its exit status will be unknown");
                (alive(slot, run, member, pidfd, cgroup, logger), TableStage::Running { pid })
            }
            Remains::Others { cgroup } => {
                tracing::warn!(instance = %run.label, "ended while there was no keeper, and left processes behind");
                let pid = run.pid.unwrap_or(0);
                (process(slot, run, None, cgroup), TableStage::Exited { pid, exit: Exit::Unknown })
            }
        };
        processes.insert(run.id, Box::new(process));
        let (label, generation) = (run.label.clone(), run.generation);
        found.push(TableEntry { run: run.id, slot: slot.clone(), label, generation, stage });
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

impl Search<'_> {
    fn remains(&self, run: &Run) -> Option<Remains> {
        let name = cgroup_name(&run.label, run.id);
        let named = self.snapshot.named(run.id);
        // Every program leads a session of its own. Of a launch that was not told the pid is not recorded.
        let leader = || named.iter().find(|stat| stat.session == stat.pid).map(|stat| stat.pid);
        let main = run.pid.or_else(leader).filter(|_| run.exit.is_none());
        if let Some((member, pidfd)) = main.and_then(|pid| open(pid, run.id, &name)) {
            let cgroup = own_cgroup(member.pid, &name);
            return Some(Remains::Main { member, pidfd, cgroup });
        }
        let by_path = self.cgroups.map(|cgroups| cgroups.root().join(&name)).filter(|path| path.exists());
        let cgroup = named.iter().find_map(|stat| own_cgroup(stat.pid, &name)).or(by_path);
        let lives = !named.is_empty() || cgroup.as_deref().is_some_and(|path| !cgroup::is_empty(path));
        lives.then_some(Remains::Others { cgroup })
    }
}

/// A live process, if it is of this run: the run's id is in its environment, or it is in the run's cgroup (some programs
/// overwrite their environment to show a title). Start times alone do not tell processes apart (clock ticks are coarse).
fn open(pid: u32, run: RunId, cgroup: &str) -> Option<(Member, OwnedFd)> {
    let pidfd = pidfd::open(pid).ok()?;
    let stat = proc::stat(pid).ok().filter(|stat| !stat.is_dead())?;
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("SPPM_RUN={run}");
    let named = environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes());
    let same = named || own_cgroup(pid, cgroup).is_some();
    same.then_some((Member { pid, start_time: stat.start_time }, pidfd))
}

/// The run's cgroup, if this process is in it or below it.
fn own_cgroup(pid: u32, name: &str) -> Option<PathBuf> {
    let folder = cgroup::of(pid)?;
    folder.ancestors().find(|path| path.file_name().is_some_and(|last| last == name)).map(Path::to_owned)
}

fn process(slot: &Slot, run: &Run, main: Option<Member>, cgroup: Option<PathBuf>) -> Process {
    let owner = Owner {
        slot: slot.clone(),
        label: run.label.clone(),
        generation: run.generation,
        helper_of: None,
        cgroup,
    };
    let mut process = Process::new(run.id, owner, run.spec.clone());
    process.pid = main.map_or(0, |main| main.pid);
    process.parent = Parent::Stranger(main);
    process
}

fn alive(
    slot: &Slot,
    run: &Run,
    main: Member,
    pidfd: OwnedFd,
    cgroup: Option<PathBuf>,
    logger: &Logger,
) -> Process {
    let mut process = process(slot, run, Some(main), cgroup);
    let apart = matches!(run.spec.logs.stderr, StderrSink::Apart(_));
    let stderr = if apart { output_pipe(main.pid, 2) } else { None };
    match output_pipe(main.pid, 1) {
        Some(stdout) => {
            let fds = ProcessFds { pidfd, stdout, stderr, notify: None, sd: None, lock: None };
            process.attach(fds, logger);
        }
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
