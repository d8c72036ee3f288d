//! A stop ends a program with all its descendants, at its timeout at the latest; nothing starts while its predecessor's
//! tree lives; and nobody is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::processes::stat;
use common::wait::stays;
use common::{Proc, Rig, Status, Who, Yaml, processes, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Every living process whose environment says that it is of this instance.
fn members(rig: &Rig, instance: &str) -> Vec<Proc> {
    let mark = format!("SPPM_INSTANCE={instance}");
    let of_instance = |process: &Proc| {
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        environment.split(|&b| b == 0).any(|variable| variable == mark.as_bytes())
    };
    rig.processes().into_iter().filter(of_instance).collect()
}

fn who_ignores_term_is_gone_at_the_timeout_with_all_descendants(who: Who) {
    let rig = Rig::of(who);
    let yaml = Yaml::new(&rig)
        .program("stubborn", &[rig.stubborn_family(), "stop: { signal: TERM, timeout: 2s }".into()])
        .program("neighbour", &[rig.steady()]);
    rig.start_with(&yaml);
    let family = wait_for("the family is complete", || {
        let found = members(&rig, "stubborn");
        (found.len() >= 7).then_some(found)
    });
    let sessions: std::collections::BTreeSet<u32> =
        family.iter().filter_map(|process| stat(process.pid)).map(|stat| stat.session).collect();
    assert!(sessions.len() >= 2, "nobody called setsid: {sessions:?}");
    let neighbour = rig.status().process_of("neighbour");

    let start = Instant::now();
    let answer = rig.sppm(&["stop", "stubborn"]).ok();
    assert!(
        start.elapsed() >= Duration::from_millis(1900),
        "not even the timeout was given: {}",
        answer.all()
    );
    let left: Vec<String> = members(&rig, "stubborn").iter().map(Proc::describe).collect();
    assert!(left.is_empty(), "stopped, and these live:\n{}", left.join("\n"));
    assert!(family.iter().all(|process| !process.alive()));
    assert_eq!(rig.status().phase("stubborn"), "stopped");
    assert!(neighbour.alive());
    rig.sppm(&["status"]).ok();
    rig.shutdown();
}
as_everyone!(who_ignores_term_is_gone_at_the_timeout_with_all_descendants);

#[test]
fn force_gives_no_grace() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("stubborn", &[rig.stubborn_family(), "stop: { timeout: 10m }".into()]);
    rig.start_with(&yaml);
    wait_until("the family is complete", || members(&rig, "stubborn").len() >= 7);
    rig.sppm(&["stop", "--force", "stubborn"]).ok();
    assert!(members(&rig, "stubborn").is_empty());
    rig.sppm(&["start", "stubborn"]).ok();
    rig.sppm(&["shutdown", "--force"]).ok();
    rig.until_nothing_runs();
}

fn a_main_that_ends_by_itself_leaves_nobody_behind(who: Who) {
    let rig = Rig::of(who);
    let leaving = rig.actor(
        "leaving",
        "setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' &\n( ( sleep 1000 & ) & )\nsleep 1000 &\nsleep 0.5\nexit 0",
    );
    let yaml = Yaml::new(&rig)
        .program("leaving", &[leaving, "restart: never".into(), "stop: { timeout: 1s }".into()]);
    rig.save(&yaml);
    rig.sppm(&["start"]);
    rig.until("it has ended", |status| {
        status.pid("leaving").is_none() && matches!(status.phase("leaving"), "stopped" | "completed")
    });
    let left: Vec<String> = members(&rig, "leaving").iter().map(Proc::describe).collect();
    assert!(left.is_empty(), "it has ended, and these live:\n{}", left.join("\n"));
    rig.shutdown();
}
as_everyone!(a_main_that_ends_by_itself_leaves_nobody_behind);

#[test]
fn orphans_that_may_stay_do_stay() {
    let rig = Rig::new();
    let leaving = rig.actor("leaving", "setsid sleep 1000 &\nsleep 0.3\nexit 0");
    rig.save(
        &Yaml::new(&rig).program("leaving", &[leaving, "restart: never".into(), "orphans: keep".into()]),
    );
    rig.sppm(&["start"]);
    rig.until("it has ended", |status| {
        status.pid("leaving").is_none() && !matches!(status.phase("leaving"), "starting" | "running")
    });
    let kept = members(&rig, "leaving");
    assert_eq!(kept.len(), 1, "{kept:?}");
    stays("it lives on", Duration::from_secs(1), || kept[0].alive());
    rig.sppm(&["shutdown"]).ok();
    assert!(kept[0].alive(), "the shutdown took what was to be kept");
    kept[0].signal(Signal::SIGKILL);
    rig.until_nothing_runs();
}

#[test]
fn no_start_overlaps_its_predecessors_tree() {
    let rig = Rig::new();
    let crashing = rig.overlap_detector(
        "setsid sh -c 'trap \"\" TERM; sleep 1000' &\n( ( sleep 1000 & ) & )\nsleep 0.2\nexit 1",
    );
    let yaml = Yaml::new(&rig).program(
        "crashing",
        &[
            crashing,
            "instances: 2".into(),
            "restart: { delay: 10ms, max_delay: 50ms, limit: 0 }".into(),
            "stop: { timeout: 300ms }".into(),
        ],
    );
    rig.save(&yaml);
    rig.sppm(&["start", "--no-wait"]);
    rig.until("many crashes", |_| rig.starts("crashing.1").len() >= 5 && rig.starts("crashing.2").len() >= 5);
    for _ in 0..3 {
        rig.sppm(&["restart", "crashing", "--no-wait"]);
        common::pause(Duration::from_millis(400));
    }
    assert_eq!(rig.overlaps(), "", "started while the predecessor's tree lived");
    rig.shutdown();
    assert_eq!(rig.overlaps(), "");
}

#[test]
fn the_detector_of_overlaps_can_find_one() {
    let rig = Rig::new();
    rig.overlap_detector("exec sleep 0.3");
    let start = || {
        let mut command = rig.program(&rig.path("detector"));
        command.env("SPPM_INSTANCE", "x").spawn().unwrap()
    };
    let (mut one, mut two) = (start(), start());
    one.wait().unwrap();
    two.wait().unwrap();
    assert!(!rig.overlaps().is_empty());
}

#[test]
fn steps_come_in_order_with_their_pauses() {
    let rig = Rig::new();
    let noting = rig.actor(
        "noting",
        "for s in INT HUP TERM; do trap \"echo $s $(date +%s) >> $RIG/signals.txt\" $s; done\nwhile :; do sleep 0.05; done",
    );
    let steps =
        "stop: { steps: [{ signal: INT, wait: 1s }, { signal: HUP, wait: 1s }, { signal: TERM, wait: 1s }] }";
    rig.start_with(&Yaml::new(&rig).program("noting", &[noting, steps.into()]));
    common::pause(Duration::from_millis(300));
    let start = Instant::now();
    rig.sppm(&["stop", "noting"]).ok();
    let took = start.elapsed();
    let text = rig.read("signals.txt");
    let signals: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(signals, ["INT", "HUP", "TERM"]);
    assert!(took >= Duration::from_millis(2900), "KILL came after {took:?}");
    rig.shutdown();
}

#[test]
fn a_stop_command_stops() {
    let rig = Rig::new();
    let until_told = rig.actor(
        "until-told",
        "rm -f \"$RIG/enough\"\nwhile [ ! -e \"$RIG/enough\" ]; do sleep 0.05; done\necho ended by word",
    );
    let enough = rig.path("enough").display().to_string();
    let yaml = Yaml::new(&rig)
        .program("polite", &[until_told, format!("stop: {{ command: [touch, {enough}], timeout: 30s }}")]);
    rig.start_with(&yaml);
    rig.sppm(&["stop", "polite"]).ok();
    assert!(rig.log("polite").contains("ended by word"), "{}", rig.log("polite"));
    rig.shutdown();
}

#[test]
fn a_stopped_process_can_be_stopped() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("sleepy", &[rig.steady(), "stop: { timeout: 40s }".into()]));
    rig.status().process_of("sleepy").signal(Signal::SIGSTOP);
    let answer = rig.sppm(&["stop", "sleepy"]).ok();
    assert!(answer.took < Duration::from_secs(30), "CONT was not sent: {:?}", answer.took);
    rig.shutdown();
}

/// So many that they are signalled together, and continued afterwards.
#[test]
fn many_stopped_processes_can_be_stopped_at_once() {
    let rig = Rig::new();
    let patient = "stop: { timeout: 40s }";
    let yaml =
        Yaml::new(&rig).program("mains", &[rig.steady(), "instances: 80".into(), patient.into()]).program(
            "groups",
            &[rig.steady(), "instances: 80".into(), "stop: { timeout: 40s, scope: group }".into()],
        );
    rig.start_with(&yaml);
    let programs = rig.status().running();
    assert_eq!(programs.len(), 160);
    programs.values().for_each(|process| process.signal(Signal::SIGSTOP));
    let answer = rig.sppm(&["stop", "mains", "groups"]).ok();
    assert!(answer.took < Duration::from_secs(30), "CONT was not sent: {:?}", answer.took);
    rig.shutdown();
}

/// A stop is an operator's lasting wish: over a reload, over a shutdown; `start` takes it back.
#[test]
fn a_stop_lasts_until_it_is_taken_back() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("a", &[rig.steady()]).program("b", &[rig.steady()]);
    rig.start_with(&yaml);
    let answer = rig.sppm(&["stop", "a"]).ok();
    assert!(answer.all().contains("sppm start a"), "it does not say how to take it back\n{}", answer.all());
    rig.save(&yaml.clone().with("a", "description: edited"));
    rig.sppm(&["reload"]).ok();
    assert_eq!(rig.status().phase("a"), "stopped");
    rig.sppm(&["status"]).ok();
    rig.shutdown();
    let answer = rig.sppm(&["start"]).ok();
    assert!(answer.all().contains("started 1 program "), "what is held did not start\n{}", answer.all());
    assert!(answer.all().contains("a stays stopped"), "what is held is not named\n{}", answer.all());
    let status = rig.until_phase("b", "running");
    assert_eq!(status.phase("a"), "stopped", "the wish was forgotten");
    rig.sppm(&["start", "a"]).ok();
    rig.until_phase("a", "running");
    rig.sppm(&["stop", "--runtime", "b"]).ok();
    rig.shutdown();
    rig.sppm(&["start"]).ok();
    assert!(rig.until("both run", Status::all_running).all_running());
    rig.shutdown();
}

#[test]
fn restart_replaces_each_process_once() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("web", &[rig.steady(), "instances: 3".into(), "restart: { min_uptime: 300ms }".into()])
        .program("other", &[rig.steady()]);
    rig.start_with(&yaml);
    let before = rig.status();
    rig.sppm(&["restart", "web"]).ok();
    let after = rig.until("all run", Status::all_running);
    for id in ["web.1", "web.2", "web.3"] {
        assert_ne!(before.pid(id), after.pid(id), "{id} was not replaced");
        assert_eq!(rig.starts(id).len(), 2);
    }
    assert_eq!(before.pid("other"), after.pid("other"));
    rig.sppm(&["restart", "web.2"]).ok();
    let last = rig.status();
    assert_eq!(after.pid("web.1"), last.pid("web.1"));
    assert_ne!(after.pid("web.2"), last.pid("web.2"));
    rig.shutdown();
}

/// No descriptor of the supervisor or the keeper reaches a program, and no blocked or ignored signal does.
#[test]
fn a_program_starts_clean() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("looking", &["command: [sleep, '100000']"]));
    let pid = rig.status().pid("looking").unwrap();
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let mut fds: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    fds.sort();
    assert_eq!(fds, ["0", "1", "2"]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in status.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn")) {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    assert_eq!(stat(pid).unwrap().session, pid, "it has no session of its own");
    rig.shutdown();
    assert!(processes::belonging_to(rig.folder()).is_empty());
}
