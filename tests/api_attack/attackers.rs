//! Clients as they should not be.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often connections that were cut are made again.
const PACE: Duration = Duration::from_millis(200);

/// The environment variable that tells a client which is to be killed where to connect.
const SOCKET: &str = "SPPM_TEST_SOCKET";

/// Makes room for thousands of sockets in this process.
pub(super) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    assert!(limit.maximum.is_none_or(|most| most >= 2048), "too few descriptors for this test: {limit:?}");
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

fn post(path: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// What a client says at once, and what it says again and again; none of them ever reads.
pub(super) fn kinds() -> Vec<(&'static str, Vec<u8>, &'static [u8])> {
    vec![
        ("idle", Vec::new(), b""),
        ("half a head", b"GET /v1/status HTTP/1.1\r\nhos".to_vec(), b""),
        ("half a body", post("/v1/stop", 400, b"{\"names\": [\"vic"), b""),
        ("a byte at a time", b"GET /".to_vec(), b"x"),
        ("garbage, pipelined", [0xf3, 0x00, b'\n', 0x80].repeat(1000), b""),
        (
            "not UTF-8",
            [get("/v1/status?name=%ff%fe"), get("/v1/\u{fe}"), post("/v1/stop", 4, b"\xff\xfe\xff\xfe")]
                .concat(),
            b"",
        ),
        ("deep JSON", post("/v1/stop", 60_000, &b"[".repeat(60_000)), b""),
        (
            "sixteen thousand names",
            post("/v1/stop", 64_002, &[b"{\"names\": [".to_vec(), b"\"a\",".repeat(15_998)].concat()),
            b"",
        ),
        ("status, a hundred times", get("/v1/status").repeat(100), b""),
        ("history", get("/v1/history?lines=all"), b""),
        ("why", get("/v1/why/victim"), b""),
        ("events", get("/v1/events?after=0"), b""),
        ("logs", get("/v1/logs?follow=true&lines=100"), b""),
        ("whole logs", get("/v1/logs?follow=true&lines=all"), b""),
        ("waits", get("/v1/settle?wait_ms=30000&name=victim"), b""),
        ("edits", get("/v1/diff"), b""),
    ]
}

/// A thread that goes on until it is stopped.
pub(super) struct Attack {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome>,
}

/// What an attacker got.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Connections that were made.
    pub(super) made: u64,
    /// Those of them that were held and were cut.
    pub(super) cut: u64,
    /// How often a look at one that was held found that it had been served.
    pub(super) served: u64,
    /// The most bytes that were taken on one of them; only of requests without an end.
    pub(super) taken: u64,
}

impl Attack {
    fn start(work: impl Fn(&AtomicBool) -> Outcome + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || work(&told)) }
    }

    pub(super) fn end(self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }

    /// So many connections, made again where they are cut.
    pub(super) fn hold(socket: &Path, count: usize, hello: Vec<u8>, drip: &'static [u8]) -> Self {
        let socket = socket.to_owned();
        Self::start(move |stop| {
            let (mut held, mut outcome) = (Vec::new(), Outcome::default());
            while !stop.load(Ordering::SeqCst) {
                while held.len() < count && !stop.load(Ordering::SeqCst) {
                    let Some(stream) = say(&socket, &hello) else { break };
                    held.push(stream);
                    outcome.made += 1;
                }
                std::thread::sleep(PACE);
                outcome.served += held.iter().filter(|stream| is_served(stream)).count() as u64;
                let before = held.len();
                held.retain(|stream| {
                    (&*stream).write(drip).map_or_else(is_full, |_| true) && !is_cut(stream)
                });
                outcome.cut += (before - held.len()) as u64;
            }
            outcome
        })
    }

    /// Requests without an end, one after the other: a gigabyte of `piece` behind `head`.
    pub(super) fn endless(socket: &Path, head: Vec<u8>, piece: Vec<u8>) -> Self {
        let socket = socket.to_owned();
        Self::start(move |stop| {
            let mut outcome = Outcome::default();
            while !stop.load(Ordering::SeqCst) {
                if let Ok(stream) = UnixStream::connect(&socket) {
                    outcome.made += 1;
                    outcome.taken = outcome.taken.max(pour(stream, &head, &piece) as u64);
                }
                std::thread::sleep(PACE);
            }
            outcome
        })
    }

    /// Processes with connections of all kinds that are killed in the middle.
    pub(super) fn killed(socket: &Path) -> Self {
        let socket = socket.to_owned();
        Self::start(move |stop| {
            let mut outcome = Outcome::default();
            while !stop.load(Ordering::SeqCst) {
                kill_a_client(&socket);
                outcome.made += 1;
                std::thread::sleep(PACE);
            }
            outcome
        })
    }
}

/// Says `head` and a gigabyte of `piece`; how much of the latter was taken, to the byte.
fn pour(mut stream: UnixStream, head: &[u8], piece: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut sent = 0;
    if stream.write_all(head).is_ok() {
        while sent < 1 << 30 {
            match stream.write(&piece[sent % piece.len()..]) {
                Ok(count) if count > 0 => sent += count,
                _ => break,
            }
        }
    }
    sent
}

/// A connection on which `hello` was said, as far as there was room for it.
fn say(socket: &PathBuf, hello: &[u8]) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_nonblocking(true).ok()?;
    let _as_far_as_it_goes = stream.write(hello);
    Some(stream)
}

fn is_full(error: std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock
}

fn is_cut(stream: &UnixStream) -> bool {
    let mut one = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut one, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

/// Whether an answer has come that is no refusal; it stays where it is.
fn is_served(stream: &UnixStream) -> bool {
    let mut first = [0; 12];
    let count = recv(stream.as_raw_fd(), &mut first, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
    count.is_ok() && first == *b"HTTP/1.1 200"
}

fn kill_a_client(socket: &Path) {
    let mut client = Command::new(std::env::current_exe().unwrap());
    client.args(["--exact", "attackers::a_client_that_is_killed", "--ignored", "--nocapture"]);
    client.env(SOCKET, socket).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = client.spawn().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("connected"))), "it never connected");
    client.kill().unwrap();
    client.wait().unwrap();
}

/// Runs in a process of its own: connects, says something of each kind, and waits to be killed.
#[test]
#[ignore = "started by a_siege_delays_nothing_and_costs_little"]
fn a_client_that_is_killed() {
    let socket = PathBuf::from(std::env::var_os(SOCKET).unwrap());
    let held: Vec<_> = kinds().into_iter().filter_map(|(_, hello, _)| say(&socket, &hello)).collect();
    assert!(!held.is_empty(), "nothing can be reached");
    println!("connected");
    // Without the one who kills it, it ends by itself.
    let _end = std::io::stdin().lines().count();
    drop(held);
}
