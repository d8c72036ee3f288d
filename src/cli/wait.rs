//! Waiting for the end of an operation, across the death and return of the supervisor, with progress and a limit.

use super::args::Waiting;
use super::failure::Failure;
use super::interrupt;
use super::session::Session;
use crate::control::client::{self, Client, ClientError};
use crate::control::wire::{ErrorDto, ErrorKind, SettleDto, SettledWord};
use std::time::{Duration, Instant};

/// A supervisor that crashed is back after a second; after so long it is not coming.
const TAKE_OVER: Duration = Duration::from_secs(10);
/// How often progress is drawn on a terminal.
const DRAWN: Duration = Duration::from_secs(1);
/// How often it is told elsewhere.
const TOLD: Duration = Duration::from_secs(10);
/// What an answer may come later than it was asked for.
const SLACK: Duration = Duration::from_secs(20);
/// The pause before a lost supervisor is asked again.
const RETRY: Duration = Duration::from_millis(100);

/// Watches an operation until what it is about has come to rest.
pub(super) struct Watch<'a> {
    session: &'a Session<'a>,
    client: &'a Client,
    verb: &'static str,
    began: Instant,
    until: Option<Instant>,
    told: Instant,
    drawn: bool,
}

impl<'a> Watch<'a> {
    /// Begins to watch; from now on Ctrl-C says that the operation goes on.
    pub(super) fn new(
        session: &'a Session<'a>,
        client: &'a Client,
        verb: &'static str,
        waiting: &Waiting,
    ) -> Self {
        let text = format!("the {verb} goes on; `sppm status` shows how far it is");
        interrupt::explain(session.terminal, text);
        let began = Instant::now();
        let until = waiting.timeout.and_then(|timeout| began.checked_add(timeout));
        Self { session, client, verb, began, until, told: began, drawn: false }
    }

    /// How long it has been watched.
    pub(super) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until all of `names` have come to rest, across a supervisor's death and return.
    pub(super) fn settle(&mut self, names: &[String]) -> Result<SettleDto, Failure> {
        let mut answered = Instant::now();
        loop {
            match self.look(names) {
                Ok(picture) if picture.settled => return Ok(picture),
                Ok(picture) => {
                    answered = Instant::now();
                    self.progress(&picture);
                }
                Err(error) if is_away(&error) && answered.elapsed() < TAKE_OVER => std::thread::sleep(RETRY),
                Err(error) => return Err(error.into()),
            }
            self.check_time()?;
        }
    }

    /// Waits until the supervisor has ended for good.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        let mut away: Option<Instant> = None;
        loop {
            match self.look(&[]) {
                Ok(picture) => {
                    away = None;
                    let resting = picture.settled;
                    self.progress(&picture);
                    if resting {
                        // All programs are at rest; only the supervisor's own end is missing.
                        std::thread::sleep(RETRY);
                    }
                }
                Err(ClientError::NoServer(socket)) if socket.symlink_metadata().is_err() => break,
                Err(error) if is_away(&error) => {
                    if away.get_or_insert_with(Instant::now).elapsed() > TAKE_OVER {
                        break;
                    }
                    std::thread::sleep(RETRY);
                }
                Err(error) => return Err(error.into()),
            }
            self.check_time()?;
        }
        self.clear();
        Ok(())
    }

    /// One look that lasts until something is to be told, at the longest.
    fn look(&self, names: &[String]) -> Result<SettleDto, ClientError> {
        let wait = if self.session.terminal.draws() { DRAWN } else { TOLD };
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = left.map_or(wait, |left| wait.min(left));
        self.client.get(&client::settle(names, wait), wait + SLACK)
    }

    fn check_time(&mut self) -> Result<(), Failure> {
        if self.until.is_none_or(|until| Instant::now() < until) {
            return Ok(());
        }
        self.clear();
        let message = format!("the {} is not done after {}", self.verb, seconds(self.took()));
        Err(ErrorDto::new(ErrorKind::TimedOut, message)
            .with_help("it goes on; `sppm status` shows how far it is")
            .into())
    }

    /// Draws or tells what is waited for.
    fn progress(&mut self, picture: &SettleDto) {
        let terminal = self.session.terminal;
        let text = waited_for(picture, self.took());
        if terminal.draws() {
            let width = terminal.width().unwrap_or(80).saturating_sub(1);
            terminal.draw(&super::render::cut(&text, width));
            self.drawn = true;
        } else if self.told.elapsed() >= TOLD {
            self.told = Instant::now();
            terminal.note(&text);
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.session.terminal.draw("");
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether the supervisor may be back in a moment.
fn is_away(error: &ClientError) -> bool {
    match error {
        ClientError::NoServer(_) | ClientError::Lost(_) | ClientError::TimedOut => true,
        ClientError::Refused(error) => matches!(error.error.kind, ErrorKind::ShuttingDown | ErrorKind::Busy),
        ClientError::NotPermitted(_) | ClientError::Protocol(_) => false,
    }
}

/// "waiting for web.1 (draining), web.2 (stopping) and 3 more, 12s".
fn waited_for(picture: &SettleDto, took: Duration) -> String {
    const NAMED: usize = 3;
    let moving: Vec<_> = picture.instances.iter().filter(|i| i.state == SettledWord::Moving).collect();
    let named: Vec<String> =
        moving.iter().take(NAMED).map(|instance| format!("{} ({})", instance.id, instance.phase)).collect();
    let more = match moving.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match named.is_empty() {
        true => format!("waiting, {}s", took.as_secs()),
        false => format!("waiting for {}{more}, {}s", named.join(", "), took.as_secs()),
    }
}

/// "0.8s", "42s".
pub(super) fn seconds(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.1}s", took.as_secs_f64()),
        whole => humantime::format_duration(Duration::from_secs(whole)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::wire::SettledDto;

    #[test]
    fn progress_names_what_moves() {
        let instance = |id: &str, state| SettledDto {
            id: id.to_owned(),
            phase: "draining".to_owned(),
            state,
            reason: String::new(),
        };
        let mut instances = vec![instance("a", SettledWord::Good)];
        instances.extend(["b", "c", "d", "e"].map(|id| instance(id, SettledWord::Moving)));
        let picture = SettleDto { settled: false, instances };
        let text = waited_for(&picture, Duration::from_secs(12));
        assert_eq!(text, "waiting for b (draining), c (draining), d (draining) and 1 more, 12s");
        assert_eq!(seconds(Duration::from_millis(840)), "0.8s");
        assert_eq!(seconds(Duration::from_secs(72)), "1m 12s");
    }
}
