//! What the log pump is told and what it tells: plain data, no behaviour.
//!
//! Never add here: file descriptors, clocks, or what should be *done* about an event.

use crate::model::{InstanceLabel, LogStream, RunId};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Where one stream of output goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SinkTarget {
    /// This file, absolute; its last component is never followed if it is a symbolic link.
    File(PathBuf),
    /// The supervisor's own standard output (or error, for [`LogStream::Stderr`]).
    Inherit,
    /// Nowhere. Followers still see the lines.
    Discard,
}

/// A sink and how its files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSettings {
    /// Where the bytes go.
    pub target: SinkTarget,
    /// Bytes; a file that would grow past this is rotated at a line's end. 0 = never rotate.
    pub max_size: u64,
    /// Files kept, the one being written included; 0 counts as 1. With 1 the file is emptied instead of renamed.
    pub max_files: u32,
    /// Permission bits of a file that is created (less the process's umask); [`SinkSettings::FILE_MODE`] is usual.
    pub mode: u32,
}

impl SinkSettings {
    /// The usual mode of a log file: its owner writes, its group reads.
    pub const FILE_MODE: u32 = 0o640;

    /// A file with the usual mode.
    pub fn file(path: PathBuf, max_size: u64, max_files: u32) -> Self {
        Self { target: SinkTarget::File(path), max_size, max_files, mode: Self::FILE_MODE }
    }

    /// A sink that is not a file: sizes do not matter.
    pub fn plain(target: SinkTarget) -> Self {
        Self { target, max_size: 0, max_files: 1, mode: Self::FILE_MODE }
    }
}

/// A pipe of a run.
#[derive(Debug)]
pub struct Output {
    /// What flows through it.
    pub stream: LogStream,
    /// Its read end.
    pub pipe: OwnedFd,
    /// Where to.
    pub sink: SinkSettings,
}

/// What the pump has to say. Delivered on its thread, in the order in which things happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// Nobody can write into any of the run's pipes any more, and all that they held has been written (or counted as
    /// dropped). Told by itself, once; never for a run whose pipes were still open when it was drained.
    Closed {
        /// Which run.
        run: RunId,
        /// As in [`LogEvent::Drained`], which says it once more.
        last: Vec<u8>,
    },
    /// Everything that was in the run's pipes when the order came has been written (or counted as dropped), or a
    /// second has passed. The answer to every [`super::Logger::drain`], exactly one, also for an unknown run.
    Drained {
        /// Which run.
        run: RunId,
        /// The last bytes that it wrote, at most [`super::KEPT`] of each stream, standard error behind standard output.
        last: Vec<u8>,
    },
    /// A sink does not work: its output is dropped and counted until it does. Said when trouble begins and when
    /// its cause changes, not at every write.
    Trouble {
        /// The sink.
        target: SinkTarget,
        /// The runs that write into it now.
        runs: Vec<RunId>,
        /// One sentence for people with path and cause.
        message: String,
    },
    /// A sink works again.
    Recovered {
        /// The sink.
        target: SinkTarget,
        /// The runs that write into it now.
        runs: Vec<RunId>,
        /// Bytes that were dropped in between; 0 where nothing but a rotation failed.
        dropped: u64,
    },
    /// A sink that did not work was closed: nobody writes into it any more, so its trouble is over too.
    Abandoned {
        /// The sink.
        target: SinkTarget,
    },
}

/// One stream that a follower wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowSource {
    /// Whose.
    pub label: InstanceLabel,
    /// Which of the two.
    pub stream: LogStream,
    /// Where its history is; `None` = there is none (inherit, discard). Sources that share a file get its history
    /// once, under the first of them. New lines are told by label and stream, so a later change of path is no gap.
    pub path: Option<PathBuf>,
}

/// What a follower is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowItem {
    /// A line.
    Line {
        /// Whose.
        label: InstanceLabel,
        /// Which of its streams.
        stream: LogStream,
        /// The bytes as the program wrote them, without the newline. At most 64 KiB: longer lines come in pieces.
        text: Vec<u8>,
        /// Whether a newline ended it. Else it is a piece of a long line, or the program's last words.
        complete: bool,
    },
    /// The follower was too slow: so many lines were left out here.
    Missed {
        /// How many.
        lines: u64,
    },
    /// No more will come (only without `keep_following`).
    End,
}

/// What a follower answers to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowVerdict {
    /// Taken; go on.
    Taken,
    /// No room now: offer the same item again a little later.
    Full,
    /// The follower is gone: forget it.
    Stop,
}

/// The receiving end of a follower.
pub trait FollowSink: Send {
    /// Offers one item. Called on the logger's thread too: it must not block.
    fn offer(&mut self, item: &FollowItem) -> FollowVerdict;

    /// Waits until there may be room again, or the receiver has left. Never called on the logger's thread.
    fn wait(&mut self);

    /// Whether the receiver has left. A quiet program offers nothing for days, so offers alone would not find out.
    fn is_gone(&self) -> bool;
}
