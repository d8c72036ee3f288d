//! `working_lock:`, `ready:`, `watchdog:` and `hooks:`, and whether they can do what they say.

use super::needed;
use super::program::Scene;
use crate::config::decode::{Decoder, Setting};
use crate::config::document;
use crate::config::find::absolute;
use crate::config::folders::{INSTANCES, SOCKET_PATH_MAX};
use crate::config::position::At;
use crate::config::problem::{ProblemKind, quoted};
use crate::model::{
    Hook, Hooks, Instances, LockKind, LockPath, ProgramName, Readiness, ReadyBy, Template, WorkGate,
};
use std::path::Path;
use std::time::Duration;

/// Beats more often than this are no sign of life, but a load.
const SHORTEST_WATCHDOG: Duration = Duration::from_secs(1);

/// Each instance's sd_notify socket and working lock, in its own folder.
const NOTIFY_SOCKET: &str = "sd";
const OWN_LOCK: &str = "lock";

/// `working_lock:` in full.
pub(super) fn work(
    section: &document::WorkingLock,
    instances: Instances,
    scene: &Scene<'_>,
    cx: &mut Decoder<'_>,
) -> Option<WorkGate> {
    let document::WorkingLock { path: _, kind, on_stop, idle_for, max_busy, then } = section;
    let path = cx.within("path", |cx| lock_path(section, instances, scene, cx));
    let gate = WorkGate {
        path: path?,
        kind: needed(kind)?,
        on_stop: needed(on_stop)?,
        idle_for: needed(idle_for)?,
        max_busy: Some(needed(max_busy)?).filter(|patience| !patience.is_zero()),
        then: needed(then)?,
    };
    if gate.kind == LockKind::Flock && !gate.idle_for.is_zero() {
        let message =
            "how long a program has been idle is known by `kind: state` only, and this is `kind: flock`";
        let help = Some("remove `idle_for`, or write `kind: auto`".to_owned());
        cx.within("idle_for", |cx| cx.error(ProblemKind::Conflict, place(idle_for), message, help));
    }
    if gate.max_busy.is_none() && written(then) {
        let message = "this never comes: without `max_busy` a stop waits for the task's end for ever";
        let help = Some("say how long: `max_busy: 10m`".to_owned());
        cx.within("then", |cx| cx.warning(ProblemKind::Conflict, place(then), message, help));
    }
    Some(gate)
}

/// Where the lock is. The default written out is the default.
fn lock_path(
    section: &document::WorkingLock,
    instances: Instances,
    scene: &Scene<'_>,
    cx: &mut Decoder<'_>,
) -> Option<LockPath> {
    let text = scene.path(section.path.get()?);
    let at = place(&section.path);
    if text.ends_with('/') {
        let message = "this is a folder's path, and the lock is a file";
        cx.error(ProblemKind::Value, at, message, None);
        return None;
    }
    let plain = absolute(Path::new("/"), Path::new(&text));
    let folders = scene.fill.folders.runtime_dir.join(INSTANCES);
    if plain == folders.join("{instance}").join(OWN_LOCK) {
        return Some(LockPath::Own);
    }
    if plain.starts_with(&folders) {
        let message = format!(
            "{} is sppm's own: each run finds its folder there made anew, with nothing in it that you put there",
            quoted(&folders.display().to_string())
        );
        let help = "remove `path` for the lock that is there already, or take a path elsewhere";
        cx.error(ProblemKind::Conflict, at, message, Some(help.to_owned()));
        return None;
    }
    let path = Template::new(plain.display().to_string());
    if instances.count() > 1 && !path.differs_by_instance() {
        shared(instances.count(), section.kind.get().copied(), at, cx);
    }
    Some(LockPath::At(path))
}

/// All instances of a program have the same lock.
fn shared(count: u32, kind: Option<LockKind>, at: At, cx: &mut Decoder<'_>) {
    let help = Some("put `{instance}` or `{index}` into the path".to_owned());
    match kind {
        Some(LockKind::Flock) => {
            let message = format!(
                "all {count} instances have this one lock: only one of them can work at a time, and none while sppm holds it to stop another"
            );
            cx.warning(ProblemKind::Conflict, at, message, help);
        }
        Some(LockKind::Auto | LockKind::State) | None => {
            let message = format!(
                "all {count} instances would write this one file: what one says overwrites that another is busy"
            );
            cx.error(ProblemKind::Conflict, at, message, help);
        }
    }
}

/// `ready:` in full.
pub(super) fn ready(section: &document::Ready, cx: &mut Decoder<'_>) -> Option<Readiness> {
    let document::Ready { notify, timeout } = section;
    let ready = Readiness {
        by: if needed(notify)? { ReadyBy::Notify } else { ReadyBy::Spawn },
        timeout: needed(timeout)?,
    };
    if ready.timeout.is_zero() {
        let message = "with 0 every start would be a failed one";
        let help = Some("write how long a slow start may take, such as 30s".to_owned());
        cx.within("timeout", |cx| cx.error(ProblemKind::Value, place(timeout), message, help));
    }
    Some(ready)
}

/// `watchdog:`. Called where the path of keys is that of the program.
pub(super) fn watchdog(setting: &Setting<Duration>, cx: &mut Decoder<'_>) -> Option<Duration> {
    let Setting::Given(pause, at) = setting else { return None };
    if *pause < SHORTEST_WATCHDOG {
        let message = format!("{} is too short: at least 1s is accepted", humantime::format_duration(*pause));
        let help = pause.is_zero().then(|| "remove it, or write `watchdog: null`, for none".to_owned());
        cx.within("watchdog", |cx| cx.error(ProblemKind::Value, *at, message, help));
    }
    Some(*pause)
}

/// `hooks:` in full.
pub(super) fn hooks(section: &document::Hooks, scene: &Scene<'_>, cx: &mut Decoder<'_>) -> Option<Hooks> {
    let document::Hooks { before_stop, before_restart } = section;
    let mut one =
        |key: &str, setting: &Setting<document::Hook>| cx.within(key, |cx| hook(setting, scene, cx));
    let before_stop = one("before_stop", before_stop);
    let before_restart = one("before_restart", before_restart);
    Some(Hooks { before_stop: before_stop?, before_restart: before_restart? })
}

/// One hook: `Some(None)` where there is none, `None` after a finding was recorded.
fn hook(setting: &Setting<document::Hook>, scene: &Scene<'_>, cx: &mut Decoder<'_>) -> Option<Option<Hook>> {
    let document::Hook { command, timeout } = setting.get()?;
    if command.is_broken() || timeout.is_broken() {
        return None;
    }
    let Some(argv) = command.get() else {
        if written(setting) {
            let help = Some("write `command: [program, argument]`, or `null` for no hook".to_owned());
            cx.error(ProblemKind::Missing, place(setting), "the hook has no `command`", help);
        }
        return Some(None);
    };
    let patience = needed(timeout)?;
    if patience.is_zero() {
        let message = "with 0 it would be killed at once";
        cx.within("timeout", |cx| cx.error(ProblemKind::Value, place(timeout), message, None));
    }
    let argv = argv.0.iter().map(|word| scene.template(word)).collect();
    Some(Some(Hook { argv, timeout: patience }))
}

/// A program that speaks sd_notify(3) has a socket in each instance's folder, whose path must fit.
pub(super) fn notify_socket(
    section: &document::Program,
    name: &ProgramName,
    instances: Instances,
    scene: &Scene<'_>,
    cx: &mut Decoder<'_>,
) {
    let notify = section.ready.get().map(|ready| &ready.notify).filter(|notify| notify.get() == Some(&true));
    let (key, at) = match (notify, &section.watchdog) {
        (Some(notify), _) => ("ready", place(notify)),
        (None, Setting::Given(_, at)) => ("watchdog", *at),
        (None, Setting::Absent | Setting::Null | Setting::Broken) => return,
    };
    let label = match instances {
        Instances::Single => name.to_string(),
        // `sppm scale` may bring more, and the last has the longest name.
        Instances::Numbered(count) => format!("{name}.{}", count.max(1)),
    };
    let socket = scene.fill.folders.runtime_dir.join(INSTANCES).join(label).join(NOTIFY_SOCKET);
    let length = socket.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        let message = format!(
            "the socket for sd_notify would be {} with {length} bytes, and a socket's path has at most {SOCKET_PATH_MAX}",
            socket.display()
        );
        let help = Some("give a shorter `supervisor.runtime_dir`, or the program a shorter name".to_owned());
        cx.within(key, |cx| cx.error(ProblemKind::Value, at, message, help));
    }
}

/// Whether somebody wrote it, here or in `defaults`.
fn written<T>(setting: &Setting<T>) -> bool {
    setting.at().is_some_and(|at| at != At::whole(0))
}

fn place<T>(setting: &Setting<T>) -> At {
    setting.at().unwrap_or(At::whole(0))
}
