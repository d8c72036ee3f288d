//! What the service manager above is told, in the words of sd_notify(3): that sppm works, what it takes over, and while it
//! shuts down why that lasts and that more time is needed. The keeper says it (`Order::TellAbove`).
//!
//! Without one above nothing here does anything; outside of a shutdown there is no timer.

use crate::keeper::link::{MAX_ABOVE, Order, Sender};
use crate::model::{Moment, RunId};
use crate::supervisor::Supervisor;
use std::path::Path;
use std::time::Duration;

/// So much more time is asked for at once…
const EXTENSION: Duration = Duration::from_secs(30);
/// …and so often, while a shutdown lasts: two of the askings may be lost.
const EVERY: Duration = Duration::from_secs(10);
/// Between two words on what is waited for, however often that changes.
const GAP: Duration = Duration::from_millis(100);

/// The service manager above.
pub(super) struct Above {
    /// `None`: there is none.
    keeper: Option<Sender>,
    /// The shutdown that it was told of.
    ending: Option<Ending>,
}

/// What it knows of a shutdown.
struct Ending {
    /// What it was told, or will be at the next deadline, is waited for.
    drained: Vec<RunId>,
    told_at: Moment,
    due: Moment,
}

impl Above {
    /// The one that our environment names, as it does the keeper's.
    pub(super) fn named_by_environment(keeper: &Sender) -> Self {
        let named = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { keeper: named.then(|| keeper.clone()), ending: None }
    }

    /// This supervisor works.
    pub(super) fn works(&self, core: &Supervisor, config: &Path) {
        if core.shutdown_record().is_none() {
            self.tell(&["READY=1"], || works_text(core, config));
        }
    }

    /// A changed configuration was accepted. What follows from it is no part of the reload.
    pub(super) fn reloaded(&self, now: Moment, core: &Supervisor, config: &Path) {
        if core.shutdown_record().is_none() {
            let at = format!("MONOTONIC_USEC={}", now.as_nanos() / 1000);
            self.tell(&["RELOADING=1", &at], || "takes over what was edited".to_owned());
            self.works(core, config);
        }
    }

    /// Looks whether there is something new to tell.
    pub(super) fn tick(&mut self, now: Moment, core: &Supervisor) {
        if self.keeper.is_none() || core.shutdown_record().is_none() {
            return;
        }
        let extension = format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros());
        let drained = core.drained();
        match &mut self.ending {
            None => {
                self.ending = Some(Ending { drained, told_at: now, due: now + EVERY });
                self.tell(&["STOPPING=1", &extension], || core.waits_text(now));
            }
            Some(ending) => {
                if ending.is_due(now, drained) {
                    self.tell(&[&extension], || core.waits_text(now));
                }
            }
        }
    }

    /// When there is something to tell although nothing happens.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.ending.as_ref().map(|ending| ending.due)
    }

    fn tell(&self, fields: &[&str], status: impl FnOnce() -> String) {
        let Some(keeper) = &self.keeper else { return };
        // A keeper that is gone needs no word: the loop hears of it.
        let _ = keeper.send(&Order::TellAbove { text: message(fields, &status()) });
    }
}

impl Ending {
    /// Whether to tell what is waited for now.
    fn is_due(&mut self, now: Moment, drained: Vec<RunId>) -> bool {
        if self.drained != drained {
            self.drained = drained;
            self.due = self.due.min(self.told_at + GAP);
        }
        if self.due > now {
            return false;
        }
        self.told_at = now;
        self.due = now + EVERY;
        true
    }
}

fn works_text(core: &Supervisor, config: &Path) -> String {
    let count = core.plan().map_or(0, |(_, plan)| plan.programs.len());
    format!("{count} program{} of {}", if count == 1 { "" } else { "s" }, config.display())
}

/// The fields and a status, a line each. What a program says of itself is in the status, and must not become a field of its own.
fn message(fields: &[&str], status: &str) -> String {
    let mut text = fields.join("\n");
    text.push_str("\nSTATUS=");
    for c in status.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if text.len() + c.len_utf8() > MAX_ABOVE {
            break;
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_and_the_message_not_too_long() {
        let told = message(&["READY=1", "A=2"], "crawl\nMAINPID=1\r\0 ü");
        assert_eq!(told, "READY=1\nA=2\nSTATUS=crawl MAINPID=1   ü");
        let told = message(&["STOPPING=1"], &"ü".repeat(MAX_ABOVE));
        assert!((MAX_ABOVE - 1..=MAX_ABOVE).contains(&told.len()), "{}", told.len());
    }

    #[test]
    fn it_is_told_every_ten_seconds_and_of_changes_a_moment_apart() {
        let at = |millis: u64| Moment::from_nanos(millis * 1_000_000);
        let runs = |count: u128| (0..count).map(RunId::from_bits).collect::<Vec<_>>();
        let mut ending = Ending { drained: Vec::new(), told_at: at(0), due: at(10_000) };
        assert!(!ending.is_due(at(10), runs(3)), "too early after the last word");
        assert_eq!(ending.due, at(100));
        assert!(!ending.is_due(at(50), runs(2)));
        assert!(ending.is_due(at(100), runs(2)));
        assert!(!ending.is_due(at(5_000), runs(2)), "nothing is new");
        assert!(ending.is_due(at(6_000), runs(1)), "a change after a quiet time");
        assert_eq!(ending.due, at(16_000));
        assert!(ending.is_due(at(16_000), runs(1)), "time is asked for again");
        assert!(!ending.is_due(at(16_001), runs(1)));
    }
}
