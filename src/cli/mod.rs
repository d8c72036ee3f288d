//! The command: parse, ask, wait, show, exit code.
//!
//! In: arguments, the environment, the [`Backend`]. Out: text or JSON, and an exit code. Reading order: `args`,
//! `commands`, `session`
//! and `place` (file and socket), `wait` and `feed`, `render`. Never add here: a decision about programs; that
//! is the supervisor's, and what it knows arrives as DTOs of `control::wire`.

mod adhoc;
mod args;
mod backend;
mod clock;
mod commands;
mod examples;
mod failure;
mod feed;
mod help;
mod interrupt;
mod names;
mod place;
mod progress;
mod render;
mod session;
mod terminal;
mod wait;

pub use backend::{Backend, ErrorDto, ErrorKind, Options, Sources};

use args::Cli;
use clap::FromArgMatches;
use clap::error::ErrorKind as ClapKind;
use std::ffi::OsString;
use std::process::ExitCode;

/// Exit code for arguments that make no sense.
const USAGE: u8 = 2;

/// Runs the command of this process.
pub fn main(backend: &dyn Backend) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match names::answer(&arguments) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(run(arguments, backend)),
    }
}

fn run(arguments: Vec<OsString>, backend: &dyn Backend) -> u8 {
    let parsed =
        help::command().try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &arguments),
    };
    let session = session::Session::new(&cli.global, backend);
    match commands::execute(&session, &cli.command) {
        Ok(code) => code,
        Err(failure) => {
            session.terminal.error(&failure);
            failure.exit_code()
        }
    }
}

/// Help and version go to stdout; a mistake goes to stderr, as JSON if `--json` stands anywhere before `--`.
fn usage(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let mistake = !matches!(error.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion);
    let json = arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    if mistake && json {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        let error = crate::control::wire::ErrorDto::new(crate::control::wire::ErrorKind::Usage, first)
            .with_help("sppm --help");
        let global =
            args::Global { config: None, json, color: args::When::Auto, quiet: false, verbose: false };
        terminal::Terminal::new(&global).error(&error.into());
    } else {
        // Nobody reads it: then nobody misses it.
        let _unread = error.print();
    }
    if mistake { USAGE } else { 0 }
}

#[cfg(test)]
mod tests;
