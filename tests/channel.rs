//! Programs talk with each other and with operators, over the real client, the real socket and a killed supervisor.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::rig::file_says;
use common::yaml::command;
use common::{Background, Rig, Who, Yaml, tools, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Puts the Python client where every user can read it. `None`: there is no Python here.
fn client(rig: &Rig) -> Option<String> {
    let python = tools::python()?;
    rig.folder_named("py");
    rig.folder_named("py/sppm");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python/src/sppm");
    for entry in fs::read_dir(source).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_file() {
            rig.write(&format!("py/sppm/{name}"), &fs::read_to_string(entry.path()).unwrap());
        }
    }
    Some(python.display().to_string())
}

/// A program in Python that uses the client.
fn program(rig: &Rig, python: &str, name: &str, text: &str) -> Vec<String> {
    rig.write(&format!("{name}.py"), text);
    let script = rig.path(&format!("{name}.py")).display().to_string();
    let path = rig.path("py").display().to_string();
    vec![command(&[python, "-u", &script]), format!("environment: {{ PYTHONPATH: {path:?} }}")]
}

/// Answers everything under `ping/` under `pong/`, and counts it in the store.
const ANSWERS: &str = "
from sppm import publish, subscribe, shared
messages = subscribe('ping/*')
print('listening')
for message in messages:
    count = shared.change('count', lambda n: n + 1, 0)
    publish(message.topic.replace('ping', 'pong'), {'to': message.sender, 'data': message.data, 'count': count})
";

/// Asks until it is answered once, then waits.
const ASKS: &str = "
import time
from sppm import publish, subscribe
answers = subscribe('pong/asks')
while publish('ping/asks', ['a b', 7]) == 0:
    time.sleep(0.05)
answer = answers.get(timeout=30)
print('answered', answer.sender, answer.data['to'], answer.data['data'])
while True:
    time.sleep(1000)
";

fn two_programs_and_an_operator_talk_and_go_on_when_the_supervisor_is_killed(who: Who) {
    let rig = Rig::of(who);
    let Some(python) = client(&rig) else { return };
    let yaml = Yaml::new(&rig)
        .program("answers", &program(&rig, &python, "answers", ANSWERS))
        .program("asks", &program(&rig, &python, "asks", ASKS));
    rig.start_with(&yaml);
    file_says(&rig.path("log/asks.log"), "answered answers asks ['a b', 7]");
    let count = rig.sppm(&["kv", "get", "count"]).ok();
    assert!(count.stdout.trim().parse::<u32>().unwrap() >= 1, "{}", count.stdout);

    let mut listener = listen(&rig, &["pong/op"], "op");
    let said = rig.sppm(&["publish", "ping/op", "hello", "there"]).ok();
    assert_eq!(said.stdout, "handed to 1 subscriber\n");
    listener.wait_for_text("pong/op answers {\"to\":\"operator\",\"data\":\"hello there\"");
    let json: serde_json::Value =
        serde_json::from_str(&rig.sppm(&["publish", "nobody", "x", "--json"]).ok().stdout).unwrap();
    assert_eq!(json, serde_json::json!({ "subscribers": 0 }));

    rig.sppm(&["kv", "set", "kept", "yes"]).ok();
    let before = rig.status();
    before.supervisor_proc().signal(Signal::SIGKILL);
    // The listener is there again by itself, and so is the program.
    let start = Instant::now();
    wait_until("the program hears again", || {
        rig.sppm(&["publish", "ping/op", "again"]).stdout.contains("handed to 1 ")
    });
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    listener.wait_for_text("connected again");
    wait_until("and is heard", || {
        rig.sppm(&["publish", "ping/op", "again"]).ok();
        listener.stdout().contains("\"again\"")
    });
    let after = rig.status();
    assert_eq!(before.running(), after.running(), "the same processes");
    rig.sppm(&["kv", "list", "kept"]).ok().expect_text("kept     1  yes");
    drop(listener);
    rig.shutdown();
    assert!(!rig.path("r/talk.sock").exists());
}
as_everyone!(two_programs_and_an_operator_talk_and_go_on_when_the_supervisor_is_killed);

/// `sppm subscribe`, once it listens.
fn listen(rig: &Rig, patterns: &[&str], name: &str) -> Background {
    let words: Vec<&str> = ["subscribe", "-v"].iter().chain(patterns).copied().collect();
    let mut listener = Background::start(rig.command(&words), &rig.path(name));
    listener.wait_for_text("listening");
    listener
}

#[test]
fn operators_use_the_store_and_none_of_several_changes_is_lost() {
    let rig = Rig::new();
    let Some(python) = client(&rig) else { return };
    let adds = "
import sppm
for _ in range(150):
    sppm.shared.change('sum', lambda n: n + 1, 0)
print('done')
sppm.wait_stop()
";
    let yaml =
        Yaml::new(&rig).program("adds", &program(&rig, &python, "adds", adds)).with("adds", "instances: 3");
    rig.start_with(&yaml);
    // The fourth that adds is an operator.
    for _ in 0..20 {
        loop {
            let found = rig.sppm(&["kv", "get", "sum", "--json"]);
            let (sum, version) = match found.code {
                Some(4) => (0, 0),
                _ => {
                    let one: serde_json::Value = serde_json::from_str(&found.ok().stdout).unwrap();
                    (one["data"].as_str().unwrap().parse().unwrap(), one["version"].as_u64().unwrap())
                }
            };
            let next: u64 = sum + 1;
            let set =
                rig.sppm(&["kv", "set", "sum", &next.to_string(), "--if-version", &version.to_string()]);
            match set.code {
                Some(0) => break,
                Some(1) => assert!(set.stderr.contains("error: the key has version "), "{}", set.all()),
                _ => panic!("{}", set.all()),
            }
        }
    }
    for index in 1..=3 {
        file_says(&rig.path(&format!("log/adds.{index}.log")), "done");
    }
    assert_eq!(rig.sppm(&["kv", "get", "sum"]).ok().stdout, "470\n");
    rig.sppm(&["kv", "set", "jobs/next", "{\"url\": 1}"]).ok().expect_text("jobs/next is set, version 1");
    rig.sppm(&["kv", "set", "jobs/next", "x", "--if-version", "0"]).expect_code(1);
    let list = rig.sppm(&["kv", "list"]).ok();
    assert_eq!(list.stdout, "jobs/next     1  {\"url\": 1}\nsum         470  470\n");
    rig.sppm(&["kv", "del", "jobs/next", "--if-version", "7"]).expect_code(1);
    rig.sppm(&["kv", "del", "jobs/next", "--if-version", "1"]).ok();
    rig.sppm(&["kv", "del", "jobs/next"]).expect_code(4).expect_text("there is no key `jobs/next`");
    rig.sppm(&["kv", "set", "no name", "x"]).expect_code(2);
    rig.sppm(&["publish", "t*", "x"]).expect_code(2);
    rig.shutdown();
}

#[test]
fn a_subscriber_that_is_too_slow_is_told_what_it_missed_and_holds_up_nobody() {
    let rig = Rig::new();
    let Some(python) = client(&rig) else { return };
    let loud = "
import sppm
sppm.subscribe('go').get()
for n in range(2000):
    sppm.publish('flood', {'n': n, 'text': 'x' * 2000})
print('published')
sppm.publish('quiet', 'the end')
sppm.wait_stop()
";
    rig.start_with(&Yaml::new(&rig).program("loud", &program(&rig, &python, "loud", loud)));
    let mut slow = listen(&rig, &["flood", "later"], "slow");
    let mut quick = listen(&rig, &["quiet"], "quick");
    slow.signal(Signal::SIGSTOP);
    wait_until("it begins", || rig.sppm(&["publish", "go", "now"]).ok().stdout.contains("to 1 "));
    file_says(&rig.path("log/loud.log"), "published");
    quick.wait_for_text("quiet loud \"the end\"");
    slow.signal(Signal::SIGCONT);
    slow.wait_for_text("left out here: this reader is too slow");
    let missed: usize = wait_for("how many", || {
        let text = slow.stderr();
        let line = text.lines().find(|line| line.contains("left out here"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    });
    wait_until("the rest", || slow.stdout().lines().count() + missed == 2000);
    rig.sppm(&["publish", "later", "x"]).ok().expect_text("handed to 1 subscriber");
    slow.wait_for_text("later operator x");
    drop((slow, quick));
    rig.shutdown();
}

#[test]
fn a_command_under_busy_marks_the_program_around_it_also_over_a_take_over() {
    for shell in ["/bin/sh", "/bin/bash"] {
        if !Path::new(shell).exists() {
            tools::skipped(&format!("no {shell} here"));
            continue;
        }
        let rig = Rig::new();
        let binary = rig.binary().display().to_string();
        let body = format!(
            "#!{shell}\n\"{binary}\" busy --what 'two steps' -- sh -c 'echo working; read x < \"$RIG/pipe\"; exit 7'\n\
             echo \"ended with $?\"\nexec sleep 100000\n"
        );
        let script = rig.script("work", &body);
        nix::unistd::mkfifo(&rig.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        rig.start_with(&Yaml::new(&rig).program("work", &[command(&[script])]));
        file_says(&rig.path("log/work.log"), "working");
        let marked = |status: &common::status::Status| {
            status.instances().all(|one| one["busy"] == true && one["busy_what"] == "two steps")
        };
        assert!(marked(&rig.status()), "before the command begins: {:?}", rig.status());
        let before = rig.status().supervisor_proc();
        before.signal(Signal::SIGKILL);
        rig.until("another supervisor is there", |status| status.supervisor_proc() != before);
        assert!(marked(&rig.status()), "it is remembered: {:?}", rig.status());
        // Whoever had only remembered it would know better by then.
        std::thread::sleep(Duration::from_secs(3));
        assert!(marked(&rig.status()), "it is said again: {:?}", rig.status());
        fs::write(rig.path("pipe"), "go\n").unwrap();
        file_says(&rig.path("log/work.log"), "ended with 7");
        rig.until("the mark is gone", |status| status.instances().all(|one| one["busy"] == false));
        rig.shutdown();
    }
}

#[test]
fn busy_runs_its_command_wherever_it_is_and_passes_signals_on() {
    let mut rig = Rig::new();
    let answer = rig.bare(&["busy", "--", "sh", "-c", "echo out; exit 3"]).expect_code(3);
    assert_eq!(answer.stdout, "out\n");
    assert_eq!(answer.stderr.lines().count(), 1, "{}", answer.stderr);
    rig.bare(&["-q", "busy", "--", "no-such-command"]).expect_code(127);
    rig.bare(&["-q", "busy", "--", "/dev/null"]).expect_code(126);
    rig.bare(&["-q", "busy", "--", "sh", "-c", "kill -9 $$"]).expect_code(137);
    rig.bare(&["busy"]).expect_code(2);
    // A supervisor that is gone, or does not know us, keeps nothing from being done.
    rig.env("SPPM_RUN", "00000000-0000-4000-8000-000000000001");
    rig.env("SPPM_SOCKET", &rig.path("nothing").display().to_string());
    rig.bare(&["busy", "--", "true"]).ok().expect_text("runs without the mark");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        let text = "trap 'echo got; exit 5' TERM INT HUP USR1; echo ready; while :; do sleep 0.05; done";
        let mut command = rig.program(rig.binary());
        command.args(["-q", "busy", "--", "sh", "-c", text]);
        let mut busy = Background::start(command, &rig.path("busy"));
        busy.wait_for_text("ready");
        busy.signal(signal);
        let ended = busy.end().expect_code(5);
        assert_eq!(ended.stdout, "ready\ngot\n", "{signal}");
    }
    // One that handles nothing dies of it: no mask and no handler of ours is its own.
    let mut command = rig.program(rig.binary());
    command.args(["-q", "busy", "--", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut busy = Background::start(command, &rig.path("busy"));
    busy.wait_for_text("ready");
    busy.signal(Signal::SIGTERM);
    busy.end().expect_code(143);
    // And what is ignored stays so.
    let text = "trap '' HUP; exec \"$0\" -q busy -- sh -c 'echo ready; sleep 0.5; kill -HUP $$; exit 4'";
    let mut command = rig.program(Path::new("/bin/sh"));
    command.args(["-c", text]).arg(rig.binary());
    let mut busy = Background::start(command, &rig.path("nohup"));
    busy.wait_for_text("ready");
    busy.signal(Signal::SIGHUP);
    busy.end().expect_code(4);
}
