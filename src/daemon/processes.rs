//! The processes that this supervisor knows: what is needed to act on each.

use super::tag::Owner;
use crate::keeper::link::{LaunchOrder, ProcessFds};
use crate::linux::exec_error::{Attempt, exec_error};
use crate::linux::signals::signal_group;
use crate::linux::tree::{Main, Member, Root};
use crate::linux::{flock, pidfd};
use crate::logs::{Logger, Output, SinkSettings, SinkTarget};
use crate::model::{
    Exit, LaunchFailure, LaunchStage, LogSink, LogStream, Program, RunId, Signal, StderrSink,
};
use crate::talk::Untouched;
use crate::work::Launch;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All of them. Boxed: a node of the tree has room for eleven.
pub(super) type Processes = BTreeMap<RunId, Box<Process>>;

/// One process, from its launch order to its release.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) run: RunId,
    pub(super) owner: Owner,
    pub(super) spec: Arc<Program>,
    /// When it was launched, by both clocks.
    pub(super) launch: Launch,
    /// 0 before it is forked.
    pub(super) pid: u32,
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) parent: Parent,
    pub(super) lock: OwnLock,
    /// Where it speaks, until somebody listens.
    pub(super) mouth: Option<Mouth>,
    /// How it ended, while the end is not announced yet: its last output comes first.
    pub(super) ended: Option<Exit>,
    /// All its output is in its log and no more can come; what it wrote last.
    pub(super) silent: Option<Box<[u8]>>,
    /// For the sentence of a failed launch.
    attempt: Option<Box<Tried>>,
}

/// The working lock of a run in its own folder, where it has that.
#[derive(Debug, Default)]
pub(super) struct OwnLock {
    /// Open from the launch on, and in the keeper too: a stop takes it at once, and it stays taken when this supervisor dies. `None`: the
    /// keeper that had it is gone.
    pub(super) file: Option<Arc<OwnedFd>>,
    /// As it was made, where that is known.
    pub(super) untouched: Option<Untouched>,
    /// As far as is known nobody else can take it, since it is ours.
    held: bool,
}

impl OwnLock {
    /// Takes it, so that nobody begins a task under it. Returns whether that went well.
    pub(super) fn take(&mut self) -> bool {
        self.held = self.file.as_ref().is_some_and(|file| flock::try_shared(file).unwrap_or(false));
        self.held
    }

    /// Whether it is taken or not is not known: the supervisor before may have done so.
    pub(super) fn may_be_held(&mut self) {
        self.held = self.file.is_some();
    }

    /// Whether it is ours, as far as is known.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// The open file, if it is taken: whoever gets it gives it back.
    pub(super) fn hand_over(&mut self) -> Option<Arc<OwnedFd>> {
        let held = std::mem::take(&mut self.held);
        self.file.clone().filter(|_| held)
    }

    /// Anybody may take it again.
    pub(super) fn give_back(&mut self) {
        if let Some(file) = self.hand_over() {
            flock::unlock(file);
        }
    }
}

/// The ends of the ways by which a run speaks.
#[derive(Debug)]
pub(super) struct Mouth {
    /// Its FIFO.
    pub(super) fifo: OwnedFd,
    /// Its socket of sd_notify(3), where it has one.
    pub(super) sd: Option<OwnedFd>,
}

/// Whom a signal is sent to without looking for anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The process that was launched.
    Main,
    /// All of its process group.
    Group,
}

/// Whose child it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    /// The keeper's.
    Keeper,
    /// Somebody else's: it was found again after its keeper's death, or what it left was.
    Stranger(Option<Member>),
}

/// What a launch is about, for the sentence of its failure.
#[derive(Debug)]
pub(super) struct Tried {
    program: String,
    candidates: Vec<CString>,
    directory: CString,
}

impl Tried {
    pub(super) fn of(order: &LaunchOrder) -> Box<Self> {
        let program = order.argv.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
        let candidates = order.candidates.clone();
        Box::new(Self { program, candidates, directory: order.directory.clone() })
    }
}

impl Process {
    /// One that is to be launched.
    pub(super) fn new(run: RunId, owner: Owner, spec: Arc<Program>) -> Self {
        Self {
            run,
            owner,
            spec,
            launch: Launch::now(),
            pid: 0,
            pidfd: None,
            parent: Parent::Keeper,
            lock: OwnLock::default(),
            mouth: None,
            ended: None,
            silent: None,
            attempt: None,
        }
    }

    /// Remembers what the keeper is told to do.
    pub(super) fn ordered(&mut self, tried: Box<Tried>, cgroup: Option<PathBuf>) {
        self.attempt = Some(tried);
        self.owner.cgroup = cgroup;
    }

    /// What was tried is of no use any more: it worked. Whether it was this supervisor that ordered it.
    pub(super) fn executed(&mut self) -> bool {
        self.attempt.take().is_some()
    }

    /// Takes the descriptors of the forked process; its output flows into its logs from now on.
    pub(super) fn attach(&mut self, fds: ProcessFds, logger: &Logger) {
        self.pidfd = Some(fds.pidfd);
        self.mouth = fds.notify.map(|fifo| Mouth { fifo, sd: fds.sd });
        self.lock.file = fds.lock.map(Arc::new);
        let label = &self.owner.label;
        let output = |stream, pipe| Output { stream, pipe, sink: self.sink(stream) };
        let mut outputs = vec![output(LogStream::Stdout, fds.stdout)];
        outputs.extend(fds.stderr.map(|pipe| output(LogStream::Stderr, pipe)));
        logger.attach(self.run, label.clone(), outputs);
    }

    /// The live part of its spec changed.
    pub(super) fn respec(&mut self, spec: &Arc<Program>, logger: &Logger) {
        let oom_before = self.spec.limits.oom_score_adj;
        self.spec = Arc::clone(spec);
        logger.respec(self.run, LogStream::Stdout, self.sink(LogStream::Stdout));
        if matches!(spec.logs.stderr, StderrSink::Apart(_)) {
            logger.respec(self.run, LogStream::Stderr, self.sink(LogStream::Stderr));
        }
        if let (Some(score), true) = (spec.limits.oom_score_adj, spec.limits.oom_score_adj != oom_before) {
            let path = format!("/proc/{}/oom_score_adj", self.pid);
            if let Err(error) = std::fs::write(&path, score.to_string()) {
                tracing::warn!(instance = %self.owner.label, %error, "cannot set limits.oom_score_adj of the running process");
            }
        }
    }

    /// Sends a signal to main. One that is gone is no error: that news is on its way.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<bool> {
        match &self.pidfd {
            Some(pidfd) => pidfd::send_signal(pidfd, signal),
            None => Ok(false),
        }
    }

    /// Sends a signal to all that it reaches. Main is asked to stop only while its exit is no news: its number is its own then, and so
    /// is its group's.
    pub(super) fn signal_all(&self, reach: Reach, signal: Signal) -> io::Result<bool> {
        match reach {
            Reach::Main => self.signal(signal),
            Reach::Group => signal_group(self.pid, signal),
        }
    }

    /// Where to look for what it started.
    pub(super) fn root(&self) -> Root {
        let main = match self.parent {
            Parent::Keeper => Main::Pinned(self.pid),
            Parent::Stranger(member) => Main::Foreign(member),
        };
        Root { run: self.run, main, cgroup: self.owner.cgroup.clone() }
    }

    /// The sentence for a launch that failed in the keeper or the child.
    pub(super) fn failure(&self, stage: LaunchStage, errno: i32, path: Option<&Path>) -> LaunchFailure {
        let user = self.spec.user.as_ref().map(ToString::to_string);
        let attempt = match &self.attempt {
            Some(tried) => Attempt {
                program: Some(&tried.program),
                candidates: &tried.candidates,
                directory: Some(&tried.directory),
                user: user.as_deref(),
            },
            None => Attempt { user: user.as_deref(), ..Attempt::default() },
        };
        exec_error(stage, errno, path, &attempt)
    }

    fn sink(&self, stream: LogStream) -> SinkSettings {
        sink(&self.spec, &self.owner, stream)
    }
}

/// Where a stream of this process goes.
fn sink(spec: &Program, owner: &Owner, stream: LogStream) -> SinkSettings {
    let logs = &spec.logs;
    let sink = match (stream, &logs.stderr) {
        (LogStream::Stderr, StderrSink::Apart(sink)) => sink,
        (LogStream::Stdout, _) | (LogStream::Stderr, StderrSink::WithStdout) => &logs.stdout,
    };
    match sink {
        LogSink::File(path) => {
            let path = PathBuf::from(path.fill(&owner.slot, &owner.label));
            SinkSettings::file(path, logs.max_size.0, logs.max_files)
        }
        LogSink::Inherit => SinkSettings::plain(SinkTarget::Inherit),
        LogSink::Discard => SinkSettings::plain(SinkTarget::Discard),
    }
}

/// The files that an instance's output goes to, for reading them.
pub(super) fn log_paths(spec: &Program, owner: &Owner) -> Vec<(LogStream, Option<PathBuf>)> {
    let path = |stream| match sink(spec, owner, stream).target {
        SinkTarget::File(path) => Some(path),
        SinkTarget::Inherit | SinkTarget::Discard => None,
    };
    let mut paths = vec![(LogStream::Stdout, path(LogStream::Stdout))];
    if matches!(spec.logs.stderr, StderrSink::Apart(_)) {
        paths.push((LogStream::Stderr, path(LogStream::Stderr)));
    }
    paths
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_lock_of_the_supervisor_before_is_given_back() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let is_free = || std::fs::File::open(&path).unwrap().try_lock().is_ok();
        let keepers = std::fs::File::open(&path).unwrap();
        assert!(flock::try_shared(&keepers).unwrap());
        let mut lock = OwnLock { file: Some(Arc::new(keepers.into())), ..OwnLock::default() };
        lock.give_back();
        assert!(!is_free(), "nobody has said that it might be ours");
        lock.may_be_held();
        lock.give_back();
        assert!(is_free() && !lock.is_held());
        assert!(lock.take() && !is_free());
    }
}
