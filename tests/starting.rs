//! Launches in flight: at most `supervisor.start_concurrency` at once, the others wait and say so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::yaml::command;
use common::{Rig, Status, Yaml};
use nix::sys::signal::Signal;
use std::fs::{self, OpenOptions};

const PROGRAMS: usize = 10;

fn ten(rig: &Rig, command: &str, at_once: usize) -> Yaml {
    let yaml = Yaml::new(rig).supervisor(&format!("start_concurrency: {at_once}"));
    let restart = "restart: { delay: 50ms, max_delay: 50ms, limit: 0 }";
    (0..PROGRAMS).fold(yaml, |yaml, n| yaml.program(&format!("p{n}"), &[command, restart]))
}

fn count(status: &Status, phase: &str) -> usize {
    status.instances().filter(|instance| instance["phase"] == phase).count()
}

#[test]
fn ten_programs_start_two_at_a_time() {
    let rig = Rig::new();
    rig.start_with(&ten(&rig, &rig.steady(), 2));
    let status = rig.status();
    assert!(status.all_running(), "{:#}", status.0);
    assert_eq!(status.running_count(), PROGRAMS);
    assert!(status.instances().all(|instance| instance["restarts"] == 0), "{:#}", status.0);
    let history = rig.sppm(&["history", "p9"]).ok().stdout;
    assert!(history.contains("waits for one of 2 launches in flight"), "{history}");
    rig.shutdown();
}

/// A launch of a program that is being written is in flight for a second, and then fails.
#[test]
fn launches_that_take_long_hold_up_the_others_and_no_more_than_was_said() {
    let rig = Rig::new();
    let path = rig.path("being-written");
    fs::copy(common::tools::find(&["sleep"]).unwrap(), &path).unwrap();
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    let command = command(&[path.to_str().unwrap(), "100000"]);
    let yaml = ten(&rig, &command, 2);
    rig.save(&yaml);
    let mut supervisor = rig.run();
    let within = |most: usize| {
        move |status: &Status| {
            assert!(count(status, "starting") <= most, "{:#}", status.0);
            count(status, "starting") == most && count(status, "waiting") > 0
        }
    };
    let status = rig.until("two start and the others wait", within(2));
    let waiting = status.instances().find(|instance| instance["phase"] == "waiting").unwrap();
    assert_eq!(
        waiting["reason"],
        "waits for one of 2 launches in flight to end (supervisor.start_concurrency)"
    );
    assert_eq!((&waiting["pid"], &waiting["ready"]), (&serde_json::Value::Null, &false.into()));

    status.supervisor_proc().signal(Signal::SIGKILL);
    let first = status.supervisor_proc().pid;
    rig.until("its successor has them wait, too", |status| {
        status.supervisor("pid").as_u64() != Some(first.into()) && within(2)(status)
    });

    let mut more = yaml.clone();
    more.supervisor.retain(|line| !line.starts_with("start_concurrency"));
    rig.save(&more.supervisor("start_concurrency: 5"));
    rig.until("five start at once", |status| count(status, "starting") == 5);

    rig.sppm(&["stop", "p3", "--no-wait"]).ok();
    drop(writer);
    rig.until("all run but the one that was stopped", |status| {
        status.running_count() == PROGRAMS - 1 && status.phase("p3") == "stopped"
    });
    rig.sppm(&["shutdown"]).ok();
    assert_eq!(supervisor.end().code, Some(0));
}
