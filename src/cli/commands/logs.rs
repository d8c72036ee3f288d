//! `sppm logs`: history, then new lines, across restarts of the supervisor too.

use super::{DONE, Outcome};
use crate::cli::args::Logs;
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::cli::session::{PATIENCE, Session};
use crate::cli::terminal::Terminal;
use crate::cli::wait::{TAKE_OVER, pause};
use crate::control::client::{self, Client, ClientError};
use crate::control::wire::{ErrorKind, LogItem};
use anstyle::{AnsiColor, Style};
use std::time::{Duration, Instant};

/// The server's keep-alive comes each 15 s: a stream that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// History is written in pieces of this size.
const PIECE: usize = 64 * 1024;

pub(super) fn logs(session: &Session<'_>, args: &Logs) -> Outcome {
    let client = session.client()?;
    let mut printer = Printer::new(session, &client, &args.names)?;
    printer.at_once = args.follow;
    let mut lines = args.lines.0;
    let mut lost: Option<Instant> = None;
    loop {
        match read(&client, &args.names, lines, args.follow, &mut printer, &mut lost) {
            Err(Failure::Error(error)) if args.follow && is_away(error.error.kind) => {
                if lost.get_or_insert_with(Instant::now).elapsed() > TAKE_OVER {
                    session.terminal.note("note: the supervisor has ended");
                    return Ok(DONE);
                }
                lines = Some(0);
                pause();
            }
            Err(failure) => return Err(failure),
            Ok(()) => {
                printer.flush()?;
                if args.follow {
                    session.terminal.note("note: the supervisor has ended");
                }
                return Ok(DONE);
            }
        }
    }
}

/// Reads one stream to its end.
fn read(
    client: &Client,
    names: &[String],
    lines: Option<u32>,
    follow: bool,
    printer: &mut Printer,
    lost: &mut Option<Instant>,
) -> Result<(), Failure> {
    let patience = if follow { SILENCE } else { PATIENCE };
    let events = client.stream(&client::logs(names, lines, follow), patience).map_err(away)?;
    if lost.take().is_some() {
        printer.terminal.note("note: connected again; lines that came meanwhile are in the log files only");
    }
    for event in events {
        let event = event.map_err(away)?;
        printer.print(&event)?;
    }
    Ok(())
}

/// A lost connection gets the kind of a missing supervisor: both may pass.
fn away(error: ClientError) -> Failure {
    match error {
        ClientError::Lost(_) => Failure::new(ErrorKind::NoSupervisor, error.to_string()),
        other => other.into(),
    }
}

fn is_away(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NoSupervisor | ErrorKind::ShuttingDown)
}

/// Prints log lines as the terminal, a file or a program wants them.
struct Printer {
    terminal: Terminal,
    on_screen: bool,
    /// Width of the names, where lines carry them.
    prefix: Option<usize>,
    at_once: bool,
    buffer: Vec<u8>,
}

impl Printer {
    /// Asks what is named: an unknown name is an error at once, and several instances need prefixes.
    fn new(session: &Session<'_>, client: &Client, names: &[String]) -> Result<Self, Failure> {
        let status = session.status(client, names)?;
        let ids: Vec<usize> = status
            .programs
            .iter()
            .flat_map(|program| &program.instances)
            .map(|instance| instance.id.chars().count())
            .collect();
        let several = names.is_empty() || status.programs.len() > 1 || ids.len() > 1;
        let prefix = several.then(|| ids.into_iter().max().unwrap_or(0));
        let terminal = session.terminal;
        Ok(Self { terminal, on_screen: terminal.on_screen(), prefix, at_once: false, buffer: Vec::new() })
    }

    fn print(&mut self, event: &str) -> Result<(), Failure> {
        if self.terminal.json {
            self.buffer.extend_from_slice(event.as_bytes());
            self.buffer.push(b'\n');
            return self.flush_if_due();
        }
        match serde_json::from_str(event) {
            Ok(LogItem::Line { name, text, bytes, .. }) => self.line(&name, &text, bytes.as_deref()),
            Ok(LogItem::Missed { lines }) => {
                self.flush()?;
                let lines = render::plural(usize::try_from(lines).unwrap_or(usize::MAX), "line");
                self.terminal.note(&format!("note: {lines} left out here: this reader is too slow"));
                Ok(())
            }
            Ok(LogItem::Note { text }) => {
                self.flush()?;
                self.terminal.note(&format!("note: {}", render::visible(&text)));
                Ok(())
            }
            // An item of a newer version.
            Err(_) => Ok(()),
        }
    }

    fn line(&mut self, name: &str, text: &str, bytes: Option<&[u8]>) -> Result<(), Failure> {
        if let Some(width) = self.prefix {
            let name = format!("{:width$} | ", render::visible(name));
            match self.on_screen && self.terminal.colours_results() {
                true => {
                    let style = colour(&name);
                    self.buffer.extend_from_slice(format!("{style}{name}{style:#}").as_bytes());
                }
                false => self.buffer.extend_from_slice(name.as_bytes()),
            }
        }
        match self.on_screen {
            true => self.buffer.extend_from_slice(render::visible(text).as_bytes()),
            false => self.buffer.extend_from_slice(bytes.unwrap_or(text.as_bytes())),
        }
        self.buffer.push(b'\n');
        self.flush_if_due()
    }

    fn flush_if_due(&mut self) -> Result<(), Failure> {
        if self.at_once || self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.terminal.raw(&std::mem::take(&mut self.buffer))
    }
}

/// A colour that stays the same for a name.
fn colour(name: &str) -> Style {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Green,
        AnsiColor::Yellow,
        AnsiColor::Blue,
        AnsiColor::Magenta,
        AnsiColor::BrightBlack,
    ];
    let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    COLOURS[sum % COLOURS.len()].on_default()
}
