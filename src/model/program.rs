//! A program's spec, key by key.

use super::{Exit, ExitMatch, Hooks, Place, ProgramName, Readiness, ReadyBy, Signal, Template, WorkGate};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A program's spec: resolved, complete, immutable. `{instance}` and `{index}` alone are still open.
///
/// A new field must be given a change class in `supervisor::diff`, which does not compile before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name in the file.
    pub name: ProgramName,
    /// Where the file defines it. Never part of a comparison.
    pub place: Place,
    /// What is executed.
    pub command: Command,
    /// The process name to show, where it differs from the command's first word.
    pub argv0: Option<Template>,
    /// The working folder, absolute.
    pub directory: Template,
    /// Whose rights it runs with; `None` = the supervisor's own.
    pub user: Option<Account>,
    /// File mode creation mask.
    pub umask: Mode,
    /// `env_files` and `environment` merged; `None` removes an inherited variable.
    pub environment: BTreeMap<String, Option<Template>>,
    /// Which of the supervisor's own variables it gets.
    pub inherit_environment: Inherit,
    /// A file to read as standard input; `None` = /dev/null.
    pub stdin: Option<Template>,
    /// For people.
    pub description: Option<String>,
    /// What `@tag` selects.
    pub tags: Vec<String>,
    /// Whether it starts with the supervisor.
    pub autostart: bool,
    /// Lower starts earlier.
    pub priority: i32,
    /// How many, and how they are called.
    pub instances: Instances,
    /// What happens when it ends by itself.
    pub restart: RestartPolicy,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// What happens to processes that it leaves behind.
    pub orphans: Orphans,
    /// Where its output goes.
    pub logs: Logs,
    /// Resource limits.
    pub limits: Limits,
    /// How it tells that it must not be stopped now.
    pub work: WorkGate,
    /// When it can do its job.
    pub ready: Readiness,
    /// No beat for so long = stuck.
    pub watchdog: Option<Duration>,
    /// Commands at the turns of its life.
    pub hooks: Hooks,
}

/// What is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Program and arguments as they are; never empty.
    Exec(Vec<Template>),
    /// A text for `/bin/sh -c`.
    Shell(Template),
}

/// `user:` — names or numbers, resolved at each launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User name, or all digits: a uid.
    pub user: String,
    /// Group name or gid; `None` = the user's primary group.
    pub group: Option<String>,
}

impl Program {
    /// Whether it is given a socket of sd_notify(3).
    pub fn wants_socket(&self) -> bool {
        self.ready.by == ReadyBy::Notify || self.watchdog.is_some()
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => f.write_str(&self.user),
        }
    }
}

/// Permission bits, at most 0o7777.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Which of the supervisor's variables a program inherits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inherit {
    /// All but the ones that talk to the supervisor itself (`NOTIFY_SOCKET`, `SPPM_*`, `LD_*`, …).
    All,
    /// PATH, LANG, LC_* and TZ only.
    Basics,
    /// The basics and these.
    Also(Vec<String>),
}

/// How many instances, and whether their names carry a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// No `instances` key: one, called as the program is.
    Single,
    /// `instances: N`: `web.1` … `web.N`, also for 1 and 0.
    Numbered(u32),
}

impl Instances {
    /// How many the file wants.
    pub const fn count(self) -> u32 {
        match self {
            Self::Single => 1,
            Self::Numbered(count) => count,
        }
    }

    /// Whether names carry a number.
    pub const fn numbered(self) -> bool {
        matches!(self, Self::Numbered(_))
    }
}

/// A ratio in thousandths, so that specs can be compared exactly: `10%` = 100, a factor of 2 = 2000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PerMille(pub u32);

/// When a program that ended by itself is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartWhen {
    /// However it ended.
    Always,
    /// Unless it ended as `success_codes` says.
    OnFailure,
    /// Only if it ended as `success_codes` says.
    OnSuccess,
    /// Not at all.
    Never,
}

/// What to do when the restart limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// Stay `failed` until somebody acts.
    Stay,
    /// Try once more after each such pause, for ever.
    Retry(Duration),
    /// End the supervisor with exit code 1.
    Shutdown,
}

/// `restart:` in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPolicy {
    /// When.
    pub when: RestartWhen,
    /// Which exits count as a success.
    pub success_codes: Vec<ExitMatch>,
    /// Exits after which it is never started again, whatever the policy.
    pub never_codes: Vec<ExitMatch>,
    /// The first pause.
    pub delay: Duration,
    /// What each further pause is multiplied by.
    pub factor: PerMille,
    /// The longest pause.
    pub max_delay: Duration,
    /// Random part of each pause, to both sides.
    pub jitter: PerMille,
    /// A run of this length is steady: it resets the pauses.
    pub min_uptime: Duration,
    /// More failed starts than this within `window` = failed; 0 = no limit.
    pub limit: u32,
    /// The window of `limit`.
    pub window: Duration,
    /// What follows when the limit is reached.
    pub then: GiveUp,
}

impl RestartPolicy {
    /// Whether `exit` counts as a success.
    pub fn is_success(&self, exit: Exit) -> bool {
        self.success_codes.iter().any(|entry| entry.matches(exit))
    }

    /// Whether `exit` forbids a restart.
    pub fn forbids(&self, exit: Exit) -> bool {
        self.never_codes.iter().any(|entry| entry.matches(exit))
    }
}

/// Who gets a stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopScope {
    /// The process that was launched.
    Main,
    /// Its process group.
    Group,
    /// It and all its descendants.
    Tree,
}

/// A signal and how long it is given to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopStep {
    /// The signal.
    pub signal: Signal,
    /// The pause before the next step, or before KILL.
    pub wait: Duration,
}

/// The way a program is asked to stop. KILL of the whole tree always follows in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopBy {
    /// Signals in this order; never empty.
    Signals(Vec<StopStep>),
    /// A command of its own, run as the program's user in its folder and environment.
    Command {
        /// Program and arguments; never empty.
        argv: Vec<Template>,
        /// How long the program has to end, counted from the command's start.
        timeout: Duration,
    },
}

/// `stop:` in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopPolicy {
    /// The way.
    pub by: StopBy,
    /// Who gets the signals.
    pub scope: StopScope,
}

impl StopPolicy {
    /// What it is asked with first, where that is a signal.
    pub fn first_signal(&self) -> Option<Signal> {
        match &self.by {
            StopBy::Signals(steps) => steps.first().map(|step| step.signal),
            StopBy::Command { .. } => None,
        }
    }

    /// The whole time between the first request and KILL.
    pub fn grace(&self) -> Duration {
        match &self.by {
            StopBy::Signals(steps) => {
                steps.iter().fold(Duration::ZERO, |sum, step| sum.saturating_add(step.wait))
            }
            StopBy::Command { timeout, .. } => *timeout,
        }
    }
}

/// What happens to descendants that outlive the main process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// TERM and CONT, then KILL.
    Kill,
    /// They are left alone and no longer ours.
    Keep,
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Where a stream of output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSink {
    /// This file, absolute.
    File(Template),
    /// The supervisor's own standard output or error.
    Inherit,
    /// Nowhere.
    Discard,
}

/// Where standard error goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StderrSink {
    /// Into the same pipe and sink as standard output.
    WithStdout,
    /// A pipe and a sink of its own.
    Apart(LogSink),
}

/// Which of a run's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogStream {
    /// Standard output, and standard error where it is not apart.
    Stdout,
    /// Standard error where it is apart.
    Stderr,
}

/// `logs:` in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// Sink of standard output.
    pub stdout: LogSink,
    /// Sink of standard error.
    pub stderr: StderrSink,
    /// A file that would grow past this is rotated, at a line's end.
    pub max_size: ByteSize,
    /// How many files are kept, the one being written included; at least 1.
    pub max_files: u32,
}

/// A resource of setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RlimitKind {
    /// RLIMIT_NOFILE.
    OpenFiles,
    /// RLIMIT_NPROC.
    Processes,
    /// RLIMIT_CORE, bytes.
    Core,
}

/// One limit, soft and hard alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// Of what.
    pub kind: RlimitKind,
    /// The value; `None` = unlimited.
    pub value: Option<u64>,
}

/// `limits:` so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// In the order of [`RlimitKind`].
    pub rlimits: Vec<Rlimit>,
    /// -20 to 19.
    pub nice: Option<i32>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}
