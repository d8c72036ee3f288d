//! `sppm why`: the causes in time order.

use super::{DONE, Outcome};
use crate::cli::args::Why;
use crate::cli::clock::Clock;
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::cli::session::{PATIENCE, Session};
use crate::control::client::{self, Client};
use crate::control::wire::WhyDto;

pub(super) fn why(session: &Session<'_>, args: &Why) -> Outcome {
    let client = session.client()?;
    let mut answers: Vec<WhyDto> = Vec::new();
    for name in subjects(session, &client, &args.names)? {
        answers.push(client.get(&client::why(&name), PATIENCE)?);
    }
    if session.terminal.json {
        // One object for one name, as the API gives it; else a line for each.
        for answer in &answers {
            session.terminal.json(answer)?;
        }
        return Ok(DONE);
    }
    let clock = Clock::here();
    let texts: Vec<String> = answers.iter().map(|answer| render::why(answer, &clock)).collect();
    session.terminal.result(&texts.join("\n"))?;
    Ok(DONE)
}

/// Names one by one. Patterns stand for what the supervisor has now; a plain name may be one that is gone.
fn subjects(session: &Session<'_>, client: &Client, names: &[String]) -> Result<Vec<String>, Failure> {
    let mut subjects: Vec<String> = Vec::new();
    for name in names {
        let found = match name == "all" || name.contains(['*', '?', '[', '@']) {
            true => {
                let status = session.status(client, std::slice::from_ref(name))?;
                status.programs.into_iter().map(|program| program.name).collect()
            }
            false => vec![name.clone()],
        };
        let new: Vec<String> = found.into_iter().filter(|name| !subjects.contains(name)).collect();
        subjects.extend(new);
    }
    Ok(subjects)
}
