//! Packages of PyPI, installed once for all runs of the tests.

use super::tools;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's Python, and a folder for PYTHONPATH with these packages in it. `mark`: a file of the last of them. `None`: they
/// cannot be had here, which was said.
pub fn installed(name: &str, packages: &[&str], mark: &str) -> Option<(PathBuf, PathBuf)> {
    let python = tools::python()?;
    let above = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = above.join(name);
    if !folder.join(mark).exists() {
        let beside = tempfile::Builder::new().prefix(name).tempdir_in(above).expect("a folder");
        let pip = Command::new("timeout")
            .args(["120", python.to_str()?, "-m", "pip", "install", "--quiet", "--no-input", "--target"])
            .arg(beside.path())
            .args(packages)
            .output();
        if !pip.as_ref().is_ok_and(|pip| pip.status.success()) {
            tools::skipped(&format!("{packages:?} of PyPI cannot be installed: {pip:?}"));
            return None;
        }
        fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        // Whole or not at all; another test may have been quicker, and then this one goes with its guard.
        if fs::rename(beside.path(), &folder).is_ok() {
            let _moved = beside.keep();
        }
    }
    Some((python, folder))
}
