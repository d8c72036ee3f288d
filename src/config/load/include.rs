//! Included files: which they are, and what may stand in them.
//!
//! In: the main file's `include`. Out: programs added to the loader. Never add here: nesting.

use super::{Loader, Surroundings};
use crate::config::document::Root;
use crate::config::find::absolute;
use crate::config::position::{At, Shown};
use crate::config::problem::ProblemKind;
use crate::config::tree::Tree;
use crate::config::values::PathText;
use crate::config::words;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most included files.
const MAX_INCLUDES: usize = 1_000;

/// Included files.
impl Loader<'_> {
    /// The files that `include` names, each once, in its order; patterns in the order of their matches.
    pub(super) fn includes(&mut self, root: &Root) -> Vec<(PathBuf, At)> {
        let mut seen = BTreeSet::from([self.context.path.to_owned()]);
        let mut found = Vec::new();
        for entry in root.include.get().into_iter().flat_map(|list| &list.0) {
            let path = absolute(self.files.folder(entry.at.file), Path::new(&entry.text));
            let paths = match entry.text.contains(['*', '?', '[']) {
                true => self.matches(&path, entry),
                false => vec![path],
            };
            found.extend(
                paths.into_iter().filter(|path| seen.insert(path.clone())).map(|path| (path, entry.at)),
            );
        }
        if found.len() > MAX_INCLUDES {
            let message = format!("there are more than {MAX_INCLUDES} included files");
            self.cx.error(ProblemKind::TooLarge, root.include.at().unwrap_or(At::whole(0)), message, None);
            found.truncate(MAX_INCLUDES);
        }
        found
    }

    fn matches(&mut self, pattern: &Path, entry: &PathText) -> Vec<PathBuf> {
        let wild = |part: &std::ffi::OsStr| part.to_string_lossy().contains(['*', '?', '[']);
        let fixed: PathBuf = pattern.iter().take_while(|part| !wild(part)).collect();
        self.folders.insert(fixed);
        match self.sources.glob(pattern) {
            Ok(paths) => {
                self.folders.extend(paths.iter().filter_map(|path| path.parent()).map(Path::to_owned));
                paths
            }
            Err(error) => {
                let path = self.cx.enter("include");
                self.unreadable(&error, entry.at);
                self.cx.leave(path);
                Vec::new()
            }
        }
    }

    pub(super) fn include(&mut self, path: &Path, at: At, main: &Surroundings<'_>) {
        self.watched.insert(path.to_owned());
        let text = match self.sources.read(path) {
            Ok(text) => text,
            Err(error) => {
                let path = self.cx.enter("include");
                self.unreadable(&error, at);
                self.cx.leave(path);
                return;
            }
        };
        let file = self.files.add(path, text, Shown::Lines);
        let source = Arc::clone(self.files.get(file));
        let (tree, root) = self.root(file, &source.text);
        let Some(root) = root else { return };
        self.only_programs(&tree);
        let defaults = root.defaults.clone().over(main.defaults);
        let here = Surroundings { folders: main.folders, defaults: &defaults, built_in: main.built_in };
        self.programs_of(&tree, &root, &here);
    }

    /// An included file has programs and their defaults, nothing else.
    fn only_programs(&mut self, tree: &Tree<'_>) {
        let Some(document) = tree.document() else { return };
        for (key, at, _) in
            document.entries().filter(|(key, ..)| matches!(*key, "supervisor" | "include" | "version"))
        {
            let message = format!("an included file may not have `{key}`");
            let help = format!(
                "write it into the main file; here stand {}",
                words::list(&["programs", "defaults", "x-…"])
            );
            let path = self.cx.enter(key);
            self.cx.error(ProblemKind::Conflict, at, message, Some(help));
            self.cx.leave(path);
        }
    }
}
