//! What a shutdown waits for, for whoever waits for the shutdown.

use super::ended::humane;
use super::{Drain, Instance, Phase, Run, StopStage, Supervisor};
use crate::model::{HookKind, Moment, RunId};

/// So much of what a program says of its task stands in the sentence, in characters.
const LONGEST: usize = 120;

/// What a live run is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    /// The end of a task that it is in since then.
    Task(Moment),
    /// The end of a hook.
    Hook(HookKind),
    /// Its own end.
    End,
}

impl Supervisor {
    /// The runs that are not signalled, or not killed, before a task or a hook has ended. Empty while nothing is being stopped.
    pub fn drained(&self) -> Vec<RunId> {
        self.waited().filter(|(until, _)| *until != Until::End).map(|(_, run)| run.id).collect()
    }

    /// What a shutdown waits for, in one sentence that is true at `now`: tasks first, of these the longest.
    pub fn waits_text(&self, now: Moment) -> String {
        let Some((first, run)) = self.waited().min_by_key(|(until, _)| *until) else {
            return "nothing lives any more".to_owned();
        };
        let alike = |until: &Until| std::mem::discriminant(until) == std::mem::discriminant(&first);
        let more = match self.waited().filter(|(until, _)| alike(until)).count().saturating_sub(1) {
            0 => String::new(),
            more => format!("; {more} more"),
        };
        let label = &run.label;
        match first {
            Until::Task(since) => {
                let what =
                    run.busy_what.as_deref().map(|what| format!(" ({})", cut(what))).unwrap_or_default();
                let busy = humane(now.since(since));
                format!("waits for the end of a task: {label}{what}, busy for {busy}{more}")
            }
            Until::Hook(hook) => format!("waits for {} of {label}{more}", hook.key()),
            Until::End => format!("waits for the end of {label}{more}"),
        }
    }

    fn waited(&self) -> impl Iterator<Item = (Until, &Run)> {
        let instances = self.instances.values().flat_map(|instances| instances.values());
        instances.filter_map(|instance| Some((instance.waits_until()?, instance.run()?)))
    }
}

impl Instance {
    fn waits_until(&self) -> Option<Until> {
        let task = |run: &Run| run.busy_since.map_or(Until::End, Until::Task);
        match &self.phase {
            Phase::Draining(_, Drain::Hook { hook, .. }) => Some(Until::Hook(*hook)),
            Phase::Draining(run, Drain::Task { .. })
            | Phase::Stopping(run, StopStage::Finishing { .. } | StopStage::Leftovers { .. }) => {
                Some(task(run))
            }
            Phase::Starting(_)
            | Phase::Running(_)
            | Phase::Stopping(_, StopStage::Asked { .. } | StopStage::Sweeping { .. })
            | Phase::Killing(_) => Some(Until::End),
            Phase::Stopped | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) | Phase::Waiting(_) => {
                None
            }
        }
    }
}

fn cut(what: &str) -> String {
    match what.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", what.get(..end).unwrap_or(what)),
        None => what.to_owned(),
    }
}
