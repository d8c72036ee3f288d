//! What must be in the package, and that its examples are valid.

use super::{files, none};
use std::path::{Path, PathBuf};
use std::process::Command;

const WANTED: &[&str] = &[
    "README.md",
    "CHANGELOG.md",
    "ARCHITECTURE.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "deny.toml",
    ".ci/run",
    "tests/run",
];

fn missing(root: &Path) -> Vec<String> {
    let empty = |name: &&str| std::fs::metadata(root.join(name)).map_or(true, |found| found.len() == 0);
    WANTED.iter().copied().filter(empty).map(|name| format!("{name}: missing or empty")).collect()
}

fn examples(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder of the examples").flatten();
    // Those scripts write their own configuration.
    let has_file = |path: &PathBuf| path.is_dir() && !path.ends_with("scripts");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(has_file).collect();
    folders.sort();
    folders
}

fn refused(folders: &[PathBuf]) -> Vec<String> {
    let mut complaints = Vec::new();
    for folder in folders {
        let file = folder.join("sppm.yaml");
        let mut check = Command::new(env!("CARGO_BIN_EXE_sppm"));
        check.args(["check", "-c"]).arg(&file).current_dir(folder);
        let answer = check.output().expect("the command runs");
        if answer.status.code() != Some(0) {
            let said = String::from_utf8_lossy(&answer.stderr);
            complaints.push(format!("{}: {} {said}", file.display(), answer.status));
        }
    }
    complaints
}

#[test]
fn nothing_is_missing_from_the_package() {
    none(&missing(&files::root()));
}

#[test]
fn every_example_is_valid() {
    let folders = examples(&files::root().join("examples"));
    assert!(folders.len() >= 3, "the examples are gone: {folders:?}");
    none(&refused(&folders));
}

#[test]
fn what_is_missing_or_invalid_is_found() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(missing(empty.path()).len(), WANTED.len());
    std::fs::write(empty.path().join("sppm.yaml"), "programs: { a: { comand: [x] } }\n").unwrap();
    let complaints = refused(&[empty.path().to_owned()]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains("78"), "{complaints:?}");
}
