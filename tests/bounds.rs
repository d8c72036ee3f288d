//! Bounds on time and memory with a hundred programs, ten times as wide as what is aimed at.
//!
//! They find what became worse by an order of magnitude: a look at all programs for each of them, a second slept
//! somewhere, a thread that spins. `benches/compare` has the figures; docs/benchmarks.md the last ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{Rig, Status, Yaml, pause, wait_for};
use nix::sys::signal::Signal;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAMS: usize = 100;

/// What other tests on the same processors may cost at any moment.
const BUSY: Duration = Duration::from_secs(3);

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("86400").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// How long it takes to start as many processes, and to end them, without a supervisor.
fn bare() -> (Duration, Duration) {
    let begun = Instant::now();
    let mut all: Vec<Child> = (0..PROGRAMS).map(|_| sleeper().spawn().unwrap()).collect();
    let start = begun.elapsed();
    let begun = Instant::now();
    all.iter_mut().for_each(|child| child.kill().unwrap());
    all.iter_mut().for_each(|child| assert!(!child.wait().unwrap().success()));
    (start, begun.elapsed())
}

fn hundred(rig: &Rig) -> Yaml {
    // What else happens in the folders above is nothing to wake up for here.
    let mut yaml = Yaml::new(rig).supervisor("follow_file: false");
    for number in 0..PROGRAMS {
        yaml = yaml
            .program(&format!("p{number}"), &["command: [sleep, \"86400\"]", "restart: { min_uptime: 1s }"]);
    }
    yaml
}

/// How often something is tried before it counts as too slow: what else the machine does only ever adds.
const TRIES: usize = 10;

/// One of several tries is within the bound.
#[track_caller]
fn once_at_most<T: PartialOrd + std::fmt::Debug>(what: &str, bound: T, measure: impl FnMut(usize) -> T) {
    let mut all = Vec::new();
    for took in (0..TRIES).map(measure) {
        all.push(took);
        if all.last() <= Some(&bound) {
            return;
        }
    }
    panic!("{what}: {all:?}, at most {bound:?}");
}

#[track_caller]
fn at_most(what: &str, is: Duration, bound: Duration) {
    assert!(is <= bound, "{what}: {is:?}, at most {bound:?}");
}

/// From KILL to a successor, as status tells it.
fn restart(rig: &Rig, id: &str) -> Duration {
    let before = rig.status().process_of(id);
    let begun = Instant::now();
    before.signal(Signal::SIGKILL);
    rig.until("its successor runs", |status| status.pid(id).is_some_and(|pid| pid != before.pid));
    begun.elapsed()
}

/// From the command to a new process of the changed program, all others the same.
fn reload(rig: &Rig, yaml: &Yaml, turn: usize) -> Duration {
    let before = rig.status().running();
    let id = format!("p{turn}");
    rig.save(&yaml.clone().set(&id, &format!("command: [sleep, \"{}\"]", 1000 + turn)));
    let begun = Instant::now();
    rig.sppm(&["reload"]).ok();
    let after = rig.until("the changed one is another", |status| {
        status.pid(&id).is_some_and(|pid| pid != before[&id].pid) && status.all_running()
    });
    let took = begun.elapsed();
    // An earlier turn's edit is taken back by this one: two programs may differ.
    let same = before.iter().filter(|(id, process)| after.running().get(*id) == Some(*process)).count();
    assert!(same >= PROGRAMS - 2, "{same} of {PROGRAMS} are the same processes");
    took
}

/// Keeper and supervisor.
fn own_pids(status: &Status) -> [u32; 2] {
    [status.keeper_proc().pid, status.supervisor_proc().pid]
}

/// Proportional set size of both, in KiB; `None` where the kernel does not tell it.
fn memory(status: &Status) -> Option<u64> {
    let of = |pid: u32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    own_pids(status).into_iter().map(of).sum()
}

/// How often all threads of both have begun to wait.
fn waits(status: &Status) -> u64 {
    let mut sum = 0;
    for pid in own_pids(status) {
        for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let text = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sum += line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

#[test]
fn a_hundred_programs_cost_little() {
    let (bare_start, bare_stop) = bare();
    let rig = Rig::new();
    let yaml = hundred(&rig);
    rig.save(&yaml);
    let begun = Instant::now();
    let mut supervisor = rig.run();
    let status = rig.until("all run", |status| status.running_count() == PROGRAMS);
    at_most("start", begun.elapsed(), bare_start * 25 + BUSY);

    if let Some(kib) = memory(&status) {
        assert!(kib <= 80_000, "keeper and supervisor use {kib} KiB");
    }
    once_at_most("status", Duration::from_millis(150), |_| {
        let begun = Instant::now();
        rig.sppm(&["status"]).ok();
        begun.elapsed()
    });
    // All are steady now, so that a restart comes at once.
    pause(Duration::from_millis(1200));
    once_at_most("restart", Duration::from_millis(400), |turn| restart(&rig, &format!("p{}", 50 + turn)));
    once_at_most("reload", Duration::from_millis(600), |turn| reload(&rig, &yaml, turn));

    let status = rig.status();
    pause(Duration::from_secs(2));
    once_at_most("wake-ups in three idle seconds", 3, |_| {
        let before = waits(&status);
        pause(Duration::from_secs(3));
        waits(&status) - before
    });

    let programs = rig.status().running();
    let begun = Instant::now();
    supervisor.signal(Signal::SIGTERM);
    wait_for("all have stopped", || programs.values().all(|process| !process.alive()).then_some(()));
    at_most("stop", begun.elapsed(), bare_stop * 15 + BUSY);
    assert_eq!(supervisor.end().code, Some(0));
}
