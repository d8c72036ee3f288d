//! A supervisor's side of `$SPPM_SOCKET`, in memory, to the letter of PROTOCOL.md: for tests.

use super::wire::matches;
use super::{Channel, locked};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const RUN: &str = "00000000-0000-4000-8000-000000000001";

/// Longer than anything here takes.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct Fake {
    world: Arc<World>,
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct World {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// What was said to it.
    pub(super) lines: Vec<String>,
    peers: BTreeMap<usize, Peer>,
    greeted: usize,
    store: BTreeMap<String, (u64, String)>,
    versions: HashMap<String, u64>,
    /// By first word: instead of the right answer, once. `None`: hang up.
    pub(super) answers: HashMap<String, Option<String>>,
    stop: Option<String>,
}

struct Peer {
    stream: UnixStream,
    patterns: Vec<String>,
    busy: Option<String>,
    waits: bool,
}

impl State {
    /// The texts of the busy marks that are there.
    pub(super) fn busy(&self) -> Vec<String> {
        self.peers.values().filter_map(|peer| peer.busy.clone()).collect()
    }

    pub(super) fn subscribed(&self, pattern: &str) -> bool {
        self.peers.values().any(|peer| peer.patterns.iter().any(|own| own == pattern))
    }

    pub(super) fn connections(&self) -> usize {
        self.peers.len()
    }

    fn answer(&mut self, id: usize, line: &str) -> String {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let peer = self.peers.get_mut(&id).unwrap();
        match word {
            "sub" => peer.patterns.push(rest.to_owned()),
            "unsub" => peer.patterns.retain(|pattern| pattern != rest),
            "busy" => peer.busy = Some(rest.to_owned()),
            "idle" => peer.busy = None,
            "wait-stop" => peer.waits = true,
            "pub" => return format!("ok {}", self.publish(id, first, more)),
            "get" => {
                let found = self.store.get(rest);
                return found.map_or("none".into(), |(version, data)| format!("value {version} {data}"));
            }
            "set" => return self.set(first, more),
            "cas" => {
                let (version, data) = more.split_once(' ').unwrap();
                let now = self.store.get(first).map_or(0, |(version, _)| *version);
                if version.parse() != Ok(now) {
                    return format!("error changed {now}");
                }
                return self.set(first, data);
            }
            "del" => return if self.store.remove(rest).is_some() { "ok".into() } else { "none".into() },
            "keys" => {
                let keys = self.store.keys().filter(|key| key.starts_with(rest));
                return keys.fold("keys".to_owned(), |line, key| line + " " + key);
            }
            _ => return "error usage no such request".into(),
        }
        "ok".into()
    }

    fn publish(&mut self, from: usize, topic: &str, data: &str) -> usize {
        let hears = |peer: &&Peer| peer.patterns.iter().any(|pattern| matches(pattern, topic));
        let hearers: Vec<&Peer> = self.peers.values().filter(hears).collect();
        hearers.iter().for_each(|peer| peer.send(&format!("msg {topic} prog.{from} {data}")));
        hearers.len()
    }

    fn set(&mut self, key: &str, data: &str) -> String {
        let version = self.versions.entry(key.to_owned()).or_default();
        *version += 1;
        self.store.insert(key.to_owned(), (*version, data.to_owned()));
        format!("ok {version}")
    }

    fn tell_stop(&mut self) {
        let Some(stop) = &self.stop else { return };
        for peer in self.peers.values_mut().filter(|peer| peer.waits) {
            peer.waits = false;
            peer.send(&format!("stop {stop}"));
        }
    }
}

impl Peer {
    fn send(&self, line: &str) {
        let _gone = (&self.stream).write_all(format!("{line}\n").as_bytes());
    }
}

impl Fake {
    pub(super) fn new() -> Self {
        let fake = Self { world: Arc::default(), folder: tempfile::tempdir().unwrap() };
        fake.listen();
        fake
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel_as(RUN, LIMIT)
    }

    pub(super) fn channel_as(&self, run: &str, timeout: Duration) -> Channel {
        Channel::new(Some((self.path(), run.to_owned())), timeout)
    }

    /// As a supervisor that is back.
    pub(super) fn listen(&self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        let world = Arc::clone(&self.world);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (world, stream) = (Arc::clone(&world), stream.unwrap());
                std::thread::spawn(move || world.serve(&stream));
            }
        });
    }

    /// As one that is gone: every connection broken, and nobody at the path.
    pub(super) fn vanish(&self) {
        std::fs::remove_file(self.path()).unwrap();
        self.hang_up();
    }

    pub(super) fn hang_up(&self) {
        for peer in locked(&self.world.state).peers.values() {
            let _gone = peer.stream.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn want_stop(&self, words: &str) {
        let mut state = locked(&self.world.state);
        state.stop = Some(words.to_owned());
        state.tell_stop();
    }

    /// Sends a line that nobody asked for to all.
    pub(super) fn push(&self, line: &str) {
        locked(&self.world.state).peers.values().for_each(|peer| peer.send(line));
    }

    pub(super) fn look<T>(&self, at: impl FnOnce(&mut State) -> T) -> T {
        at(&mut locked(&self.world.state))
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let state = locked(&self.world.state);
        let waited = self.world.changed.wait_timeout_while(state, LIMIT, |state| !condition(state));
        let (state, result) = waited.unwrap();
        assert!(!result.timed_out(), "waited in vain: {what}; said: {:?}", state.lines);
    }
}

impl World {
    fn serve(&self, stream: &UnixStream) {
        let mut id = None;
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            let mut state = locked(&self.state);
            state.lines.push(line.clone());
            match id {
                None if line == format!("hello {RUN}") => {
                    state.greeted += 1;
                    let new = state.greeted;
                    let (patterns, busy, waits) = (Vec::new(), None, false);
                    let peer = Peer { stream: stream.try_clone().unwrap(), patterns, busy, waits };
                    peer.send(&format!("ok prog.{new}"));
                    state.peers.insert(new, peer);
                    id = Some(new);
                }
                None => {
                    let _gone = (&mut &*stream).write_all(b"error not-permitted no such run\n");
                    break;
                }
                Some(id) => {
                    let word = line.split(' ').next().unwrap_or_default();
                    match state.answers.remove(word) {
                        Some(None) => break,
                        Some(Some(answer)) => state.peers[&id].send(&answer),
                        None => {
                            let answer = state.answer(id, &line);
                            state.peers[&id].send(&answer);
                        }
                    }
                    state.tell_stop();
                }
            }
            self.changed.notify_all();
        }
        let mut state = locked(&self.state);
        if let Some(id) = id {
            state.peers.remove(&id);
        }
        drop(state);
        let _gone = stream.shutdown(Shutdown::Both);
        self.changed.notify_all();
    }
}
