//! Holding a whole tree still for a moment: by its cgroup's freezer, else by STOP to each of its processes.
//!
//! What was stopped or frozen before by somebody else stays so when it is thawed. Never add here: when it is done.

use super::tree::{Main, Member, Root, Snapshot};
use super::{cgroup, pidfd, proc};
use crate::model::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long it may take until everything stands still. What does not by then is asleep in the kernel, and runs no code of
/// its own before it stops.
const PATIENCE: Duration = Duration::from_millis(200);

/// So many processes are stopped one by one at most: each costs a descriptor.
const MOST: usize = 1024;

/// What is about to be frozen: told before it happens, so that somebody can thaw it if this process dies.
#[derive(Debug)]
pub enum About<'a> {
    /// Writing `0` to this file, open for writing, thaws it.
    Cgroup(BorrowedFd<'a>),
    /// CONT to these processes, besides those that were told before, thaws it.
    Processes(&'a [OwnedFd]),
}

/// A tree that stands still. Dropping it thaws it.
#[derive(Debug)]
pub struct Frozen {
    _by: By,
}

#[derive(Debug)]
#[allow(dead_code, reason = "held for their drops")]
enum By {
    Cgroup(Option<Written>),
    Processes(Stopped),
}

/// A freezer that we wrote `1` to.
#[derive(Debug)]
struct Written(File);

impl Drop for Written {
    fn drop(&mut self) {
        // ENODEV: the cgroup is gone, and nothing is in it.
        let _ = self.0.write_all(b"0");
    }
}

/// Processes that were running, and that we stopped.
#[derive(Debug)]
struct Stopped(Vec<OwnedFd>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for process in &self.0 {
            // Who became another user's since it was stopped (EPERM) cannot be helped.
            let _ = pidfd::send_signal(process, Signal::CONT);
        }
    }
}

impl Frozen {
    /// Lets it run again.
    pub fn thaw(self) {
        drop(self);
    }
}

/// Freezes all of a run, and returns when nothing of it runs, after 200 ms at the latest.
///
/// # Errors
/// Nothing of it is frozen then: EMFILE and the like, or E2BIG where it has too many processes to stop one by one.
pub fn freeze(root: &Root, keeper: u32, about: &mut dyn FnMut(About<'_>)) -> io::Result<Frozen> {
    let deadline = Instant::now() + PATIENCE;
    if let Some(cgroup) = &root.cgroup {
        match freeze_cgroup(cgroup, deadline, about) {
            Ok(frozen) => return Ok(frozen),
            Err(error) if proc::is_shortage(&error) => return Err(error),
            // Without a freezer (before Linux 5.2), or not for us to write.
            Err(_) => {}
        }
    }
    stop_all(root, keeper, deadline, about)
}

fn freeze_cgroup(cgroup: &Path, deadline: Instant, about: &mut dyn FnMut(About<'_>)) -> io::Result<Frozen> {
    let mut file = File::options().read(true).write(true).open(cgroup.join("cgroup.freeze"))?;
    let mut events = File::open(cgroup.join("cgroup.events"))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if text.trim() == "1" {
        return Ok(Frozen { _by: By::Cgroup(None) });
    }
    about(About::Cgroup(file.as_fd()));
    file.rewind()?;
    file.write_all(b"1")?;
    // From here on, whatever happens, it is thawed again by a drop.
    let frozen = Frozen { _by: By::Cgroup(Some(Written(file))) };
    loop {
        text.clear();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        // An empty cgroup is never frozen; nothing runs in it either.
        if text.lines().any(|line| line == "frozen 1" || line == "populated 0") {
            return Ok(frozen);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(frozen);
        }
        // The file has an event for each change (cgroups(7)).
        wait(&mut [PollFd::new(&events, PollFlags::PRI)], left)?;
    }
}

fn wait(fds: &mut [PollFd<'_>], span: Duration) -> io::Result<()> {
    let time = Timespec { tv_sec: 0, tv_nsec: i64::from(span.min(PATIENCE).subsec_nanos()) };
    match poll(fds, Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Looks again until a look finds nobody new: what is not stopped yet may fork. Main comes first, before the look through
/// /proc, which takes longer than many a task. Who forks and ends faster than /proc is read is not caught without a cgroup.
fn stop_all(
    root: &Root,
    keeper: u32,
    deadline: Instant,
    about: &mut dyn FnMut(About<'_>),
) -> io::Result<Frozen> {
    let mut known = BTreeSet::new();
    // Whoever is stopped when an error comes is continued by the drop.
    let mut stopped = Stopped(Vec::new());
    let mut found = main(root);
    loop {
        let fresh: Vec<Member> = found.into_iter().filter(|member| known.insert(*member)).collect();
        if known.len() > MOST {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        let mut batch = Vec::new();
        for member in &fresh {
            if !is_stopped(member.pid)
                && let Some(process) = hold(*member)?
            {
                batch.push(process);
            }
        }
        if !batch.is_empty() {
            about(About::Processes(&batch));
        }
        for process in batch {
            // Who may not be signalled (a setuid program of a non-root supervisor) runs on.
            if pidfd::send_signal(&process, Signal::STOP).unwrap_or(false) {
                stopped.0.push(process);
            }
        }
        found = members(root, keeper)?;
        let fresh = found.iter().any(|member| !known.contains(member));
        let still = known.iter().all(|member| stands_still(member.pid));
        if (!fresh && still) || Instant::now() >= deadline {
            return Ok(Frozen { _by: By::Processes(stopped) });
        }
        if !still {
            // Nothing tells when somebody else's child has stopped.
            wait(&mut [], Duration::from_micros(200))?;
        }
    }
}

fn main(root: &Root) -> Vec<Member> {
    let main = match root.main {
        Main::Pinned(pid) => proc::stat(pid).ok().filter(|stat| pid != 0 && !stat.is_dead()),
        Main::Foreign(_) => None,
    };
    main.map(|stat| Member { pid: stat.pid, start_time: stat.start_time }).into_iter().collect()
}

fn members(root: &Root, keeper: u32) -> io::Result<Vec<Member>> {
    let mut members = Snapshot::take(keeper)?.members(root);
    for pid in root.cgroup.as_deref().map(cgroup::members).and_then(Result::ok).unwrap_or_default() {
        if !members.iter().any(|member| member.pid == pid)
            && let Ok(start_time) = proc::start_time(pid)
        {
            members.push(Member { pid, start_time });
        }
    }
    Ok(members)
}

/// A descriptor for a member, if it is still that process.
fn hold(member: Member) -> io::Result<Option<OwnedFd>> {
    let process = match pidfd::open(member.pid) {
        Ok(process) => process,
        Err(error) if proc::is_shortage(&error) => return Err(error),
        Err(_) => return Ok(None),
    };
    let same = proc::start_time(member.pid).is_ok_and(|start_time| start_time == member.start_time);
    Ok(same.then_some(process))
}

/// Whether all its threads are stopped by a signal. A process that a debugger holds may be let go by it.
fn is_stopped(pid: u32) -> bool {
    let states = proc::thread_states(pid).unwrap_or_default();
    !states.is_empty() && states.iter().all(|state| *state == 'T')
}

fn stands_still(pid: u32) -> bool {
    // Gone: as still as can be.
    let states = proc::thread_states(pid).unwrap_or_default();
    states.iter().all(|state| matches!(state, 'T' | 't' | 'Z' | 'X' | 'x'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::linux::cgroup::Cgroups;
    use crate::model::RunId;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, ChildStdout, Command, Stdio};

    /// A program in a session of its own that writes a byte whenever it can.
    struct Busybody {
        child: Child,
        out: ChildStdout,
    }

    impl Busybody {
        fn start(script: &str) -> Self {
            let mut command = Command::new("python3");
            command.args(["-c", script]).stdout(Stdio::piped()).process_group(0);
            let mut child = command.spawn().unwrap();
            let mut out = child.stdout.take().unwrap();
            out.read_exact(&mut [0]).unwrap();
            Self { child, out }
        }

        fn root(&self, cgroup: Option<std::path::PathBuf>) -> Root {
            Root { run: RunId::from_bits(7), main: Main::Pinned(self.child.id()), cgroup }
        }

        /// Whether it still writes, after what it wrote before was read.
        fn runs(&mut self) -> bool {
            let mut buffer = [0; 65536];
            let begun = Instant::now();
            let mut quiet = 0;
            while quiet < 3 && begun.elapsed() < Duration::from_secs(5) {
                let mut fds = [PollFd::new(&self.out, PollFlags::IN)];
                poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 30_000_000 })).unwrap();
                if fds[0].revents().contains(PollFlags::IN) {
                    quiet = 0;
                    assert!(self.out.read(&mut buffer).unwrap() > 0);
                    if begun.elapsed() > Duration::from_secs(1) {
                        return true;
                    }
                } else {
                    quiet += 1;
                }
            }
            false
        }
    }

    impl Drop for Busybody {
        fn drop(&mut self) {
            let _ = crate::linux::signals::signal_group(self.child.id(), Signal::KILL);
            let _ = self.child.wait();
        }
    }

    /// Two threads in each of two processes, all of which write.
    const LOUD: &str = "import os,threading\n\
        def loud():\n    while True: os.write(1, b'x')\n\
        os.fork()\nthreading.Thread(target=loud).start()\nloud()\n";

    fn told(root: &Root) -> (Frozen, Vec<usize>) {
        let mut about = Vec::new();
        let frozen = freeze(root, std::process::id(), &mut |what| match what {
            About::Cgroup(_) => about.push(0),
            About::Processes(processes) => about.push(processes.len()),
        });
        (frozen.unwrap(), about)
    }

    #[test]
    fn without_a_cgroup_every_thread_of_every_process_is_stopped_and_goes_on() {
        let mut program = Busybody::start(LOUD);
        for _ in 0..3 {
            assert!(program.runs());
            let begun = Instant::now();
            let (frozen, about) = told(&program.root(None));
            assert!(begun.elapsed() < PATIENCE * 2, "{:?}", begun.elapsed());
            assert_eq!(about.iter().sum::<usize>(), 2);
            assert!(!program.runs());
            frozen.thaw();
        }
        assert!(program.runs());
    }

    #[test]
    fn what_was_stopped_before_stays_stopped() {
        let mut program = Busybody::start(LOUD);
        let pid = program.child.id();
        stop(&program);
        let (frozen, about) = told(&program.root(None));
        assert!(about.is_empty(), "{about:?}");
        frozen.thaw();
        assert!(!program.runs() && is_stopped(pid));
    }

    /// Until all of it is stopped.
    fn stop(program: &Busybody) {
        crate::linux::signals::signal_group(program.child.id(), Signal::STOP).unwrap();
        let all = || members(&program.root(None), std::process::id()).unwrap();
        let begun = Instant::now();
        while !all().iter().all(|member| is_stopped(member.pid)) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A cgroup of its own, where this user can make one; elsewhere there is nothing to freeze by.
    struct Own(Cgroups, std::path::PathBuf);

    impl Own {
        fn new(name: &str) -> Option<Self> {
            let cgroups = Cgroups::detect(&format!("{name}-{}", std::process::id()))?;
            let path = cgroups.create("run").unwrap();
            Some(Self(cgroups, path))
        }

        fn take_in(&self, program: &Busybody) {
            for member in members(&program.root(None), std::process::id()).unwrap() {
                std::fs::write(self.1.join("cgroup.procs"), member.pid.to_string()).unwrap();
            }
        }

        fn events(&self) -> String {
            std::fs::read_to_string(self.1.join("cgroup.events")).unwrap()
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = cgroup::kill(&self.1);
            let begun = Instant::now();
            while self.0.remove_root().is_err() && begun.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn a_cgroup_is_frozen_as_a_whole() {
        let Some(own) = Own::new("freeze") else { return };
        let mut program = Busybody::start(LOUD);
        own.take_in(&program);
        let root = program.root(Some(own.1.clone()));
        let (frozen, about) = told(&root);
        assert_eq!(about, [0]);
        assert!(own.events().contains("frozen 1"), "{}", own.events());
        assert!(!program.runs());
        // What somebody else has frozen, as the first freeze here, is not thawed by the one that came later.
        let (second, about) = told(&root);
        assert!(about.is_empty());
        second.thaw();
        assert!(!program.runs());
        frozen.thaw();
        assert!(program.runs());
    }

    #[test]
    fn a_stopped_process_in_a_frozen_cgroup_stays_stopped() {
        let Some(own) = Own::new("stopped") else { return };
        let mut program = Busybody::start(LOUD);
        let pid = program.child.id();
        own.take_in(&program);
        stop(&program);
        let (frozen, _) = told(&program.root(Some(own.1.clone())));
        frozen.thaw();
        assert!(is_stopped(pid) && !program.runs());
    }

    #[test]
    fn an_empty_or_missing_cgroup_is_no_obstacle() {
        let program = Busybody::start(LOUD);
        let root = program.root(Some("/proc/self/no such cgroup".into()));
        assert_eq!(told(&root).1.iter().sum::<usize>(), 2);
        let Some(own) = Own::new("empty") else { return };
        let begun = Instant::now();
        told(&program.root(Some(own.1.clone()))).0.thaw();
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
        assert!(own.events().contains("frozen 0"), "{}", own.events());
    }
}
