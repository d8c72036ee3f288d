//! `sppm logs`: from the log pump into the API's feed.

use super::processes::log_paths;
use super::tag::Owner;
use crate::control::request::{Feed, NotFed, Reply};
use crate::control::wire::LogItem;
use crate::logs::{FollowItem, FollowSink, FollowSource, FollowVerdict, Logger};
use crate::model::{InstanceLabel, LogStream, Slot};
use crate::supervisor::{Supervisor, Target};

/// So many lines of history at most when all are asked for.
const ALL_LINES: usize = 1_000_000;

/// Feeds the logs of some targets to whoever asked.
pub(super) fn feed(
    core: &Supervisor,
    logger: &Logger,
    targets: &[Target],
    lines: Option<u32>,
    follow: bool,
    reply: Reply,
) {
    let sources: Vec<FollowSource> = targets.iter().flat_map(|target| sources(core, target)).collect();
    let feed = reply.feed();
    if sources.is_empty() {
        return;
    }
    let lines = lines.map_or(ALL_LINES, |lines| lines as usize);
    logger.follow(sources, lines, Box::new(Reader(feed)), follow);
}

/// Whoever reads the feed, as the log pump sees them.
struct Reader(Feed);

impl FollowSink for Reader {
    fn offer(&mut self, item: &FollowItem) -> FollowVerdict {
        // Looked at first: an item is copied to be sent.
        if self.0.is_full() {
            return FollowVerdict::Full;
        }
        offer(&self.0, item)
    }

    fn wait(&mut self) {
        self.0.wait_for_room();
    }

    fn is_gone(&self) -> bool {
        self.0.is_gone()
    }
}

fn offer(feed: &Feed, item: &FollowItem) -> FollowVerdict {
    let item = match item {
        FollowItem::Line { label, stream, text, .. } => {
            let stream = match stream {
                LogStream::Stdout => "stdout",
                LogStream::Stderr => "stderr",
            };
            LogItem::line(label.as_str(), stream, text)
        }
        FollowItem::Missed { lines } => LogItem::Missed { lines: *lines },
        // The feed ends when it is dropped.
        FollowItem::End => return FollowVerdict::Stop,
    };
    match feed.try_send(item) {
        Ok(()) => FollowVerdict::Taken,
        Err(NotFed::Full(_)) => FollowVerdict::Full,
        Err(NotFed::Gone) => FollowVerdict::Stop,
    }
}

/// Where the output of a target goes: by its live run if there is one, else by the plan.
fn sources(core: &Supervisor, target: &Target) -> Vec<FollowSource> {
    let slots = core.instances().filter(|(slot, _)| match target {
        Target::Program(name) => slot.program == *name,
        Target::Instance(wanted) => slot == wanted,
    });
    slots.flat_map(|(slot, _)| of_slot(core, slot)).collect()
}

fn of_slot(core: &Supervisor, slot: Slot) -> Vec<FollowSource> {
    let run = core.instance(&slot).and_then(|instance| instance.run());
    let planned = core.plan().and_then(|(_, plan)| plan.programs.get(&slot.program));
    let Some(spec) = run.map(|run| &run.spec).or(planned) else { return Vec::new() };
    let label =
        run.map_or_else(|| InstanceLabel::of(&slot, spec.instances.numbered()), |run| run.label.clone());
    let generation = run.map_or_else(Default::default, |run| run.generation);
    let owner = Owner { slot, label: label.clone(), generation, helper_of: None, cgroup: None };
    log_paths(spec, &owner)
        .into_iter()
        .map(|(stream, path)| FollowSource { label: label.clone(), stream, path })
        .collect()
}
