//! `sppm status`: overview, detail, JSON; exit code 3 where something is not as wanted.

use super::{DONE, Outcome};
use crate::cli::clock::Clock;
use crate::cli::render;
use crate::cli::session::{PATIENCE, Session};
use crate::control::client::{self, Client};
use crate::control::wire::{LogItem, ProgramDto, StatusDto};
use std::fmt::Write as _;
use std::mem::ManuallyDrop;

/// Something is not as wanted.
const NOT_AS_WANTED: u8 = 3;
/// How many of its last lines the detailed view shows.
const LAST_LINES: u32 = 10;

pub(super) fn status(session: &Session<'_>, names: &[String]) -> Outcome {
    let client = session.client()?;
    let terminal = session.terminal;
    // One name may be one program, of which everything is shown.
    let status = match terminal.json || names.len() == 1 {
        true => session.status(&client, names)?,
        false => client.get(&client::brief_status(names), PATIENCE)?,
    };
    let clock = Clock::here();
    let status = if terminal.json { status } else { render::localised(status, &clock) };
    // Thousands of small texts: the end of this process, which is near, lets go of all at once.
    let status = ManuallyDrop::new(status);
    if terminal.json {
        terminal.json(&*status)?;
    } else if terminal.quiet {
        let ids = status.programs.iter().flat_map(|program| &program.instances);
        let ids: String = ids.map(|instance| format!("{}\n", render::visible(&instance.id))).collect();
        terminal.result(&ids)?;
    } else if let Some(program) = only(&status, names) {
        let mut text = render::detail(&status.supervisor, program, &clock);
        text.push_str(&last_lines(&client, names));
        terminal.result(&text)?;
    } else {
        terminal.result(&render::status(&status, terminal.width(), &clock))?;
    }
    Ok(match status.programs.iter().all(|program| program.as_wanted) {
        true => DONE,
        false => NOT_AS_WANTED,
    })
}

/// The one program, where exactly one was named by its name.
fn only<'a>(status: &'a StatusDto, names: &[String]) -> Option<&'a ProgramDto> {
    let ([name], [program]) = (names, status.programs.as_slice()) else { return None };
    let is_it = program.name == *name || program.instances.iter().any(|instance| instance.id == *name);
    is_it.then_some(program)
}

/// The last lines; what cannot be had is left out.
fn last_lines(client: &Client, names: &[String]) -> String {
    let Ok(events) = client.stream(&client::logs(names, Some(LAST_LINES), false), PATIENCE) else {
        return String::new();
    };
    let mut out = String::new();
    for event in events.map_while(Result::ok) {
        if let Ok(LogItem::Line { name, text, .. }) = serde_json::from_str(&event) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {} | {}", render::visible(&name), render::visible(&text));
        }
    }
    match out.is_empty() {
        true => out,
        false => format!("last lines:\n{out}"),
    }
}
