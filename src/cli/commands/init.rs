//! `sppm init`: a first sppm.yaml.

use super::{DONE, Outcome};
use crate::cli::adhoc::{self, AdHoc};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::wire::{ErrorDto, ErrorKind};
use std::fs::OpenOptions;
use std::io::{self, Write};

/// Writes a first configuration; never over another.
pub(super) fn init(session: &Session<'_>, command: &[String]) -> Outcome {
    let path = session.new_config();
    let other = path.with_extension("yml");
    let shown = path.strip_prefix(&session.place.cwd).unwrap_or(&path).display().to_string();
    if path.file_name().is_some_and(|name| name == "sppm.yaml") && other.exists() {
        return Err(exists(&other.display().to_string()));
    }
    let text = match command.is_empty() {
        true => adhoc::example(),
        false => AdHoc::new(command, None).init_file(),
    };
    let written = OpenOptions::new().write(true).create_new(true).open(&path);
    match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&shown)),
        Err(error) => return Err(Failure::new(ErrorKind::Failed, format!("cannot write {shown}: {error}"))),
    }
    let option = if shown == "sppm.yaml" { String::new() } else { format!(" -c {shown}") };
    match session.terminal.json {
        true => session.terminal.json(&serde_json::json!({ "config": path }))?,
        false => session.terminal.say(&format!("wrote {shown}; next: sppm{option} start"))?,
    }
    Ok(DONE)
}

fn exists(shown: &str) -> Failure {
    ErrorDto::new(ErrorKind::Failed, format!("{shown} exists already and is left as it is"))
        .with_help("edit it, or write another one with -c FILE")
        .into()
}
