//! A diff as people get it: keys with their values, secrets hidden.

use crate::control::wire::{ChangeDto, ChangeKind, DiffDto, KeyChangeDto};
use crate::model::{Generation, Plan, Program, Template};
use crate::supervisor::{Change, Fate, diff};

/// What takes `old` to `new`.
pub(super) fn picture(old: &Plan, new: &Plan, generation: Generation, warnings: Vec<String>) -> DiffDto {
    let diff = diff(old, new);
    let changes = diff
        .programs
        .iter()
        .map(|(name, fate)| {
            let (change, keys) = match fate {
                Fate::Added => (ChangeKind::Start, Vec::new()),
                Fate::Removed => (ChangeKind::Stop, Vec::new()),
                Fate::Changed(change) => match (old.programs.get(name), new.programs.get(name)) {
                    (Some(old), Some(new)) => (kind(change), keys(change, old, new)),
                    (None, _) | (_, None) => (ChangeKind::Live, Vec::new()),
                },
            };
            ChangeDto { program: name.to_string(), change, keys }
        })
        .collect();
    let needs_restart_of_sppm = diff.needs_restart_of_sppm.iter().map(|key| (*key).to_owned()).collect();
    let supervisor = diff.supervisor.iter().map(|key| (*key).to_owned()).collect();
    DiffDto { changes, supervisor, needs_restart_of_sppm, generation: generation.0, warnings }
}

/// The strongest of what happens.
fn kind(change: &Change) -> ChangeKind {
    match change {
        Change { restart, .. } if !restart.is_empty() => ChangeKind::Restart,
        Change { scale: true, .. } => ChangeKind::Scale,
        Change { .. } => ChangeKind::Live,
    }
}

fn keys(change: &Change, old: &Program, new: &Program) -> Vec<KeyChangeDto> {
    let scale = change.scale.then_some("instances");
    let names = change.restart.iter().copied().chain(scale).chain(change.live.iter().copied());
    names.flat_map(|key| values(key, old, new)).collect()
}

/// One entry for a key; one for each variable of an environment.
fn values(key: &str, old: &Program, new: &Program) -> Vec<KeyChangeDto> {
    if key != "environment" {
        return vec![KeyChangeDto::new(key, value(key, old), value(key, new))];
    }
    let names =
        old.environment.keys().chain(new.environment.keys()).collect::<std::collections::BTreeSet<_>>();
    names
        .into_iter()
        .filter(|name| old.environment.get(*name) != new.environment.get(*name))
        .map(|name| {
            let text = |program: &Program| {
                let value = program.environment.get(name)?;
                Some(value.as_ref().map_or_else(|| "(removed)".to_owned(), ToString::to_string))
            };
            KeyChangeDto::new(format!("environment.{name}"), text(old), text(new))
        })
        .collect()
}

/// A key's value in the words of the file. Keys without a short form are named without their values.
fn value(key: &str, program: &Program) -> Option<String> {
    let template = |template: &Option<Template>| template.as_ref().map(ToString::to_string);
    match key {
        "command" => Some(command(program)),
        "argv0" => template(&program.argv0),
        "directory" => Some(program.directory.to_string()),
        "user" => program.user.as_ref().map(ToString::to_string),
        "umask" => Some(format!("{:?}", program.umask)),
        "stdin" => template(&program.stdin),
        "description" => program.description.clone(),
        "tags" => Some(program.tags.join(", ")),
        "autostart" => Some(program.autostart.to_string()),
        "priority" => Some(program.priority.to_string()),
        "instances" => program.instances.numbered().then(|| program.instances.count().to_string()),
        "limits.nice" => program.limits.nice.map(|nice| nice.to_string()),
        "limits.oom_score_adj" => program.limits.oom_score_adj.map(|score| score.to_string()),
        "logs.max_size" => Some(format!("{}B", program.logs.max_size.0)),
        "logs.max_files" => Some(program.logs.max_files.to_string()),
        _ => None,
    }
}

/// A program's command as one line, for people.
pub(super) fn command(program: &Program) -> String {
    match &program.command {
        crate::model::Command::Shell(text) => text.to_string(),
        crate::model::Command::Exec(argv) => shell_words::join(argv.iter().map(Template::as_str)),
    }
}
