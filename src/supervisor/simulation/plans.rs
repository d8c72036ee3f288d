//! Plans and edits of plans.

use super::dice::{Dice, Kind, Swarm, weighted};
use crate::model::{
    ApiSettings, Command, ExitMatch, Folders, FollowFile, GiveUp, Hook, Hooks, Inherit, Instances, Limits,
    LogSink, Logs, Mode, OnStop, Orphans, PastMaxBusy, PerMille, Place, Plan, Program, ProgramName,
    Readiness, ReadyBy, RestartPolicy, RestartWhen, Signal, StartConcurrency, StderrSink, StopBy, StopPolicy,
    StopScope, StopStep, SupervisorSettings, Template, WorkGate,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(in crate::supervisor) const NAMES: [&str; 6] = ["api", "batch", "cache", "db", "edge", "feed"];

pub(in crate::supervisor) fn name(text: &str) -> ProgramName {
    ProgramName::new(text).unwrap()
}

/// A plan without programs.
pub(in crate::supervisor) fn empty_plan() -> Plan {
    let folder = |name: &str| PathBuf::from(format!("/x/{name}"));
    Plan {
        supervisor: SupervisorSettings {
            name: "sppm".to_owned(),
            folders: Folders { runtime_dir: folder("run"), state_dir: folder("lib"), log_dir: folder("log") },
            pid_file: folder("pid"),
            follow_file: FollowFile { enabled: true, debounce: Duration::from_millis(200) },
            start_concurrency: StartConcurrency::new(64).unwrap(),
            shutdown_timeout: Duration::from_secs(20),
            api: ApiSettings { mode: Mode(0o660), group: None },
        },
        programs: BTreeMap::new(),
        disabled: BTreeMap::new(),
    }
}

/// What `programs: { NAME: { command: NAME } }` gives, with shorter times.
pub(in crate::supervisor) fn program(text: &str) -> Program {
    Program {
        name: name(text),
        place: Place { file: Arc::new(PathBuf::from("/x/sppm.yaml")), line: 1 },
        command: Command::Exec(vec![Template::new(text)]),
        argv0: None,
        directory: Template::new("/x"),
        user: None,
        umask: Mode(0o022),
        environment: BTreeMap::new(),
        inherit_environment: Inherit::All,
        stdin: None,
        description: None,
        tags: Vec::new(),
        autostart: true,
        priority: 100,
        instances: Instances::Single,
        restart: RestartPolicy {
            when: RestartWhen::Always,
            success_codes: vec![ExitMatch::Code(0), ExitMatch::Signal(Signal::TERM)],
            never_codes: vec![ExitMatch::Code(78)],
            delay: Duration::from_millis(500),
            factor: PerMille(2000),
            max_delay: Duration::from_secs(10),
            jitter: PerMille(100),
            min_uptime: Duration::from_secs(5),
            limit: 3,
            window: Duration::from_secs(60),
            then: GiveUp::Retry(Duration::from_secs(30)),
        },
        stop: StopPolicy {
            by: StopBy::Signals(vec![StopStep { signal: Signal::TERM, wait: Duration::from_secs(10) }]),
            scope: StopScope::Main,
        },
        orphans: Orphans::Kill,
        logs: Logs {
            stdout: LogSink::Discard,
            stderr: StderrSink::WithStdout,
            max_size: crate::model::ByteSize(1000),
            max_files: 3,
        },
        limits: Limits::default(),
        work: WorkGate::default(),
        ready: Readiness::default(),
        watchdog: None,
        hooks: Hooks::default(),
    }
}

/// A plan of these programs.
pub(in crate::supervisor) fn plan_of(programs: impl IntoIterator<Item = Program>) -> Arc<Plan> {
    let mut plan = empty_plan();
    plan.programs = programs.into_iter().map(|spec| (spec.name.clone(), Arc::new(spec))).collect();
    Arc::new(plan)
}

fn any_policy(dice: &mut Dice, swarm: &Swarm) -> RestartPolicy {
    let mut pick = |of: &[u64]| dice.pick(Kind::Plan, of);
    let base = program("x").restart;
    let policy = RestartPolicy {
        delay: Duration::from_millis(pick(&[0, 100, 1000])),
        max_delay: Duration::from_millis(pick(&[1000, 10_000])),
        min_uptime: Duration::from_millis(pick(&[0, 500, 2000, 5000])),
        limit: pick(&[0, 1, 2, 3, 3]) as u32,
        window: Duration::from_secs(pick(&[2, 20, 200])),
        ..base
    };
    let whens = [
        RestartWhen::Always,
        RestartWhen::Always,
        RestartWhen::OnFailure,
        RestartWhen::OnSuccess,
        RestartWhen::Never,
    ];
    let retry = GiveUp::Retry(Duration::from_secs(pick(&[1, 30])));
    let then = match dice.percent(Kind::Plan, swarm.fatal) {
        true => GiveUp::Shutdown,
        false if dice.percent(Kind::Plan, 50) => GiveUp::Stay,
        false => retry,
    };
    RestartPolicy { when: dice.pick(Kind::Plan, &whens), then, ..policy }
}

fn any_stop(dice: &mut Dice) -> StopPolicy {
    let mut wait = || Duration::from_millis(dice.pick(Kind::Plan, &[0, 100, 1000, 10_000]));
    let (first, second) = (wait(), wait());
    let by = match dice.below(Kind::Plan, 4) {
        0 => StopBy::Command { argv: vec![Template::new("stop-it")], timeout: first },
        1 => StopBy::Signals(vec![
            StopStep { signal: Signal::INT, wait: first },
            StopStep { signal: Signal::TERM, wait: second },
        ]),
        _ => StopBy::Signals(vec![StopStep { signal: Signal::TERM, wait: first }]),
    };
    let scopes = [StopScope::Main, StopScope::Group, StopScope::Tree];
    StopPolicy { by, scope: dice.pick(Kind::Plan, &scopes) }
}

fn any_instances(dice: &mut Dice, swarm: &Swarm) -> Instances {
    match dice.percent(Kind::Plan, swarm.several) {
        true => Instances::Numbered(dice.pick(Kind::Plan, &[0, 1, 2, 2, 3, 3, 4])),
        false => Instances::Single,
    }
}

fn any_concurrency(dice: &mut Dice) -> StartConcurrency {
    StartConcurrency::new(dice.pick(Kind::Plan, &[1, 1, 2, 3, 5, 64])).unwrap()
}

fn any_command(dice: &mut Dice, text: &str) -> Command {
    let version = dice.below(Kind::Plan, 4);
    Command::Exec(vec![Template::new(text), Template::new(version.to_string())])
}

fn any_hook(dice: &mut Dice, swarm: &Swarm) -> Option<Hook> {
    let wanted = dice.percent(Kind::Plan, swarm.watched / 2);
    wanted.then(|| Hook { argv: vec![Template::new("hook")], timeout: dice.millis(Kind::Plan, 500, 3000) })
}

fn any_program(dice: &mut Dice, swarm: &Swarm, text: &str) -> Program {
    let work = WorkGate {
        max_busy: dice.percent(Kind::Plan, 50).then(|| dice.millis(Kind::Plan, 500, 20_000)),
        on_stop: dice.pick(Kind::Plan, &[OnStop::Wait, OnStop::Wait, OnStop::Signal]),
        then: dice.pick(Kind::Plan, &[PastMaxBusy::Kill, PastMaxBusy::Signal, PastMaxBusy::Keep]),
        ..WorkGate::default()
    };
    Program {
        command: any_command(dice, text),
        autostart: dice.percent(Kind::Plan, 85),
        priority: dice.below(Kind::Plan, 3) as i32,
        instances: any_instances(dice, swarm),
        restart: any_policy(dice, swarm),
        stop: any_stop(dice),
        orphans: if dice.percent(Kind::Plan, 80) { Orphans::Kill } else { Orphans::Keep },
        work,
        ready: Readiness {
            by: if dice.percent(Kind::Plan, swarm.watched) { ReadyBy::Notify } else { ReadyBy::Spawn },
            timeout: dice.millis(Kind::Plan, 1000, 9000),
        },
        watchdog: dice.percent(Kind::Plan, swarm.watched).then(|| Duration::from_secs(10)),
        hooks: Hooks { before_stop: any_hook(dice, swarm), before_restart: any_hook(dice, swarm) },
        ..program(text)
    }
}

pub(super) fn any_plan(dice: &mut Dice, swarm: &Swarm) -> Arc<Plan> {
    let mut plan = empty_plan();
    plan.supervisor.start_concurrency = any_concurrency(dice);
    plan.supervisor.shutdown_timeout = dice.millis(Kind::Plan, 500, 30_000);
    for text in NAMES {
        let favourite = swarm.favourite.is_some_and(|index| NAMES[index] == text);
        if dice.percent(Kind::Plan, 50) || favourite {
            plan.programs.insert(name(text), Arc::new(any_program(dice, swarm, text)));
        }
    }
    Arc::new(plan)
}

/// A name, mostly the favourite one.
pub(super) fn any_name(dice: &mut Dice, swarm: &Swarm, kind: Kind) -> &'static str {
    let any = dice.pick(kind, &NAMES);
    let favours = dice.percent(kind, 70);
    swarm.favourite.filter(|_| favours).map_or(any, |index| NAMES[index])
}

/// Kinds of edits; the weights of the swarm are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    Command,
    Policy,
    Stop,
    Instances,
    Autostart,
    Priority,
    Orphans,
    Concurrency,
    Add,
    Remove,
}

const EDITS: [Edit; 10] = [
    Edit::Command,
    Edit::Policy,
    Edit::Stop,
    Edit::Instances,
    Edit::Autostart,
    Edit::Priority,
    Edit::Orphans,
    Edit::Concurrency,
    Edit::Add,
    Edit::Remove,
];

/// One to three edits of `plan`, and what they were.
pub(super) fn edited(dice: &mut Dice, swarm: &Swarm, plan: &Plan) -> (Arc<Plan>, String) {
    let mut next = plan.clone();
    let mut story = String::new();
    for _ in 0..=dice.below(Kind::Plan, 3) {
        let Some(kind) = weighted(dice, Kind::Plan, &swarm.edits) else { continue };
        let text = any_name(dice, swarm, Kind::Plan);
        story += &format!(" {:?} of {text};", EDITS[kind]);
        edit(dice, swarm, &mut next, EDITS[kind], text);
    }
    // Where an entry stands is no difference.
    for spec in next.programs.values_mut() {
        let spec = Arc::make_mut(spec);
        spec.place.line = spec.place.line % 7 + 1;
    }
    (Arc::new(next), story)
}

fn edit(dice: &mut Dice, swarm: &Swarm, plan: &mut Plan, kind: Edit, text: &str) {
    if kind == Edit::Concurrency {
        plan.supervisor.start_concurrency = any_concurrency(dice);
        return;
    }
    if kind == Edit::Add {
        let spec = any_program(dice, swarm, text);
        plan.programs.entry(name(text)).or_insert_with(|| Arc::new(spec));
        return;
    }
    if kind == Edit::Remove {
        let gone = plan.programs.remove(&name(text));
        // Sometimes under another name: gone here, new there.
        if let (Some(spec), true) = (gone, dice.percent(Kind::Plan, 30)) {
            let other = dice.pick(Kind::Plan, &NAMES);
            let renamed = Program { name: name(other), ..(*spec).clone() };
            plan.programs.entry(name(other)).or_insert_with(|| Arc::new(renamed));
        }
        return;
    }
    let Some(spec) = plan.programs.get_mut(&name(text)) else { return };
    let spec = Arc::make_mut(spec);
    match kind {
        Edit::Command => spec.command = any_command(dice, text),
        Edit::Policy => spec.restart = any_policy(dice, swarm),
        Edit::Stop => spec.stop = any_stop(dice),
        Edit::Instances => spec.instances = any_instances(dice, swarm),
        Edit::Autostart => spec.autostart = !spec.autostart,
        Edit::Priority => spec.priority = dice.below(Kind::Plan, 3) as i32,
        Edit::Orphans => {
            spec.orphans = if spec.orphans == Orphans::Kill { Orphans::Keep } else { Orphans::Kill };
        }
        Edit::Concurrency | Edit::Add | Edit::Remove => {}
    }
}
