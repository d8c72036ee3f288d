//! `sppm signal` and `sppm kill -s`.

use super::{DONE, Outcome, order, subject};
use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::render::visible;
use crate::cli::session::Session;
use crate::control::wire::ErrorKind;
use crate::model::Signal;

pub(super) fn signal(session: &Session<'_>, words: &[String]) -> Outcome {
    let (names, signal) = args::signal(words).map_err(|message| Failure::new(ErrorKind::Usage, message))?;
    send(session, &names, signal)
}

pub(super) fn send(session: &Session<'_>, names: &[String], signal: Signal) -> Outcome {
    let client = session.client()?;
    let body = serde_json::json!({ "names": names, "signal": signal.number().to_string() });
    // Not to be given twice: two signals may mean more than one.
    let accepted = order(&client, "/v1/signal", &body, false)?;
    for note in &accepted.notes {
        session.terminal.note(&format!("note: {}", visible(note)));
    }
    match session.terminal.json {
        true => session.terminal.json(&accepted)?,
        false => session.terminal.say(&format!("sent {signal} to {}", subject(&accepted.targets)))?,
    }
    Ok(DONE)
}
