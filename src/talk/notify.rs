//! Messages of sd_notify(3): assignments, one a line.

use super::text::beginning;
use crate::model::Saying;
use std::time::Duration;

/// The longest message, in bytes; service managers of this kind take no longer ones.
pub const MAX_MESSAGE: usize = 4096;

/// Variables that have a meaning for others and none here. Those that begin with `X_` are for anybody's own use.
const OF_OTHERS: &[&str] = &[
    "ERRNO",
    "BUSERROR",
    "VARLINKERROR",
    "EXIT_STATUS",
    "NOTIFYACCESS",
    "MONOTONIC_USEC",
    "MAINPIDFD",
    "MAINPIDFDID",
    "FDSTORE",
    "FDSTOREREMOVE",
    "FDNAME",
    "FDPOLL",
    "RESTART_RESET",
];

/// What a message says, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Everything but the barrier.
    pub(super) sayings: Vec<Saying>,
    /// Its descriptor is to be closed when all that was sent before has been heard.
    pub(super) barrier: bool,
}

/// Reads a message. `X_SPPM_TASK` says what a task is wherever in the message it stands.
pub(super) fn message(bytes: &[u8]) -> Message {
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.split(['\n', '\0']).filter(|line| !line.trim().is_empty());
    let task = lines().find_map(|line| line.strip_prefix("X_SPPM_TASK="));
    let task = task.map(str::trim).filter(|task| !task.is_empty()).map(str::to_owned);
    let mut message = Message::default();
    for line in lines() {
        match assignment(line, task.as_ref()) {
            Said::Something(saying) => message.sayings.push(saying),
            Said::Barrier => message.barrier = true,
            Said::Nothing => {}
            Said::Unknown => message.sayings.push(Saying::Unknown(beginning(line.as_bytes()))),
        }
    }
    message
}

enum Said {
    Something(Saying),
    Barrier,
    Nothing,
    Unknown,
}

fn assignment(line: &str, task: Option<&String>) -> Said {
    let Some((name, value)) = line.split_once('=') else { return Said::Unknown };
    let value = value.trim();
    let span = || value.parse().ok().map(Duration::from_micros);
    let saying = match (name, value) {
        ("BARRIER", "1") => return Said::Barrier,
        ("READY", "1") => Some(Saying::Ready),
        ("RELOADING", "1") => Some(Saying::Reloading),
        ("STOPPING", "1") => Some(Saying::Stopping),
        ("STATUS", text) => Some(Saying::Status(text.to_owned())),
        ("WATCHDOG", "1") => Some(Saying::Beat),
        ("WATCHDOG", "trigger") => Some(Saying::Stuck),
        ("WATCHDOG_USEC", _) => span().map(Saying::BeatEvery),
        ("EXTEND_TIMEOUT_USEC", _) => span().map(Saying::Extend),
        ("MAINPID", _) => pid(value).map(Saying::MainPid),
        ("X_SPPM_BUSY", "1") => Some(Saying::Busy(task.cloned())),
        ("X_SPPM_BUSY", "0") => Some(Saying::Idle),
        ("X_SPPM_TASK", _) => return Said::Nothing,
        (name, _) if name.starts_with("X_SPPM_") => None,
        (name, _) if name.starts_with("X_") || OF_OTHERS.contains(&name) => return Said::Nothing,
        (_, _) => None,
    };
    saying.map_or(Said::Unknown, Said::Something)
}

fn pid(text: &str) -> Option<u32> {
    text.parse::<i32>().ok().filter(|pid| *pid > 0).and_then(|pid| u32::try_from(pid).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<Saying> {
        message(text.as_bytes()).sayings
    }

    #[test]
    fn every_assignment_is_understood() {
        let micros = Duration::from_micros;
        assert_eq!(
            said("READY=1\nSTATUS=working hard\n"),
            [Saying::Ready, Saying::Status("working hard".to_owned())]
        );
        assert_eq!(said("RELOADING=1\nMONOTONIC_USEC=17"), [Saying::Reloading]);
        assert_eq!(said("STOPPING=1"), [Saying::Stopping]);
        assert_eq!(said("WATCHDOG=1"), [Saying::Beat]);
        assert_eq!(said("WATCHDOG=trigger"), [Saying::Stuck]);
        assert_eq!(said("WATCHDOG_USEC=20000000"), [Saying::BeatEvery(micros(20_000_000))]);
        assert_eq!(said("EXTEND_TIMEOUT_USEC=5"), [Saying::Extend(micros(5))]);
        assert_eq!(said("MAINPID=4711"), [Saying::MainPid(4711)]);
        assert_eq!(said("X_SPPM_BUSY=1"), [Saying::Busy(None)]);
        assert_eq!(said("X_SPPM_BUSY=1\nX_SPPM_TASK=page 7"), [Saying::Busy(Some("page 7".to_owned()))]);
        assert_eq!(said("X_SPPM_TASK=page 7\nX_SPPM_BUSY=1"), [Saying::Busy(Some("page 7".to_owned()))]);
        assert_eq!(said("X_SPPM_BUSY=0\n"), [Saying::Idle]);
        assert_eq!(message(b"BARRIER=1"), Message { sayings: Vec::new(), barrier: true });
    }

    #[test]
    fn what_is_for_others_is_passed_over_and_the_rest_is_counted() {
        assert_eq!(said("FDSTORE=1\nFDNAME=x\nERRNO=2\nX_ANY=1\n\n"), []);
        for unknown in [
            "READY=0",
            "ready",
            "WATCHDOG=2",
            "MAINPID=0",
            "MAINPID=-1",
            "MAINPID=99999999999",
            "WATCHDOG_USEC=1s",
            "EXTEND_TIMEOUT_USEC=-1",
            "X_SPPM_BUSY=2",
            "X_SPPM_NEW=1",
            "BARRIER=2",
            "NEW=1",
        ] {
            assert_eq!(said(unknown), [Saying::Unknown(unknown.to_owned())]);
        }
        assert_eq!(said(""), []);
        assert_eq!(message(b"STATUS=\xff").sayings, [Saying::Status("\u{fffd}".to_owned())]);
    }
}
