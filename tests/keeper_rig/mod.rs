//! A keeper in a process of its own, and the test in the supervisor's place.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sppm::keeper::link::{Ends, LaunchOrder, Link, Order, Output, ProcessFds, Report, Sender, Stage};
use sppm::keeper::{KeeperOptions, run};
use sppm::linux::packet::{self, Waiting};
use sppm::linux::tree::{KillState, KillUntilEmpty, Main, Root, Snapshot};
use sppm::linux::{pidfd, proc};
use sppm::model::{Exit, RunId, Signal};
use std::cell::RefCell;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const SOCKET: &str = "SPPM_TEST_SOCKET";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The exit code of a process in one of the two roles; `None` for the test itself.
pub(crate) fn role() -> Option<i32> {
    let socket = std::env::var(SOCKET).ok()?;
    if std::env::args().nth(1).as_deref() == Some("supervise") {
        return Some(pass_the_line_on(Path::new(&socket)));
    }
    let supervisor_argv = vec!["the-supervisor".into(), "supervise".into()];
    Some(run(&KeeperOptions { supervisor_argv }))
}

/// The supervisor's role: hands its line to the test, then ends as the test says.
fn pass_the_line_on(socket: &Path) -> i32 {
    let line = sppm::linux::fds::inherited(sppm::keeper::link::LINK_FD).expect("the line");
    let Ok(mut stream) = UnixStream::connect(socket) else {
        // The test is over without having ended its keeper: nothing may be left behind.
        let keeper = pidfd::open(std::os::unix::process::parent_id()).expect("the keeper");
        let _ = pidfd::send_signal(keeper, Signal::KILL);
        return 1;
    };
    let own = pidfd::open(std::process::id()).expect("itself");
    packet::send(&stream, b"line", &[line.as_fd(), own.as_fd()], Waiting::Allowed)
        .expect("to reach the test");
    drop(line);
    let mut code = [1];
    let _ = stream.read(&mut code);
    i32::from(code[0])
}

/// A keeper.
pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    listener: UnixListener,
    pub(crate) keeper: Child,
    /// Its pids mean nothing outside, and all of it ends with it.
    contained: bool,
    seen: RefCell<Vec<(RunId, u32, OwnedFd)>>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::started_by(Command::new(std::env::current_exe().unwrap()), false)
    }

    /// One that is PID 1 of a namespace of its own; needs root.
    pub(crate) fn pid_one() -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["-pf", "--mount-proc", "--kill-child"]).arg(std::env::current_exe().unwrap());
        Self::started_by(unshare, true)
    }

    fn started_by(mut command: Command, contained: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Programs of other users look into it.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let socket = dir.path().join("test.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let keeper = command
            .env(SOCKET, &socket)
            .stderr(Stdio::from(File::create(dir.path().join("stderr")).unwrap()))
            .spawn()
            .unwrap();
        Self { dir, listener, keeper, contained, seen: RefCell::default() }
    }

    /// The next supervisor that the keeper starts.
    pub(crate) fn supervisor(&self) -> Supervisor<'_> {
        wait_for(&self.listener, "a supervisor");
        let (stream, _) = self.listener.accept().unwrap();
        let mut packet = packet::receive(&stream, Waiting::Allowed).unwrap();
        let pidfd = packet.fds.pop().unwrap();
        let socket = packet.fds.pop().unwrap();
        let raw = socket.try_clone().unwrap();
        let link = Link::from_fd(socket);
        let sender = link.sender();
        let (inbox, reports) = channel();
        std::thread::spawn(move || {
            while let Ok(Some(report)) = link.receive() {
                if inbox.send(report).is_err() {
                    return;
                }
            }
        });
        Supervisor { rig: self, stream, pidfd, raw, sender, reports }
    }

    /// The first supervisor, its empty table read.
    pub(crate) fn first(&self) -> Supervisor<'_> {
        let supervisor = self.supervisor();
        let (before, fresh, entries) = supervisor.table();
        assert_eq!((before, fresh, entries.len()), (0, false, 0));
        supervisor.send(&Order::Ready);
        supervisor
    }

    pub(crate) fn keeper_pid(&self) -> u32 {
        self.keeper.id()
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.keeper_pid())).unwrap().count()
    }

    /// Zombies among the keeper's children.
    pub(crate) fn zombies(&self) -> usize {
        self.zombies_of(self.keeper_pid())
    }

    pub(crate) fn zombies_of(&self, parent: u32) -> usize {
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            entry.unwrap().file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        });
        let ours = |stat: &proc::ProcessStat| stat.parent == parent && stat.is_dead();
        pids.filter_map(|pid| proc::stat(pid).ok()).filter(ours).count()
    }

    fn note(&self, run: RunId, pid: u32, fds: Option<&ProcessFds>) {
        let fds = fds.filter(|_| !self.contained);
        let pidfd = fds.map(|fds| fds.pidfd.try_clone().unwrap());
        self.seen.borrow_mut().extend(pidfd.map(|pidfd| (run, pid, pidfd)));
    }

    pub(crate) fn exit_code(mut self) -> i32 {
        let pidfd = pidfd::open(self.keeper_pid()).unwrap();
        wait_for(&pidfd, "the keeper's end");
        self.keeper.wait().unwrap().code().unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }
}

impl Drop for Rig {
    /// Whatever became of the test, nothing of it is left.
    fn drop(&mut self) {
        let keeper = self.keeper_pid();
        for (run, pid, pidfd) in self.seen.take() {
            // Reaped ones have no pid any more that could be trusted.
            let leader = if pidfd::exists(&pidfd).unwrap_or(false) { pid } else { 0 };
            let mut kill = KillUntilEmpty::new(Root { run, main: Main::Pinned(leader), cgroup: None });
            for _ in 0..20 {
                if Snapshot::take(keeper).is_ok_and(|now| kill.step(&now) == KillState::Empty) {
                    break;
                }
            }
        }
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// The test's end of the line.
pub(crate) struct Supervisor<'a> {
    rig: &'a Rig,
    stream: UnixStream,
    pidfd: OwnedFd,
    /// The bare socket, for what no decent supervisor sends.
    pub(crate) raw: OwnedFd,
    pub(crate) sender: Sender,
    reports: Receiver<Report>,
}

/// A process as reported.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) run: RunId,
    pub(crate) pid: u32,
    pub(crate) stage: Stage,
    pub(crate) fds: Option<ProcessFds>,
}

impl Supervisor<'_> {
    pub(crate) fn send(&self, order: &Order) {
        self.sender.send(order).unwrap();
    }

    pub(crate) fn receive(&self) -> Report {
        self.reports.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}; {}", self.rig.stderr()))
    }

    /// Nothing may come for a while.
    pub(crate) fn expect_silence(&self) {
        if let Ok(report) = self.reports.recv_timeout(Duration::from_millis(300)) {
            panic!("{report:?}");
        }
    }

    /// The next news of a process; strangers in between are skipped.
    pub(crate) fn news(&self) -> News {
        loop {
            match self.receive() {
                Report::Process { run, tag, pid, stage, fds } => {
                    assert_eq!(tag, run.to_string().into_bytes(), "the tag comes back");
                    self.rig.note(run, pid, fds.as_ref());
                    return News { run, pid, stage, fds };
                }
                Report::Strangers => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Greeting and table.
    pub(crate) fn table(&self) -> (u32, bool, Vec<News>) {
        let Report::Hello { supervisors_before, fresh_state, .. } = self.receive() else {
            panic!("no hello")
        };
        let mut entries = Vec::new();
        loop {
            match self.receive() {
                Report::TableEnd => return (supervisors_before, fresh_state, entries),
                Report::Process { run, pid, stage, fds, .. } => {
                    self.rig.note(run, pid, fds.as_ref());
                    entries.push(News { run, pid, stage, fds });
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Launches and waits until it runs.
    pub(crate) fn launch(&self, order: &LaunchOrder) -> (u32, ProcessFds) {
        self.send(&Order::Launch(Box::new(order.clone())));
        let forked = self.news();
        assert_eq!((forked.run, &forked.stage), (order.run, &Stage::Forked));
        let execed = self.news();
        assert_eq!((execed.run, &execed.stage), (order.run, &Stage::Execed));
        assert!(execed.fds.is_none(), "descriptors come once");
        (forked.pid, forked.fds.unwrap())
    }

    pub(crate) fn exit(&self, run: RunId) -> Exit {
        let news = self.news();
        assert_eq!(news.run, run);
        let Stage::Exited(exit) = news.stage else { panic!("{news:?}") };
        exit
    }

    /// kill -9.
    pub(crate) fn kill(self) {
        assert!(pidfd::send_signal(&self.pidfd, Signal::KILL).unwrap());
    }

    /// It exits with this code.
    pub(crate) fn end(mut self, code: u8) {
        std::io::Write::write_all(&mut self.stream, &[code]).unwrap();
    }
}

/// A launch of `/bin/sh -c SCRIPT`.
pub(crate) fn shell(script: &str) -> LaunchOrder {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let random = u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 80 | u128::from(std::process::id());
    let run = RunId::from_random(random);
    LaunchOrder {
        run,
        tag: run.to_string().into_bytes(),
        argv: ["sh", "-c", script].map(c).to_vec(),
        candidates: vec![c("/bin/sh")],
        environment: [c"PATH=/usr/bin:/bin", &c(&format!("SPPM_RUN={run}"))].into_iter().collect(),
        directory: c("/"),
        identity: None,
        umask: 0o022,
        rlimits: Vec::new(),
        nice: None,
        oom_score_adj: None,
        cgroup: None,
        stdin: None,
        output: Output::Merged,
        ends: Ends::default(),
    }
}

pub(crate) fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// Everything that comes out of a pipe until its writers are gone.
pub(crate) fn read_all(pipe: OwnedFd) -> String {
    let mut text = String::new();
    File::from(pipe).read_to_string(&mut text).unwrap();
    text
}

/// The next line of a pipe.
pub(crate) fn read_line(pipe: &OwnedFd) -> String {
    let mut line = String::new();
    let mut byte = [0];
    loop {
        wait_for(pipe, "a line");
        assert_eq!(rustix::io::read(pipe, &mut byte).unwrap(), 1, "end of pipe after `{line}`");
        if byte == *b"\n" {
            return line;
        }
        line.push(char::from(byte[0]));
    }
}

/// Waits until something can be read.
pub(crate) fn wait_for(fd: impl AsFd, what: &str) {
    let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap();
    assert_eq!(ready, 1, "waited too long for {what}");
}

/// Asks again and again until it is so.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn root() -> bool {
    rustix::process::geteuid().is_root()
}
