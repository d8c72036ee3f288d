//! Looks at processes through /proc. A process is a pid together with its start time: a pid alone may be another's.

use std::fs;
use std::path::Path;

/// One process, for good: a later process with the same pid is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proc {
    pub pid: u32,
    /// Clock ticks since boot.
    pub started: u64,
}

/// What /proc/PID/stat says, as far as tests need it.
#[derive(Debug, Clone)]
pub struct Stat {
    pub comm: String,
    pub state: char,
    pub parent: u32,
    pub group: u32,
    pub session: u32,
    pub started: u64,
}

impl Proc {
    /// The process that has this pid now.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, started: stat(pid)?.started })
    }

    /// Whether it lives; a zombie does not.
    pub fn alive(&self) -> bool {
        stat(self.pid).is_some_and(|now| now.started == self.started && !matches!(now.state, 'Z' | 'X'))
    }

    /// Sends a signal, if it is still there.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        if stat(self.pid).is_some_and(|now| now.started == self.started) {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid).expect("a pid"));
            // It may end at any moment; then there is nobody left to tell.
            let _gone = nix::sys::signal::kill(pid, signal);
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let stat = stat(self.pid);
        let parent = stat.as_ref().map_or(0, |stat| stat.parent);
        let state = stat.as_ref().map_or('?', |stat| stat.state);
        format!("pid {} (parent {parent}, state {state}): {line}", self.pid)
    }
}

/// Reads /proc/PID/stat.
pub fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = text.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    Some(Stat {
        comm: head.split_once('(')?.1.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Every pid there is.
pub fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Every living process that belongs to the test with this folder: `RIG=folder` in its environment, or its working
/// folder or its program below it. The test's own process is not one.
pub fn belonging_to(folder: &Path) -> Vec<Proc> {
    let me = std::process::id();
    let mark = format!("RIG={}", folder.display());
    let mut found: Vec<Proc> = pids()
        .into_iter()
        .filter(|&pid| pid != me && belongs(pid, &mark, folder))
        .filter_map(Proc::of)
        .filter(Proc::alive)
        .collect();
    found.sort();
    found
}

fn belongs(pid: u32, mark: &str, folder: &Path) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
    environment.split(|&b| b == 0).any(|variable| variable == mark.as_bytes())
        || link("cwd").starts_with(folder)
        || link("exe").starts_with(folder)
}

/// Children of `pid` that have ended and that nobody has reaped.
pub fn zombies_of(pid: u32) -> Vec<u32> {
    let zombie = |child: &u32| stat(*child).is_some_and(|stat| stat.parent == pid && stat.state == 'Z');
    pids().into_iter().filter(zombie).collect()
}

/// The cgroup v2 folder of a process below the mount of that hierarchy, where there is one.
pub fn cgroup_folder(pid: u32) -> Option<std::path::PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let mut fields = line.split_whitespace().skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let below = path.strip_prefix(root).unwrap_or(&path);
    Some(Path::new(point).join(below.trim_start_matches('/')))
}

/// Peak resident memory in KiB.
pub fn peak_memory_kib(pid: u32) -> Option<u64> {
    memory_line(pid, "VmHWM:")
}

/// Resident memory in KiB.
pub fn memory_kib(pid: u32) -> Option<u64> {
    memory_line(pid, "VmRSS:")
}

fn memory_line(pid: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// Processor time used so far, of all its threads, in clock ticks (1/100 s).
pub fn cpu_ticks(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}
