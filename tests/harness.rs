//! The harness itself can fail: it finds what is left behind, what does not end, and what is not so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::{Background, Proc, Rig, Who, Yaml, processes, yaml};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// Runs `body` and answers what it panicked with; fails if it did not.
fn failure(body: impl FnOnce()) -> String {
    let cause = catch_unwind(AssertUnwindSafe(body)).expect_err("this must fail");
    let text = cause.downcast_ref::<String>().cloned();
    text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[test]
fn a_process_that_is_left_behind_fails_the_test_and_is_killed() {
    let mut left = None;
    let said = failure(|| {
        let rig = Rig::new();
        let mut command = rig.program(Path::new("/bin/sh"));
        command.args(["-c", "setsid sleep 1000 >/dev/null 2>&1 &"]);
        finish(command, Duration::from_secs(20)).ok();
        left = Some(common::wait_for("it runs", || rig.processes().first().cloned()));
    });
    assert!(said.contains("survived") && said.contains("sleep"), "{said}");
    let left: Proc = left.unwrap();
    assert!(!left.alive(), "it was found and not killed");
}

#[test]
fn a_process_that_only_stands_in_the_folder_is_found() {
    let rig = Rig::new();
    let mut command = std::process::Command::new("/bin/sleep");
    command.arg("1000").current_dir(rig.folder()).env_clear();
    let child = Background::start(command, &rig.path("child"));
    common::wait_until("it is found", || rig.processes() == [child.proc()]);
}

#[test]
fn a_command_that_does_not_end_or_leaves_its_output_open_fails_the_test() {
    let rig = Rig::new();
    let shell = |line: &str| {
        let mut command = rig.program(Path::new("/bin/sh"));
        command.args(["-c", line]);
        command
    };
    let said = failure(|| {
        finish(shell("exec sleep 1000"), Duration::from_millis(300));
    });
    assert!(said.contains("did not end"), "{said}");
    let said = failure(|| {
        finish(shell("sleep 8 & exit 0"), Duration::from_secs(20));
    });
    assert!(said.contains("still holds its output"), "{said}");
    common::wait_until("nothing is left", || rig.processes().is_empty());
}

#[test]
fn a_wrong_exit_code_and_a_missing_text_fail_the_test() {
    let rig = Rig::new();
    let mut command = rig.program(Path::new("/bin/sh"));
    command.args(["-c", "echo hello; exit 3"]);
    let answer = finish(command, Duration::from_secs(20));
    assert!(failure(|| drop(answer.clone().ok())).contains("hello"));
    assert!(failure(|| drop(answer.clone().expect_text("goodbye"))).contains("goodbye"));
    answer.expect_code(3).expect_text("hello");
}

#[test]
fn a_pid_with_another_start_time_is_another_process() {
    let me = Proc::of(std::process::id()).unwrap();
    assert!(me.alive());
    assert!(!Proc { started: me.started - 1, ..me }.alive());
}

#[test]
fn an_ordinary_user_is_one() {
    let Some(who) = Who::ordinary() else { return };
    let rig = Rig::of(who);
    let mut command = rig.program(Path::new("/bin/sh"));
    command.args(["-c", "id -u; id -G; pwd; touch mine; test -x ./sppm"]);
    let answer = finish(command, Duration::from_secs(20)).ok();
    assert_eq!(answer.stdout, format!("65534\n65534\n{}\n", rig.folder().display()));
}

#[test]
fn configurations_are_written_as_meant() {
    let rig = Rig::new();
    let text = Yaml::bare()
        .program("a", &[yaml::command(&["sh", "-c", "echo \"x\""]), "umask: \"022\"".into()])
        .set("a", "umask: \"027\"")
        .with("a", "stop: INT")
        .text();
    assert_eq!(
        text,
        "programs:\n  a:\n    command: [\"sh\", \"-c\", \"echo \\\"x\\\"\"]\n    umask: \"027\"\n    stop: INT\n"
    );
    assert_eq!(Yaml::bare().text(), "programs: {}\n");
    assert!(Yaml::new(&rig).text().contains("runtime_dir"));
    assert!(processes::zombies_of(std::process::id()).len() < 100);
}
