//! Completion: the shell's script, and the answers to what it asks, with names from the live supervisor.
//!
//! The script runs `sppm` with a variable set, which makes it answer with candidates instead of doing anything.
//! Whatever goes wrong on the way costs candidates, never a message: somebody is typing.

use super::args::Shell;
use super::help;
use super::place::Place;
use crate::control::client;
use crate::control::wire::StatusDto;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// Set by the scripts, to the name of the shell.
const VARIABLE: &str = "_SPPM_COMPLETE";
/// Nobody waits longer for a name than this.
const PATIENCE: Duration = Duration::from_millis(50);
/// The arguments of verbs that take names.
const NAMED: [&str; 2] = ["names", "words"];

/// Writes the script for a shell.
pub(super) fn script(shell: Shell, out: &mut dyn io::Write) -> io::Result<()> {
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    shell.write_registration(VARIABLE, "sppm", "sppm", "sppm", out)
}

/// Answers a script, if it was one that asked.
pub(super) fn answer(arguments: &[OsString]) -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let names = live(arguments);
    let here = std::env::current_dir().ok();
    // An error is silence: a shell would show it in the middle of the line that is typed.
    let _silent = CompleteEnv::with_factory(move || command(&names))
        .var(VARIABLE)
        .bin("sppm")
        .try_complete(arguments.iter().cloned(), here.as_deref());
    true
}

/// The parser, with candidates for names.
fn command(names: &BTreeMap<String, String>) -> clap::Command {
    let mut command = help::command();
    let verbs: Vec<String> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .map(|verb| verb.get_name().to_owned())
        .collect();
    for verb in &verbs {
        let candidates = || {
            let names = names.clone();
            ArgValueCandidates::new(move || {
                let one = |(name, about): (&String, &String)| {
                    let about = (!about.is_empty()).then(|| about.clone().into());
                    CompletionCandidate::new(name).help(about)
                };
                names.iter().map(one).collect()
            })
        };
        command = command.mut_subcommand(verb, |verb| {
            verb.mut_args(|argument| {
                let named = NAMED.contains(&argument.get_id().as_str()) && !argument.is_hide_set();
                if named { argument.add(candidates()) } else { argument }
            })
        });
    }
    let verbs = ArgValueCandidates::new(move || verbs.iter().map(CompletionCandidate::new).collect());
    command.mut_subcommand("man", |man| man.mut_arg("verb", |verb| verb.add(verbs)))
}

/// What can be named now, each with a word about it. Nothing, where nobody answers soon.
fn live(arguments: &[OsString]) -> BTreeMap<String, String> {
    let (sender, names) = mpsc::channel();
    let option = config(arguments);
    let ask = move || {
        let place = Place::here(option);
        if let Ok(client) = place.client()
            && let Ok(status) = client.get::<StatusDto>(&client::status(&[]), PATIENCE)
        {
            let _too_late = sender.send(known(&status));
        }
    };
    // A thread, because connecting may take longer. It ends with this process.
    let _no_names = std::thread::Builder::new().name("names".to_owned()).spawn(ask);
    names.recv_timeout(PATIENCE).unwrap_or_default()
}

/// Programs, instances where there are several, tags, and `all`.
fn known(status: &StatusDto) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for program in &status.programs {
        let about = program.description.clone().unwrap_or_else(|| program.phase.clone());
        known.insert(program.name.clone(), about);
        for instance in program.instances.iter().filter(|instance| instance.id != program.name) {
            known.insert(instance.id.clone(), instance.phase.clone());
        }
        known.extend(program.tags.iter().map(|tag| (format!("@{tag}"), "tag".to_owned())));
    }
    if !known.is_empty() {
        known.insert("all".to_owned(), "every program".to_owned());
    }
    // What a terminal would obey is not offered.
    known.retain(|name, _| super::render::visible(name) == *name);
    known.values_mut().for_each(|about| *about = super::render::visible(about));
    known
}

/// The file that the line names: the words after the script's `--`.
fn config(arguments: &[OsString]) -> Option<PathBuf> {
    let mut words = arguments.iter().skip_while(|word| *word != "--").skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-c" | "--config") => return words.next().map(unquoted),
            Some("--") => return None,
            Some(word) => {
                if let Some(path) = word.strip_prefix("--config=") {
                    return Some(path.into());
                }
            }
            None => {}
        }
    }
    None
}

/// A shell gives words as they were typed: quotes and `~` are ours to take away.
fn unquoted(word: &OsString) -> PathBuf {
    let Some(text) = word.to_str() else { return word.into() };
    let plain = shell_words::split(text).ok().and_then(|words| words.into_iter().next());
    let plain = plain.unwrap_or_else(|| text.to_owned());
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        (Some(_) | None, _) => plain.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_file_is_found_in_the_line_that_is_typed() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(config(&words("sppm -- sppm -c a.yaml st")), Some("a.yaml".into()));
        assert_eq!(config(&words("sppm -- sppm status --config='a.yaml'")), Some("'a.yaml'".into()));
        assert_eq!(config(&words("sppm -- sppm -c 'a.yaml'")), Some("a.yaml".into()));
        assert_eq!(config(&words("sppm -c x -- sppm status")), None);
        assert_eq!(config(&words("sppm -- sppm run -- x -c y")), None);
    }

    #[test]
    fn each_shell_has_its_script_and_names_go_where_they_belong() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut out = Vec::new();
            script(shell, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(VARIABLE) && text.contains("sppm"), "{text}");
        }
        let names = BTreeMap::from([("web".to_owned(), "running".to_owned())]);
        let complete = |line: &[&str]| {
            let words = line.iter().map(OsString::from).collect::<Vec<_>>();
            let last = words.len() - 1;
            let found = clap_complete::engine::complete(&mut command(&names), words, last, None).unwrap();
            found.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        for line in [
            &["sppm", "stop", "w"][..],
            &["sppm", "why", ""],
            &["sppm", "signal", "w"],
            &["sppm", "-c", "x", "logs", "-f", "we"],
        ] {
            assert!(complete(line).contains(&"web".to_owned()), "{line:?}: {:?}", complete(line));
        }
        assert!(!complete(&["sppm", "init", "w"]).contains(&"web".to_owned()));
        assert!(complete(&["sppm", "man", "st"]).contains(&"status".to_owned()));
        assert!(!complete(&["sppm", ""]).contains(&"supervise".to_owned()));
    }
}
