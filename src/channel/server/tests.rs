//! The server over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use crate::model::{ProgramName, Slot};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

const SOON: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq)]
enum Heard {
    Said(RunId, Saying),
    Closed(RunId),
}

/// A server whose callbacks are written down.
struct Stage {
    folder: tempfile::TempDir,
    server: Server,
    hub: Hub,
    heard: Arc<(Mutex<Vec<Heard>>, Condvar)>,
}

/// One client.
struct Client {
    reader: BufReader<UnixStream>,
}

fn run(number: u128) -> RunId {
    RunId::from_random(number)
}

fn label(name: &str) -> InstanceLabel {
    InstanceLabel::of(&Slot::new(ProgramName::new(name).unwrap(), 1), false)
}

fn note(heard: &(Mutex<Vec<Heard>>, Condvar), what: Heard) {
    heard.0.lock().unwrap().push(what);
    heard.1.notify_all();
}

fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

impl Stage {
    fn new() -> Self {
        Self::with(1024)
    }

    /// Two runs may connect: `a` is 1, `b` is 2.
    fn with(seats: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub::default();
        let heard: Arc<(Mutex<Vec<Heard>>, Condvar)> = Arc::default();
        let (one, two) = (Arc::clone(&heard), Arc::clone(&heard));
        let said = Box::new(move |run, _, saying| note(&one, Heard::Said(run, saying)));
        let closed = Box::new(move |run, _| note(&two, Heard::Closed(run)));
        let server = Server::with(&folder.path().join("s"), hub.clone(), said, closed, seats).unwrap();
        server.admit(run(1), label("a"), own_uid());
        server.admit(run(2), label("b"), own_uid());
        Self { folder, server, hub, heard }
    }

    fn connect(&self) -> Client {
        let stream = UnixStream::connect(self.folder.path().join("s")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    fn client(&self, number: u128) -> Client {
        let mut client = self.connect();
        let name = if number == 1 { "a" } else { "b" };
        assert_eq!(client.ask(&format!("hello {}", run(number))), format!("ok {name}"));
        client
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.0.lock().unwrap().clone()
    }

    fn until_heard(&self, wanted: &Heard) {
        let (list, changed) = &*self.heard;
        let heard = list.lock().unwrap();
        let missing = |heard: &mut Vec<Heard>| !heard.contains(wanted);
        let (heard, _) = changed.wait_timeout_while(heard, SOON, missing).unwrap();
        assert!(heard.contains(wanted), "not heard: {wanted:?}, but {heard:?}");
    }
}

impl Client {
    fn say(&mut self, line: &str) {
        self.reader.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; empty at the end.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        // A server that closes with something unread resets the connection.
        let _reset = self.reader.read_line(&mut line);
        line.trim_end_matches('\n').to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }
}

#[test]
fn every_request_has_the_answer_of_the_protocol() {
    let stage = Stage::new();
    let (mut a, mut b) = (stage.client(1), stage.client(2));
    for (line, answer) in [
        ("ping", "ok"),
        ("get k", "none"),
        ("set k one  two", "ok 1"),
        ("get k", "value 1 one  two"),
        ("cas k 0 x", "error changed 1"),
        ("cas k 1 x", "ok 2"),
        ("set jobs/1 {}", "ok 1"),
        ("keys", "keys jobs/1 k"),
        ("keys jobs", "keys jobs/1"),
        ("keys zzz", "keys"),
        ("del k", "ok"),
        ("del k", "none"),
        ("cas k 0 again", "ok 3"),
        ("sub jobs/*", "ok"),
        ("unsub nothing", "ok"),
        ("pub other x", "ok 0"),
        ("busy page 7", "ok"),
        ("idle", "ok"),
        ("nonsense", "error usage there is no such request"),
    ] {
        assert_eq!(a.ask(line), answer, "{line}");
    }
    assert_eq!(b.ask("pub jobs/new {\"a\": 1}"), "ok 1");
    assert_eq!(a.hear(), "msg jobs/new b {\"a\": 1}");
    assert_eq!(stage.hub.publish("jobs/x", "operator", "y"), Ok(1));
    assert_eq!(a.hear(), "msg jobs/x operator y");
    assert_eq!(a.ask("unsub jobs/*"), "ok");
    assert_eq!(b.ask("pub jobs/new x"), "ok 0");
    assert_eq!(
        b.ask(&format!("set k {}", "x".repeat(60_001))),
        "error too-large 60001 bytes of data, at most 60000"
    );
    assert_eq!(b.ask("get k"), "value 3 again");
    let busy = Heard::Said(run(1), Saying::Busy(Some("page 7".into())));
    // Each is idle when it has said hello.
    let idle = |number| Heard::Said(run(number), Saying::Idle);
    assert_eq!(stage.heard(), [idle(1), idle(2), busy, idle(1)]);
}

#[test]
fn only_the_runs_own_user_and_root_may_talk() {
    let stage = Stage::new();
    stage.server.admit(run(3), label("c"), 4_000_001);
    for line in ["ping", "hello", "hello x", &format!("hello {}", run(9)), &format!("hello {} ", run(1))] {
        let mut stranger = stage.connect();
        assert!(stranger.ask(line).starts_with("error not-permitted "), "{line}");
        assert_eq!(stranger.hear(), "");
    }
    let answer = stage.connect().ask(&format!("hello {}", run(3)));
    match own_uid() {
        0 => assert_eq!(answer, "ok c"),
        _ => assert!(answer.starts_with("error not-permitted "), "{answer}"),
    }
    let mode = fs::metadata(stage.folder.path().join("s")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
}

#[test]
fn a_stop_is_told_once_to_who_waits_and_at_once_to_who_comes_later() {
    let stage = Stage::new();
    let (mut a, mut b) = (stage.client(1), stage.client(2));
    assert_eq!((a.ask("wait-stop").as_str(), b.ask("wait-stop").as_str()), ("ok", "ok"));
    stage.server.stop_wanted(run(1), Some((StopKind::Restart, "the file\nwas edited".to_owned())));
    stage.server.tell();
    assert_eq!(a.hear(), "stop restart the file was edited");
    assert_eq!((a.ask("ping").as_str(), b.ask("ping").as_str()), ("ok", "ok"));
    let mut late = stage.client(1);
    assert_eq!(late.ask("wait-stop"), "ok");
    assert_eq!(late.hear(), "stop restart the file was edited");
    stage.server.stop_wanted(run(1), None);
    stage.server.tell();
    let mut later = stage.client(1);
    assert_eq!((later.ask("wait-stop").as_str(), later.ask("ping").as_str()), ("ok", "ok"));
}

#[test]
fn a_mark_ends_with_its_connection_and_a_run_with_its_own() {
    let stage = Stage::new();
    let mut a = stage.client(1);
    assert_eq!(a.ask("busy"), "ok");
    drop(a);
    stage.until_heard(&Heard::Closed(run(1)));
    let mut idle = stage.client(2);
    assert_eq!((idle.ask("busy").as_str(), idle.ask("idle").as_str()), ("ok", "ok"));
    stage.server.dismiss(run(2));
    stage.server.tell();
    assert_eq!(idle.hear(), "");
    assert!(!stage.heard().contains(&Heard::Closed(run(2))), "it was idle");
    assert!(stage.connect().ask(&format!("hello {}", run(2))).starts_with("error not-permitted"));
}

#[test]
fn what_was_said_before_a_sudden_end_counts() {
    let stage = Stage::new();
    let mut gone = stage.connect();
    gone.say(&format!("hello {}\nset k v\nbusy x\nset k2 v2", run(1)));
    drop(gone);
    stage.until_heard(&Heard::Closed(run(1)));
    assert_eq!(stage.heard()[1], Heard::Said(run(1), Saying::Busy(Some("x".into()))));
    // Who says everything at once and nothing more hears every answer, the last line without its newline not counted.
    let mut half = stage.connect();
    let text = format!("hello {}\nget k\nget k2\nping", run(1));
    half.reader.get_mut().write_all(text.as_bytes()).unwrap();
    half.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = String::new();
    half.reader.read_to_string(&mut all).unwrap();
    assert_eq!(all, "ok a\nvalue 1 v\nvalue 1 v2\n");
}

#[test]
fn lines_come_in_pieces_and_may_be_too_long() {
    let stage = Stage::new();
    let mut a = stage.client(1);
    for piece in ["pi", "n", "g\nset k ", "a"] {
        a.reader.get_mut().write_all(piece.as_bytes()).unwrap();
        stage.server.drain(run(1));
    }
    assert_eq!(a.hear(), "ok");
    assert_eq!(a.ask("b"), "ok 1");
    let longest = format!("busy {}", "x".repeat(65_535 - 5));
    assert_eq!(a.ask(&longest), "ok");
    assert!(a.ask(&format!("{longest}x")).starts_with("error too-large "));
    assert!(a.ask(&"y".repeat(300_000)).starts_with("error too-large "), "one answer for one line");
    a.reader.get_mut().write_all(b"get \xff\n").unwrap();
    assert_eq!(a.hear(), "error usage a line is UTF-8");
    assert_eq!(a.ask("get k"), "value 1 ab");
    let mut stranger = stage.connect();
    stranger.reader.get_mut().write_all(&[b'h'; 256]).unwrap();
    assert!(stranger.hear().starts_with("error not-permitted "));
}

#[test]
fn a_drain_has_heard_everything_that_was_sent_before_it() {
    let stage = Stage::new();
    let mut a = stage.client(1);
    for number in 0..50 {
        a.say(&"beat\n".repeat(100));
        let mut new = stage.connect();
        new.say(&format!("hello {}\nbusy {number}", run(1)));
        stage.server.drain(run(1));
        let busy = Heard::Said(run(1), Saying::Busy(Some(number.to_string())));
        assert!(stage.heard().contains(&busy), "{number}");
        let beats = stage.heard().iter().filter(|heard| **heard == Heard::Said(run(1), Saying::Beat)).count();
        assert_eq!(beats, (number + 1) * 100);
        for _ in 0..101 {
            // An empty line has an answer, too.
            a.hear();
        }
    }
}

#[test]
fn who_never_reads_holds_up_nobody_and_is_told_what_it_missed() {
    let stage = Stage::new();
    let (mut slow, mut quick, mut loud) = (stage.client(1), stage.client(1), stage.client(2));
    assert_eq!((slow.ask("sub t").as_str(), quick.ask("sub t").as_str()), ("ok", "ok"));
    let data = "x".repeat(10_000);
    let published = 400;
    for number in 0..published {
        let handed = loud.ask(&format!("pub t {number} {data}"));
        assert!(["ok 1", "ok 2"].contains(&handed.as_str()), "{handed}");
        assert!(quick.hear().starts_with(&format!("msg t b {number} ")));
    }
    let (mut got, mut missed) = (0, 0);
    while got + missed < published {
        let line = slow.hear();
        match line.strip_prefix("missed ") {
            Some(count) => missed += count.parse::<u32>().unwrap(),
            None => {
                assert!(line.starts_with(&format!("msg t b {got} ")), "in order up to the gap: {line:.20}");
                got += 1;
            }
        }
    }
    assert!(missed > 100 && got > 20, "{got} {missed}");
    assert_eq!(loud.ask("pub t last"), "ok 2");
    assert_eq!((slow.hear().as_str(), quick.hear().as_str()), ("msg t b last", "msg t b last"));
    // One that asks and asks without taking an answer is not read any further.
    assert_eq!(loud.ask(&format!("set big {data}")), "ok 1");
    let deaf = stage.client(2);
    deaf.reader.get_ref().set_nonblocking(true).unwrap();
    let mut sent = 0;
    while deaf.reader.get_ref().write(&b"get big\n".repeat(1000)).is_ok() && sent < 100_000_000 {
        sent += 8000;
    }
    assert!(sent < 100_000_000);
    let start = Instant::now();
    stage.server.drain(run(2));
    assert_eq!(quick.ask("ping"), "ok");
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn a_flood_of_connections_turns_itself_away() {
    let stage = Stage::with(16);
    let mut a = stage.client(1);
    assert_eq!(a.ask("busy"), "ok");
    let strangers: Vec<Client> = (0..40).map(|_| stage.connect()).collect();
    let mut b = stage.client(2);
    assert_eq!((a.ask("ping").as_str(), b.ask("ping").as_str()), ("ok", "ok"));
    drop(strangers);
    let many: Vec<Client> = (0..10).map(|_| stage.client(1)).collect();
    assert_eq!(a.ask("ping"), "ok", "who said that it is busy goes last");
    drop(many);
    assert!(!stage.heard().contains(&Heard::Closed(run(1))));
}

#[test]
fn a_run_has_so_many_connections_and_no_more() {
    let stage = Stage::new();
    let all: Vec<Client> = (0..64).map(|_| stage.client(1)).collect();
    let mut one_more = stage.connect();
    assert!(one_more.ask(&format!("hello {}", run(1))).starts_with("error busy "));
    assert_eq!(stage.client(2).ask("ping"), "ok");
    drop(all);
    stage.server.drain(run(1));
    assert_eq!(stage.client(1).ask("ping"), "ok");
}

#[test]
fn half_lines_of_many_are_bounded_together() {
    let stage = Stage::new();
    let mut quick = stage.client(2);
    for number in 3..20 {
        stage.server.admit(run(number), label("x"), own_uid());
    }
    let mut hoarders = Vec::new();
    for number in (3..20).flat_map(|number| [number; 40]) {
        let mut client = stage.connect();
        assert_eq!(client.ask(&format!("hello {}", run(number))), "ok x");
        // The server may have closed it meanwhile.
        let _cut = client.reader.get_mut().write_all(&[b'x'; 60_000]);
        stage.server.drain(run(number));
        hoarders.push(client);
    }
    let cut = hoarders.iter_mut().filter_map(|client| {
        client.reader.get_ref().set_nonblocking(true).unwrap();
        let mut byte = [0];
        match client.reader.read(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(_) | Err(_) => Some(()),
        }
    });
    assert!(cut.count() > 300);
    assert_eq!(quick.ask("ping"), "ok");
}
