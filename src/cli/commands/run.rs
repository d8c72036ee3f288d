//! `sppm run`: the file in the foreground, or one program without a file.

use super::Outcome;
use crate::cli::adhoc::AdHoc;
use crate::cli::backend::Options;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::config::folders;
use crate::control::wire::ErrorKind;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Runs in the foreground: the file, or one program without a file.
pub(super) fn run(session: &Session<'_>, command: &[String], background: bool) -> Outcome {
    let config = match command.is_empty() {
        true => session.config()?,
        false => generate(session, command)?,
    };
    // Not read here: this process becomes the keeper, which is to stay small. The supervisor tells what is wrong.
    Ok(session.backend.run_foreground(&Options { config, background }))
}

/// Writes a configuration for one program into a private folder of its own.
fn generate(session: &Session<'_>, command: &[String]) -> Result<PathBuf, Failure> {
    let program = AdHoc::new(command, Some(&session.place.cwd));
    let base = folders::base(session.place.root, &session.place.environment);
    let folder = base.join("adhoc").join(program.key());
    let path = folder.join("sppm.yaml");
    write(&folder, &path, &program.run_file()).map_err(|error| {
        Failure::new(ErrorKind::Failed, format!("cannot write {}: {error}", path.display()))
    })?;
    if session.terminal.verbose {
        session.terminal.note(&format!("note: to look at it: sppm -c {} status", path.display()));
    }
    Ok(path)
}

fn write(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder.parent().unwrap_or(folder))?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let fresh = folder.join(format!(".sppm.yaml.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _already_failed = fs::remove_file(&fresh);
    }
    written
}
