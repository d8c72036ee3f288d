//! Finds the pages of the documentation and the blocks of code in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A page in Markdown.
pub(crate) struct Page {
    /// Relative to the package, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A fenced block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// The word after the fence.
    pub(crate) language: &'a str,
    /// The line before the fence.
    pub(crate) before: &'a str,
    /// The number of its first line, from 1.
    pub(crate) line: usize,
    pub(crate) lines: Vec<&'a str>,
}

impl Block<'_> {
    pub(crate) fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and every page below docs/.
pub(crate) fn all() -> Vec<Page> {
    let mut paths = vec![root().join("README.md")];
    below(&root().join("docs"), &mut paths);
    paths.sort();
    let page = |path: PathBuf| Page {
        name: path.strip_prefix(root()).unwrap().display().to_string(),
        text: fs::read_to_string(path).unwrap(),
    };
    paths.into_iter().map(page).collect()
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// The blocks of a page, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let (mut open, mut before) = (false, "");
    for (at, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                found.push(Block { language, before, line: at + 2, lines: Vec::new() });
            }
            None if open => found.last_mut().unwrap().lines.push(line),
            None => {}
        }
        if !line.is_empty() {
            before = line;
        }
    }
    assert!(!open, "a block is not closed");
    found
}

#[test]
fn blocks_are_found() {
    let text = "a\n\n```yaml\nx: 1\n\ny\n```\nb\n```sh\n```\n";
    let found = blocks(text);
    assert_eq!(found[0], Block { language: "yaml", before: "a", line: 4, lines: vec!["x: 1", "", "y"] });
    assert_eq!(found[1], Block { language: "sh", before: "b", line: 10, lines: vec![] });
}
