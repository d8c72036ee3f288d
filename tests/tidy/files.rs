//! Finds the files of the project. Input: the folder of the package. Output: paths relative to it, and texts.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the project.
pub(crate) struct File {
    /// Relative to the package, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

/// The folder of the package.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `folder`, sorted.
pub(crate) fn rust(folder: &str) -> Vec<File> {
    all().into_iter().filter(|file| file.path.starts_with(folder) && file.path.ends_with(".rs")).collect()
}

/// Every text file that belongs to the project, sorted: what is built, hidden, or fetched is left out.
pub(crate) fn all() -> Vec<File> {
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder of the project").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() {
            let skipped = ["target", ".git", "node_modules", "__pycache__", "shared"];
            if !skipped.contains(&name.as_str()) {
                walk(&entry.path(), found);
            }
        } else if kind.is_file()
            && ![".git", "Cargo.lock"].contains(&name.as_str())
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            let path = entry.path().strip_prefix(root()).expect("below the root").display().to_string();
            found.push(File { path, text });
        }
    }
}
