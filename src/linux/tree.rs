//! Everything that a run has started, found by looking through /proc once for all runs.
//!
//! A process belongs to a run when it is in the session or process group of the run's main process, descends from a member, or is
//! an orphan below the keeper that carries the run's id in its environment. Where a cgroup can be had, it is the surer way.
//! In: pids. Out: members, signals to them. Never add here: deciding who is to be killed.

use super::proc::{self, ProcessStat};
use super::{cgroup, pidfd};
use crate::model::{RunId, Signal};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A live process of a run. The start time tells it from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
}

/// Where a run's tree begins.
#[derive(Debug, Clone)]
pub struct Root {
    /// Which run.
    pub run: RunId,
    /// Its main process.
    pub main: Main,
    /// The cgroup that the run has for itself, where it has one.
    pub cgroup: Option<PathBuf>,
}

/// A run's main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Main {
    /// The keeper's child, by its pid: alive, or a zombie that was not reaped, so the number is nobody else's. 0: not forked.
    Pinned(u32),
    /// It outlived its keeper. Nobody pins its pid once it is dead, and its orphans may have come to anybody. `None`: it was
    /// dead already when it was looked for.
    Foreign(Option<Member>),
}

/// All processes of one moment (nearly: /proc is read one by one).
#[derive(Debug)]
pub struct Snapshot {
    processes: BTreeMap<u32, ProcessStat>,
    children: BTreeMap<u32, Vec<u32>>,
    keeper: u32,
    /// `SPPM_RUN` of orphans, looked up at most once each.
    runs: RefCell<BTreeMap<u32, Option<RunId>>>,
}

impl Snapshot {
    /// Looks through /proc once. `keeper` is who orphans of runs come to.
    ///
    /// # Errors
    /// /proc cannot be read at all, or we are short of something (EMFILE): then processes would be missing from it.
    pub fn take(keeper: u32) -> io::Result<Self> {
        let mut processes = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            let Some(pid) = pid else { continue };
            match proc::stat(pid) {
                Ok(stat) => drop(processes.insert(stat.pid, stat)),
                Err(error) if proc::is_shortage(&error) => return Err(error),
                // Gone meanwhile, or not for us to see.
                Err(_) => {}
            }
        }
        Ok(Self::of(processes, keeper))
    }

    fn of(processes: BTreeMap<u32, ProcessStat>, keeper: u32) -> Self {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for stat in processes.values() {
            children.entry(stat.parent).or_default().push(stat.pid);
        }
        Self { processes, children, keeper, runs: RefCell::default() }
    }

    /// The live processes of a run, main included while it lives.
    pub fn members(&self, root: &Root) -> Vec<Member> {
        let mut found = BTreeSet::new();
        let mut open: Vec<u32> = self.roots(root);
        while let Some(pid) = open.pop() {
            // Neither is anybody's member, whatever their environment says (sppm was started by a program of sppm).
            if pid == self.keeper || pid == std::process::id() || !found.insert(pid) {
                continue;
            }
            open.extend(self.children.get(&pid).into_iter().flatten());
        }
        let alive = found.iter().filter_map(|pid| self.processes.get(pid)).filter(|stat| !stat.is_dead());
        alive.map(|stat| Member { pid: stat.pid, start_time: stat.start_time }).collect()
    }

    /// The live processes, wherever they are, that were started with a run's id in their environment.
    pub fn named(&self, run: RunId) -> Vec<&ProcessStat> {
        let named = |stat: &&ProcessStat| !stat.is_dead() && self.run_of(stat.pid) == Some(run);
        self.processes.values().filter(named).collect()
    }

    fn roots(&self, root: &Root) -> Vec<u32> {
        let run = root.run;
        let leader = match root.main {
            Main::Pinned(pid) => pid,
            Main::Foreign(main) => main.filter(|main| self.is_same_or_gone(main)).map_or(0, |main| main.pid),
        };
        let by_ids = |stat: &&ProcessStat| {
            leader != 0 && (stat.pid == leader || stat.session == leader || stat.group == leader)
        };
        let mut roots: Vec<u32> = self.processes.values().filter(by_ids).map(|stat| stat.pid).collect();
        match root.main {
            Main::Pinned(_) => {
                let orphans = self.children.get(&self.keeper).into_iter().flatten();
                roots.extend(orphans.filter(|&&pid| self.run_of(pid) == Some(run)));
            }
            Main::Foreign(_) => roots.extend(self.named(run).into_iter().map(|stat| stat.pid)),
        }
        roots
    }

    /// Not another process with its number: then nobody of its session or group is left either (the kernel gives no number
    /// away that is still one of these).
    fn is_same_or_gone(&self, member: &Member) -> bool {
        self.processes.get(&member.pid).is_none_or(|stat| stat.start_time == member.start_time)
    }

    /// The run named in a process's initial environment (proc_pid_environ(5)). A process that was executed with another
    /// environment has lost it.
    fn run_of(&self, pid: u32) -> Option<RunId> {
        *self.runs.borrow_mut().entry(pid).or_insert_with(|| {
            let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let value = bytes.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(b"SPPM_RUN="))?;
            std::str::from_utf8(value).ok()?.parse().ok()
        })
    }
}

/// Sends a signal to a member, if it is still that process. Returns whether it was.
///
/// # Errors
/// EPERM, EMFILE.
pub fn signal(member: Member, signal: Signal) -> io::Result<bool> {
    let pidfd = match pidfd::open(member.pid) {
        Ok(pidfd) => pidfd,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        Err(error) => return Err(error),
    };
    // Looked up while the pidfd is open: if it is the same process now, it is the one that the pidfd names.
    match proc::start_time(member.pid) {
        Ok(start_time) if start_time == member.start_time => pidfd::send_signal(&pidfd, signal),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// How far a kill has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillState {
    /// Nothing was found three times in a row.
    Empty,
    /// So many were found by this look, and signalled; 0: look again to be sure. Take the next step in a few milliseconds.
    Left(usize),
}

/// The kill of a whole run, one look at a time, until nothing is left.
#[derive(Debug)]
pub struct KillUntilEmpty {
    root: Root,
    stopped: BTreeSet<Member>,
    freezes: u32,
    empty_looks: u32,
}

impl KillUntilEmpty {
    /// Looks without news before a tree is believed to be empty: a process can be born while /proc is read.
    const EMPTY_LOOKS: u32 = 3;
    /// Looks that only stop what they find; a fork bomb must not put the kill off for ever.
    const MAX_FREEZES: u32 = 4;

    /// Nothing is done before the first step.
    pub fn new(root: Root) -> Self {
        Self { root, stopped: BTreeSet::new(), freezes: 0, empty_looks: 0 }
    }

    /// One look and one round of signals. New members are stopped first, so that they cannot fork while the rest is killed.
    /// Each step needs a new snapshot.
    pub fn step(&mut self, snapshot: &Snapshot) -> KillState {
        let in_cgroup = self.kill_cgroup();
        let mut members = snapshot.members(&self.root);
        members.retain(|member| match proc::stat(member.pid) {
            Ok(stat) => !stat.is_dead(),
            Err(error) => proc::is_shortage(&error),
        });
        if members.is_empty() && in_cgroup == 0 {
            self.empty_looks += 1;
            let sure = self.empty_looks >= Self::EMPTY_LOOKS || self.root.cgroup.is_some();
            return if sure { KillState::Empty } else { KillState::Left(0) };
        }
        self.empty_looks = 0;
        self.stop_or_kill(&members);
        KillState::Left(members.len().max(in_cgroup))
    }

    fn kill_cgroup(&mut self) -> usize {
        let Some(path) = self.root.cgroup.clone() else { return 0 };
        if cgroup::is_empty(&path) {
            return 0;
        }
        if cgroup::kill(&path).is_err() {
            kill_listed(&path);
        }
        cgroup::members(&path).map_or(0, |left| left.len())
    }

    fn stop_or_kill(&mut self, members: &[Member]) {
        let fresh: Vec<Member> = members.iter().copied().filter(|m| !self.stopped.contains(m)).collect();
        let freeze = !fresh.is_empty() && self.freezes < Self::MAX_FREEZES && self.root.cgroup.is_none();
        if freeze {
            self.freezes += 1;
        }
        for member in if freeze { &fresh } else { members } {
            // Who may not be signalled (a setuid program of a non-root supervisor) stays, and is counted as left.
            let _ = signal(*member, if freeze { Signal::STOP } else { Signal::KILL });
        }
        self.stopped.extend(fresh);
    }
}

/// Without `cgroup.kill`: each listed process by itself; the caller repeats.
fn kill_listed(path: &Path) {
    for pid in cgroup::members(path).unwrap_or_default() {
        if let Ok(start_time) = proc::start_time(pid) {
            let _ = signal(Member { pid, start_time }, Signal::KILL);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, group: u32, session: u32, state: char) -> ProcessStat {
        ProcessStat { pid, comm: "x".to_owned(), state, parent, group, session, start_time: u64::from(pid) }
    }

    #[test]
    fn sessions_groups_and_descent_make_a_tree() {
        let all = [
            process(10, 1, 10, 10, 'S'),  // the keeper
            process(20, 10, 20, 20, 'Z'), // main, pinned
            process(21, 10, 20, 20, 'S'), // its orphan
            process(22, 21, 22, 22, 'S'), // setsid below the orphan
            process(23, 22, 23, 23, 'Z'), // dead
            process(30, 10, 30, 30, 'S'), // another run
            process(40, 1, 40, 20, 'S'),  // same session, other group
        ];
        let processes = all.into_iter().map(|stat| (stat.pid, stat)).collect();
        let snapshot = Snapshot::of(processes, 10);
        snapshot.runs.borrow_mut().insert(30, Some(RunId::from_bits(2)));
        let pids = |run, main| -> Vec<u32> {
            let root = Root { run: RunId::from_bits(run), main, cgroup: None };
            snapshot.members(&root).iter().map(|member| member.pid).collect()
        };
        assert_eq!(pids(1, Main::Pinned(20)), [21, 22, 40]);
        assert_eq!(pids(2, Main::Pinned(0)), [30]);
    }

    #[test]
    fn a_number_that_is_another_process_now_leads_nobody_and_orphans_may_be_anywhere() {
        let all = [
            process(10, 1, 10, 10, 'S'), // the keeper
            process(20, 1, 20, 20, 'S'), // what has main's number now
            process(31, 1, 30, 30, 'S'), // an orphan that came to init
        ];
        let snapshot = Snapshot::of(all.into_iter().map(|stat| (stat.pid, stat)).collect(), 10);
        snapshot.runs.borrow_mut().extend([(10, None), (20, None), (31, Some(RunId::from_bits(1)))]);
        let pids = |main| -> Vec<u32> {
            let root = Root { run: RunId::from_bits(1), main, cgroup: None };
            snapshot.members(&root).iter().map(|member| member.pid).collect()
        };
        let main = |start_time| Main::Foreign(Some(Member { pid: 20, start_time }));
        assert_eq!(pids(main(19)), [31]);
        assert_eq!(pids(main(20)), [20, 31]);
        assert_eq!(pids(Main::Foreign(None)), [31]);
    }

    #[test]
    fn a_member_that_became_another_process_is_not_signalled() {
        let own = std::process::id();
        let member = Member { pid: own, start_time: proc::start_time(own).unwrap() + 1 };
        assert!(!signal(member, Signal::KILL).unwrap());
    }
}
