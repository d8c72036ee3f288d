//! What a program tells about itself, and what sppm makes of it: busy, ready, alive; and what runs before a stop.

use super::Template;
use std::fmt;
use std::time::Duration;

/// `working_lock:` in full: what stands between a stop that is wanted and the signal. Always on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkGate {
    /// Where the lock is.
    pub path: LockPath,
    /// What of it counts.
    pub kind: LockKind,
    /// When the stop signal is sent.
    pub on_stop: OnStop,
    /// By its state file it must have been idle for so long.
    pub idle_for: Duration,
    /// How long a stop waits for the task's end; `None` = for ever.
    pub max_busy: Option<Duration>,
    /// What follows when that has passed.
    pub then: PastMaxBusy,
}

impl Default for WorkGate {
    fn default() -> Self {
        Self {
            path: LockPath::Own,
            kind: LockKind::Auto,
            on_stop: OnStop::Wait,
            idle_for: Duration::ZERO,
            max_busy: None,
            then: PastMaxBusy::Kill,
        }
    }
}

/// Where the working lock is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockPath {
    /// In the instance's own folder, made anew for each run.
    Own,
    /// This file, absolute; it may be older than the run.
    At(Template),
}

/// What of the working lock's file says that a program is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Either.
    Auto,
    /// What is written in it.
    State,
    /// An exclusive flock(2) on it.
    Flock,
}

/// When a busy program gets its stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// When it is idle.
    Wait,
    /// At once; only the KILL waits until it is idle.
    Signal,
}

/// What follows when a program was busy for longer than `max_busy` of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastMaxBusy {
    /// KILL.
    Kill,
    /// The stop signal, and after `stop.timeout` KILL.
    Signal,
    /// The stop is given up: it runs on.
    Keep,
}

/// `ready:` in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// What makes it ready.
    pub by: ReadyBy,
    /// Not ready for so long after its start = a failed start.
    pub timeout: Duration,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { by: ReadyBy::Spawn, timeout: Duration::from_secs(30) }
    }
}

/// What makes a program ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyBy {
    /// That it was executed.
    Spawn,
    /// Its own word: sd_notify(3) or a line.
    Notify,
}

/// `hooks:` so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hooks {
    /// Before each stop, before anything is waited for.
    pub before_stop: Option<Hook>,
    /// Before a stop that a start follows; before `before_stop`.
    pub before_restart: Option<Hook>,
}

impl Hooks {
    /// The hook of that kind.
    pub fn get(&self, kind: HookKind) -> Option<&Hook> {
        match kind {
            HookKind::BeforeRestart => self.before_restart.as_ref(),
            HookKind::BeforeStop => self.before_stop.as_ref(),
        }
    }
}

/// A command at a turn of a program's life, run as its user in its folder and environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Program and arguments; never empty.
    pub argv: Vec<Template>,
    /// How long it has.
    pub timeout: Duration,
}

/// Which hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookKind {
    /// `hooks.before_restart`.
    BeforeRestart,
    /// `hooks.before_stop`.
    BeforeStop,
}

impl HookKind {
    /// Its key in the configuration.
    pub const fn key(self) -> &'static str {
        match self {
            Self::BeforeRestart => "hooks.before_restart",
            Self::BeforeStop => "hooks.before_stop",
        }
    }
}

/// What kind of stop is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// It is to stay stopped.
    Stop,
    /// Another run follows.
    Restart,
    /// The supervisor ends.
    Shutdown,
}

impl fmt::Display for StopKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Shutdown => "shutdown",
        })
    }
}
