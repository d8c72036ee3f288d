//! Names as people write them: programs, instances, globs, `all`, `@tag`.

use crate::model::{ProgramName, Slot};
use crate::supervisor::{Supervisor, Target};
use std::collections::{BTreeMap, BTreeSet};

/// The name that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

/// What patterns stand for, each target once, in the order of names. No pattern at all means everything.
pub(super) fn resolve(core: &Supervisor, patterns: &[String]) -> Result<Vec<Target>, Unknown> {
    let (targets, unknown) = resolve_known(core, patterns);
    unknown.map_or(Ok(targets), Err)
}

/// The same by program, in the order of names.
pub(super) fn shares(core: &Supervisor, patterns: &[String]) -> Result<Vec<(ProgramName, Share)>, Unknown> {
    match patterns.is_empty() {
        true => Ok(names(core).into_iter().map(|name| (name.clone(), Share::Whole)).collect()),
        false => Ok(by_program(resolve(core, patterns)?).into_iter().collect()),
    }
}

/// The same of those patterns that stand for something, and the first of the others.
pub(super) fn resolve_known(core: &Supervisor, patterns: &[String]) -> (Vec<Target>, Option<Unknown>) {
    let (all, mut targets, mut unknown) = (programs(core), BTreeSet::new(), None);
    if patterns.is_empty() {
        return (all.into_iter().map(Target::Program).collect(), None);
    }
    for pattern in patterns {
        let found = one(core, &all, pattern);
        if found.is_empty() && unknown.is_none() {
            unknown = Some(Unknown(pattern.clone()));
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
    (targets.into_iter().filter(|target| !covered(target)).collect(), unknown)
}

/// Every name that there is: planned, or still running.
pub(super) fn programs(core: &Supervisor) -> BTreeSet<ProgramName> {
    names(core).into_iter().cloned().collect()
}

fn names(core: &Supervisor) -> Vec<&ProgramName> {
    let planned = core.plan().into_iter().flat_map(|(_, plan)| plan.programs.keys());
    let mut names: Vec<&ProgramName> = planned.chain(core.with_instances()).collect();
    names.sort();
    names.dedup();
    names
}

/// How much of a program is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Share {
    Whole,
    Only(BTreeSet<u32>),
}

impl Share {
    pub(super) fn has(&self, index: u32) -> bool {
        match self {
            Self::Whole => true,
            Self::Only(indexes) => indexes.contains(&index),
        }
    }
}

/// Targets, gathered by program.
pub(super) fn by_program(targets: impl IntoIterator<Item = Target>) -> BTreeMap<ProgramName, Share> {
    let mut found = BTreeMap::new();
    for target in targets {
        match target {
            Target::Program(name) => drop(found.insert(name, Share::Whole)),
            Target::Instance(slot) => {
                let share = found.entry(slot.program).or_insert_with(|| Share::Only(BTreeSet::new()));
                if let Share::Only(indexes) = share {
                    indexes.insert(slot.index);
                }
            }
        }
    }
    found
}

fn one(core: &Supervisor, all: &BTreeSet<ProgramName>, pattern: &str) -> Vec<Target> {
    if pattern == "all" {
        return all.iter().cloned().map(Target::Program).collect();
    }
    if let Some(tag) = pattern.strip_prefix('@') {
        let plan = core.plan().map(|(_, plan)| plan);
        let tagged = plan.into_iter().flat_map(|plan| plan.programs.values());
        return tagged
            .filter(|spec| spec.tags.iter().any(|have| have == tag))
            .map(|spec| Target::Program(spec.name.clone()))
            .collect();
    }
    if let Ok(name) = ProgramName::new(pattern) {
        let switched_off = core.plan().is_some_and(|(_, plan)| plan.disabled.contains_key(&name));
        if all.contains(&name) || switched_off {
            return vec![Target::Program(name)];
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_named_as_a_whole_stays_whole() {
        let name = ProgramName::new("web").unwrap();
        let two = Target::Instance(Slot::new(name.clone(), 2));
        let shares = by_program([two.clone()]);
        assert!(shares[&name].has(2) && !shares[&name].has(1));
        for targets in [[Target::Program(name.clone()), two.clone()], [two, Target::Program(name.clone())]] {
            assert_eq!(by_program(targets)[&name], Share::Whole);
        }
    }
}
