//! Status as a table, and one program in detail.

use super::table::{Cell, table};
use super::{phase_style, visible};
use crate::cli::clock::Clock;
use crate::control::wire::{InstanceDto, ProgramDto, StatusDto, SupervisorDto};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::time::Duration;

/// The same picture with the times of whoever looks in its sentences.
pub(in crate::cli) fn localised(mut status: StatusDto, clock: &Clock) -> StatusDto {
    for note in &mut status.supervisor.notes {
        *note = clock.sentence(note);
    }
    for program in &mut status.programs {
        program.flag = program.flag.as_deref().map(|flag| clock.sentence(flag));
        for instance in program.instances.iter_mut().filter(|instance| !instance.reason.is_empty()) {
            instance.reason = clock.sentence(&instance.reason);
        }
    }
    status
}

/// The overview: who answers, what is wrong with the file, and a row for each instance.
pub(in crate::cli) fn status(status: &StatusDto, width: Option<usize>, clock: &Clock) -> String {
    let mut out = head(&status.supervisor);
    if status.programs.is_empty() {
        out.push_str("no programs\n");
        return out;
    }
    let title = |text: &str| Cell::styled(text, Style::new().bold());
    let mut rows = vec![["NAME", "PHASE", "PID", "UPTIME", "RESTARTS", "REASON"].map(title).into()];
    for program in &status.programs {
        if program.instances.is_empty() {
            rows.push(row(&program.name, &program.phase, None, program.flag.as_deref().unwrap_or_default()));
        }
        for (index, instance) in program.instances.iter().enumerate() {
            let flag = program.flag.as_deref().filter(|_| index == 0);
            let reason = match flag {
                Some(flag) if instance.reason.is_empty() => flag.to_owned(),
                Some(flag) => format!("{} ({flag})", instance.reason),
                None => instance.reason.clone(),
            };
            let reason = match busy(instance, clock) {
                Some(busy) if reason.is_empty() => busy,
                Some(busy) => format!("{busy}; {reason}"),
                None => reason,
            };
            rows.push(row(&instance.id, &instance.phase, Some(instance), &reason));
        }
    }
    out.push_str(&table(&rows, width));
    out
}

/// `busy for 2m 3s (page 1)`, of one that runs and is in the middle of a task. What is to stop says so in its reason.
fn busy(instance: &InstanceDto, clock: &Clock) -> Option<String> {
    if instance.busy != Some(true) || instance.phase != "running" {
        return None;
    }
    let since = instance.busy_since.as_deref().and_then(|since| clock.since(since));
    let since = since.map(|since| format!(" for {since}")).unwrap_or_default();
    let what = instance.busy_what.as_ref().map(|what| format!(" ({what})")).unwrap_or_default();
    Some(format!("busy{since}{what}"))
}

fn row(name: &str, phase: &str, instance: Option<&InstanceDto>, reason: &str) -> Vec<Cell> {
    let pid = instance.and_then(|instance| instance.pid).map_or("-".to_owned(), |pid| pid.to_string());
    let uptime = instance.and_then(|instance| instance.uptime_s).map_or("-".to_owned(), span);
    let restarts = instance.map_or(0, |instance| instance.restarts).to_string();
    vec![
        Cell::new(visible(name)),
        Cell::styled(visible(phase), phase_style(phase)),
        Cell::number(pid),
        Cell::number(uptime),
        Cell::number(restarts),
        Cell::new(visible(reason)),
    ]
}

/// The first line, and below it what is wrong with the supervisor as a whole.
fn head(supervisor: &SupervisorDto) -> String {
    let bold = Style::new().bold();
    let mut out = format!(
        "{bold}{}{bold:#}  supervisor pid {}, keeper pid {}, sppm {}\n",
        visible(&supervisor.config),
        supervisor.pid,
        supervisor.keeper_pid,
        visible(&supervisor.version)
    );
    let yellow = AnsiColor::Yellow.on_default().bold();
    if supervisor.shutting_down {
        let _ = writeln!(out, "{yellow}shutting down{yellow:#}");
    }
    for note in &supervisor.notes {
        let _ = writeln!(out, "{yellow}note{yellow:#}: {}", visible(note));
    }
    if !supervisor.config_ok {
        let red = AnsiColor::Red.on_default().bold();
        let _ = writeln!(out, "{red}the file is not valid; the last good one stays in force:{red:#}");
        for line in supervisor.config_error.as_deref().unwrap_or_default().lines() {
            let _ = writeln!(out, "  {}", visible(line));
        }
    }
    out
}

/// One program in detail.
pub(in crate::cli) fn detail(supervisor: &SupervisorDto, program: &ProgramDto, clock: &Clock) -> String {
    let mut out = head(supervisor);
    let bold = Style::new().bold();
    let style = phase_style(&program.phase);
    let _ = writeln!(
        out,
        "{bold}{}{bold:#}  {style}{}{style:#}, wanted: {}, ready {} of {}",
        visible(&program.name),
        visible(&program.phase),
        visible(&program.desired),
        program.ready,
        program.wanted
    );
    let facts = [
        ("about", &program.description),
        ("flag", &program.flag),
        ("command", &program.command),
        ("defined", &program.place),
    ];
    let tags: Vec<String> = program.tags.iter().map(|tag| format!("@{tag}")).collect();
    for (name, value) in facts {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<10} {}", visible(value));
        }
    }
    if !tags.is_empty() {
        let _ = writeln!(out, "  {:<10} {}", "tags", visible(&tags.join(" ")));
    }
    for instance in &program.instances {
        out.push_str(&one(instance, clock));
    }
    out
}

fn one(instance: &InstanceDto, clock: &Clock) -> String {
    let style = phase_style(&instance.phase);
    let mut out = format!("{}  {style}{}{style:#}", visible(&instance.id), visible(&instance.phase));
    if let Some(pid) = instance.pid {
        let _ = write!(out, ", pid {pid}");
    }
    if let Some(uptime) = instance.uptime_s {
        let _ = write!(out, ", up {}", span(uptime));
    }
    let _ = writeln!(out, ", restarts {}", instance.restarts);
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {name:<10} {}", visible(value));
        }
    };
    fact("reason", &instance.reason);
    fact("since", &instance.since);
    if instance.busy == Some(true) {
        let what = instance.busy_what.as_deref().unwrap_or("in the middle of a task");
        let since = instance.busy_since.as_deref();
        let long =
            since.and_then(|since| clock.since(since)).map(|long| format!(" ({long})")).unwrap_or_default();
        let since = since.map(|at| format!(", since {at}{long}")).unwrap_or_default();
        fact("busy", &format!("{what}{since}"));
    } else if let (None, Some(why)) = (instance.busy, &instance.busy_what) {
        fact("busy", &format!("nobody knows: {why}"));
    }
    fact("says", instance.says.as_deref().unwrap_or_default());
    fact("complaint", instance.complaint.as_deref().unwrap_or_default());
    if let Some(last) = &instance.last_exit {
        let how = match (&last.code, &last.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("ended by {signal}"),
            (None, None) => "ended, nobody knows how".to_owned(),
        };
        fact("last exit", &format!("{how}, {}", last.at));
    }
    fact("next", instance.next_start_at.as_deref().unwrap_or_default());
    if instance.adopted {
        fact("adopted", "taken over from an earlier supervisor");
    }
    out
}

/// "12s", "3m 5s", "4h 12m", "2d 3h": two units are enough.
pub(in crate::cli) fn span(seconds: f64) -> String {
    // A float to integer cast saturates; a negative span is 0.
    let whole = Duration::from_secs(seconds as u64).as_secs();
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", whole % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests;
