//! Why a program is as it is, for people: present, past, output, future.

use super::entry::{Days, entry};
use super::{phase_style, visible};
use crate::cli::clock::Clock;
use crate::control::wire::{LeftOutDto, WhyDto, WhyInstanceDto};
use crate::journal::{Entry, Kind};
use anstyle::{AnsiColor, Style};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The whole answer for one program.
pub(in crate::cli) fn why(why: &WhyDto, clock: &Clock) -> String {
    let mut out = String::new();
    let bold = Style::new().bold();
    if why.instances.is_empty() {
        let fate = match why.present {
            true => "has no instances: none is wanted",
            false => "is gone: it is not in sppm.yaml any more",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{bold}{}{bold:#}  {fate}", visible(&why.program));
    }
    let wide = why.instances.iter().map(|one| one.id.chars().count()).max().unwrap_or(0);
    for one in &why.instances {
        let style = phase_style(&one.phase);
        let _ = write!(
            out,
            "{bold}{:<wide$}{bold:#}  {style}{}{style:#} since {}",
            visible(&one.id),
            visible(&one.phase),
            clock.short(&one.since)
        );
        if let Some(ago) = clock.distance(&one.since) {
            let _ = write!(out, " ({ago})");
        }
        let _ = writeln!(out, "{}", prefixed(": ", &visible(&clock.sentence(&one.reason))));
    }
    for note in &why.notes {
        let yellow = AnsiColor::Yellow.on_default().bold();
        let _ = writeln!(out, "{yellow}note{yellow:#}: {}", visible(&clock.sentence(note)));
    }
    causes(why, clock, &mut out);
    for one in &why.instances {
        output(one, why.instances.len() > 1, &mut out);
    }
    future(why, clock, &mut out);
    help(why, &mut out);
    out
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}

/// What led there, oldest first; names only where they tell something apart.
fn causes(why: &WhyDto, clock: &Clock, out: &mut String) {
    if why.causes.is_empty() {
        return;
    }
    title(out, "what led there");
    let names: Vec<&str> = why
        .causes
        .iter()
        .map(|cause| cause.instance.as_deref().or(cause.program.as_deref()).unwrap_or("sppm"))
        .collect();
    let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let wide = names.iter().any(|name| *name != names[0]).then_some(wide);
    let mut days = Days::default();
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    for cause in &why.causes {
        // "backoff", "starting" and "running" mostly have one reason: once is enough.
        let instance = cause.instance.as_deref().unwrap_or_default();
        let text = cause.text.strip_prefix("restarted: ").unwrap_or(&cause.text);
        let repeated = cause.kind == Kind::Phase && reasons.insert(instance, text) == Some(text);
        if repeated && cause.phase.as_deref() == Some("running") {
            continue;
        }
        if let Some(date) = days.turn(clock, &cause.at) {
            let _ = writeln!(out, "  {date}");
        }
        // A phase for the reason that was just told is named alone.
        let alone = cause.phase.clone().filter(|_| repeated).map(|text| Entry { text, ..cause.clone() });
        let _ = writeln!(out, "  {}", entry(alone.as_ref().unwrap_or(cause), clock, wide));
        if let Some(gap) = why.left_out.filter(|gap| gap.after == cause.seq) {
            let _ = writeln!(out, "  …         {}", gap_text(gap));
        }
    }
}

fn gap_text(gap: LeftOutDto) -> String {
    match gap.failures {
        0 => format!("{} more events", gap.entries),
        1 => format!("one more failure among {} more events", gap.entries),
        many => format!("{many} more failures among {} more events", gap.entries),
    }
}

/// What a person can do, once where it is the same for all.
fn help(why: &WhyDto, out: &mut String) {
    let mut told: Vec<&str> = Vec::new();
    for step in why.instances.iter().flat_map(|one| &one.help) {
        if !told.contains(&step.as_str()) {
            told.push(step);
        }
    }
    if !told.is_empty() {
        title(out, "what you can do");
    }
    for step in told {
        let _ = writeln!(out, "  {}", visible(step));
    }
}

/// Its last lines, and what they and other facts point at.
fn output(one: &WhyInstanceDto, named: bool, out: &mut String) {
    let whose = if named { format!(" of {}", visible(&one.id)) } else { String::new() };
    if !one.last_lines.is_empty() {
        title(out, &format!("last lines{whose}"));
        for line in &one.last_lines {
            let _ = writeln!(out, "  | {}", visible(line));
        }
    }
    if !one.findings.is_empty() {
        title(out, &format!("found{whose}"));
        for finding in &one.findings {
            let _ = writeln!(out, "  {}", visible(finding));
        }
    }
}

/// What happens next, once where it is the same for all.
fn future(why: &WhyDto, clock: &Clock, out: &mut String) {
    let next = |one: &WhyInstanceDto| match (&one.next, one.phase.as_str()) {
        (Some(next), _) => visible(&clock.sentence(next)),
        (None, "running") => "it goes on; its restart policy decides when it ends".to_owned(),
        (None, _) => "it is on its way; `sppm status -w` shows how far".to_owned(),
    };
    match why.instances.as_slice() {
        [] if why.present => title(out, "next: nothing, until `sppm scale` or an edit wants instances"),
        [] => title(out, "next: nothing, until an entry of that name is in sppm.yaml again"),
        [first, rest @ ..] if rest.iter().all(|one| next(one) == next(first)) => {
            title(out, &format!("next: {}", next(first)));
        }
        all => {
            title(out, "next");
            for one in all {
                let _ = writeln!(out, "  {}: {}", visible(&one.id), next(one));
            }
        }
    }
}

fn title(out: &mut String, text: &str) {
    let bold = Style::new().bold();
    let (head, rest) = text.split_once(": ").map_or((text, None), |(head, rest)| (head, Some(rest)));
    let _ = match rest {
        Some(rest) => writeln!(out, "{bold}{head}{bold:#}: {rest}"),
        None => writeln!(out, "{bold}{head}{bold:#}:"),
    };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn plain(text: &str) -> String {
        let why: WhyDto = serde_json::from_str(text).unwrap();
        anstream::adapter::strip_str(&super::why(&why, &Clock::fixed("2026-11-21T08:00:10Z"))).to_string()
    }

    #[test]
    fn one_program_is_explained() {
        insta::assert_snapshot!(plain(
            r#"{"program": "web", "present": true, "instances": [{"id": "web", "phase": "backoff",
              "since": "2026-11-21T08:00:00.000Z", "reason": "exited with code 1",
              "next": "it is started again at 2026-11-21T08:00:30.000Z",
              "findings": ["port 8080 is held by pid 12 (nginx)"], "last_lines": ["bind: \u001b[31mAddress in use"]}],
             "causes": [
              {"seq": 1, "at": "2026-11-20T23:00:00.000Z", "kind": "request", "program": "web", "by": "ann", "text": "start web"},
              {"seq": 2, "at": "2026-11-20T23:00:00.000Z", "kind": "phase", "program": "web", "instance": "web", "phase": "starting", "text": "asked to"},
              {"seq": 2, "at": "2026-11-20T23:00:00.100Z", "kind": "started", "program": "web", "instance": "web", "text": "started, pid 7"},
              {"seq": 3, "at": "2026-11-20T23:00:00.200Z", "kind": "phase", "program": "web", "instance": "web", "phase": "running", "text": "asked to"},
              {"seq": 3, "at": "2026-11-21T08:00:00.000Z", "kind": "exited", "program": "web", "instance": "web", "text": "exited with code 1"},
              {"seq": 4, "at": "2026-11-21T08:00:00.000Z", "kind": "phase", "program": "web", "instance": "web", "phase": "backoff", "text": "again at 2026-11-21T08:00:30Z"}]}"#
        ));
    }

    #[test]
    fn several_instances_and_the_supervisor_are_told_apart() {
        insta::assert_snapshot!(plain(
            r#"{"program": "web", "present": true, "instances": [
              {"id": "web.1", "phase": "running", "since": "2026-11-21T08:00:00.000Z", "reason": "ready", "next": null, "findings": [], "last_lines": ["a"]},
              {"id": "web.10", "phase": "stopped", "since": "2026-11-21T08:00:00.000Z", "reason": "", "next": "nothing by itself", "findings": [], "last_lines": []}],
             "causes": [
              {"seq": 3, "at": "2026-11-21T08:00:00.000Z", "kind": "supervisor_took_over", "text": "took over"},
              {"seq": 4, "at": "2026-11-21T08:00:00.000Z", "kind": "phase", "program": "web", "instance": "web.10", "phase": "stopped", "text": "stopped"}]}"#
        ));
    }

    #[test]
    fn a_program_that_is_gone_is_explained() {
        let text = plain(r#"{"program": "web", "present": false, "instances": [], "causes": []}"#);
        assert!(text.contains("web  is gone") && text.contains("next: nothing, until an entry"), "{text}");
    }

    #[test]
    fn a_gap_a_note_and_the_next_steps_have_their_places() {
        let text = plain(
            r#"{"program": "web", "present": true, "notes": ["not valid since 2026-11-21T08:00:09Z"],
             "left_out": {"after": 1, "entries": 30, "failures": 9}, "instances": [
              {"id": "web.1", "phase": "failed", "since": "2026-11-21T08:00:00.000Z", "reason": "", "next": null, "findings": [], "last_lines": [], "help": ["mend it", "x\u001b"]},
              {"id": "web.2", "phase": "failed", "since": "2026-11-21T08:00:00.000Z", "reason": "", "next": null, "findings": [], "last_lines": [], "help": ["mend it"]}],
             "causes": [
              {"seq": 1, "at": "2026-11-21T08:00:00.000Z", "kind": "exited", "program": "web", "instance": "web.1", "text": "exited"},
              {"seq": 32, "at": "2026-11-21T08:00:00.000Z", "kind": "phase", "program": "web", "instance": "web.1", "phase": "backoff", "text": "it exited"},
              {"seq": 33, "at": "2026-11-21T08:00:00.000Z", "kind": "phase", "program": "web", "instance": "web.1", "phase": "starting", "text": "restarted: it exited"}]}"#,
        );
        for part in [
            "note: not valid since 08:00:09\nwhat led there:",
            "  exited\n  …         9 more failures among 30 more events\n",
            "backoff: it exited\n  08:00:00  starting\n",
            "what you can do:\n  mend it\n  x^[\n",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }
}
