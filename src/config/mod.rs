//! From the text of `sppm.yaml` to a [`Plan`], or to all that is wrong with it.
//!
//! In: the path, the environment and a way to read files ([`Sources`]). Out: [`Loaded`] or [`Problems`].
//! Start reading at `load`; `document` has every key.
//! Pure: the same input gives the same output, and nothing else is looked at. Never add here: reading files,
//! the environment or the clock; starting anything.

mod decode;
mod document;
mod env_file;
mod find;
pub mod folders;
mod interpolate;
mod load;
mod parse;
mod placeholders;
mod position;
mod problem;
mod render;
mod resolve;
mod schema;
mod section;
mod sources;
mod tree;
mod values;
mod words;

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
    load::load(context, sources)
}

/// The JSON Schema (draft-07) of `sppm.yaml`, pretty, with a final newline.
pub fn schema() -> String {
    schema::schema()
}

#[cfg(test)]
mod tests;
