//! What every command has at hand: the terminal, the machinery, the place, and what is read there.

use super::args::Global;
use super::backend::Backend;
use super::failure::Failure;
use super::place::Place;
use super::terminal::Terminal;
use crate::config::{self, Context, Loaded};
use crate::control::client::{self, Client};
use crate::control::wire::{ErrorDto, StatusDto};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long any request but settle and logs may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What every command has at hand.
pub(super) struct Session<'a> {
    pub(super) terminal: Terminal,
    pub(super) backend: &'a dyn Backend,
    pub(super) place: Place,
}

impl<'a> Session<'a> {
    pub(super) fn new(global: &Global, backend: &'a dyn Backend) -> Self {
        Self { terminal: Terminal::new(global), backend, place: Place::here(global.config.clone()) }
    }

    /// The configuration, for commands that read it.
    pub(super) fn config(&self) -> Result<PathBuf, Failure> {
        self.place.config()
    }

    /// Where to write a new configuration.
    pub(super) fn new_config(&self) -> PathBuf {
        self.place.new_config()
    }

    /// Reads and checks the configuration, with this command's environment.
    pub(super) fn load(&self, path: &Path) -> Result<Loaded, Failure> {
        let cpus =
            std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1));
        let context = Context { path, environment: &self.place.environment, root: self.place.root, cpus };
        config::load(&context, &*self.backend.sources()).map_err(|problems| {
            let message = match problems.errors() {
                1 => format!("{} is not valid: 1 error", path.display()),
                many => format!("{} is not valid: {many} errors", path.display()),
            };
            let error = ErrorDto::config_invalid(message, problems.render(self.style()));
            error.with_problems(&problems.report()).into()
        })
    }

    /// How problems of a configuration are rendered on stderr.
    pub(super) fn style(&self) -> config::Style {
        match self.terminal.colours_errors() && !self.terminal.json {
            true => config::Style::Colour,
            false => config::Style::Plain,
        }
    }

    /// Finds the supervisor of the configuration. The file may be invalid or gone.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        self.place.client()
    }

    /// The status of what is named.
    pub(super) fn status(&self, client: &Client, names: &[String]) -> Result<StatusDto, Failure> {
        Ok(client.get(&client::status(names), PATIENCE)?)
    }
}
