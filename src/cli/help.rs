//! The first screen: every verb in its group. A test fails for a verb that is in none.

use super::args::Cli;
use clap::CommandFactory;
use std::fmt::Write as _;

/// Every verb that is shown, in groups.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Everyday", &["start", "stop", "restart", "reload", "shutdown", "scale", "signal"]),
    ("Inspect", &["status", "logs", "diff"]),
    ("Configure", &["init", "check", "schema"]),
    ("Set up", &["run"]),
];

/// The options of every command, in little room; `sppm COMMAND --help` has them in full.
const OPTIONS: &str = "\
Options, before or after the command (sppm COMMAND --help says more):
  -c, --config FILE  The configuration; else $SPPM_CONFIG, ./sppm.yaml, ~/.config/sppm/, /etc/sppm/
      --json  --color auto|always|never  -q, --quiet  -v, --verbose  -h, --help  -V, --version";

/// The parser with its help in groups.
pub(super) fn command() -> clap::Command {
    let command = Cli::command();
    let mut text = String::from("{about}. {usage-heading} {usage}\n\n");
    for (title, verbs) in GROUPS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}:");
        for verb in verbs {
            let about = command.find_subcommand(verb).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {verb:<9} {about}");
        }
    }
    text.push('\n');
    text.push_str(OPTIONS);
    command.override_usage("sppm [OPTIONS] COMMAND").help_template(text).disable_help_subcommand(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_groups_hold_every_verb_once_and_fit_a_screen() {
        command().debug_assert();
        let command = command();
        let shown: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
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
}
