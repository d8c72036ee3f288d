//! `sppm man`: manual pages, made of the help.

use super::{DONE, Outcome};
use crate::cli::examples::EXAMPLES;
use crate::cli::failure::Failure;
use crate::cli::help;
use crate::cli::render::visible;
use crate::cli::session::Session;
use crate::control::wire::{ErrorDto, ErrorKind};
use std::fmt::Write as _;
use std::path::Path;

/// The exit codes of every verb.
const EXIT_CODES: [(&str, &str); 10] = [
    ("0", "done; status: all is as wanted"),
    ("1", "a program did not get into the wanted state"),
    ("2", "wrong use of the command"),
    ("3", "status: something is not as wanted"),
    ("4", "no such program"),
    ("69", "no supervisor runs for the file"),
    ("75", "timed out"),
    ("77", "not permitted"),
    ("78", "the configuration is invalid"),
    ("130", "interrupted"),
];

/// Files, as root and as anybody else.
const FILES: [(&str, &str); 4] = [
    (
        "./sppm.yaml, ~/.config/sppm/sppm.yaml, /etc/sppm/sppm.yaml",
        "the configuration, looked for in this order",
    ),
    ("/run/sppm/HASH/sppm.sock", "the control socket of root's supervisors"),
    ("~/.local/state/sppm/", "sockets, state and logs of anybody else's"),
    ("/var/log/sppm/, /var/lib/sppm/", "logs and state of root's"),
];

pub(super) fn man(session: &Session<'_>, verb: Option<&str>, all: Option<&Path>) -> Outcome {
    let pages = pages()?;
    if let Some(folder) = all {
        for (name, page) in &pages {
            let path = folder.join(format!("{name}.1"));
            std::fs::write(&path, page).map_err(|error| {
                Failure::new(ErrorKind::Failed, format!("cannot write {}: {error}", path.display()))
            })?;
        }
        session.terminal.say(&format!("wrote {} pages to {}", pages.len(), folder.display()))?;
        return Ok(DONE);
    }
    let wanted = verb.map_or("sppm".to_owned(), |verb| format!("sppm-{}", alias(verb)));
    match pages.iter().find(|(name, _)| *name == wanted) {
        Some((_, page)) => session.terminal.raw(page)?,
        None => {
            let message = format!("there is no verb `{}`", visible(verb.unwrap_or_default()));
            return Err(ErrorDto::new(ErrorKind::Usage, message)
                .with_help("`sppm --help` lists all verbs")
                .into());
        }
    }
    Ok(DONE)
}

/// A verb by its own name, whatever it was called.
fn alias(verb: &str) -> String {
    let command = help::command();
    command.find_subcommand(verb).map_or(verb, clap::Command::get_name).to_owned()
}

/// Every page: its name, and its text as roff.
fn pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut command = help::command();
    command.build();
    let mut pages = vec![("sppm".to_owned(), overview(&command)?)];
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages.push((format!("sppm-{}", verb.get_name()), page(verb)?));
    }
    Ok(pages)
}

fn overview(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let man = clap_mangen::Man::new(command.clone());
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    out.extend_from_slice(b".SH SYNOPSIS\n\\fBsppm\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR\n");
    let text = "sppm keeps the programs running that sppm.yaml declares, and changes just those whose entries an edit \
                changes. Each command has a page of its own: sppm-start(1) and so on.";
    out.extend_from_slice(format!(".SH DESCRIPTION\n{}\n", roff(text)).as_bytes());
    man.render_options_section(&mut out)?;
    let mut text = String::from(".SH COMMANDS\n");
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        item(&mut text, &format!("sppm-{}(1)", verb.get_name()), &about);
    }
    for (title, items) in [("EXIT STATUS", &EXIT_CODES[..]), ("FILES", &FILES[..])] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, ".SH \"{title}\"");
        items.iter().for_each(|(head, meaning)| item(&mut text, head, meaning));
    }
    out.extend_from_slice(text.as_bytes());
    man.render_version_section(&mut out)?;
    Ok(out)
}

fn page(verb: &clap::Command) -> Result<Vec<u8>, Failure> {
    let man = clap_mangen::Man::new(verb.clone()).source(concat!("sppm ", env!("CARGO_PKG_VERSION")));
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    let mut text = String::new();
    if let Some(more) = verb.get_after_help() {
        let _ = writeln!(text, ".PP\n{}", roff(&more.to_string()));
    }
    out.extend_from_slice(text.as_bytes());
    man.render_options_section(&mut out)?;
    let mut text = String::new();
    let examples = EXAMPLES.iter().find(|(name, _)| *name == verb.get_name());
    if let Some((_, examples)) = examples {
        text.push_str(".SH EXAMPLES\n");
        examples.iter().for_each(|(line, meaning)| item(&mut text, line, meaning));
    }
    text.push_str(".SH \"SEE ALSO\"\nsppm(1), which has the exit codes and files of all commands\n");
    out.extend_from_slice(text.as_bytes());
    Ok(out)
}

/// A head in bold and its meaning, indented.
fn item(out: &mut String, head: &str, meaning: &str) {
    let _ = writeln!(out, ".TP\n\\fB{}\\fR\n{}", roff(head), roff(meaning));
}

/// Text that roff prints as it is.
fn roff(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if !out.is_empty() {
            out.push('\n');
        }
        if line.starts_with(['.', '\'']) {
            out.push_str("\\&");
        }
        for c in line.chars() {
            match c {
                '\\' => out.push_str("\\(rs"),
                '-' => out.push_str("\\-"),
                '\'' => out.push_str("\\(aq"),
                '`' => out.push_str("\\(ga"),
                '^' => out.push_str("\\(ha"),
                '~' => out.push_str("\\(ti"),
                other => out.push(other),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_verb_has_a_page_with_its_examples() {
        let pages = pages().unwrap();
        assert_eq!(pages.len(), EXAMPLES.len() + 1);
        for (name, page) in &pages {
            let text = std::str::from_utf8(page).unwrap();
            assert!(text.contains(&format!(".TH {name} 1")), "{text}");
            assert!(!text.contains("supervise "), "{text}");
        }
        let (_, stop) = pages.iter().find(|(name, _)| name == "sppm-stop").unwrap();
        let text = std::str::from_utf8(stop).unwrap();
        assert!(text.contains("\\fBsppm stop \\(aqcrawler\\-*\\(aq \\-\\-runtime\\fR"), "{text}");
        assert_eq!(alias("ps"), "status");
    }

    #[test]
    fn roff_obeys_nothing_in_a_text() {
        assert_eq!(roff(".x\n'y \\n -z"), "\\&.x\n\\&\\(aqy \\(rsn \\-z");
    }
}
