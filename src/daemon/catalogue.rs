//! Names as people write them: programs, instances, globs, `all`, `@tag`.

use crate::model::{ProgramName, Slot};
use crate::supervisor::{Supervisor, Target};
use std::collections::BTreeSet;

/// The name that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

/// What patterns stand for, each target once, in the order of names. No pattern at all means everything.
pub(super) fn resolve(core: &Supervisor, patterns: &[String]) -> Result<Vec<Target>, Unknown> {
    if patterns.is_empty() {
        return Ok(programs(core).into_iter().map(Target::Program).collect());
    }
    let mut targets = BTreeSet::new();
    for pattern in patterns {
        let found = one(core, pattern);
        if found.is_empty() {
            return Err(Unknown(pattern.clone()));
        }
        targets.extend(found);
    }
    // An instance of a program that is named as a whole says nothing more.
    let whole: BTreeSet<ProgramName> = targets
        .iter()
        .filter(|target| matches!(target, Target::Program(_)))
        .map(|target| target.program().clone())
        .collect();
    let covered = |target: &Target| matches!(target, Target::Instance(slot) if whole.contains(&slot.program));
    Ok(targets.into_iter().filter(|target| !covered(target)).collect())
}

/// Every name that there is: planned, or still running.
pub(super) fn programs(core: &Supervisor) -> BTreeSet<ProgramName> {
    let planned = core.plan().into_iter().flat_map(|(_, plan)| plan.programs.keys().cloned());
    planned.chain(core.instances().map(|(slot, _)| slot.program)).collect()
}

fn one(core: &Supervisor, pattern: &str) -> Vec<Target> {
    let all = programs(core);
    if pattern == "all" {
        return all.into_iter().map(Target::Program).collect();
    }
    if let Some(tag) = pattern.strip_prefix('@') {
        let plan = core.plan().map(|(_, plan)| plan);
        let tagged = plan.into_iter().flat_map(|plan| plan.programs.values());
        return tagged
            .filter(|spec| spec.tags.iter().any(|have| have == tag))
            .map(|spec| Target::Program(spec.name.clone()))
            .collect();
    }
    if let Some(name) = all.iter().find(|name| name.as_str() == pattern) {
        return vec![Target::Program(name.clone())];
    }
    let switched_off = core.plan().and_then(|(_, plan)| plan.disabled.keys().find(|n| n.as_str() == pattern));
    if let Some(name) = switched_off {
        return vec![Target::Program(name.clone())];
    }
    if let Some(slot) = instance(core, pattern) {
        return vec![Target::Instance(slot)];
    }
    let Ok(glob) = glob::Pattern::new(pattern) else { return Vec::new() };
    let programs = all.iter().filter(|name| glob.matches(name.as_str())).cloned().map(Target::Program);
    let instances = core.instances().filter(|(slot, instance)| {
        let label = instance
            .run()
            .map_or_else(|| format!("{}.{}", slot.program, slot.index), |run| run.label.to_string());
        glob.matches(&label)
    });
    programs.chain(instances.map(|(slot, _)| Target::Instance(slot))).collect()
}

/// `web.2`, also `web.1` for the one instance of a program without numbers.
pub(super) fn instance(core: &Supervisor, text: &str) -> Option<Slot> {
    let (program, index) = text.rsplit_once('.')?;
    let slot = Slot::new(ProgramName::new(program).ok()?, index.parse().ok()?);
    core.instance(&slot).map(|_| slot)
}
