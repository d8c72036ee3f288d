//! Events as they happen, over the death and return of the supervisor: none lost, none twice.
//!
//! A thread reads, so that whoever listens can do so with a limit. Its queue is short: a listener that is too slow makes
//! the supervisor's end of the connection fill up, and the supervisor counts what it then leaves out.

use super::failure::Failure;
use super::session::PATIENCE;
use super::wait::{TAKE_OVER, is_away, pause};
use crate::control::client::{self, Client, ClientError};
use crate::journal::Entry;
use serde::Deserialize;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

/// The server's keep-alive comes each 15 s: a stream that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// An orderly end mostly is a shutdown: so long a successor is waited for.
const SUCCESSOR: Duration = Duration::from_secs(2);
/// So many events wait for the listener.
const WAITING: usize = 64;

/// What a listener hears.
#[derive(Debug)]
pub(super) enum News {
    /// Something happened.
    Entry(Box<Entry>),
    /// So many were left out here.
    Missed(u64),
    /// The supervisor was away and is back.
    Back,
    /// Nothing comes any more: the supervisor has ended, or says why it does not talk.
    Ended(Option<Failure>),
}

/// One item of the stream.
#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Entry(Box<Entry>),
    Missed { missed: u64 },
}

/// The number of the last event so far: what comes behind it is news.
pub(super) fn last_number(client: &Client) -> Result<u64, Failure> {
    let last: Vec<Entry> = client.get(&client::history(&[], Some(1)), PATIENCE)?;
    Ok(last.last().map_or(0, |entry| entry.seq))
}

/// Listens to what happens to `names` behind event `after`.
pub(super) fn listen(client: &Client, names: &[String], after: u64) -> Receiver<News> {
    let (sender, news) = mpsc::sync_channel(WAITING);
    let reader = Reader { client: client.clone(), names: names.to_vec(), after, sender };
    // Without a thread the sender is dropped, and the listener hears the end.
    let _no_thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || reader.run());
    news
}

struct Reader {
    client: Client,
    names: Vec<String>,
    after: u64,
    sender: SyncSender<News>,
}

/// How a stream came to its end.
enum Cut {
    /// The connection broke, or none could be had: a take-over, perhaps.
    Away,
    /// The supervisor ended it.
    Orderly,
    /// It refuses.
    Refused(Failure),
    /// Nobody listens to us.
    Unheard,
}

impl Reader {
    fn run(mut self) {
        let mut lost: Option<Instant> = None;
        loop {
            let cut = self.read(&mut lost);
            let patience = match cut {
                Cut::Unheard => return,
                Cut::Refused(failure) => {
                    let _unheard = self.sender.send(News::Ended(Some(failure)));
                    return;
                }
                Cut::Away => TAKE_OVER,
                Cut::Orderly => SUCCESSOR,
            };
            if lost.get_or_insert_with(Instant::now).elapsed() > patience {
                let _unheard = self.sender.send(News::Ended(None));
                return;
            }
            pause();
        }
    }

    /// Reads one stream to its end. `lost`: since when there is none.
    fn read(&mut self, lost: &mut Option<Instant>) -> Cut {
        let stream = match self.client.stream(&client::events(&self.names, Some(self.after)), SILENCE) {
            Ok(stream) => stream,
            Err(error) => return cut(error),
        };
        if lost.take().is_some() && self.sender.send(News::Back).is_err() {
            return Cut::Unheard;
        }
        for item in stream {
            let news = match item.map(|text| serde_json::from_str(&text)) {
                Ok(Ok(Item::Entry(entry))) => {
                    self.after = entry.seq;
                    News::Entry(entry)
                }
                Ok(Ok(Item::Missed { missed })) => News::Missed(missed),
                // An item of a newer version.
                Ok(Err(_)) => continue,
                Err(error) => return cut(error),
            };
            if self.sender.send(news).is_err() {
                return Cut::Unheard;
            }
        }
        Cut::Orderly
    }
}

fn cut(error: ClientError) -> Cut {
    match is_away(&error) {
        true => Cut::Away,
        false => Cut::Refused(error.into()),
    }
}
