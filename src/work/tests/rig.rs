//! A gate with everything around it played by the test, and programs for it.

use crate::linux::cgroup::{self, Cgroups};
use crate::linux::tree::{Main, Root};
use crate::model::{InstanceLabel, LockKind, RunId};
use crate::work::{Board, Gate, GateNews, Glance, Keep, Launch, Subject};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What was asked of the keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    Hold,
    Drop,
    Cgroup,
    Processes(usize),
    Thawed,
}

#[derive(Clone, Default)]
pub(super) struct Keeper(Arc<Mutex<Vec<Kept>>>);

impl Keeper {
    fn note(&self, kept: Kept) {
        self.0.lock().unwrap().push(kept);
    }
}

impl Keep for Keeper {
    fn hold_lock(&self, _: RunId, _: BorrowedFd<'_>) {
        self.note(Kept::Hold);
    }
    fn drop_lock(&self, _: RunId) {
        self.note(Kept::Drop);
    }
    fn frozen_cgroup(&self, _: RunId, _: BorrowedFd<'_>) {
        self.note(Kept::Cgroup);
    }
    fn frozen_processes(&self, _: RunId, pidfds: &[BorrowedFd<'_>]) {
        self.note(Kept::Processes(pidfds.len()));
    }
    fn thawed(&self, _: RunId) {
        self.note(Kept::Thawed);
    }
}

type Drain = Box<dyn FnMut() + Send>;

pub(super) struct Rig {
    pub(super) folder: tempfile::TempDir,
    pub(super) board: Board,
    pub(super) gate: Gate,
    pub(super) drain: Arc<Mutex<Drain>>,
    keeper: Keeper,
    news: Receiver<GateNews>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let (board, keeper) = (Board::default(), Keeper::default());
        let (tell, news) = mpsc::channel();
        let drain: Arc<Mutex<Drain>> = Arc::new(Mutex::new(Box::new(|| {})));
        let drained = Arc::clone(&drain);
        let gate = Gate::new(
            board.clone(),
            Box::new(keeper.clone()),
            Box::new(move |_| (drained.lock().unwrap())()),
            Box::new(move |news| tell.send(news).unwrap_or(())),
        );
        Self { folder: tempfile::tempdir().unwrap(), board, gate, drain, keeper, news }
    }

    pub(super) fn kept(&self) -> Vec<Kept> {
        self.keeper.0.lock().unwrap().clone()
    }

    pub(super) fn is_frozen(&self) -> bool {
        let kept = self.kept();
        let last = kept.iter().rev().find(|kept| !matches!(kept, Kept::Hold | Kept::Drop));
        matches!(last, Some(Kept::Cgroup | Kept::Processes(_)))
    }

    /// What comes within that time, if anything.
    pub(super) fn news(&self, within: Duration) -> Option<GateNews> {
        self.news.recv_timeout(within).ok()
    }

    pub(super) fn expect_busy(&self) -> crate::work::Busy {
        match self.news(Duration::from_secs(10)) {
            Some(GateNews::Busy { busy, .. }) => busy,
            other => panic!("not busy: {other:?}"),
        }
    }

    /// Until it is idle, past whatever else is said. How long that took, and what else was said.
    pub(super) fn expect_idle(&self, within: Duration) -> (Duration, Vec<GateNews>) {
        let begun = Instant::now();
        let mut others = Vec::new();
        loop {
            match self.news(within.saturating_sub(begun.elapsed())) {
                Some(GateNews::Idle { run, watch }) => {
                    assert!(self.gate.is_current(run, watch));
                    return (begun.elapsed(), others);
                }
                Some(other) => others.push(other),
                None => panic!("not idle within {within:?}; {others:?}"),
            }
        }
    }

    /// Nothing but busy is said for that long.
    pub(super) fn expect_never_idle(&self, span: Duration) {
        let begun = Instant::now();
        while let Some(news) = self.news(span.saturating_sub(begun.elapsed())) {
            assert!(matches!(news, GateNews::Busy { .. }), "{news:?} after {:?}", begun.elapsed());
        }
    }

    /// Whether somebody could take the lock exclusively now.
    pub(super) fn is_free(&self, program: &Program) -> bool {
        let mut flock = Command::new("flock");
        flock.args(["-n", "-x"]).arg(&program.lock).arg("true").status().unwrap().success()
    }
}

static RUNS: AtomicU64 = AtomicU64::new(1);

/// A program in a session of its own, with a working lock of its own.
pub(super) struct Program {
    pub(super) child: Child,
    pub(super) lock: PathBuf,
    pub(super) root: Root,
    pub(super) launch: Launch,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    cgroup: Option<Cgroups>,
}

impl Program {
    /// A shell script; it is on the board from now on.
    pub(super) fn shell(rig: &Rig, script: &str) -> Self {
        Self::start(rig, "sh", script)
    }

    /// A Python script, with a way to write states as the library of PyPI does.
    pub(super) fn python(rig: &Rig, script: &str) -> Self {
        Self::start(rig, "python3", &format!("{PRELUDE}{script}"))
    }

    fn start(rig: &Rig, interpreter: &str, script: &str) -> Self {
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let run = RunId::from_random(u128::from(number) << 64);
        let lock = rig.folder.path().join(format!("{number}")).join("lock");
        std::fs::create_dir(lock.parent().unwrap()).unwrap();
        std::fs::write(&lock, "").unwrap();
        let launch = Launch::now();
        let mut command = Command::new(interpreter);
        command.args(["-c", script]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("SPPM_LOCK", &lock).env("SPPM_RUN", run.to_string());
        let mut child = command.spawn().unwrap();
        rig.board.begin(run);
        let root = Root { run, main: Main::Pinned(child.id()), cgroup: None };
        let (tell, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)).unwrap_or(());
        });
        let stdin = child.stdin.take();
        Self { child, lock, root, launch, stdin, lines, cgroup: None }
    }

    /// From now on in a cgroup of its own, where this user can make one. Before it forks.
    pub(super) fn in_cgroup(mut self) -> Self {
        let name = format!("work-{}-{}", std::process::id(), self.child.id());
        if let Some(cgroups) = Cgroups::detect(&name) {
            let path = cgroups.create("run").unwrap();
            std::fs::write(path.join("cgroup.procs"), self.child.id().to_string()).unwrap();
            self.root.cgroup = Some(path);
            self.cgroup = Some(cgroups);
        }
        self
    }

    pub(super) fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    pub(super) fn line_within(&self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    /// One line to its standard input.
    pub(super) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(super) fn run(&self) -> RunId {
        self.root.run
    }

    pub(super) fn subject(&self) -> Subject {
        Subject {
            root: self.root.clone(),
            label: InstanceLabel::recorded("test"),
            keeper: std::process::id(),
            lock: self.lock.clone(),
            custom: false,
            kind: LockKind::Auto,
            idle_for: Duration::ZERO,
            launch: self.launch,
            own: None,
            left: None,
        }
    }

    pub(super) fn glance(&self) -> Glance<'_> {
        Glance {
            root: &self.root,
            keeper: std::process::id(),
            lock: &self.lock,
            custom: false,
            kind: LockKind::Auto,
            launch: self.launch,
        }
    }

    /// Three lines, all at once.
    pub(super) fn put_state(&self, pid: u32, seconds: &str, state: u8) {
        put(&self.lock, &format!("{pid}\n{seconds}\n{state}\n"));
    }
}

/// By a rename, as our clients write.
pub(super) fn put(path: &Path, text: &str) {
    let other = path.with_extension("tmp");
    std::fs::write(&other, text).unwrap();
    std::fs::rename(other, path).unwrap();
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = crate::linux::signals::signal_group(self.child.id(), crate::model::Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let (Some(cgroups), Some(path)) = (&self.cgroup, &self.root.cgroup) else { return };
        let _ = cgroup::kill(path);
        let begun = Instant::now();
        while cgroups.remove_root().is_err() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// `state(1)` truncates and writes, byte for byte what PyPI's sppm 2.1.4 writes; `renamed(1)` does as our clients do.
const PRELUDE: &str = r#"
import mmap, os, signal, sys, time
LOCK = os.environ["SPPM_LOCK"]
def state(busy, pid=None):
    with open(LOCK, "w") as f:
        f.write(str(pid or os.getpid()) + "\n")
        f.write(str(time.time()) + "\n")
        f.write(str(int(busy)) + "\n")
def renamed(busy):
    with open(LOCK + ".tmp", "w") as f:
        f.write("%d\n%f\n%d\n" % (os.getpid(), time.time(), busy))
    os.rename(LOCK + ".tmp", LOCK)
def say(text):
    print(text, flush=True)
def hear():
    return sys.stdin.readline().strip()
"#;
