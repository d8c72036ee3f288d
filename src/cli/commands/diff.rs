//! `sppm diff` and `sppm reload`: the same picture, without and with effect.

use super::{DONE, Outcome};
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::cli::session::{PATIENCE, Session};
use crate::control::client::{ClientError, Target};
use crate::control::wire::{DiffDto, ErrorDto, ErrorKind};

/// What a reload would change.
pub(super) fn diff(session: &Session<'_>) -> Outcome {
    let client = session.client()?;
    let answer = client.get(&Target::path("/v1/diff"), PATIENCE);
    show(session, answer)
}

/// Applies the file, and says what that changes.
pub(super) fn reload(session: &Session<'_>, names: &[String]) -> Outcome {
    if let Some(name) = names.first() {
        let message =
            "a program's own reload action is not in this version; bare `sppm reload` applies sppm.yaml";
        let help = format!("did you mean `sppm restart {}`?", render::visible(name));
        return Err(ErrorDto::new(ErrorKind::Usage, message).with_help(help).into());
    }
    let client = session.client()?;
    let answer = client.post(&Target::path("/v1/reload"), &serde_json::json!({}), PATIENCE);
    show(session, answer)
}

fn show(session: &Session<'_>, answer: Result<DiffDto, ClientError>) -> Outcome {
    let terminal = session.terminal;
    let diff = answer.map_err(Failure::from)?;
    for warning in &diff.warnings {
        terminal.note(&format!("warning: {}", render::visible(warning)));
    }
    match terminal.json {
        true => terminal.json(&diff)?,
        false => terminal.result(&render::diff(&diff, terminal.verbose))?,
    }
    Ok(DONE)
}
