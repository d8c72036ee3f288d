//! What the keeper tells. Plain data; `frames` turns it into bytes.

use crate::model::{Exit, LaunchStage, RunId, Signal};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// News from the keeper. Per run: `Forked`, then `Execed` or `Failed`, then `Exited`; nothing is promised between runs.
#[derive(Debug)]
pub enum Report {
    /// The first report to each supervisor.
    Hello {
        /// How many supervisors this keeper has started before this one.
        supervisors_before: u32,
        /// The last ones crashed again and again: start without the old state of the core.
        fresh_state: bool,
        /// How the one before ended.
        predecessor: Option<Predecessor>,
    },
    /// A process has got to this stage. In the table that follows `Hello`: the stage it is at now (`Exited` says that it was
    /// executed before).
    Process {
        /// Which run.
        run: RunId,
        /// The order's tag.
        tag: Vec<u8>,
        /// Its process id; 0 where the fork itself failed.
        pid: u32,
        /// How far it is.
        stage: Stage,
        /// Its descriptors, on the first mention of the run to this supervisor, and not of a failed one.
        fds: Option<ProcessFds>,
    },
    /// A descriptor that an earlier supervisor gave into safe keeping.
    Held {
        /// Its name.
        name: String,
        /// A duplicate of it.
        fd: OwnedFd,
    },
    /// The table is complete. What follows is news.
    TableEnd,
    /// The runtime folder is ours.
    Claimed,
    /// The runtime folder is another keeper's, or cannot be had.
    ClaimRefused {
        /// The other keeper's pid, if there is one and it is known.
        holder: Option<u32>,
        /// Why, for people.
        message: String,
    },
    /// A signal reached the keeper: HUP, TERM, INT, QUIT, USR1 or USR2.
    Signal {
        /// Which.
        signal: Signal,
        /// Where it came from.
        origin: SignalOrigin,
    },
    /// A child that nobody ordered (an orphan that came to the keeper) was reaped: look at the trees again.
    Strangers,
    /// Answer with `Pong`.
    Ping,
}

/// A supervisor that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Its process id.
    pub pid: u32,
    /// How it ended.
    pub exit: Exit,
    /// It did not answer any more, so the keeper killed it.
    pub hung: bool,
}

/// How far a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It exists; it is not executed yet.
    Forked,
    /// It runs.
    Execed,
    /// It never ran, and is gone.
    Failed {
        /// The step that failed.
        stage: LaunchStage,
        /// The errno(3) of that step.
        errno: i32,
        /// The path it was about, where it was about one.
        path: Option<PathBuf>,
    },
    /// It ran, and has ended. Its zombie pins the pid until `Release`.
    Exited(Exit),
}

/// Duplicates of the descriptors that the keeper holds for a run.
#[derive(Debug)]
pub struct ProcessFds {
    /// Of the process, from before it could end.
    pub pidfd: OwnedFd,
    /// Read end of the pipe from standard output (and error, where they are merged).
    pub stdout: OwnedFd,
    /// Read end of the pipe from standard error, where it is apart.
    pub stderr: Option<OwnedFd>,
    /// The FIFO of its launch order.
    pub notify: Option<OwnedFd>,
    /// The socket of its launch order.
    pub sd: Option<OwnedFd>,
    /// The working lock of its launch order.
    pub lock: Option<OwnedFd>,
}

/// Who sent a signal (`si_code`, sigaction(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalOrigin {
    /// The kernel: a key on the terminal, or the terminal is gone.
    Kernel,
    /// A process.
    Process {
        /// Its pid; 0 where it is outside of our pid namespace.
        pid: u32,
        /// Its real user id.
        uid: u32,
    },
}
