//! What programs say of themselves, by whichever way, on the threads that hear it: what is only remembered goes to its place at once,
//! so that whoever waits for it to be heard can look there; what needs a decision goes to the inbox.

use super::channel::{Ticket, Turnstile};
use super::inbox::{Inbox, Message};
use crate::channel::Hub;
use crate::linux::clock;
use crate::model::{InstanceLabel, Moment, RunId, Saying};
use crate::talk::{Heard, Way};
use crate::work::{Board, Mark};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What needs a decision is passed on so often per run and second; the rest is counted. Nobody needs more.
const MOST_PER_SECOND: u32 = 20;
/// The longest text that is remembered, in bytes.
const LONGEST_TEXT: usize = 200;

/// The common ear of all ways.
#[derive(Debug, Clone)]
pub(super) struct Hearing {
    board: Board,
    hub: Hub,
    inbox: Inbox,
    turnstile: Turnstile,
    speakers: Arc<Mutex<BTreeMap<RunId, Speaker>>>,
}

/// What is remembered of a run that may speak.
#[derive(Debug)]
struct Speaker {
    label: InstanceLabel,
    /// `None`: none yet, as with most.
    words: Option<Box<Words>>,
    second: Moment,
    in_second: u32,
}

/// What a run has said for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Words {
    /// What it does, by its own account.
    pub(super) status: Option<String>,
    /// How much nobody understood, and the last of it.
    pub(super) unknown: Option<(u64, String)>,
    /// How much was left out since it came too fast.
    pub(super) dropped: u64,
    /// What keeps others from seeing whether it is busy.
    pub(super) trouble: Option<String>,
}

impl Words {
    /// What is wrong with the way in which it talks or is looked at, in one sentence.
    pub(super) fn complaint(&self) -> Option<String> {
        let unknown = self.unknown.as_ref().map(|(count, last)| match count {
            1 => format!("1 line that nobody understands: {last}"),
            many => format!("{many} lines that nobody understands, last: {last}"),
        });
        let dropped = (self.dropped > 0).then(|| format!("{} dropped, too many at once", self.dropped));
        let all: Vec<String> = [self.trouble.clone(), unknown, dropped].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Speaker {
    fn words(&mut self) -> &mut Words {
        self.words.get_or_insert_default()
    }
}

impl Hearing {
    pub(super) fn new(board: Board, hub: Hub, inbox: Inbox, turnstile: Turnstile) -> Self {
        Self { board, hub, inbox, turnstile, speakers: Arc::default() }
    }

    /// A run may speak from now on.
    pub(super) fn begin(&self, run: RunId, label: &InstanceLabel) {
        let speaker = Speaker { label: label.clone(), words: None, second: Moment::default(), in_second: 0 };
        self.speakers().insert(run, speaker);
    }

    /// A run is over.
    pub(super) fn end(&self, run: RunId) {
        self.speakers().remove(&run);
    }

    /// What people call it.
    pub(super) fn label(&self, run: RunId) -> Option<InstanceLabel> {
        self.speakers().get(&run).map(|speaker| speaker.label.clone())
    }

    /// What it has said for people.
    pub(super) fn words(&self, run: RunId) -> Words {
        self.speakers().get(&run).and_then(|speaker| speaker.words.as_deref().cloned()).unwrap_or_default()
    }

    /// It cannot be seen whether a run is busy.
    pub(super) fn trouble(&self, run: RunId, text: String) {
        self.note(run, |words| words.trouble = Some(text));
    }

    /// Heard in a FIFO or by sd_notify(3).
    pub(super) fn hears(&self, run: RunId, heard: Heard) {
        let mark = match heard.way {
            Way::Line => Mark::Line,
            Way::Notify { .. } => Mark::Notify,
        };
        self.takes(run, mark, heard.saying);
    }

    /// Said by a run, in this way.
    pub(super) fn takes(&self, run: RunId, mark: Mark, saying: Saying) {
        let now = clock::now();
        match saying {
            Saying::Busy(what) => self.board.busy(run, mark, what.map(shortened), now),
            Saying::Idle => self.board.idle(run, mark, now),
            Saying::Beat => self.board.beat(run, now),
            // Counted where programs are recycled by it.
            Saying::Request => {}
            // Nothing said is nothing to show.
            Saying::Status(text) => {
                self.note(run, |words| words.status = Some(shortened(text)).filter(|text| !text.is_empty()));
            }
            Saying::Unknown(text) => self.note(run, |words| {
                let count = words.unknown.as_ref().map_or(0, |(count, _)| *count);
                words.unknown = Some((count + 1, shortened(text)));
            }),
            // Told as what it does: nobody decides by it.
            Saying::Reloading => {
                self.note(run, |words| words.status = Some("rereads its configuration".into()))
            }
            Saying::Stopping => self.note(run, |words| words.status = Some("is about to end".into())),
            // Main is whom we launched: its end is the run's.
            Saying::MainPid(_) => {}
            Saying::Publish { topic, data } => self.publish(run, &topic, &data),
            Saying::RestartMe(why) => self.pass_on(run, Saying::RestartMe(why.map(shortened)), now),
            Saying::StopMe(why) => self.pass_on(run, Saying::StopMe(why.map(shortened)), now),
            Saying::Ready | Saying::Stuck | Saying::BeatEvery(_) | Saying::Extend(_) => {
                self.pass_on(run, saying, now);
            }
        }
    }

    fn publish(&self, run: RunId, topic: &str, data: &str) {
        let Some(label) = self.label(run) else { return };
        if self.hub.publish(topic, label.as_str(), data).is_err() {
            self.note(run, |words| words.dropped += 1);
        }
    }

    fn pass_on(&self, run: RunId, saying: Saying, now: Moment) {
        let Some(ticket) = self.ticket(run, now) else { return };
        self.inbox.send(Message::Said { run, saying, ticket });
    }

    fn ticket(&self, run: RunId, now: Moment) -> Option<Ticket> {
        let mut speakers = self.speakers();
        let speaker = speakers.get_mut(&run)?;
        if now.since(speaker.second) >= Duration::from_secs(1) {
            speaker.second = now;
            speaker.in_second = 0;
        }
        speaker.in_second += 1;
        if speaker.in_second > MOST_PER_SECOND {
            speaker.words().dropped += 1;
            return None;
        }
        drop(speakers);
        Some(self.turnstile.pass())
    }

    fn note(&self, run: RunId, change: impl FnOnce(&mut Words)) {
        if let Some(speaker) = self.speakers().get_mut(&run) {
            change(speaker.words());
        }
    }

    /// Whoever panicked while holding the lock has changed a speaker's words or not: both are fine.
    fn speakers(&self) -> MutexGuard<'_, BTreeMap<RunId, Speaker>> {
        self.speakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shortened(mut text: String) -> String {
    let end = (0..=LONGEST_TEXT.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}
