//! The rules of the configuration, one table or file per group.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod errors;
mod examples;
mod gate;
mod hostile;
mod include;
mod merge;
mod plan;
mod schema;

use super::*;
use crate::model::{Program, ProgramName};
use std::path::PathBuf;
use std::sync::Arc;

/// Files in memory.
#[derive(Default)]
pub(super) struct Memory(BTreeMap<PathBuf, String>);

impl Memory {
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|&(path, text)| (PathBuf::from(path), text.to_owned())).collect())
    }
}

impl Sources for Memory {
    fn read(&self, path: &Path) -> Result<String, SourceError> {
        self.0.get(path).cloned().ok_or_else(|| SourceError::not_found(path))
    }

    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, SourceError> {
        let pattern = glob::Pattern::new(&pattern.display().to_string())
            .map_err(|error| SourceError::unreadable(pattern, error.to_string()))?;
        Ok(self.0.keys().filter(|path| pattern.matches_path(path)).cloned().collect())
    }
}

pub(super) const MAIN: &str = "/w/app/sppm.yaml";

/// Loads files as root on a machine with three CPUs and a small environment.
pub(super) fn load_files(files: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let environment =
        [("HOME", "/home/u"), ("N", "2"), ("EMPTY", ""), ("TOKEN", "hunter2"), ("WORDS", "a b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    load(
        &Context { path: Path::new(MAIN), environment: &environment, root: true, cpus: 3 },
        &Memory::of(files),
    )
}

pub(super) fn load_text(text: &str) -> Result<Loaded, Problems> {
    load_files(&[(MAIN, text)])
}

#[track_caller]
pub(super) fn good(text: &str) -> Plan {
    match load_text(text) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{}\n{text}", problems.render(Style::Plain)),
    }
}

#[track_caller]
pub(super) fn bad(text: &str) -> Problems {
    match load_text(text) {
        Ok(_) => panic!("should be refused:\n{text}"),
        Err(problems) => problems,
    }
}

/// The program `a` of a file that has `keys` in it, indented as flow.
#[track_caller]
pub(super) fn program(keys: &str) -> Arc<Program> {
    let text = format!("programs: {{a: {{{keys}}}}}");
    one(&good(&text), "a")
}

#[track_caller]
pub(super) fn one(plan: &Plan, name: &str) -> Arc<Program> {
    Arc::clone(plan.program(&ProgramName::new(name).unwrap()).expect("the program exists"))
}
