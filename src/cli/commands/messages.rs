//! `sppm publish` and `sppm subscribe`.

use super::{DONE, Outcome};
use crate::cli::args::{Publish, Subscribe};
use crate::cli::failure::Failure;
use crate::cli::render;
use crate::cli::session::{PATIENCE, Session};
use crate::cli::wait::{TAKE_OVER, is_away, pause};
use crate::control::client::{self, Client, Target};
use crate::control::wire::{MessageDto, PublishedDto};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// The server's keep-alive comes each 15 s: a stream that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(60);
/// An orderly end mostly is a shutdown: so long a successor is waited for.
const SUCCESSOR: Duration = Duration::from_secs(2);

pub(super) fn publish(session: &Session<'_>, args: &Publish) -> Outcome {
    let client = session.client()?;
    let body = serde_json::json!({ "topic": args.topic, "data": args.data.join(" ") });
    // Not to be given twice: a message may mean something each time.
    let published: PublishedDto = client.post(&Target::path("/v1/messages"), &body, PATIENCE)?;
    if session.terminal.json {
        session.terminal.json(&published)?;
    }
    let count = usize::try_from(published.subscribers).unwrap_or(usize::MAX);
    session.terminal.say(&format!("handed to {}", render::plural(count, "subscriber")))?;
    Ok(DONE)
}

/// One item of the stream.
#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Message(MessageDto),
    Missed { missed: u64 },
}

pub(super) fn subscribe(session: &Session<'_>, args: &Subscribe) -> Outcome {
    let client = session.client()?;
    let mut left = args.count;
    let mut lost: Option<Instant> = None;
    loop {
        let patience = match read(session, &client, args, &mut left, &mut lost) {
            Ok(true) => return Ok(DONE),
            Ok(false) => SUCCESSOR,
            Err(Cut::Away) => TAKE_OVER,
            Err(Cut::Failed(failure)) => return Err(failure),
        };
        if lost.get_or_insert_with(Instant::now).elapsed() > patience {
            session.terminal.note("note: the supervisor has ended");
            return Ok(DONE);
        }
        pause();
    }
}

enum Cut {
    /// The supervisor may be back in a moment.
    Away,
    Failed(Failure),
}

impl From<client::ClientError> for Cut {
    fn from(error: client::ClientError) -> Self {
        if is_away(&error) { Self::Away } else { Self::Failed(error.into()) }
    }
}

impl From<Failure> for Cut {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Reads one stream to its end. True: all that was wanted has come.
fn read(
    session: &Session<'_>,
    client: &Client,
    args: &Subscribe,
    left: &mut Option<u64>,
    lost: &mut Option<Instant>,
) -> Result<bool, Cut> {
    let stream = client.stream(&client::messages(&args.patterns), SILENCE)?;
    if lost.take().is_some() {
        session.terminal.note("note: connected again; what was published meanwhile is lost");
    } else if session.terminal.verbose {
        session.terminal.note("note: listening");
    }
    for item in stream {
        match serde_json::from_str(&item?) {
            Ok(Item::Message(message)) => show(session, &message)?,
            Ok(Item::Missed { missed }) => {
                tell_missed(session, missed)?;
                continue;
            }
            // An item of a newer version.
            Err(_) => continue,
        }
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn show(session: &Session<'_>, message: &MessageDto) -> Result<(), Failure> {
    if session.terminal.json {
        return session.terminal.json(message);
    }
    let MessageDto { topic, from, data } = message;
    let data = if session.terminal.on_screen() { render::visible(data) } else { data.clone() };
    session.terminal.raw(format!("{topic} {from} {data}\n").as_bytes())
}

fn tell_missed(session: &Session<'_>, missed: u64) -> Result<(), Failure> {
    if session.terminal.json {
        return session.terminal.json(&serde_json::json!({ "missed": missed }));
    }
    let messages = render::plural(usize::try_from(missed).unwrap_or(usize::MAX), "message");
    session.terminal.note(&format!("note: {messages} left out here: this reader is too slow"));
    Ok(())
}
