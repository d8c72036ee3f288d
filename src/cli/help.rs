//! The first screen, with every verb in its group, and the examples of each verb. Tests fail for a verb that is in no
//! group, or whose examples do not work.

use super::args::Cli;
use super::examples::EXAMPLES;
use clap::CommandFactory;
use std::fmt::Write as _;

/// A line of the first screen: verbs, and what they do where their own first sentences are too long together.
type Line = (&'static [&'static str], &'static str);

/// Every verb that is shown, in groups.
const GROUPS: [(&str, &[Line]); 5] = [
    (
        "Everyday",
        &[
            (&["start"], ""),
            (&["stop"], ""),
            (&["restart"], ""),
            (&["reload"], ""),
            (&["shutdown"], ""),
            (&["scale"], ""),
            (&["signal"], ""),
            (&["wait"], ""),
        ],
    ),
    (
        "Inspect",
        &[
            (&["status"], ""),
            (&["why"], ""),
            (&["logs"], ""),
            (&["events", "history"], "Show what happens to programs, and what happened"),
            (&["diff"], ""),
        ],
    ),
    (
        "Configure",
        &[(&["init", "check", "schema"], "Write a first sppm.yaml; check it; print its JSON Schema")],
    ),
    (
        "Programs talk",
        &[
            (&["publish", "subscribe", "kv"], "Send and hear messages; the small store they share"),
            (&["busy"], ""),
        ],
    ),
    ("Set up", &[(&["run"], ""), (&["completions", "man"], "Print completions for a shell; manual pages")]),
];

/// The options of every command, in little room; `sppm COMMAND --help` has them in full.
const OPTIONS: &str = "\
Options, before or after the command (sppm COMMAND --help says more):
  -c, --config FILE  The configuration; else $SPPM_CONFIG, ./sppm.yaml, ~/.config/sppm/, /etc/sppm/
      --json  --color auto|always|never  -q, --quiet  -v, --verbose  -h, --help  -V, --version";

/// The parser with its help in groups, and examples at the end of each verb's `--help`.
pub(super) fn command() -> clap::Command {
    let mut command = Cli::command();
    let mut text = String::from("{about}. {usage-heading} {usage}\n\n");
    for (title, lines) in GROUPS {
        let mut title = title;
        for (verbs, about) in lines {
            let own = command.find_subcommand(verbs[0]).and_then(clap::Command::get_about);
            let own = own.map(ToString::to_string).unwrap_or_default();
            let about = if about.is_empty() { &own } else { *about };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{title:<13} {:<22} {about}", verbs.join(", "));
            title = "";
        }
    }
    text.push('\n');
    text.push_str(OPTIONS);
    for (verb, examples) in EXAMPLES {
        command = command.mut_subcommand(verb, |verb| with_examples(verb, examples));
    }
    command.override_usage("sppm [OPTIONS] COMMAND").help_template(text).disable_help_subcommand(true)
}

/// The lines at the end of `sppm VERB --help`.
fn with_examples(verb: clap::Command, examples: &[(&str, &str)]) -> clap::Command {
    let mut text = verb.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
    text.push_str("Examples:");
    let wide = examples.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    for (line, meaning) in examples {
        let _ = write!(text, "\n  {line:<wide$}  {meaning}");
    }
    verb.after_long_help(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_groups_hold_every_verb_once_and_fit_a_screen() {
        command().debug_assert();
        let command = command();
        let lines = GROUPS.iter().flat_map(|(_, lines)| lines.iter());
        let shown: Vec<&str> = lines.flat_map(|(verbs, _)| verbs.iter().copied()).collect();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            assert_eq!(
                shown.iter().filter(|&&name| name == verb.get_name()).count(),
                1,
                "{}",
                verb.get_name()
            );
        }
        assert!(shown.iter().all(|name| command.find_subcommand(name).is_some()));
        for option in command.get_arguments() {
            let name = format!("--{}", option.get_long().unwrap_or_default());
            assert!(OPTIONS.contains(&name), "{name}");
        }
        let help = self::command().render_help().to_string();
        assert!(help.lines().count() <= 24, "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }

    #[test]
    fn the_help_reads_well() {
        insta::assert_snapshot!(command().render_help().to_string());
    }

    #[test]
    fn every_verb_has_two_or_three_examples_and_each_can_be_typed() {
        let command = command();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            let (_, examples) = EXAMPLES.iter().find(|(known, _)| *known == name).unwrap();
            assert!((1..=3).contains(&examples.len()), "{name}");
            let help = verb.clone().render_long_help().to_string();
            for (line, _) in *examples {
                assert!(help.contains(line), "{help}");
                // Every command of ours in the line, without where its output goes.
                let parts = line.split(['|', '&']).map(|part| part.split('>').next().unwrap().trim());
                let own: Vec<&str> = parts.filter(|part| part.starts_with("sppm ")).collect();
                assert!(own.iter().any(|own| own.contains(name)), "{line} is no example of {name}");
                for own in own {
                    let words = shell_words::split(own).unwrap();
                    super::super::tests::parse_words(&words)
                        .unwrap_or_else(|error| panic!("{line}: {error}"));
                }
            }
        }
    }
}
