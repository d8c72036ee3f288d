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

    /// Everything ends.
    pub(super) const fn is_shutdown(&self) -> bool {
        matches!(self, Self::Stop(StopReason::Shutdown { .. }))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::simulation::plans::program;
    use super::super::{Author, ScaleWish, StopWish};
    use super::*;
    use std::collections::BTreeSet;

    fn author() -> Author {
        Author { who: "ann".to_owned(), at: "noon".to_owned() }
    }

    fn stop(runtime: bool) -> StopWish {
        StopWish { by: author(), runtime }
    }

    fn scaled(count: u32, file_count: u32) -> Override {
        Override { scale: Some(ScaleWish { count, file_count, by: author() }), ..Override::default() }
    }

    fn spec(instances: Instances, autostart: bool) -> Program {
        Program { instances, autostart, ..program("web") }
    }

    #[test]
    fn a_scale_counts_while_the_file_says_what_it_said() {
        use Instances::{Numbered, Single};
        for (instances, wish, count) in [
            (Single, None, 1),
            (Numbered(0), None, 0),
            (Numbered(3), None, 3),
            (Numbered(3), Some(scaled(5, 3)), 5),
            (Numbered(3), Some(scaled(0, 3)), 0),
            (Numbered(4), Some(scaled(5, 3)), 4),
            (Single, Some(scaled(0, 1)), 0),
            (Single, Some(scaled(3, 1)), 1),
        ] {
            assert_eq!(
                wanted_count(Some(&spec(instances, true)), wish.as_ref()),
                count,
                "{instances:?} {wish:?}"
            );
        }
        assert_eq!(wanted_count(None, Some(&scaled(3, 1))), 0);
    }

    #[test]
    fn each_reason_to_stop_has_its_rank() {
        let on = spec(Instances::Numbered(2), true);
        let off = spec(Instances::Numbered(2), false);
        let stopped = Override { stopped: Some(stop(false)), ..Override::default() };
        let one = Override { stopped_instances: vec![(2, stop(true))], ..Override::default() };
        let started = Override { started: Started::Only(BTreeSet::from([1])), ..Override::default() };
        let hard = ShutdownRecord { why: String::new(), code: 0, force: true };
        let reason =
            |index, spec: Option<&Program>, wish: Option<&Override>, shutdown: Option<&ShutdownRecord>| {
                match wish_for(index, spec, wish, shutdown) {
                    Wish::Run => "run".to_owned(),
                    Wish::Stop(reason) => reason.text("web"),
                }
            };
        for (is, should_be) in [
            (reason(1, Some(&on), None, None), "run"),
            (reason(3, Some(&on), None, None), "web is to have 2 instances"),
            (reason(3, Some(&on), Some(&stopped), None), "web is to have 2 instances"),
            (
                reason(1, Some(&on), Some(&stopped), None),
                "stopped by ann at noon; `sppm start web` starts it again",
            ),
            (reason(1, Some(&on), Some(&one), None), "run"),
            (
                reason(2, Some(&on), Some(&one), None),
                "stopped by ann at noon, until the supervisor ends; `sppm start web` starts it again",
            ),
            (reason(1, Some(&off), None, None), "autostart is off; `sppm start web` starts it"),
            (reason(1, Some(&off), Some(&started), None), "run"),
            (reason(2, Some(&off), Some(&started), None), "autostart is off; `sppm start web` starts it"),
            (reason(1, None, Some(&started), None), "the configuration does not name it any more"),
            (reason(1, Some(&on), Some(&stopped), Some(&hard)), "the supervisor is shutting down at once"),
        ] {
            assert_eq!(is, should_be);
        }
    }
}
