//! Packages of PyPI, installed once for all runs of the tests.

use super::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Debian's Python, and a folder for PYTHONPATH with these packages in it. `mark`: a file of the last of them. `None`: they
/// cannot be had here, which was said.
pub fn installed(name: &str, packages: &[&str], mark: &str) -> Option<(PathBuf, PathBuf)> {
    static ONCE: Mutex<()> = Mutex::new(());
    let _alone = ONCE.lock();
    let python = tools::python()?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !folder.join(mark).exists() {
        let beside = folder.with_extension(std::process::id().to_string());
        let pip = Command::new("timeout")
            .args(["120", python.to_str()?, "-m", "pip", "install", "--quiet", "--no-input", "--target"])
            .arg(&beside)
            .args(packages)
            .output();
        if !pip.as_ref().is_ok_and(|pip| pip.status.success()) {
            tools::skipped(&format!("{packages:?} of PyPI cannot be installed: {pip:?}"));
            return None;
        }
        // Whole or not at all; another process may have been quicker.
        if fs::rename(&beside, &folder).is_err() {
            fs::remove_dir_all(&beside).expect("our own folder");
        }
    }
    Some((python, folder))
}
