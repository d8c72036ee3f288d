//! The examples, each in a rig of its own, and what they need beside them.

use super::command::finish;
use super::{Rig, Who};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Building may have to wait for somebody else's build.
const LONG: Duration = Duration::from_secs(300);

/// The folder or file of this name.
pub fn path(name: &str) -> PathBuf {
    Path::new(PROJECT).join("examples").join(name)
}

/// Copies a folder into the rig; a configuration in it gets folders of the rig's own.
pub fn copy(rig: &Rig, from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    rig.own(to);
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(rig, &entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            rig.own(&target);
        }
    }
    let file = to.join("sppm.yaml");
    if let Ok(text) = fs::read_to_string(&file) {
        let folder = rig.folder().display();
        let folders =
            format!("  runtime_dir: {folder}/r\n  state_dir: {folder}/st\n  log_dir: {folder}/log\n");
        let text = match text.split_once("supervisor:\n") {
            Some((before, after)) => format!("{before}supervisor:\n{folders}{after}"),
            None => format!("supervisor:\n{folders}{text}"),
        };
        fs::write(file, text).unwrap();
    }
}

/// A rig in which the example `name` is ready to be started.
pub fn example(name: &str, who: Who) -> Rig {
    let mut rig = Rig::of(who);
    copy(&rig, &path(name), &rig.path("example"));
    rig.use_file(rig.path("example/sppm.yaml"));
    rig
}

/// Cargo without the crate's default features.
pub fn cargo_bare(args: &[&str]) -> super::Answer {
    let mut command = Command::new(env!("CARGO"));
    command.args(args).args(["--no-default-features", "--locked", "--offline", "--color=never"]);
    command.current_dir(PROJECT);
    finish(command, LONG).ok()
}

/// A program of one file, compiled with the standard library and `sppm::client` alone: no dependency can be in it.
pub fn compile_client(source: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client");
    cargo_bare(&["build", "--lib", "--target-dir", target.to_str().unwrap()]);
    let program = target.join(source.replace('/', "-").trim_end_matches(".rs"));
    // The compiler of this cargo, which passes it on where it is not the one on PATH.
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "-o"]).arg(&program).arg("--extern");
    rustc.arg(format!("sppm={}", target.join("debug/libsppm.rlib").display()));
    rustc.arg(Path::new(PROJECT).join(source));
    finish(rustc, LONG).ok();
    program
}
