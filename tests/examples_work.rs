//! The examples of tasks do what they say: no stop and no restart cuts one in half, whatever they are written in.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::examples::{self, example};
use common::rig::is_root;
use common::wait::LIMIT;
use common::{Answer, Rig, Who, tools, wait_for, wait_until};
use std::fs;
use std::path::{Path, PathBuf};

/// A page takes long enough to be met in its middle.
const PAGE: &str = "0.7";

/// The Python package, readable by the rig's user.
fn with_client(rig: &mut Rig) -> PathBuf {
    let client = rig.path("client");
    examples::copy(rig, &Path::new(examples::PROJECT).join("clients/python/src"), &client);
    rig.env("CLIENT", client.to_str().unwrap());
    rig.env("PYTHONDONTWRITEBYTECODE", "1");
    rig.env("PAGE", PAGE);
    client
}

/// The tasks of a log: each `begin X` is followed by its `end X` before anything else begins.
#[track_caller]
fn tasks_are_whole(log: &str) -> usize {
    let lines = log.lines().filter(|line| line.starts_with("begin ") || line.starts_with("end "));
    let lines: Vec<&str> = lines.collect();
    for pair in lines.chunks(2) {
        let number = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
        let whole = pair.len() == 2
            && pair[0].starts_with("begin ")
            && pair[1].starts_with("end ")
            && number(pair[0]) == number(pair[1]);
        assert!(whole, "{pair:?} in\n{log}");
    }
    lines.len() / 2
}

fn count(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.starts_with(what)).count()
}

/// Whether the log's last task is in hand.
fn in_hand(log: &str) -> bool {
    count(log, "begin ") > count(log, "end ")
}

/// Waits until a task is in hand; answers how many were done before it. From then on the next end is its own, however
/// long this test is kept waiting.
fn until_in_hand(what: &str, log: impl Fn() -> String) -> usize {
    wait_for(&format!("{what} has a task in hand"), || {
        let log = log();
        in_hand(&log).then(|| count(&log, "end "))
    })
}

/// Restarts, then stops a program in the middle of a task, each time as soon as one is in hand.
fn is_never_cut(rig: &Rig, name: &str, what: bool) {
    for request in ["restart", "stop"] {
        let done = until_in_hand(name, || rig.log(name));
        let status = rig.until(&format!("{name} is busy"), |status| status.instance(name)["busy"] == true);
        if what {
            let said = status.instance(name)["busy_what"].as_str().unwrap_or_default();
            assert!(said.starts_with("page "), "{said:?}");
        }
        let pid = status.pid(name);
        rig.sppm(&[request, name]).ok();
        assert!(count(&rig.log(name), "end ") > done, "the page in hand was not finished: {}", rig.log(name));
        assert_ne!(rig.status().pid(name), pid);
    }
    tasks_are_whole(&rig.log(name));
}

#[test]
fn pages_are_never_cut_in_python_and_in_the_shell() {
    if tools::python().is_none() || tools::find_or_skip(&["flock"]).is_none() {
        return;
    }
    let mut rig = example("tasks", Who::Own);
    with_client(&mut rig);
    rig.env("SPPM", rig.binary().display().to_string().as_str());
    rig.start();
    for (name, what) in [("python", true), ("flock", false), ("notify", true), ("foreign", true)] {
        is_never_cut(&rig, name, what);
    }
    rig.shutdown();
}

#[test]
fn all_at_once_are_stopped_between_two_pages() {
    if tools::python().is_none() || tools::find_or_skip(&["flock"]).is_none() {
        return;
    }
    let mut rig = example("tasks", Who::Own);
    with_client(&mut rig);
    rig.env("SPPM", rig.binary().display().to_string().as_str());
    rig.start();
    let names = ["python", "flock", "notify", "foreign"];
    wait_until("each has a page in hand", || names.iter().all(|name| !rig.log(name).is_empty()));
    rig.shutdown();
    for name in names {
        assert!(tasks_are_whole(&rig.log(name)) >= 1, "{name} has done nothing");
    }
}

#[test]
fn pages_are_never_cut_in_rust() {
    let mut rig = example("tasks-rust", Who::Own);
    let program = examples::compile_client("examples/tasks-rust/main.rs");
    rig.env("CRAWLER", program.to_str().unwrap());
    // Each stop must come within a page, however slow the machine is: only there it is told of before it is signalled.
    rig.env("PAGE", "3");
    rig.start();
    is_never_cut(&rig, "crawler", true);
    let log = rig.log("crawler");
    assert_eq!(count(&log, "goodbye: "), 2, "it was not told of its stops: {log}");
    rig.shutdown();
}

#[test]
fn a_worker_is_replaced_between_two_requests() {
    if tools::python().is_none() {
        return;
    }
    let mut rig = example("requests", Who::Own);
    with_client(&mut rig);
    rig.start();
    let first = rig.status().pid("worker");
    for name in ["a", "b", "c", "d"] {
        // Whole at once, as a request should come.
        rig.write("draft", &format!("hello {name}"));
        fs::rename(rig.path("draft"), rig.path(&format!("example/inbox/{name}.txt"))).unwrap();
    }
    wait_until("all are answered", || rig.read("example/outbox/d.txt") == "HELLO D");
    assert_eq!(rig.read("example/outbox/a.txt"), "HELLO A");
    assert_ne!(rig.status().pid("worker"), first, "three are done: it should have been replaced");
    rig.shutdown();
    let log = rig.log("worker");
    assert_eq!(tasks_are_whole(&log), 4);
    assert!(log.contains("stop after 3"), "{log}");
}

#[test]
fn two_programs_talk_and_one_has_itself_restarted() {
    if tools::python().is_none() {
        return;
    }
    let mut rig = example("talk", Who::Own);
    with_client(&mut rig);
    rig.start();
    let first = rig.status().pid("taker");
    wait_until("a job is taken", || rig.log("giver").lines().any(|line| line.ends_with(" for 1")));
    wait_until("four jobs are done", || count(&rig.log("taker"), "end ") >= 4);
    let status = rig.until_phase("taker", "running");
    assert_ne!(status.pid("taker"), first, "it asked to be restarted after three");
    assert!(rig.log("taker").contains(" of giver"), "{}", rig.log("taker"));
    rig.shutdown();
    tasks_are_whole(&rig.log("taker"));
}

/// The user whose scripts they are: not root, whose folders would be outside of the rig.
fn somebody() -> Option<Who> {
    if is_root() { Who::ordinary() } else { Some(Who::Own) }
}

struct Script {
    rig: Rig,
    file: PathBuf,
    python: PathBuf,
}

impl Script {
    fn new(name: &str) -> Option<Self> {
        let python = tools::python()?;
        let mut rig = Rig::of(somebody()?);
        examples::copy(&rig, &examples::path("scripts"), &rig.path("scripts"));
        let client = with_client(&mut rig);
        rig.env("PYTHONPATH", client.to_str().unwrap());
        rig.env("SPPM_BIN", rig.binary().display().to_string().as_str());
        let file = rig.path(&format!("scripts/{name}.py"));
        Some(Self { rig, file, python })
    }

    fn call(&self, action: &str) -> Answer {
        let mut command = self.rig.program(&self.python);
        command.arg(&self.file).arg(action);
        finish(command, LIMIT)
    }

    /// The script's log, in its own folder below the state folder.
    fn log(&self) -> String {
        let name = self.file.file_stem().unwrap().to_str().unwrap();
        let folders = fs::read_dir(self.rig.path("s/sppm/scripts")).into_iter().flatten().flatten();
        let logs = folders.map(|folder| folder.path().join(format!("log/{name}.log")));
        logs.filter_map(|log| fs::read_to_string(log).ok()).collect()
    }

    /// Its life; `dashes` is what stands before an action.
    fn lives(&self, dashes: &str) {
        let call = |action: &str| self.call(&format!("{dashes}{action}"));
        call("start").ok();
        call("start").expect_code(1).expect_text("runs already");
        for action in ["restart", "stop"] {
            let done = until_in_hand("the script", || self.log());
            call("status").ok().expect_text("running");
            call(action).ok();
            assert!(count(&self.log(), "end ") > done, "the task in hand was not finished: {}", self.log());
        }
        tasks_are_whole(&self.log());
        call("status").expect_code(1).expect_text("does not run");
        self.rig.until_nothing_runs();
    }
}

#[test]
fn a_script_that_asks_whether_to_end_finishes_its_task() {
    let Some(script) = Script::new("foo") else { return };
    script.lives("--");
    assert_eq!(count(&script.log(), "foo says goodbye"), 2, "{}", script.log());
}

#[test]
fn a_script_of_the_older_kind_finishes_its_task() {
    let Some(script) = Script::new("bar") else { return };
    script.lives("--");
}

#[test]
fn a_daemon_finishes_its_task() {
    let Some(script) = Script::new("spider") else { return };
    script.lives("");
}

#[test]
fn a_script_in_a_hurry_is_shut_down_at_once() {
    let Some(mut script) = Script::new("foo") else { return };
    script.rig.env("PAGE", "1000");
    script.call("--start").ok();
    wait_until("a task is in hand", || in_hand(&script.log()));
    script.call("--shutdown").ok();
    assert!(in_hand(&script.log()), "{}", script.log());
    script.rig.until_nothing_runs();
}
