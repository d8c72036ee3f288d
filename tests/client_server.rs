//! Both clients against the real server of `SPPM_SOCKET`: what the three agree on is PROTOCOL.md, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::wait::LIMIT;
use common::{Answer, examples, tools, wait_until};
use sppm::channel::{Hub, Server};
use sppm::model::{InstanceLabel, RunId, Saying, StopKind};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Runs a program of `client_cases` as the one run of a server; answers what it printed and what it said of itself.
fn talk(mut command: Command) -> (Answer, Vec<Saying>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let (hub, run) = (Hub::default(), RunId::from_random(7));
    let said: Arc<Mutex<Vec<Saying>>> = Arc::default();
    let heard = Arc::clone(&said);
    // Each connection is idle when it says hello: only what changes counts here.
    let say = Box::new(move |_, _, saying| {
        let mut heard = heard.lock().unwrap();
        if heard.last().unwrap_or(&Saying::Idle) != &saying {
            heard.push(saying);
        }
    });
    let server = Server::start(&socket, hub.clone(), say, Box::new(|_, _| {})).unwrap();
    server.admit(run, InstanceLabel::recorded("prog"), nix::unistd::geteuid().as_raw());
    command.env_clear().env("PATH", tools::PATH).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PYTHONPATH", format!("{}/clients/python/src", examples::PROJECT));
    command.env("SPPM_RUN", run.to_string()).env("SPPM_SOCKET", &socket);
    let program = std::thread::spawn(move || finish(command, LIMIT));
    wait_until("it has subscribed", || hub.publish("t/x", "operator", "2") == Ok(1));
    wait_until("it has done a task", || said.lock().unwrap().contains(&Saying::Idle));
    server.stop_wanted(run, Some((StopKind::Restart, "the file has changed".to_owned())));
    server.tell();
    let answer = program.join().unwrap().ok();
    drop(server);
    let said = said.lock().unwrap().clone();
    (answer, said)
}

fn says_what_it_should(command: Command) {
    let (answer, said) = talk(command);
    let mut lines: Vec<&str> = answer.stdout.lines().collect();
    // The test's message may come before its own.
    lines[7..9].sort_unstable();
    let wanted = [
        "set 1",
        "get 1 7",
        "stale true",
        "change 8",
        "keys k",
        "deleted true false",
        "published 1 0",
        "message t/own prog 1",
        "message t/x operator 2",
        "published 0",
        "stop \"the file has changed\"",
    ];
    assert_eq!(lines, wanted, "{}", answer.all());
    assert_eq!(said, [Saying::Busy(Some("page 7".to_owned())), Saying::Idle]);
}

#[test]
fn the_rust_client_and_the_server_understand_each_other() {
    says_what_it_should(Command::new(examples::compile_client("tests/client_cases/talks.rs")));
}

#[test]
fn the_python_client_and_the_server_understand_each_other() {
    let Some(python) = tools::python() else { return };
    let mut command = Command::new(python);
    command.arg(format!("{}/tests/client_cases/talks.py", examples::PROJECT));
    says_what_it_should(command);
}
