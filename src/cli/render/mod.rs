//! Answers as text for people. Pure: in come DTOs, out go strings with colours, which the terminal strips
//! where nobody sees them. Never add here: I/O, or text of others that is not made visible.

mod diff;
mod entry;
mod outcome;
mod status;
mod table;
mod visible;
mod why;

pub(super) use diff::diff;
pub(super) use entry::{Days, entry};
pub(super) use outcome::{failed, none_bad, plural};
pub(super) use status::{detail, localised, span, status};
pub(super) use visible::{cut, visible};
pub(super) use why::why;

use anstyle::{AnsiColor, Style};

/// The colour of a phase.
fn phase_style(phase: &str) -> Style {
    match phase {
        "running" | "completed" => AnsiColor::Green.on_default(),
        "failed" | "backoff" => AnsiColor::Red.on_default(),
        "stopped" => Style::new().dimmed(),
        _moving => AnsiColor::Yellow.on_default(),
    }
}
