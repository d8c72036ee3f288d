//! `sppm check`: the check of a start and a reload, without either.

use super::{DONE, Outcome};
use crate::cli::render;
use crate::cli::session::Session;
use crate::config;

/// Checks the file as a start and a reload do.
pub(super) fn check(session: &Session<'_>) -> Outcome {
    let path = session.config()?;
    let loaded = session.load(&path)?;
    let terminal = session.terminal;
    if terminal.json {
        let problems: Vec<_> = loaded.warnings.iter().map(config::Problem::report).collect();
        terminal.json(&serde_json::json!({
            "ok": true, "config": path, "programs": loaded.plan.programs.len(), "problems": problems,
        }))?;
        return Ok(DONE);
    }
    terminal.error_text(&config::render_all(&loaded.warnings, session.style()));
    let programs = render::plural(loaded.plan.programs.len(), "program");
    terminal.say(&format!("{} is valid: {programs}", path.display()))?;
    if terminal.verbose || !loaded.warnings.is_empty() {
        terminal.note("note: checked with the environment of this command; the supervisor has its own");
    }
    Ok(DONE)
}
