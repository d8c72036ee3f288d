//! What is still to be told. Nothing here is a copy: an item only says what to look up when it is its turn, so a slow
//! supervisor costs a few bytes per process, and always gets the latest state.

use super::link::SignalOrigin;
use super::table::Serial;
use crate::model::{Moment, Signal};
use std::collections::VecDeque;
use std::time::Duration;

/// Answers and signals that wait at once; a supervisor that floods us with claims and reads nothing loses the rest.
const MAX_LOOSE: usize = 64;

/// A supervisor that died this soon after a signal was sent to it may not have acted on it: the next gets it again. Twice is
/// better than never.
const MAY_BE_LOST: Duration = Duration::from_secs(1);

/// One thing to tell.
#[derive(Debug)]
pub(super) enum Item {
    Hello,
    Run(Serial),
    Held(String),
    TableEnd,
    Claimed,
    ClaimRefused { holder: Option<u32>, message: String },
    Signal { signal: Signal, origin: SignalOrigin },
    Strangers,
    Ping,
}

/// The queue: the greeting and the table first, then news.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    greeting: VecDeque<Item>,
    news: VecDeque<Item>,
    /// The table must wait until all that was ordered is forked.
    table_due: bool,
    loose: usize,
    strangers: bool,
    /// Signals that were sent lately.
    sent: VecDeque<(Moment, Signal, SignalOrigin)>,
}

impl Outbox {
    /// A new supervisor: only signals are kept of what was to be told to the last one.
    pub(super) fn begin(&mut self) {
        self.news.retain(|item| matches!(item, Item::Signal { .. }));
        self.loose = self.news.len();
        self.strangers = false;
        self.greeting.clear();
        self.greeting.push_back(Item::Hello);
        self.table_due = true;
    }

    /// The supervisor has ended: signals that it may not have acted on are to be told again.
    pub(super) fn recall(&mut self, now: Moment) {
        for (at, signal, origin) in std::mem::take(&mut self.sent).into_iter().rev() {
            if now.since(at) < MAY_BE_LOST && self.loose < MAX_LOOSE {
                self.news.push_front(Item::Signal { signal, origin });
                self.loose += 1;
            }
        }
    }

    pub(super) fn table_due(&self) -> bool {
        self.table_due
    }

    pub(super) fn add_table(&mut self, runs: Vec<Serial>, held: impl Iterator<Item = String>) {
        self.greeting.extend(runs.into_iter().map(Item::Run));
        self.greeting.extend(held.map(Item::Held));
        self.greeting.push_back(Item::TableEnd);
        self.table_due = false;
    }

    /// News of a run; the caller sees to it that each run waits once.
    pub(super) fn add_run(&mut self, serial: Serial) {
        self.news.push_back(Item::Run(serial));
    }

    pub(super) fn add(&mut self, item: Item) {
        if matches!(item, Item::Strangers) {
            if std::mem::replace(&mut self.strangers, true) {
                return;
            }
        } else if self.loose >= MAX_LOOSE {
            return;
        } else {
            self.loose += 1;
        }
        self.news.push_back(item);
    }

    /// What comes next.
    pub(super) fn first(&self) -> Option<&Item> {
        match self.greeting.front() {
            Some(item) => Some(item),
            None if self.table_due => None,
            None => self.news.front(),
        }
    }

    /// What comes next was told, or need not be.
    pub(super) fn done(&mut self, now: Moment) {
        if self.greeting.pop_front().is_some() {
            return;
        }
        match self.news.pop_front() {
            Some(Item::Run(_)) | None => {}
            Some(Item::Strangers) => self.strangers = false,
            Some(Item::Signal { signal, origin }) => {
                self.loose = self.loose.saturating_sub(1);
                self.sent.push_back((now, signal, origin));
                if self.sent.len() > MAX_LOOSE {
                    self.sent.pop_front();
                }
            }
            Some(_) => self.loose = self.loose.saturating_sub(1),
        }
    }
}
