//! The core's picture as the API's JSON.

use super::changes;
use super::wall::Wall;
use crate::control::wire::{InstanceDto, LastExitDto, ProgramDto, SettledDto, SettledWord};
use crate::model::{Exit, Moment, Program};
use crate::supervisor::{InstanceStatus, ProgramStatus, Settled};

pub(super) fn program(
    status: &ProgramStatus,
    spec: Option<&Program>,
    now: Moment,
    wall: &Wall,
) -> ProgramDto {
    ProgramDto {
        name: status.name.to_string(),
        desired: status.desired.as_str().to_owned(),
        phase: status.phase.as_str().to_owned(),
        ready: status.ready,
        wanted: status.wanted,
        flag: status.flag.clone(),
        instances: status.instances.iter().map(|one| instance(one, now, wall)).collect(),
        as_wanted: status.as_wanted,
        description: spec.and_then(|spec| spec.description.clone()),
        command: spec.map(changes::command),
        place: spec.map(|spec| spec.place.to_string()),
        tags: spec.map(|spec| spec.tags.clone()).unwrap_or_default(),
    }
}

fn instance(status: &InstanceStatus, now: Moment, wall: &Wall) -> InstanceDto {
    InstanceDto {
        id: status.label.to_string(),
        phase: status.phase.as_str().to_owned(),
        pid: status.pid,
        since: wall.stamp(status.since),
        uptime_s: status.started_at.map(|at| (now.since(at).as_secs_f64() * 1000.0).round() / 1000.0),
        ready: status.ready,
        healthy: None,
        busy: status.busy,
        busy_since: status.busy_since.map(|at| wall.stamp(at)),
        busy_what: None,
        restarts: status.restarts,
        last_exit: status.last_exit.map(|(exit, at)| last_exit(exit, at, wall)),
        next_start_at: status.next_start_at.map(|at| wall.stamp(at)),
        adopted: status.adopted,
        reason: status.reason.clone(),
        says: None,
        complaint: None,
    }
}

fn last_exit(exit: Exit, at: Moment, wall: &Wall) -> LastExitDto {
    let (code, signal) = match exit {
        Exit::Code(code) => (Some(code), None),
        Exit::Signal { signal, .. } => (None, Some(signal.to_string())),
        Exit::Unknown => (None, None),
    };
    LastExitDto { code, signal, at: wall.stamp(at) }
}

pub(super) fn settled(status: &InstanceStatus) -> SettledDto {
    SettledDto {
        id: status.label.to_string(),
        phase: status.phase.as_str().to_owned(),
        state: match status.settled {
            Settled::Good => SettledWord::Good,
            Settled::Bad => SettledWord::Bad,
            Settled::Moving | Settled::At(_) => SettledWord::Moving,
        },
        reason: status.reason.clone(),
    }
}
