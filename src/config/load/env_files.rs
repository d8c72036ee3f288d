//! Files with variables: found, read once per load, merged in their order.
//!
//! In: a program's `env_files`. Out: names and values. Never add here: a message that shows a line of them.

use super::{Loader, Variables};
use crate::config::document::Program;
use crate::config::env_file;
use crate::config::find::absolute;
use crate::config::placeholders::{Fill, is_per_instance};
use crate::config::position::{At, Shown};
use crate::config::problem::ProblemKind;
use crate::config::sources::{SourceError, SourceErrorKind};
use crate::config::values::EnvFile;
use crate::model::{Folders, ProgramName};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// The largest env_file, in bytes.
const MAX_ENV_FILE: usize = 1 << 20;

/// Files with variables.
impl Loader<'_> {
    /// The variables of a program's env_files: a later file wins.
    pub(super) fn variables(
        &mut self,
        name: &ProgramName,
        section: &Program,
        folders: &Folders,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let Some(listed) = section.env_files.get() else { return all };
        let path = self.cx.enter("env_files");
        for entry in &listed.0 {
            if is_per_instance(&entry.path.text) {
                let message =
                    "env_files are read once per program: `{instance}` and `{index}` mean nothing here";
                self.cx.error(ProblemKind::Value, entry.path.at, message, None);
                continue;
            }
            let text = Fill { name: Some(name.as_str()), folders }.fill(&entry.path.text);
            let path = absolute(self.files.folder(entry.path.at.file), Path::new(&text));
            if let Some(variables) = self.env_file(&path, entry) {
                all.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        self.cx.leave(path);
        all
    }

    /// One such file, read at most once per load.
    fn env_file(&mut self, path: &Path, entry: &EnvFile) -> Option<Variables> {
        if let Some(known) = self.env_files.get(path)
            && (known.is_some() || entry.optional)
        {
            return known.clone();
        }
        self.watched.insert(path.to_owned());
        let variables = match self.sources.read(path) {
            Ok(text) if text.len() > MAX_ENV_FILE => {
                let error = SourceError::refused(path, format!("it has more than {MAX_ENV_FILE} bytes"));
                self.unreadable(&error, entry.path.at);
                None
            }
            Ok(text) => Some(self.parse_env_file(path, text)),
            Err(error) if entry.optional && error.kind == SourceErrorKind::NotFound => None,
            Err(error) => {
                self.unreadable(&error, entry.path.at);
                None
            }
        };
        self.env_files.insert(path.to_owned(), variables.clone());
        variables
    }

    fn parse_env_file(&mut self, path: &Path, text: String) -> Variables {
        let (variables, bad) = env_file::parse(&text);
        let file = self.files.add(path, text, Shown::PlaceOnly);
        for line in bad {
            let at = At { file, start: line.span.start as u32, end: line.span.end as u32 };
            self.cx.error(ProblemKind::Value, at, line.message, None);
        }
        Rc::new(variables.into_iter().collect())
    }
}
