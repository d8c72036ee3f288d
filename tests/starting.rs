//! Launches in flight: at most `supervisor.start_concurrency` at once, the others wait and say so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::yaml::command;
use common::{Background, Rig, Status, Yaml};
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

/// Starts the supervisor with so many descriptors.
fn run_with_open_files(rig: &Rig, most: u32) -> Background {
    let mut shell = rig.program(&common::tools::find(&["sh"]).unwrap());
    shell.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" -c \"$1\" run"));
    shell.arg(rig.binary()).arg(rig.file());
    Background::start(shell, &rig.path("run"))
}

fn many(rig: &Rig, programs: usize) -> Yaml {
    let restart = "restart: { delay: 200ms, max_delay: 200ms, limit: 0 }";
    let steady = rig.steady();
    (0..programs).fold(Yaml::new(rig), |yaml, n| yaml.program(&format!("p{n}"), &[&steady, restart]))
}

#[test]
fn at_the_limit_of_open_files_the_last_ones_fail_and_sppm_does_not() {
    let rig = Rig::new();
    rig.save(&many(&rig, 60));
    let mut supervisor = run_with_open_files(&rig, 260);
    let full = rig.until("as many run as there is room for", |status| {
        status.running_count() >= 30
            && count(status, "running") + count(status, "backoff") == 60
            && status.instances().any(|instance| instance["phase"] == "backoff")
    });
    let failed = full.instances().find(|instance| instance["phase"] == "backoff").unwrap();
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("sppm may have 260 open files"), "{reason}");
    let told = rig.sppm(&["status"]).all();
    assert!(told.contains("the programs need about") && told.contains("the limit is 260"), "{told}");

    // Nothing that runs is disturbed, sppm can be asked, and what is freed is used.
    let before = full.running();
    let name = |id: &str| before.contains_key(id).then(|| id.to_owned());
    let some: Vec<String> = (0..60).filter_map(|n| name(&format!("p{n}"))).take(5).collect();
    let stop: Vec<&str> = ["stop"].into_iter().chain(some.iter().map(String::as_str)).collect();
    rig.sppm(&stop).ok();
    let after = rig.until("others take their place", |status| {
        some.iter().all(|id| status.phase(id) == "stopped")
            && status.running().keys().filter(|id| !before.contains_key(*id)).count() >= 3
    });
    assert_eq!(after.supervisor("pid"), full.supervisor("pid"));
    for (id, process) in before.iter().filter(|(id, _)| !some.contains(id)) {
        assert_eq!(after.running().get(id), Some(process), "{id}");
    }
    rig.sppm(&["shutdown"]).ok();
    assert_eq!(supervisor.end().code, Some(0));
}

#[test]
fn a_plan_that_fits_into_the_limit_of_open_files_starts_without_a_warning() {
    let rig = Rig::new();
    rig.save(&many(&rig, 30));
    let mut supervisor = run_with_open_files(&rig, 300);
    let status = rig.until("all run", |status| status.running_count() == 30);
    assert!(status.instances().all(|instance| instance["restarts"] == 0), "{:#}", status.0);
    let told = rig.sppm(&["status"]).ok().all();
    assert!(!told.contains("the limit is"), "{told}");
    rig.sppm(&["shutdown"]).ok();
    assert_eq!(supervisor.end().code, Some(0));
}
