//! What a reload changes, a line for each program.

use super::visible;
use crate::control::wire::{ChangeDto, ChangeKind, DiffDto};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// What a reload changes: one line a program; with `values`, below it each key's old and new value.
pub(in crate::cli) fn diff(diff: &DiffDto, values: bool) -> String {
    let mut out = String::new();
    let wide = diff.changes.iter().map(|change| change.program.chars().count()).max().unwrap_or(0);
    for change in &diff.changes {
        out.push_str(&line(change, wide));
        if values {
            out.push_str(&keys(change));
        }
    }
    for key in &diff.supervisor {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "~ {}  live", visible(key));
    }
    for key in &diff.needs_restart_of_sppm {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "! {}  needs a restart of sppm", visible(key));
    }
    if out.is_empty() {
        out.push_str("nothing changes\n");
    }
    out
}

fn line(change: &ChangeDto, wide: usize) -> String {
    let (sign, style) = match change.change {
        ChangeKind::Start => ('+', AnsiColor::Green.on_default()),
        ChangeKind::Stop => ('-', AnsiColor::Red.on_default()),
        ChangeKind::Restart => ('~', AnsiColor::Yellow.on_default()),
        ChangeKind::Live | ChangeKind::Scale => ('~', Style::new()),
    };
    let keys: Vec<String> = change.keys.iter().map(|key| visible(&key.key)).collect();
    let keys = if keys.is_empty() { String::new() } else { format!("  ({})", keys.join(", ")) };
    let name = visible(&change.program);
    format!("{style}{sign} {name:<wide$}  {}{style:#}{keys}\n", change.change.as_str())
}

fn keys(change: &ChangeDto) -> String {
    let mut out = String::new();
    for key in &change.keys {
        let show = |value: &Option<String>| value.as_deref().map_or("(not set)".to_owned(), visible);
        let _ = writeln!(out, "    {}: {} -> {}", visible(&key.key), show(&key.old), show(&key.new));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::KeyChangeDto;

    #[test]
    fn each_kind_of_change_has_its_line() {
        let change = |program: &str, change, keys: &[&str]| ChangeDto {
            program: program.to_owned(),
            change,
            keys: keys.iter().map(|key| KeyChangeDto::new(*key, None, Some("1\x1b".to_owned()))).collect(),
        };
        let mut all = DiffDto {
            changes: vec![
                change("new", ChangeKind::Start, &[]),
                change("old", ChangeKind::Stop, &[]),
                change("web", ChangeKind::Restart, &["command"]),
                change("worker", ChangeKind::Scale, &["instances"]),
                change("x", ChangeKind::Live, &["stop.timeout", "environment.A_TOKEN"]),
            ],
            needs_restart_of_sppm: vec!["supervisor.api".to_owned()],
            ..DiffDto::default()
        };
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain(diff(&all, false)),
            "+ new     start\n- old     stop\n~ web     restart  (command)\n~ worker  scale  (instances)\n\
             ~ x       live  (stop.timeout, environment.A_TOKEN)\n! supervisor.api  needs a restart of sppm\n"
        );
        all.changes.drain(..4);
        assert_eq!(
            plain(diff(&all, true)).lines().skip(1).take(2).collect::<Vec<_>>(),
            ["    stop.timeout: (not set) -> 1^[", "    environment.A_TOKEN: (not set) -> ***"]
        );
        assert_eq!(diff(&DiffDto::default(), false), "nothing changes\n");
    }
}
