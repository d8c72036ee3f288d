//! Wall time, for stamps only: no decision ever depends on it.

use crate::linux::clock;
use crate::model::Moment;
use std::time::SystemTime;

/// Turns moments into RFC 3339. Made anew for each picture, so that a clock that was set shows at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wall {
    now: Moment,
    wall: SystemTime,
}

impl Wall {
    pub(super) fn read() -> Self {
        Self { now: clock::now(), wall: SystemTime::now() }
    }

    /// RFC 3339 in UTC, with milliseconds.
    pub(super) fn stamp(&self, moment: Moment) -> String {
        let time = match moment > self.now {
            true => self.wall.checked_add(moment.since(self.now)),
            false => self.wall.checked_sub(self.now.since(moment)),
        };
        humantime::format_rfc3339_millis(time.unwrap_or(SystemTime::UNIX_EPOCH)).to_string()
    }
}

/// Now, for people: RFC 3339 in UTC, whole seconds.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Now, with milliseconds.
pub(super) fn now_millis() -> String {
    millis(SystemTime::now())
}

/// Then, with milliseconds.
pub(super) fn millis(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
