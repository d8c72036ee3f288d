//! The record of a run, as JSON. What a run seldom has is left out where it has none.

use super::dto::FindSpec;
use crate::model::{
    Exit, Generation, HookKind, InstanceLabel, Moment, ProgramName, Readiness, ReadyBy, RunId, Signal,
};
use crate::supervisor::{Patience, Run, Watchdog};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunDto {
    pub(super) id: String,
    label: String,
    pub(super) generation: u64,
    pid: Option<u32>,
    started_at: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    of_unknown_plan: bool,
    exit: Option<(ExitDto, u64)>,
    asked: bool,
    /// Its timeout in nanoseconds, where it has to say that it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ready_said: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extended: Option<u64>,
    /// Nanoseconds between beats, the last one, whether it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watchdog: Option<(u64, u64, bool)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    busy_since: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    busy_what: Option<String>,
    #[serde(default, skip_serializing_if = "PatienceDto::is_whole")]
    patience: PatienceDto,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    late: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overdue: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExitDto {
    Code(u8),
    Signal(i32, bool),
    Unknown,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HookDto {
    BeforeRestart,
    BeforeStop,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PatienceDto {
    #[default]
    Whole,
    Graced,
    Over,
    GivenUp,
}

/// A span as a number; centuries are enough.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl RunDto {
    pub(super) fn of(run: &Run) -> Self {
        let watchdog = |dog: Watchdog| (nanos(dog.every), dog.last.as_nanos(), dog.checking);
        Self {
            id: run.id.to_string(),
            label: run.label.to_string(),
            generation: run.generation.0,
            pid: run.pid,
            started_at: run.started_at.map(Moment::as_nanos),
            of_unknown_plan: run.of_unknown_plan,
            exit: run.exit.map(|(exit, at)| (ExitDto::of(exit), at.as_nanos())),
            asked: run.asked,
            notify: match run.ready.by {
                ReadyBy::Spawn => None,
                ReadyBy::Notify => Some(nanos(run.ready.timeout)),
            },
            ready_said: run.ready_said,
            ready_at: run.ready_at.map(Moment::as_nanos),
            extended: run.extended.map(Moment::as_nanos),
            watchdog: run.watchdog.map(watchdog),
            busy_since: run.busy_since.map(Moment::as_nanos),
            busy_what: run.busy_what.clone(),
            patience: PatienceDto::of(run.patience),
            late: run.late.clone(),
            words: run.words.clone(),
            sent: run.sent.map(Signal::number),
            overdue: run.overdue.clone(),
        }
    }

    pub(super) fn restore(self, program: &ProgramName, find: &FindSpec<'_>) -> Option<Run> {
        let generation = Generation(self.generation);
        let moment = |at: Option<u64>| at.map(Moment::from_nanos);
        let watchdog = |(every, last, checking): (u64, u64, bool)| Watchdog {
            every: Duration::from_nanos(every),
            last: Moment::from_nanos(last),
            checking,
        };
        Some(Run {
            id: self.id.parse::<RunId>().ok()?,
            label: InstanceLabel::recorded(&self.label),
            spec: find(program, generation)?,
            generation,
            pid: self.pid,
            started_at: moment(self.started_at),
            adopted: true,
            of_unknown_plan: self.of_unknown_plan,
            exit: self.exit.map(|(exit, at)| (exit.restore(), Moment::from_nanos(at))),
            asked: self.asked,
            ready: match self.notify {
                Some(timeout) => Readiness { by: ReadyBy::Notify, timeout: Duration::from_nanos(timeout) },
                None => Readiness::default(),
            },
            ready_said: self.ready_said,
            ready_at: moment(self.ready_at),
            extended: moment(self.extended),
            watchdog: self.watchdog.map(watchdog),
            busy_since: moment(self.busy_since),
            busy_what: self.busy_what,
            patience: self.patience.restore(),
            late: self.late,
            words: self.words,
            sent: self.sent.and_then(Signal::from_number),
            overdue: self.overdue,
        })
    }
}

impl ExitDto {
    pub(super) fn of(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code),
            Exit::Signal { signal, core } => Self::Signal(signal.number(), core),
            Exit::Unknown => Self::Unknown,
        }
    }

    pub(super) fn restore(self) -> Exit {
        match self {
            Self::Code(code) => Exit::Code(code),
            Self::Signal(number, core) => match Signal::from_number(number) {
                Some(signal) => Exit::Signal { signal, core },
                None => Exit::Unknown,
            },
            Self::Unknown => Exit::Unknown,
        }
    }
}

impl HookDto {
    pub(super) fn of(hook: HookKind) -> Self {
        match hook {
            HookKind::BeforeRestart => Self::BeforeRestart,
            HookKind::BeforeStop => Self::BeforeStop,
        }
    }

    pub(super) fn restore(self) -> HookKind {
        match self {
            Self::BeforeRestart => HookKind::BeforeRestart,
            Self::BeforeStop => HookKind::BeforeStop,
        }
    }
}

impl PatienceDto {
    fn of(patience: Patience) -> Self {
        match patience {
            Patience::Whole => Self::Whole,
            Patience::Graced => Self::Graced,
            Patience::Over => Self::Over,
            Patience::GivenUp => Self::GivenUp,
        }
    }

    fn restore(self) -> Patience {
        match self {
            Self::Whole => Patience::Whole,
            Self::Graced => Patience::Graced,
            Self::Over => Patience::Over,
            Self::GivenUp => Patience::GivenUp,
        }
    }

    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}
