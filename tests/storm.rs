//! A thousand programs that fail as soon as they start: what that costs, and that the others do not feel it. Bounds are ten
//! times as wide as what is aimed at.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::yaml::command;
use common::{Proc, Rig, Status, Yaml, pause, tools};
use nix::sys::signal::Signal;
use std::fs;
use std::time::{Duration, Instant};

const LOOPS: usize = 1000;
const HEALTHY: usize = 10;

/// How often something is tried before it counts as too slow: what else the machine does only ever adds.
const TRIES: usize = 10;

fn healthy(rig: &Rig) -> Yaml {
    let steady = rig.steady();
    let entry = [steady.as_str(), "restart: { min_uptime: 1s }"];
    (0..HEALTHY).fold(Yaml::new(rig).supervisor("follow_file: false"), |yaml, n| {
        yaml.program(&format!("healthy{n}"), &entry)
    })
}

fn with_loops(yaml: Yaml) -> Yaml {
    let fails = command(&[tools::find(&["false"]).unwrap().to_str().unwrap()]);
    (0..LOOPS).fold(yaml, |yaml, n| yaml.program(&format!("loop{n}"), &[&fails]))
}

/// Processor time of keeper and supervisor so far, without that of the programs (proc_pid_stat(5), fields 14 and 15).
fn own_time(own: &[Proc]) -> Duration {
    let ticks = |process: &Proc| -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
        let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_secs(own.iter().map(ticks).sum()) / u32::try_from(per_second).unwrap()
}

/// The shortest of several.
fn shortest(mut measure: impl FnMut(usize)) -> Duration {
    let one = |turn| {
        let begun = Instant::now();
        measure(turn);
        begun.elapsed()
    };
    (0..TRIES).map(one).min().unwrap()
}

fn loops(status: &Status) -> impl Iterator<Item = &serde_json::Value> {
    status.instances().filter(|instance| instance["id"].as_str().is_some_and(|id| id.starts_with("loop")))
}

#[test]
fn a_thousand_crash_loops_cost_little_and_others_do_not_feel_them() {
    let rig = Rig::new();
    rig.start_with(&healthy(&rig));
    let before = rig.status().running();
    let alone = shortest(|_| drop(rig.sppm(&["status", "healthy3"]).ok()));

    rig.save(&with_loops(healthy(&rig)));
    rig.sppm(&["reload"]).ok();
    let status = rig.until("each has failed again and again", |status| {
        loops(status).count() == LOOPS && loops(status).all(|one| one["restarts"].as_u64() >= Some(1))
    });

    let own = [status.keeper_proc(), status.supervisor_proc()];
    let (begun, used) = (Instant::now(), own_time(&own));
    pause(Duration::from_secs(10));
    let (span, used) = (begun.elapsed(), own_time(&own) - used);
    assert!(used <= span, "{used:?} of processor time in {span:?}: the aim is a tenth");

    let bound = alone * 10 + Duration::from_millis(100);
    let with = shortest(|_| drop(rig.sppm(&["status", "healthy3"]).ok()));
    assert!(with <= bound, "status takes {with:?}, {alone:?} without the crash loops");
    let status = rig.status();
    for (id, process) in &before {
        assert!(process.alive() && status.pid(id) == Some(process.pid), "{id} was disturbed");
    }
    // A program that dies for the first time in long waits in no queue of theirs.
    let restart = shortest(|turn| {
        let id = format!("healthy{}", turn % HEALTHY);
        before[&id].signal(Signal::SIGKILL);
        rig.until("it runs again", |status| status.pid(&id).is_some_and(|pid| pid != before[&id].pid));
    });
    assert!(restart <= Duration::from_secs(4), "a restart takes {restart:?}");
    rig.shutdown();
}
