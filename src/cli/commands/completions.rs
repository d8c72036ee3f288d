//! `sppm completions`: the script that makes a shell ask `sppm` itself.

use super::{DONE, Outcome};
use crate::cli::args::Shell;
use crate::cli::names;
use crate::cli::session::Session;

pub(super) fn completions(session: &Session<'_>, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    names::script(shell, &mut script)?;
    session.terminal.raw(&script)?;
    Ok(DONE)
}
