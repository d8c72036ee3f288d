//! Hooks before a restart and before a stop.

use crate::as_everyone;
use crate::common::rig::file_says;
use crate::common::{Rig, Who, Yaml, tools, wait_until};
use crate::puppet::{events, in_order, puppet, tell, text_of, why, words};
use std::time::{Duration, Instant};

/// Notes by its name who it is, where, and with what.
const NOTES: &str = "echo \"$(basename \"$0\") $SPPM_INSTANCE $SPPM_RUN $COLOUR $(id -u) $(pwd) [$*]\" >> \"$RIG/notes.txt\"\n\
                     echo \"$(basename \"$0\") speaks\"\necho \"$(basename \"$0\") complains\" >&2";

/// A program that notes its TERM.
const HEEDS: &str = "trap 'echo \"term $SPPM_INSTANCE\" >> \"$RIG/notes.txt\"; exit 0' TERM\n";

fn hooks(rig: &Rig, text: &str) -> String {
    let (first, second) = (words(rig, "restart-hook", text), words(rig, "stop-hook", text));
    format!("hooks: {{ before_restart: {first}, before_stop: {second} }}")
}

fn hooks_run_in_their_order_as_the_program_would(who: Who) {
    let rig = Rig::of(who);
    let command = rig.actor("web", &format!("{HEEDS}echo listens\nwhile :; do sleep 0.1; done"));
    let folder = rig.folder_named("work").display().to_string();
    let mut lines = vec![command, hooks(&rig, NOTES), "environment: { COLOUR: blue }".into()];
    lines.push(format!("directory: {folder:?}"));
    let mut uid = match who {
        Who::Own => nix::unistd::geteuid().as_raw(),
        Who::Other(uid) => uid,
    };
    if uid == 0 && tools::find(&["setpriv"]).is_some() {
        // As another user than the supervisor.
        uid = 65534;
        lines.push("user: \"65534:65534\"".to_owned());
        rig.write("notes.txt", "");
        rig.chmod("notes.txt", 0o666);
        rig.write("starts.txt", "");
        rig.chmod("starts.txt", 0o666);
    }
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    wait_until("it listens", || rig.log("web").contains("listens"));
    let run =
        |n: usize| rig.read("starts.txt").lines().nth(n).unwrap().rsplit(' ').next().unwrap().to_owned();
    let first = run(0);
    rig.sppm(&["restart", "web"]).ok();
    let second = run(1);
    wait_until("it listens", || rig.log("web").matches("listens").count() == 2);
    rig.sppm(&["stop", "web"]).ok();
    let note = |name: &str, run: &str| format!("{name} web {run} blue {uid} {folder} []\n");
    let wanted = [
        note("restart-hook", &first),
        note("stop-hook", &first),
        "term web\n".to_owned(),
        note("stop-hook", &second),
        "term web\n".to_owned(),
    ];
    assert_eq!(rig.read("notes.txt"), wanted.concat());
    for text in ["restart-hook speaks", "restart-hook complains", "stop-hook speaks", "stop-hook complains"] {
        file_says(&rig.path("log/web.log"), text);
    }
    assert!(events(&rig, "web", "hook_failed").is_empty());
    rig.shutdown();
}
as_everyone!(hooks_run_in_their_order_as_the_program_would);

#[test]
fn a_stop_by_the_program_itself_and_a_shutdown_have_hooks_too() {
    let rig = Rig::new();
    let Some(command) = puppet(&rig, "web", HEEDS) else { return };
    let lines = [command, hooks(&rig, "echo \"$(basename \"$0\")\" >> \"$RIG/notes.txt\"")];
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    tell(&rig, "web", "line restart-me");
    rig.until("it was restarted", |status| status.restarts("web") == 1 && status.phase("web") == "running");
    assert_eq!(rig.read("notes.txt"), "restart-hook\nstop-hook\nterm web\n");
    rig.write("notes.txt", "");
    rig.sppm(&["shutdown"]).ok();
    assert_eq!(rig.read("notes.txt"), "stop-hook\nterm web\n");
    rig.until_nothing_runs();
}

#[test]
fn a_hook_that_takes_too_long_is_killed_and_the_stop_goes_on() {
    let rig = Rig::new();
    let hook = words(
        &rig,
        "endless",
        "trap '' TERM\necho \"$$\" > \"$RIG/hook.pid\"\nsleep 100000 &\nwhile :; do sleep 1000; done",
    );
    let lines = [rig.steady(), format!("hooks: {{ before_stop: {{ command: {hook}, timeout: 1s }} }}")];
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    let web = rig.status().process_of("web");
    let start = Instant::now();
    rig.sppm(&["stop", "web", "--no-wait"]).ok();
    rig.until_phase("web", "draining");
    let shown = text_of(&rig, "web", "reason");
    assert!(shown.contains("hooks.before_stop") || start.elapsed() > Duration::from_secs(1), "{shown}");
    rig.until_phase("web", "stopped");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(!web.alive());
    let hook: u32 = rig.read("hook.pid").trim().parse().unwrap();
    wait_until("nothing of the hook lives", || {
        rig.processes()
            .iter()
            .all(|process| process.pid != hook && !process.describe().contains("sleep 1000"))
    });
    let told = "hooks.before_stop did not end in time and was killed; the stop goes on";
    assert_eq!(events(&rig, "web", "hook_failed").last().unwrap()["text"], told);
    in_order(&why(&rig, "web"), &[told]);
    assert!(rig.own_log().contains(told));
    rig.shutdown();
}

#[test]
fn a_hook_that_fails_is_told_and_holds_nothing_up() {
    let rig = Rig::new();
    let missing = format!("[{:?}]", rig.path("nothing").display().to_string());
    let fails = words(&rig, "fails", "exit 3");
    let lines = [rig.steady(), format!("hooks: {{ before_restart: {missing}, before_stop: {fails} }}")];
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    rig.sppm(&["restart", "web"]).ok();
    let texts: Vec<String> = events(&rig, "web", "hook_failed")
        .iter()
        .map(|event| event["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        texts,
        [
            "hooks.before_restart could not be launched; the stop goes on",
            "hooks.before_stop exited with code 3; the stop goes on"
        ]
    );
    in_order(&why(&rig, "web"), &[&texts[0], &texts[1]]);
    rig.shutdown();
}

#[test]
fn force_asks_no_hook() {
    let rig = Rig::new();
    let lines =
        [rig.steady(), hooks(&rig, "echo \"$(basename \"$0\")\" >> \"$RIG/notes.txt\"; exec sleep 1000")];
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    rig.sppm(&["restart", "--force", "web"]).ok();
    rig.sppm(&["stop", "--force", "web"]).ok();
    assert_eq!(rig.read("notes.txt"), "");
    rig.sppm(&["start", "web"]).ok();
    // Also where one runs already.
    rig.sppm(&["stop", "web", "--no-wait"]).ok();
    file_says(&rig.path("notes.txt"), "stop-hook");
    rig.sppm(&["stop", "--force", "web"]).ok();
    assert_eq!(rig.status().phase("web"), "stopped");
    rig.shutdown();
}
