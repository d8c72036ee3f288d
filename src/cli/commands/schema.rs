//! `sppm schema`.

use super::{DONE, Outcome};
use crate::cli::session::Session;
use crate::config;

pub(super) fn schema(session: &Session<'_>) -> Outcome {
    session.terminal.raw(config::schema().as_bytes())?;
    Ok(DONE)
}
