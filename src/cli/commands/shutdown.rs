//! `sppm shutdown`: returns when supervisor and keeper are gone.

use super::{DONE, Outcome, order};
use crate::cli::args::Shutdown;
use crate::cli::session::{PATIENCE, Session};
use crate::cli::wait::{Watch, seconds};
use crate::control::client::{Client, ClientError, status};
use crate::control::wire::StatusDto;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::OwnedFd;

pub(super) fn shutdown(session: &Session<'_>, args: &Shutdown) -> Outcome {
    let client = session.client()?;
    let keeper = keeper(&client);
    let accepted = order(&client, "/v1/shutdown", &serde_json::json!({ "force": args.force }), true)?;
    let mut took = None;
    if !args.waiting.no_wait {
        let mut watch = Watch::new(session, &client, "shutdown", &args.waiting);
        watch.end()?;
        await_end(keeper);
        took = Some(watch.took());
    }
    match (session.terminal.json, took) {
        (true, _) => session.terminal.json(&accepted)?,
        (false, Some(took)) => session.terminal.say(&format!("sppm has ended, after {}", seconds(took)))?,
        (false, None) => session.terminal.say("shutdown accepted")?,
    }
    Ok(DONE)
}

/// A handle on the keeper, so that we return when it is gone too and `sppm start` finds a free place.
fn keeper(client: &Client) -> Option<OwnedFd> {
    let answer: Result<StatusDto, ClientError> = client.get(&status(&[]), PATIENCE);
    let pid = i32::try_from(answer.ok()?.supervisor.keeper_pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Waits for the keeper's end: a moment after the socket's. Bounded, should the pid be of another namespace.
fn await_end(keeper: Option<OwnedFd>) {
    let Some(keeper) = keeper else { return };
    let bound = Timespec { tv_sec: 5, tv_nsec: 0 };
    let _gone_or_late = poll(&mut [PollFd::new(&keeper, PollFlags::IN)], Some(&bound));
}
