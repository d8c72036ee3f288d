//! The only place of the command that writes: results to stdout, everything else to stderr, colours where they are seen.

use super::args::{Global, When};
use super::failure::{Failure, render};
use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// The command's three ways to speak: results on stdout, remarks and errors on stderr, each as text or JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    choice: Option<ColorChoice>,
}

impl Terminal {
    pub(super) fn new(global: &Global) -> Self {
        let choice = match global.color {
            When::Auto => None,
            When::Always => Some(ColorChoice::Always),
            When::Never => Some(ColorChoice::Never),
        };
        Self { json: global.json, quiet: global.quiet, verbose: global.verbose, choice }
    }

    /// Writes a result; colours are taken out where nobody sees them.
    pub(super) fn result(self, text: &str) -> Result<(), Failure> {
        let stdout = io::stdout().lock();
        let choice = self.choice.unwrap_or_else(|| AutoStream::choice(&stdout));
        if choice == ColorChoice::Never {
            drop(stdout);
            // All at once: the stream would write each piece between two colours by itself.
            return self.raw(strip_str(text).to_string().as_bytes());
        }
        let mut stream = AutoStream::new(stdout, choice);
        stream.write_all(text.as_bytes())?;
        Ok(stream.flush()?)
    }

    /// Writes bytes as they are.
    pub(super) fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Writes a result as one line of JSON.
    pub(super) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string(value).map_err(io::Error::from)?;
        text.push('\n');
        self.raw(text.as_bytes())
    }

    /// Says what was done, for people only.
    pub(super) fn say(self, text: &str) -> Result<(), Failure> {
        if self.quiet || self.json { Ok(()) } else { self.result(&format!("{text}\n")) }
    }

    /// A remark on stderr; lost where nobody reads it.
    pub(super) fn note(self, text: &str) {
        if !self.quiet && !self.json {
            self.error_text(&format!("{text}\n"));
        }
    }

    /// Text on stderr, as it is.
    pub(super) fn error_text(self, text: &str) {
        let stderr = io::stderr().lock();
        let choice = self.choice.unwrap_or_else(|| AutoStream::choice(&stderr));
        let _nobody_reads = AutoStream::new(stderr, choice).write_all(text.as_bytes());
    }

    /// Draws over the last line of the screen; only where [`Terminal::draws`].
    pub(super) fn draw(self, text: &str) {
        let _nobody_looks = write!(io::stderr().lock(), "\r\x1b[K{text}");
    }

    /// An error on stderr, as text or JSON.
    pub(super) fn error(self, failure: &Failure) {
        match failure {
            Failure::Unread => {}
            Failure::Error(error) if self.json => {
                let text = serde_json::to_string(error).unwrap_or_default();
                self.error_text(&format!("{text}\n"));
            }
            Failure::Error(error) => self.error_text(&render(error)),
        }
    }

    /// Whether results appear on a terminal, which would obey control characters.
    pub(super) fn on_screen(self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether progress may be drawn over itself.
    pub(super) fn draws(self) -> bool {
        !self.quiet
            && !self.json
            && io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
    }

    /// Whether problems of a configuration are rendered in colour on stderr.
    pub(super) fn colours_errors(self) -> bool {
        let choice = self.choice.unwrap_or_else(|| AutoStream::choice(&io::stderr()));
        choice != ColorChoice::Never
    }

    /// Whether results are coloured.
    pub(super) fn colours_results(self) -> bool {
        self.choice.unwrap_or_else(|| AutoStream::choice(&io::stdout())) != ColorChoice::Never
    }

    /// The width of the screen in columns; `None` where results do not go to one.
    pub(super) fn width(self) -> Option<usize> {
        columns(rustix::termios::tcgetwinsize(io::stdout()))
    }

    /// The same of the screen that remarks go to.
    pub(super) fn width_of_errors(self) -> Option<usize> {
        columns(rustix::termios::tcgetwinsize(io::stderr()))
    }

    /// The height of the screen in lines.
    pub(super) fn height(self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        (size.ws_row > 0).then_some(usize::from(size.ws_row))
    }
}

fn columns(size: rustix::io::Result<rustix::termios::Winsize>) -> Option<usize> {
    size.ok().filter(|size| size.ws_col > 0).map(|size| usize::from(size.ws_col))
}
