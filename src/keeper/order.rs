//! What the supervisor can order. Plain data; `frames` turns it into bytes.

use crate::linux::texts::Texts;
use crate::model::{Rlimit, RunId};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The longest [`LaunchOrder::tag`], in bytes.
pub const MAX_TAG: usize = 16 * 1024;

/// How many descriptors can be held by name at once: several for each run of a full table.
pub const MAX_HELD: usize = 65_536;

/// The longest [`Order::TellAbove`], in bytes: systemd ignores what is longer (NOTIFY_BUFFER_MAX, which is PIPE_BUF).
pub const MAX_ABOVE: usize = 4096;

/// The longest [`Order::Rest`]: signals to the keeper wait for so long, too.
pub const MAX_REST: Duration = Duration::from_millis(50);

/// An order to the keeper. Orders are carried out in the order in which they were sent.
#[derive(Debug)]
pub enum Order {
    /// Take the runtime folder's lock and write the pid file. Answered by `Claimed` or `ClaimRefused`.
    Claim {
        /// The folder; it exists. The lock is its file `lock`.
        runtime_dir: PathBuf,
        /// Where the keeper's pid is written; its folder exists.
        pid_file: PathBuf,
    },
    /// Start a process. Answered by reports about its run.
    Launch(Box<LaunchOrder>),
    /// Forget a run: reap the pinned zombie, close the pipes. A run that lives is let go: it is reaped when it
    /// ends, and nothing more is told of it. Unknown runs are ignored.
    Release {
        /// Which.
        run: RunId,
    },
    /// Keep this descriptor over the supervisor's death; replaces one of the same name.
    Hold {
        /// What to call it, at most 255 bytes.
        name: String,
        /// The descriptor; the keeper gets a duplicate.
        fd: OwnedFd,
        /// What becomes of it when the supervisor dies.
        purpose: HoldFor,
    },
    /// Close the descriptor of that name.
    Unhold {
        /// Which.
        name: String,
    },
    /// The supervisor has taken over and works.
    Ready,
    /// Tell the service manager above, as sd_notify(3) does: it believes the keeper, which it has started itself. Said once, at
    /// once: what cannot be said then is lost, and so is everything where there is nobody above.
    TellAbove {
        /// Lines of `NAME=value`, at most [`MAX_ABOVE`] bytes.
        text: String,
    },
    /// Answers `Ping`.
    Pong,
    /// Many are about to end, and nobody listens meanwhile: exits may be looked at and told together, after at most so long (whole
    /// milliseconds, at most [`MAX_REST`]) or when the next order comes. Nothing ends a rest but that order and the supervisor's end;
    /// with launches under way there is none.
    Rest {
        /// How long; zero: what a rest that is under way is ended with.
        at_most: Duration,
    },
    /// The supervisor ends on purpose, and the keeper with it. Programs that were not released are left alone.
    Goodbye {
        /// The keeper's exit code.
        code: u8,
    },
}

/// What becomes of a held descriptor when the supervisor ends, in whichever way, and all that it had ordered is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldFor {
    /// It is kept, and handed to each supervisor as `Report::Held`.
    Keep,
    /// It is an open `cgroup.freeze`: what is frozen must not stay so because we died. It is thawed, and the descriptor closed.
    ThawCgroup,
    /// It is a pidfd of a process that was stopped: it is sent CONT, and the descriptor closed.
    ContProcess,
}

/// Everything that a launch needs, complete: the keeper looks nothing up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOrder {
    /// The new run.
    pub run: RunId,
    /// Opaque to the keeper, at most [`MAX_TAG`] bytes; comes back in each report of the run.
    pub tag: Vec<u8>,
    /// The arguments, `argv[0]` first.
    pub argv: Vec<CString>,
    /// Paths to try in turn, as execvp(3) does with PATH. A path without a leading slash counts from `directory`.
    pub candidates: Vec<CString>,
    /// The whole environment, `NAME=value` each.
    pub environment: Texts,
    /// The working folder.
    pub directory: CString,
    /// Whose rights to take on; `None` = the keeper's own.
    pub identity: Option<Identity>,
    /// File mode creation mask.
    pub umask: u32,
    /// Resource limits, soft and hard alike.
    pub rlimits: Vec<Rlimit>,
    /// -20 to 19; `None` = as the keeper.
    pub nice: Option<i32>,
    /// -1000 to 1000; `None` = as the keeper.
    pub oom_score_adj: Option<i32>,
    /// Folder of an existing cgroup (version 2) to join. A failure to join it is not fatal.
    pub cgroup: Option<CString>,
    /// A file to read as standard input; `None` = /dev/null. Opened with the program's rights.
    pub stdin: Option<CString>,
    /// Where standard output and error go.
    pub output: Output,
    /// Where it can be heard, and held; the keeper gets duplicates.
    pub ends: Ends,
}

/// By what a run is heard besides its output, and kept from beginning a task. The keeper holds it as long as the run's process, or its zombie, and hands it to each
/// supervisor with the run; the process itself inherits none of it.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// The FIFO that `SPPM_NOTIFY` names, open for reading and writing.
    pub notify: Option<Arc<OwnedFd>>,
    /// The socket that `NOTIFY_SOCKET` names.
    pub sd: Option<Arc<OwnedFd>>,
    /// The working lock in its own folder: whoever locks a duplicate of it has it locked in the keeper too.
    pub lock: Option<Arc<OwnedFd>>,
}

impl PartialEq for Ends {
    /// Whether they are the very same descriptors.
    fn eq(&self, other: &Self) -> bool {
        let same = |one: &Option<Arc<OwnedFd>>, two: &Option<Arc<OwnedFd>>| match (one, two) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (Some(_), None) | (None, Some(_)) => false,
        };
        same(&self.notify, &other.notify) && same(&self.sd, &other.sd) && same(&self.lock, &other.lock)
    }
}

impl Eq for Ends {}

/// Numeric rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Pipes for the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// One for standard output and error.
    Merged,
    /// One each.
    Apart,
}
