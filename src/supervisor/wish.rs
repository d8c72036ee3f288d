//! What is wanted of an instance: the file, the operators and a shutdown, each with its say.

use super::{Override, ShutdownRecord, Started};
use crate::model::{Instances, Program};

/// What an instance should do, and why, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Run.
    Run,
    /// Not run.
    Stop(StopReason),
}

/// Why something should not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopReason {
    /// Everything ends.
    Shutdown { force: bool },
    /// The file does not name it any more.
    Removed,
    /// There are to be fewer instances.
    ScaledDown { count: u32 },
    /// An operator said so.
    Operator { who: String, at: String, runtime: bool },
    /// `autostart: false`, and nobody started it.
    NotStarted,
}

impl Wish {
    pub(super) const fn is_run(&self) -> bool {
        matches!(self, Self::Run)
    }

    /// Nothing is to be waited for.
    pub(super) const fn is_forced(&self) -> bool {
        matches!(self, Self::Stop(StopReason::Shutdown { force: true }))
    }
}

impl StopReason {
    /// A fragment: why it does not run, or is being stopped.
    pub(super) fn text(&self, program: &str) -> String {
        match self {
            Self::Shutdown { force: false } => "the supervisor is shutting down".to_owned(),
            Self::Shutdown { force: true } => "the supervisor is shutting down at once".to_owned(),
            Self::Removed => "the configuration does not name it any more".to_owned(),
            Self::ScaledDown { count } => format!("{program} is to have {count} instances"),
            Self::Operator { who, at, runtime } => {
                let how_long = if *runtime { ", until the supervisor ends" } else { "" };
                format!("stopped by {who} at {at}{how_long}; `sppm start {program}` starts it again")
            }
            Self::NotStarted => format!("autostart is off; `sppm start {program}` starts it"),
        }
    }
}

/// How many instances there should be.
pub(super) fn wanted_count(spec: Option<&Program>, wish: Option<&Override>) -> u32 {
    let Some(spec) = spec else { return 0 };
    let file_count = spec.instances.count();
    match (spec.instances, wish.and_then(|wish| wish.scale.as_ref())) {
        (Instances::Single, Some(scale)) if scale.file_count == file_count => scale.count.min(1),
        (Instances::Numbered(_), Some(scale)) if scale.file_count == file_count => scale.count,
        (Instances::Single | Instances::Numbered(_), _) => file_count,
    }
}

/// What is wanted of instance `index`.
pub(super) fn wish_for(
    index: u32,
    spec: Option<&Program>,
    operator: Option<&Override>,
    shutdown: Option<&ShutdownRecord>,
) -> Wish {
    if let Some(shutdown) = shutdown {
        return Wish::Stop(StopReason::Shutdown { force: shutdown.force });
    }
    let Some(program) = spec else { return Wish::Stop(StopReason::Removed) };
    let count = wanted_count(spec, operator);
    if index > count {
        return Wish::Stop(StopReason::ScaledDown { count });
    }
    let stopped = operator.and_then(|wish| {
        let one = wish.stopped_instances.iter().find(|(which, _)| *which == index).map(|(_, stop)| stop);
        wish.stopped.as_ref().or(one)
    });
    if let Some(stop) = stopped {
        return Wish::Stop(StopReason::Operator {
            who: stop.by.who.clone(),
            at: stop.by.at.clone(),
            runtime: stop.runtime,
        });
    }
    let started = match operator.map(|wish| &wish.started) {
        Some(Started::All) => true,
        Some(Started::Only(which)) => which.contains(&index),
        Some(Started::No) | None => false,
    };
    match program.autostart || started {
        true => Wish::Run,
        false => Wish::Stop(StopReason::NotStarted),
    }
}
