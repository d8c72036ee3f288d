//! Every way in which a program fails shows its own cause, and restart, pauses and giving up follow the policy.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::rig::is_root;
use common::wait::stays;
use common::yaml::command;
use common::{Rig, Status, Who, Yaml};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Stays failed at the first failure, so that the cause can be read at leisure.
const ONCE: &str = "restart: { policy: always, limit: 1, window: 5m, delay: 100ms, then: stay }";

fn each_launch_failure_names_its_cause(who: Who) {
    let rig = Rig::of(who);
    let missing_interpreter = rig.script("no-interpreter", "#!/no/such/interpreter -x\n");
    let no_line = rig.script("no-line", "\u{1}\u{2}neither a program nor a script\n");
    let not_executable = rig.script("not-executable", "#!/bin/sh\nexit 0\n");
    rig.chmod("not-executable", 0o644);
    rig.folder_named("a-folder");
    let folder = rig.path("a-folder").display().to_string();
    let steady = rig.steady();
    let mut cases = vec![
        ("missing", vec![command(&["/no/such/program"])], vec!["/no/such/program"]),
        ("unfound", vec![command(&["no-such-program-in-path"])], vec!["no-such-program-in-path"]),
        ("nowhere", vec![steady.clone(), "directory: /no/such/folder".into()], vec!["/no/such/folder"]),
        ("interpreter", vec![command(&[missing_interpreter])], vec!["/no/such/interpreter"]),
        ("noline", vec![command(&[no_line])], vec!["#!"]),
        ("closed", vec![command(&[not_executable])], vec!["not-executable", "permission"]),
        ("folder", vec![command(&[folder])], vec!["a-folder", "is a folder"]),
        ("stdin", vec![steady.clone(), "stdin: /no/such/input".into()], vec!["/no/such/input"]),
    ];
    if is_root() && who == Who::Own {
        cases.push((
            "stranger",
            vec![steady.clone(), "user: no-such-user-here".into()],
            vec!["no-such-user-here"],
        ));
        let locked = rig.folder_named("locked");
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o700)).unwrap();
        let line = format!("directory: {}", locked.display());
        cases.push(("locked", vec![steady, line, "user: '65534:65534'".into()], vec!["locked", "ermission"]));
    }
    let mut yaml = Yaml::new(&rig).program("healthy", &[rig.steady()]);
    for (name, lines, _) in &cases {
        yaml = yaml.program(name, lines).with(name, ONCE);
    }
    rig.save(&yaml);
    let start = rig.sppm(&["start"]);
    assert_eq!(start.code, Some(1), "{}", start.all());
    assert!(start.took < Duration::from_secs(30), "start took {:?}", start.took);
    let status = rig
        .until("each has given up", |status| cases.iter().all(|(name, _, _)| status.phase(name) == "failed"));
    for (name, _, words) in &cases {
        let reason = status.reason(name);
        for word in words {
            let lower = reason.to_lowercase();
            assert!(lower.contains(&word.to_lowercase()), "{name}: {reason:?} does not say {word:?}");
            assert!(
                start.all().to_lowercase().contains(&word.to_lowercase()),
                "{name}: start hides {word:?}\n{}",
                start.all()
            );
        }
        assert!(rig.own_log().contains(name), "the log does not know {name}");
    }
    assert_eq!(status.phase("healthy"), "running");
    rig.sppm(&["status"]).expect_code(3);
    rig.shutdown();
}
as_everyone!(each_launch_failure_names_its_cause);

#[test]
fn exits_by_code_and_by_signal_are_told_apart() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("three", &[rig.ends_with(3, "0.1"), ONCE.into()])
        .program("segv", &[rig.kills_itself("SEGV"), ONCE.into()])
        .program("kill", &[rig.kills_itself("KILL"), ONCE.into()])
        .program("fine", &[rig.ends_with(0, "0.1"), "restart: on-failure".into()]);
    rig.save(&yaml);
    rig.sppm(&["start"]);
    let status = rig.until("all have ended", |status| {
        ["three", "segv", "kill"].iter().all(|name| status.phase(name) == "failed")
            && matches!(status.phase("fine"), "completed" | "stopped")
    });
    let last = |name: &str| &status.instance(name)["last_exit"];
    assert_eq!(last("three")["code"], 3);
    assert!(last("three")["signal"].is_null());
    assert!(last("segv")["code"].is_null());
    assert!(last("segv")["signal"].to_string().contains("SEGV"), "{}", last("segv"));
    assert!(last("kill")["signal"].to_string().contains("KILL"), "{}", last("kill"));
    assert_eq!(last("fine")["code"], 0);
    assert!(status.reason("three").contains('3'), "{}", status.reason("three"));
    assert!(status.reason("segv").contains("SEGV"), "{}", status.reason("segv"));
    rig.shutdown();
}

#[test]
fn policies_decide_who_is_started_again() {
    let rig = Rig::new();
    let policy =
        |when: &str| format!("restart: {{ policy: {when}, delay: 50ms, max_delay: 100ms, limit: 0 }}");
    let mut yaml = Yaml::new(&rig);
    for code in [0, 1] {
        for when in ["always", "on-failure", "on-success", "never"] {
            yaml = yaml.program(&format!("{when}-{code}"), &[rig.ends_with(code, "0.05"), policy(when)]);
        }
    }
    yaml = yaml.program(
        "forbidden",
        &[
            rig.ends_with(7, "0.05"),
            "restart: { policy: always, delay: 50ms, limit: 0, never_codes: [7] }".into(),
        ],
    );
    yaml = yaml.program(
        "success-5",
        &[
            rig.ends_with(5, "0.05"),
            "restart: { policy: on-failure, success_codes: [5], delay: 50ms, limit: 0 }".into(),
        ],
    );
    rig.save(&yaml);
    rig.sppm(&["start"]);
    let again = ["always-0", "always-1", "on-failure-1", "on-success-0"];
    rig.until("those that are to run again do so", |_| again.iter().all(|name| rig.starts(name).len() >= 3));
    let status = rig.status();
    for name in ["on-failure-0", "on-success-1", "never-0", "never-1", "forbidden", "success-5"] {
        assert_eq!(rig.starts(name).len(), 1, "{name} was started again");
        assert!(
            !matches!(status.phase(name), "running" | "starting" | "backoff"),
            "{name}: {}",
            status.phase(name)
        );
    }
    assert_eq!(status.phase("forbidden"), "failed");
    rig.sppm(&["shutdown"]).ok();
    rig.until_nothing_runs();
}

#[test]
fn pauses_grow_and_the_limit_ends_them() {
    let rig = Rig::new();
    let line = "restart: { policy: always, delay: 200ms, factor: 2, max_delay: 10s, jitter: 0%, limit: 4, window: 5m, then: stay }";
    let stamp = rig.actor("stamp", "cut -d' ' -f1 /proc/uptime >> \"$RIG/stamps.txt\"\nexit 1");
    rig.save(&Yaml::new(&rig).program("stamp", &[stamp, line.into()]));
    let start = Instant::now();
    rig.sppm(&["start"]).expect_code(1);
    let status = rig.until_phase("stamp", "failed");
    assert!(start.elapsed() > Duration::from_millis(200 + 400 + 800), "gave up after {:?}", start.elapsed());
    let stamps: Vec<f64> = rig.read("stamps.txt").lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(stamps.len(), 5, "limit 4: the fifth failure is one too many: {stamps:?}");
    let pauses: Vec<f64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, least) in pauses.iter().zip([0.2, 0.4, 0.8, 1.6]) {
        assert!(*pause > least - 0.03, "the pauses {pauses:?} do not grow");
        assert!(*pause < least + 8.0, "the pauses {pauses:?} are too long");
    }
    let reason = status.reason("stamp");
    assert!(reason.contains('4') || reason.contains('5'), "the reason does not count: {reason:?}");
    stays("it stays failed", Duration::from_secs(2), || rig.starts("stamp").len() == 5);
    // An operator's start is a new beginning.
    rig.sppm(&["start", "stamp"]).expect_code(1);
    rig.until("it was tried again", |_| rig.starts("stamp").len() > 5);
    rig.shutdown();
}

#[test]
fn a_steady_run_resets_the_pauses() {
    let rig = Rig::new();
    let line = "restart: { policy: always, delay: 3s, jitter: 0%, min_uptime: 500ms, limit: 3, then: stay }";
    let yaml = Yaml::new(&rig).program("steady", &[rig.steady(), line.into()]);
    rig.start_with(&yaml);
    for round in 1..=6 {
        let status = rig.until_phase("steady", "running");
        common::pause(Duration::from_millis(800));
        let begun = Instant::now();
        status.process_of("steady").signal(nix::sys::signal::Signal::SIGKILL);
        rig.until("it runs again", |status| {
            status.phase("steady") == "running" && rig.starts("steady").len() > round
        });
        assert!(
            begun.elapsed() < Duration::from_millis(2500),
            "round {round}: it waited {:?}",
            begun.elapsed()
        );
    }
    assert_eq!(rig.status().restarts("steady"), 6);
    rig.shutdown();
}

#[test]
fn slow_retries_follow_where_they_are_wanted() {
    let rig = Rig::new();
    let line =
        "restart: { policy: always, delay: 50ms, jitter: 0%, limit: 1, window: 5m, then: { retry: 1s } }";
    rig.save(&Yaml::new(&rig).program("bad", &[rig.ends_with(9, "0"), line.into()]));
    rig.sppm(&["start"]).expect_code(1);
    rig.until("it is tried again and again", |_| rig.starts("bad").len() >= 4);
    rig.shutdown();
}

#[test]
fn then_shutdown_ends_the_supervisor_with_one() {
    let rig = Rig::new();
    let line = "restart: { policy: always, delay: 50ms, limit: 1, then: shutdown }";
    rig.save(
        &Yaml::new(&rig)
            .program("vital", &[rig.ends_with(9, "0.1"), line.into()])
            .program("other", &[rig.steady()]),
    );
    let mut run = rig.run();
    assert_eq!(run.end().code, Some(1));
    rig.until_nothing_runs();
}

#[test]
fn a_crash_loop_does_not_starve_its_neighbours() {
    let rig = Rig::new();
    let mut yaml = Yaml::new(&rig).program("healthy", &[rig.steady()]);
    for n in 0..30 {
        yaml = yaml.program(
            &format!("crash-{n}"),
            &["command: ['false']".to_owned(), "restart: { delay: 10ms, max_delay: 20ms, limit: 0 }".into()],
        );
    }
    rig.save(&yaml);
    rig.sppm(&["start", "--no-wait"]);
    let first = rig.until_phase("healthy", "running").process_of("healthy");
    for _ in 0..10 {
        let answer = rig.sppm(&["status", "healthy"]).ok();
        assert!(answer.took < Duration::from_secs(5), "status took {:?}", answer.took);
    }
    assert!(first.alive());
    rig.shutdown();
}

/// A program that is being written when it should start is tried again.
#[test]
fn a_program_that_is_being_deployed_is_waited_for() {
    let rig = Rig::new();
    let copy = rig.path("deployed");
    std::fs::copy("/bin/sleep", &copy).unwrap();
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let writer = std::fs::OpenOptions::new().append(true).open(&copy).unwrap();
    rig.save(
        &Yaml::new(&rig)
            .program("deployed", &[command(&[&copy.display().to_string(), "100000"]), ONCE.into()]),
    );
    let closer = std::thread::spawn(move || {
        common::pause(Duration::from_millis(400));
        drop(writer);
    });
    rig.sppm(&["start"]).ok();
    closer.join().unwrap();
    assert!(rig.until("it runs", Status::all_running).pid("deployed").is_some());
    rig.shutdown();
}

/// `start` and `restart` of what has failed, waits or is stopped begin anew; `stop` ends a pause.
#[test]
fn operators_have_the_last_word_over_failures() {
    let rig = Rig::new();
    let gate = rig.path("gate").display().to_string();
    let gated = rig.actor("gated", &format!("[ -e {gate} ] || exit 5\nexec sleep 100000"));
    let pausing = "restart: { policy: always, delay: 10m, max_delay: 10m, limit: 0 }";
    let yaml = Yaml::new(&rig)
        .program("failed", &[gated.clone(), ONCE.into()])
        .program("pausing", &[gated, pausing.into()]);
    rig.save(&yaml);
    rig.sppm(&["start"]).expect_code(1);
    rig.until_phase("failed", "failed");
    let status = rig.until_phase("pausing", "backoff");
    assert!(status.instance("pausing")["next_start_at"].is_string(), "{:#}", status.instance("pausing"));
    rig.sppm(&["stop", "pausing"]).ok();
    assert_eq!(rig.status().phase("pausing"), "stopped");
    rig.write("gate", "open");
    rig.sppm(&["restart", "failed"]).ok();
    rig.sppm(&["restart", "pausing"]).ok();
    let status = rig.status();
    assert_eq!((status.phase("failed"), status.phase("pausing")), ("running", "running"));
    assert_eq!(rig.starts("pausing").len(), 2);
    rig.shutdown();
}

/// An edit of what failed is a new beginning; an edit of another program is not.
#[test]
fn an_edit_mends_a_failed_program() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("broken", &[command(&["/no/such/program"]), ONCE.into()])
        .program("other", &[rig.steady()]);
    rig.save(&yaml);
    rig.sppm(&["start"]).expect_code(1);
    rig.until_phase("broken", "failed");
    rig.save(&yaml.clone().with("other", "description: edited"));
    rig.sppm(&["reload"]).ok();
    stays("it stays failed", Duration::from_secs(1), || rig.status().phase("broken") == "failed");
    rig.save(&yaml.set("broken", &rig.steady()));
    rig.until_phase("broken", "running");
    rig.shutdown();
}

/// Several instances are replaced one at a time, and the first that fails stops it: the others go on as they were.
#[test]
fn a_bad_edit_of_several_instances_costs_one() {
    let rig = Rig::new();
    let line = "restart: { policy: always, delay: 100ms, limit: 2, min_uptime: 500ms, then: stay }";
    let yaml = Yaml::new(&rig).program("web", &[rig.steady(), "instances: 3".into(), line.into()]);
    rig.start_with(&yaml);
    let before = rig.status();
    rig.save(&yaml.clone().set("web", &rig.ends_with(9, "0.05")));
    let failed = rig
        .until("one has failed", |status| status.instances().any(|instance| instance["phase"] == "failed"));
    stays("the others go on", Duration::from_secs(2), || rig.status().running_count() == 2);
    let kept = before.running().values().filter(|process| process.alive()).count();
    assert_eq!(kept, 2);
    assert!(
        failed.program("web")["flag"].is_string() || rig.status().program("web")["flag"].is_string(),
        "nothing is flagged"
    );
    rig.save(&yaml.set("web", "environment: { MENDED: 1 }"));
    rig.until("the mended edit is on all three", |status| {
        status.running_count() == 3
            && ["web.1", "web.2", "web.3"].iter().all(|id| status.pid(id) != before.pid(id))
    });
    rig.shutdown();
}
