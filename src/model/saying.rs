//! What a program can say of itself, by whichever way it says it.

use std::time::Duration;

/// One thing said: a line of `SPPM_NOTIFY`, an assignment of sd_notify(3), or a request over `SPPM_SOCKET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    /// It can do its job.
    Ready,
    /// A task has begun; with what it is, where that was said.
    Busy(Option<String>),
    /// The task has ended.
    Idle,
    /// It is alive.
    Beat,
    /// It is stuck, by its own account (`WATCHDOG=trigger`).
    Stuck,
    /// From now on it must beat as often as this (`WATCHDOG_USEC`).
    BeatEvery(Duration),
    /// One more request is done.
    Request,
    /// What it does, for people.
    Status(String),
    /// It rereads its configuration.
    Reloading,
    /// It is about to end.
    Stopping,
    /// Another process is the main one.
    MainPid(u32),
    /// It needs this much longer for the start or the stop that is under way.
    Extend(Duration),
    /// It wants to be restarted; with why, where that was said.
    RestartMe(Option<String>),
    /// It wants to be stopped; with why, where that was said.
    StopMe(Option<String>),
    /// A message for a topic.
    Publish {
        /// The topic, already checked.
        topic: String,
        /// The message.
        data: String,
    },
    /// Nothing that we know. The beginning of it, for people.
    Unknown(String),
}
