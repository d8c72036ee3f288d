//! How many descriptors the plan needs, held against what we may have. Said before it hurts: at the limit a launch
//! fails, and neither programs that run nor sppm itself are touched.

use crate::control::server::connections;
use crate::linux::{fds, limits};
use crate::model::{LaunchFailure, LaunchStage, LogSink, Plan, Program, RunId, StderrSink};
use std::collections::BTreeMap;

/// What the supervisor needs for itself: sockets, threads' queues, the watch, the ledger. API connections come on top.
const OWN: u64 = 64;

/// What people must know, if the plan needs more than `limit` descriptors (RLIMIT_NOFILE; `None` = no limit).
pub(super) fn warning(plan: &Plan, limit: Option<u64>) -> Option<String> {
    let limit = limit?;
    let need = OWN + connections(Some(limit)) as u64 + need(plan);
    (need > limit).then(|| {
        format!(
            "the programs need about {need} open files and the limit is {limit}: the last ones will fail to start; \
             raise it with `ulimit -n` or LimitNOFILE= before sppm starts"
        )
    })
}

/// Makes room for the descriptors of this plan: not while programs are started and stopped, when waiting for it would be felt.
pub(super) fn make_room(plan: &Plan) {
    fds::make_room(OWN + need(plan));
}

fn need(plan: &Plan) -> u64 {
    let programs = plan.programs.values();
    programs.map(|program| of_run(program) * u64::from(program.instances.count())).sum()
}

/// A pidfd, a pipe for each stream, the ways by which it talks, its lock, and the files that its output goes to. The keeper holds
/// the same but for the files, so what is enough here is enough there.
fn of_run(program: &Program) -> u64 {
    bare(program) + ways(program) + LOCK + files(program)
}

/// The lock in its own folder, open as long as it runs. One that is elsewhere is opened when it is to be stopped, and all can be at
/// once.
const LOCK: u64 = 1;

/// A pidfd and a pipe for each stream.
fn bare(program: &Program) -> u64 {
    let streams = match program.logs.stderr {
        StderrSink::WithStdout => 1,
        StderrSink::Apart(_) => 2,
    };
    1 + streams
}

/// The FIFO, and the socket of sd_notify(3) where it has one.
fn ways(program: &Program) -> u64 {
    1 + u64::from(program.wants_socket())
}

/// Shared files are counted as if they were not.
fn files(program: &Program) -> u64 {
    let of = |sink: &LogSink| match sink {
        LogSink::File(_) => 1,
        LogSink::Inherit | LogSink::Discard => 0,
    };
    let stderr = match &program.logs.stderr {
        StderrSink::WithStdout => 0,
        StderrSink::Apart(sink) => of(sink),
    };
    of(&program.logs.stdout) + stderr
}

/// What a launch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A program.
    Program,
    /// The command that stops one, or its hook.
    Stop,
}

impl Purpose {
    /// So many descriptors it must leave: a supervisor without any can neither be asked nor be taken over. The stops come
    /// after the programs, and find what was left for them.
    const fn leaves(self) -> u64 {
        match self {
            Self::Program => 48,
            Self::Stop => 24,
        }
    }
}

/// The descriptors of launches that are under way and have not come yet.
#[derive(Debug, Default)]
pub(super) struct Expected {
    runs: BTreeMap<RunId, u64>,
    /// So many more can be had before the kernel is asked again how many there are.
    unasked: u64,
}

/// Where fewer descriptors than this are left, each launch asks how many; else after a quarter of what was left. The API's connections,
/// which come and go by themselves, take less than the rest.
const PLENTY: u64 = 4096;

impl Expected {
    /// A run is to be launched; `kept` descriptors are kept for what will be needed besides.
    ///
    /// # Errors
    /// Why it cannot be: its descriptors would be among the last.
    pub(super) fn add(
        &mut self,
        run: RunId,
        program: &Program,
        what: Purpose,
        kept: u64,
    ) -> Result<(), LaunchFailure> {
        let mine = match what {
            Purpose::Program => of_run(program),
            // It talks by the ways of the run that it serves.
            Purpose::Stop => bare(program) + files(program),
        };
        match self.unasked.checked_sub(mine) {
            Some(left) => self.unasked = left,
            None => self.ask(mine + what.leaves() + kept)?,
        }
        self.runs.insert(run, mine);
        Ok(())
    }

    fn ask(&mut self, wanted: u64) -> Result<(), LaunchFailure> {
        self.unasked = 0;
        let Some(limit) = limits::open_files() else { return Ok(()) };
        let used = fds::in_use().unwrap_or(limit);
        let all = used + self.runs.values().sum::<u64>() + wanted;
        let left = limit.checked_sub(all).ok_or_else(|| full(limit))?;
        self.unasked = if left > PLENTY { left / 4 } else { 0 };
        Ok(())
    }

    /// The pidfd and the pipes have come; the files are yet to be opened.
    pub(super) fn files_only(&mut self, run: RunId, program: &Program) {
        if let Some(expected) = self.runs.get_mut(&run) {
            *expected = files(program);
        }
    }

    /// Whether no launch is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether one launch alone is under way.
    pub(super) fn is_alone(&self) -> bool {
        self.runs.len() == 1
    }

    /// It is known how the launch went.
    pub(super) fn remove(&mut self, run: RunId) {
        self.runs.remove(&run);
    }
}

fn full(limit: u64) -> LaunchFailure {
    let message = format!(
        "cannot prepare the launch: sppm may have {limit} open files, and needs the last of them for itself; raise that \
         with `ulimit -n` or LimitNOFILE= of systemd, and start sppm again"
    );
    LaunchFailure { stage: LaunchStage::Prepare, errno: libc::EMFILE, message }
}
