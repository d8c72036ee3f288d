//! `sppm::client` as a program has it: the crate without its default features, without any dependency, in a process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::wait::LIMIT;
use common::{Answer, examples, tools};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program of `client_cases`.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| examples::compile_client("tests/client_cases/program.rs"))
}

/// A run of it with these variables and no other `SPPM_…`.
fn run(environment: &[(&str, &Path)]) -> Answer {
    let mut command = Command::new(program());
    command.env_clear().env("PATH", tools::PATH).envs(environment.iter().copied());
    finish(command, LIMIT).ok()
}

#[test]
fn it_has_no_dependency() {
    let tree = examples::cargo_bare(&["tree", "--edges=normal,build", "--prefix=none"]).stdout;
    assert_eq!(tree.lines().count(), 1, "{tree}");
    assert!(tree.starts_with(&format!("sppm v{}", env!("CARGO_PKG_VERSION"))), "{tree}");
}

#[test]
fn alone_it_does_nothing_and_harms_nothing() {
    let answer = run(&[]);
    let wanted = [
        "supervised false, ready false",
        "idle -",
        "task -",
        "beat false, request false",
        "after -",
        "marked -",
        "store Some(\"v\")",
        "published to 0",
        "stop None",
        "another task true",
    ];
    assert_eq!(answer.stdout.lines().collect::<Vec<_>>(), wanted);
    assert_eq!(answer.stderr, "");
}

/// The supervisor's side of a socket: canned answers, and a stop for those who wait for one. Answers what was said.
fn serve(listener: &UnixListener) -> Vec<String> {
    let mut said = Vec::new();
    // The program has two connections, one of them for its stop alone.
    let mut threads = Vec::new();
    for stream in listener.incoming().take(2) {
        let mut stream = stream.unwrap();
        threads.push(std::thread::spawn(move || {
            let mut said = Vec::new();
            for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                let answer = match line.split(' ').next().unwrap() {
                    "hello" => "ok prog",
                    "get" => "value 1 v",
                    "set" => "ok 1",
                    "pub" => "ok 2",
                    "wait-stop" => "ok\nstop restart the file has changed",
                    _ => "error usage",
                };
                said.push(line);
                let _gone = stream.write_all(format!("{answer}\n").as_bytes());
            }
            said
        }));
    }
    threads.into_iter().for_each(|thread| said.extend(thread.join().unwrap()));
    said
}

#[test]
fn supervised_it_marks_says_and_hears() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("lock"), "").unwrap();
    nix::unistd::mkfifo(&path("notify"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let mut reader = options.open(path("notify")).unwrap();
    let listener = UnixListener::bind(path("socket")).unwrap();
    let server = std::thread::spawn(move || serve(&listener));
    let answer = run(&[
        ("SPPM_RUN", Path::new("00000000-0000-4000-8000-000000000001")),
        ("SPPM_LOCK", &path("lock")),
        ("SPPM_NOTIFY", &path("notify")),
        ("SPPM_SOCKET", &path("socket")),
    ]);
    let wanted = [
        "supervised true, ready true",
        "idle -",
        "task 1",
        "beat true, request true",
        "after 0",
        "marked 1",
        "store Some(\"v\")",
        "published to 2",
        "stop Some(\"the file has changed\")",
        "another task false",
    ];
    assert_eq!(answer.stdout.lines().collect::<Vec<_>>(), wanted, "{}", answer.all());
    let said = server.join().unwrap();
    let hello = "hello 00000000-0000-4000-8000-000000000001";
    assert_eq!(said, [hello, "set k v", "get k", "pub t x", hello, "wait-stop"]);
    let mut lines = String::new();
    let _empty = reader.read_to_string(&mut lines);
    // It is not the leader of its session here, so its text is not for the FIFO.
    assert_eq!(lines, "ready\nbeat\nrequest\n");
    assert_eq!(fs::read_to_string(path("lock")).unwrap().lines().nth(2), Some("0"));
}
