//! `sppm start`: asks the supervisor that runs, or starts one and waits for its programs.

use super::{DONE, Outcome, Report, follow_through, no_supervisor, order, show, subject};
use crate::cli::args::Waiting;
use crate::cli::backend::Options;
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::cli::session::Session;
use crate::cli::wait::seconds;
use crate::control::client::Client;
use crate::control::wire::AcceptedDto;
use std::path::PathBuf;

pub(super) fn start(session: &Session<'_>, names: &[String], waiting: &Waiting) -> Outcome {
    match session.client().and_then(|client| Ok((ask(&client, names)?, client))) {
        Ok((accepted, client)) => {
            let what = subject(&accepted.targets);
            let report = follow_through(session, &client, "start", accepted, waiting)?;
            show(session, &report, "start", &sentence(&report, &what))
        }
        // Also one that was just ending, and took the question with it.
        Err(failure) if no_supervisor(&failure) => boot(session, session.config()?, names, waiting),
        Err(failure) => Err(failure),
    }
}

/// Asks the supervisor that runs.
fn ask(client: &Client, names: &[String]) -> Result<AcceptedDto, Failure> {
    order(client, "/v1/start", &serde_json::json!({ "names": names }), true)
}

/// Starts a supervisor, and with it what has `autostart`, and `names` besides.
fn boot(session: &Session<'_>, config: PathBuf, names: &[String], waiting: &Waiting) -> Outcome {
    // The file is checked here first: its problems appear at once, in colour, on this terminal.
    let loaded = session.load(&config)?;
    let warnings = crate::config::render_all(&loaded.warnings, session.style());
    if !session.terminal.json && !session.terminal.quiet {
        session.terminal.error_text(&warnings);
    }
    session.backend.start_background(&Options { config, background: true }).map_err(Failure::Error)?;
    let client = session.client()?;
    if !names.is_empty() {
        ask(&client, names)?;
    }
    let programs: Vec<String> = loaded.plan.programs.keys().map(ToString::to_string).collect();
    if programs.is_empty() {
        session.terminal.say("sppm runs; sppm.yaml has no programs yet")?;
        return Ok(DONE);
    }
    let accepted = AcceptedDto { targets: programs, notes: Vec::new() };
    let report = follow_through(session, &client, "start", accepted, waiting)?;
    let status = session.status(&client, &[])?;
    let (stopped, runs): (Vec<_>, Vec<_>) = status.programs.iter().partition(|one| one.desired == "stopped");
    // One whose `autostart` is off was not asked to start, and is no news.
    let by_itself = |name: &str| {
        loaded.plan.programs.iter().any(|(known, program)| known.to_string() == name && program.autostart)
    };
    let held: Vec<String> =
        stopped.iter().map(|one| one.name.clone()).filter(|name| by_itself(name)).collect();
    let what = render::plural(runs.len(), "program");
    show(session, &report, "start", &format!("{}{}", sentence(&report, &what), held_back(&held)))
}

/// A clause about the programs that an earlier stop still holds.
fn held_back(held: &[String]) -> String {
    match held.len() {
        0 => String::new(),
        1 => format!("; {} stays stopped, as it was: `sppm start` starts it", subject(held)),
        _ => format!("; {} stay stopped, as they were: `sppm start` starts them", subject(held)),
    }
}

fn sentence(report: &Report, what: &str) -> String {
    match &report.picture {
        Some(_) => format!("started {what} in {}", seconds(report.took)),
        None => format!("{what}: start accepted"),
    }
}
