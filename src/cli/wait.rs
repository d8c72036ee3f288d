//! Waiting for the end of an operation, across the death and return of the supervisor, with progress and a limit.

use super::args::Waiting;
use super::failure::Failure;
use super::interrupt;
use super::progress::Progress;
pub(super) use super::progress::seconds;
use super::session::Session;
use crate::control::client::{self, Client, ClientError};
use crate::control::wire::{ErrorDto, ErrorKind, SettleDto, SettledWord};
use std::time::{Duration, Instant};

/// A supervisor that crashed is back after a second; after so long it is not coming.
pub(super) const TAKE_OVER: Duration = Duration::from_secs(10);
/// What an answer may come later than it was asked for.
const SLACK: Duration = Duration::from_secs(20);
/// The pause before a lost supervisor is asked again.
const RETRY: Duration = Duration::from_millis(100);

/// Watches an operation until what it is about has come to rest.
pub(super) struct Watch<'a> {
    client: &'a Client,
    verb: &'static str,
    until: Option<Instant>,
    progress: Progress,
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
        let until = waiting.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { client, verb, until, progress: Progress::new(session.terminal) }
    }

    /// How long it has been watched.
    pub(super) fn took(&self) -> Duration {
        self.progress.took()
    }

    /// Waits until all of `names` have come to rest, across a supervisor's death and return.
    pub(super) fn settle(&mut self, names: &[String]) -> Result<SettleDto, Failure> {
        let mut answered = Instant::now();
        loop {
            match self.look(names) {
                Ok(picture) if picture.settled => return Ok(picture),
                Ok(picture) => {
                    answered = Instant::now();
                    self.show(&picture);
                }
                Err(error) if is_away(&error) && answered.elapsed() < TAKE_OVER => pause(),
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
                    self.show(&picture);
                    if resting {
                        // All programs are at rest; only the supervisor's own end is missing.
                        pause();
                    }
                }
                Err(ClientError::NoServer(socket)) if socket.symlink_metadata().is_err() => break,
                Err(error) if is_away(&error) => {
                    if away.get_or_insert_with(Instant::now).elapsed() > TAKE_OVER {
                        break;
                    }
                    pause();
                }
                Err(error) => return Err(error.into()),
            }
            self.check_time()?;
        }
        self.progress.clear();
        Ok(())
    }

    /// One look that lasts until something is to be told, at the longest.
    fn look(&self, names: &[String]) -> Result<SettleDto, ClientError> {
        let wait = self.progress.period();
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let wait = left.map_or(wait, |left| wait.min(left));
        self.client.get(&client::settle(names, wait), wait + SLACK)
    }

    fn check_time(&mut self) -> Result<(), Failure> {
        if self.until.is_none_or(|until| Instant::now() < until) {
            return Ok(());
        }
        self.progress.clear();
        let message = format!("the {} is not done after {}", self.verb, seconds(self.took()));
        Err(ErrorDto::new(ErrorKind::TimedOut, message)
            .with_help("it goes on; `sppm status` shows how far it is")
            .into())
    }

    /// Draws or tells what is waited for.
    fn show(&mut self, picture: &SettleDto) {
        let moving = picture.instances.iter().filter(|one| one.state == SettledWord::Moving);
        self.progress.show(moving.map(|one| (one.id.as_str(), one.phase.as_str())));
    }
}

/// Before a lost supervisor is asked again: no event tells that its successor listens.
pub(super) fn pause() {
    std::thread::sleep(RETRY);
}

/// Whether the supervisor may be back in a moment.
pub(super) fn is_away(error: &ClientError) -> bool {
    match error {
        ClientError::NoServer(_) | ClientError::Lost(_) | ClientError::TimedOut => true,
        ClientError::Refused(error) => matches!(error.error.kind, ErrorKind::ShuttingDown | ErrorKind::Busy),
        ClientError::NotPermitted(_) | ClientError::Protocol(_) => false,
    }
}
