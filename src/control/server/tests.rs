//! The server and the client against each other over a real socket, with a supervisor by script.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use crate::control::client::{self, Client, ClientError, Target};
use crate::control::request::{Answer, ApiRequest, ChannelRequest, EventItem, Feed};
use crate::control::wire::{
    AcceptedDto, Detail, ErrorDto, ErrorKind, KvDto, LogItem, PublishedDto, ScaleTo, SettleDto, StatusDto,
    SupervisorDto, WhyDto, WrittenStatus,
};
use crate::journal::{Entry, Kind};
use crate::model::Signal;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const SOON: Duration = Duration::from_secs(20);

/// A server whose supervisor is a script.
struct Stage {
    server: Option<Server>,
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<ApiRequest>>>,
    feeds: Arc<Mutex<Vec<Feed>>>,
    full: Arc<AtomicBool>,
}

impl Stage {
    fn new() -> Self {
        Self::with(Access { own_uid: nix::unistd::geteuid().as_raw(), group: None })
    }

    fn with(access: Access) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let (asked, feeds) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let full = Arc::new(AtomicBool::new(false));
        let door = {
            let (asked, feeds, full) = (Arc::clone(&asked), Arc::clone(&feeds), Arc::clone(&full));
            move |call: Call| {
                if full.load(Ordering::SeqCst) {
                    return Err(Full);
                }
                asked.lock().unwrap().push(call.request.clone());
                play(call, &feeds);
                Ok(())
            }
        };
        let server = serve(listener, None, access, Arc::new(door)).unwrap();
        Self { server: Some(server), folder, asked, feeds, full }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    fn last(&self) -> ApiRequest {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }

    /// Writes raw bytes and reads the answer's first line.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = StdStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let _refused_early = stream.write_all(bytes);
        let mut line = String::new();
        let _cut = BufReader::new(stream).read_line(&mut line);
        line.trim_end().to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.feeds.lock().unwrap().clear();
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
    }
}

/// Says back what was asked for.
fn channel(request: ChannelRequest) -> Answer {
    match request {
        ChannelRequest::Publish { topic, data } if topic.is_empty() => {
            Answer::Error(ErrorDto::new(ErrorKind::Usage, data))
        }
        ChannelRequest::Publish { .. } | ChannelRequest::Messages { .. } => {
            Answer::Published(PublishedDto { subscribers: 2 })
        }
        ChannelRequest::Keys { prefix } => {
            Answer::Keys(vec![KvDto { key: prefix, version: 1, data: Some("x".to_owned()) }])
        }
        ChannelRequest::Get { key } => Answer::Key(KvDto { key, version: 7, data: Some("v".to_owned()) }),
        ChannelRequest::Set { key, data, expected } => {
            Answer::Key(KvDto { key, version: expected.unwrap_or(0) + 1, data: Some(data) })
        }
        ChannelRequest::Delete { expected: Some(_), .. } => {
            Answer::Error(ErrorDto::new(ErrorKind::Changed, "changed"))
        }
        ChannelRequest::Delete { key, expected: None } => Answer::Key(KvDto { key, version: 7, data: None }),
    }
}

#[test]
fn keys_and_messages_go_over_the_socket_as_they_are() {
    let stage = Stage::new();
    let client = stage.client();
    let get: KvDto = client.get(&client::key("jobs/a.b", None), SOON).unwrap();
    assert_eq!((get.key.as_str(), get.version), ("jobs/a.b", 7));
    let body = json!({ "data": {"b": [1, 2]}, "if_version": 4 });
    let set: KvDto = client.put(&client::key("k", None), &body, SOON).unwrap();
    assert_eq!((set.version, set.data.as_deref()), (5, Some("{\"b\":[1,2]}")));
    let set: KvDto = client.put(&client::key("k", None), &json!({ "data": "a b" }), SOON).unwrap();
    assert_eq!((set.version, set.data.as_deref()), (1, Some("a b")));
    let gone: KvDto = client.delete(&client::key("k", None), SOON).unwrap();
    assert_eq!(gone.version, 7);
    let changed = client.delete::<KvDto>(&client::key("k", Some(3)), SOON).unwrap_err();
    assert!(matches!(changed, ClientError::Refused(error) if error.error.kind == ErrorKind::Changed));
    assert_eq!(
        stage.last(),
        ApiRequest::Channel(ChannelRequest::Delete { key: "k".into(), expected: Some(3) })
    );
    let keys: Vec<KvDto> = client.get(&client::keys("jobs/"), SOON).unwrap();
    assert_eq!(keys[0].key, "jobs/");
    let long = "\"".repeat(60_000);
    let body = json!({ "topic": "t", "data": long });
    let published: PublishedDto = client.post(&Target::path("/v1/messages"), &body, SOON).unwrap();
    assert_eq!(published.subscribers, 2);
    assert_eq!(stage.last(), ApiRequest::Channel(ChannelRequest::Publish { topic: "t".into(), data: long }));
    for (method, path, body) in [
        ("POST", "/v1/messages", "{\"topic\": \"t\"}"),
        ("PUT", "/v1/kv/k", "{\"data\": 1, \"x\": 2}"),
        ("PUT", "/v1/kv/k", "nonsense"),
        ("GET", "/v1/kv?x=1", ""),
        ("GET", "/v1/messages?name=x", ""),
        ("DELETE", "/v1/kv/k?if_version=x", ""),
    ] {
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert!(stage.raw(request.as_bytes()).contains(" 400 "), "{method} {path} {body}");
    }
}

fn play(call: Call, feeds: &Mutex<Vec<Feed>>) {
    match call.request {
        ApiRequest::Status { names, .. } if names == ["ghost"] => {
            call.reply.refuse(ErrorDto::unknown_name("ghost", "/s/sppm.yaml", ["host"]));
        }
        ApiRequest::Status { .. } => {
            call.reply.send(Answer::Status(WrittenStatus::of(&empty_status()).unwrap()))
        }
        ApiRequest::Diff | ApiRequest::Reload => {
            call.reply.refuse(ErrorDto::config_invalid("1 error", "error: x\n"));
        }
        ApiRequest::Settle { .. } => call.reply.send(Answer::Settled(SettleDto::default())),
        // Dropped without an answer.
        ApiRequest::Shutdown { .. } => {}
        ApiRequest::Events { after, .. } => {
            let feed = call.reply.events();
            let mut entry = Entry::new("2026-01-01T00:00:00.000Z".to_owned(), Kind::Started, "a\nb");
            entry.seq = after.unwrap_or(0) + 1;
            feed.try_send(EventItem::Entry(Box::new(entry))).unwrap();
            feed.try_send(EventItem::Missed(7)).unwrap();
        }
        ApiRequest::History { last, .. } => {
            let entry = Entry::new("2026-01-01T00:00:00.000Z".to_owned(), Kind::Exited, last.to_string());
            call.reply.send(Answer::History(vec![entry]));
        }
        ApiRequest::Why { name } => {
            call.reply.send(Answer::Why(Box::new(WhyDto { program: name, ..WhyDto::default() })));
        }
        ApiRequest::Channel(request) => call.reply.send(channel(request)),
        ApiRequest::Logs { lines, .. } => {
            let feed = call.reply.feed();
            for number in 0..lines.unwrap_or(3) {
                feed.try_send(LogItem::line("web", "stdout", format!("line {number}\n").as_bytes())).unwrap();
            }
            feeds.lock().unwrap().push(feed);
        }
        ApiRequest::Start { names }
        | ApiRequest::Stop { names, .. }
        | ApiRequest::Restart { names, .. }
        | ApiRequest::Signal { names, .. } => {
            call.reply.send(Answer::Accepted(AcceptedDto { targets: names, notes: Vec::new() }));
        }
        ApiRequest::Scale { name, .. } => {
            call.reply.send(Answer::Accepted(AcceptedDto { targets: vec![name], notes: Vec::new() }));
        }
    }
}

fn empty_status() -> StatusDto {
    let supervisor = SupervisorDto {
        version: "0".to_owned(),
        pid: 2,
        keeper_pid: 1,
        config: "/s/sppm.yaml".to_owned(),
        config_ok: true,
        config_error: None,
        generation: 1,
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        name: "s".to_owned(),
        shutting_down: false,
        notes: Vec::new(),
    };
    StatusDto { supervisor, programs: Vec::new() }
}

#[test]
fn every_route_reaches_the_door_as_what_it_says() {
    let stage = Stage::new();
    let client = stage.client();
    let names = || vec!["w*".to_owned(), "@a b".to_owned()];
    let status: StatusDto = client.get(&client::status(&names()), SOON).unwrap();
    assert_eq!(status, empty_status());
    assert_eq!(stage.last(), ApiRequest::Status { names: names(), detail: Detail::Full });
    let _: StatusDto = client.get(&client::brief_status(&names()), SOON).unwrap();
    assert_eq!(stage.last(), ApiRequest::Status { names: names(), detail: Detail::Brief });
    let _: SettleDto = client.get(&client::settle(&names(), Duration::from_millis(1500)), SOON).unwrap();
    assert_eq!(stage.last(), ApiRequest::Settle { names: names(), wait: Duration::from_millis(1500) });
    let hup = Signal::HUP;
    for (path, body, wanted) in [
        ("/v1/start", json!({}), ApiRequest::Start { names: vec![] }),
        (
            "/v1/stop",
            json!({"names": names(), "force": true, "runtime": true}),
            ApiRequest::Stop { names: names(), force: true, runtime: true },
        ),
        (
            "/v1/restart",
            json!({"names": ["a"]}),
            ApiRequest::Restart { names: vec!["a".into()], force: false },
        ),
        (
            "/v1/signal",
            json!({"names": ["a"], "signal": "hup"}),
            ApiRequest::Signal { names: vec!["a".into()], signal: hup },
        ),
        (
            "/v1/scale",
            json!({"name": "a", "to": "-1"}),
            ApiRequest::Scale { name: "a".into(), to: ScaleTo::Down(1) },
        ),
    ] {
        let _: AcceptedDto = client.post(&Target::path(path), &body, SOON).unwrap();
        assert_eq!(stage.last(), wanted);
    }
    assert_eq!(stage.raw(b"POST /v1/start HTTP/1.1\r\nhost: x\r\n\r\n"), "HTTP/1.1 202 Accepted");
    assert_eq!(stage.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"), "HTTP/1.1 200 OK");
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let stage = Stage::new();
    let line = |text: &str| stage.raw(format!("{text}\r\nhost: x\r\n\r\n").as_bytes());
    assert_eq!(line("GET /v2/status HTTP/1.1"), "HTTP/1.1 404 Not Found");
    assert_eq!(line("POST /v1/status HTTP/1.1"), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(line("GET /v1/status?nmae=x HTTP/1.1"), "HTTP/1.1 400 Bad Request");
    assert_eq!(line("GET /v1/logs?lines=many HTTP/1.1"), "HTTP/1.1 400 Bad Request");
    assert_eq!(line("POST /v1/restart HTTP/1.1"), "HTTP/1.1 400 Bad Request");
    assert_eq!(line("GET / HTTP/9.9"), "HTTP/1.1 400 Bad Request");
    let post = |body: serde_json::Value| {
        let answer: Result<AcceptedDto, _> = stage.client().post(&Target::path("/v1/stop"), &body, SOON);
        match answer.unwrap_err() {
            ClientError::Refused(error) => (error.error.kind, error.error.message),
            other => panic!("{other}"),
        }
    };
    let (kind, message) = post(json!({"forced": true}));
    assert_eq!(kind, ErrorKind::Usage);
    assert!(message.contains("forced"), "{message}");
    assert_eq!(post(json!({"names": ["x".repeat(70_000)]})).0, ErrorKind::Usage);
    let shutdown = Target::path("/v1/shutdown");
    assert!(stage.client().post::<AcceptedDto>(&shutdown, &json!({"name": "web"}), SOON).is_err());
    assert!(stage.asked.lock().unwrap().is_empty());
}

#[test]
fn a_request_names_so_much_and_no_more() {
    let stage = Stage::new();
    let many = |name: &str, count: usize| {
        let body = json!({ "names": vec![name; count] });
        stage.client().post::<AcceptedDto>(&Target::path("/v1/start"), &body, SOON).is_ok()
    };
    assert!(many("a", 4096) && !many("a", 4097));
    assert!(many("a*", 64) && !many("a*", 65) && !many("@a", 65));
}

#[test]
fn one_name_never_means_everything() {
    let stage = Stage::new();
    let _ = stage.client().post::<AcceptedDto>(&Target::path("/v1/stop"), &json!({"name": "web"}), SOON);
    assert_eq!(stage.last(), ApiRequest::Stop { names: vec!["web".into()], force: false, runtime: false });
}

#[test]
fn errors_of_the_supervisor_arrive_whole() {
    let stage = Stage::new();
    let refused = |error: ClientError| match error {
        ClientError::Refused(error) => error.error,
        other => panic!("{other}"),
    };
    let error =
        refused(stage.client().get::<StatusDto>(&client::status(&["ghost".into()]), SOON).unwrap_err());
    assert_eq!((error.exit_code, error.help.as_deref()), (4, Some("did you mean `host`?")));
    let error = refused(stage.client().get::<StatusDto>(&Target::path("/v1/diff"), SOON).unwrap_err());
    assert_eq!((error.exit_code, error.rendered.as_deref()), (78, Some("error: x\n")));
    let target = Target::path("/v1/shutdown");
    let error = refused(stage.client().post::<AcceptedDto>(&target, &json!({}), SOON).unwrap_err());
    assert_eq!(error.kind, ErrorKind::ShuttingDown);
    stage.full.store(true, Ordering::SeqCst);
    let error = refused(stage.client().get::<StatusDto>(&client::status(&[]), SOON).unwrap_err());
    assert_eq!(error.kind, ErrorKind::Busy);
}

#[test]
fn a_feed_is_a_stream_of_events_that_ends_in_order() {
    let stage = Stage::new();
    let mut events = stage.client().stream(&client::logs(&[], Some(2), true), SOON).unwrap();
    for number in 0..2 {
        let item: LogItem = serde_json::from_str(&events.next().unwrap().unwrap()).unwrap();
        assert_eq!(item, LogItem::line("web", "stdout", format!("line {number}\n").as_bytes()));
    }
    let feed = stage.feeds.lock().unwrap().pop().unwrap();
    feed.try_send(LogItem::line("web", "stderr", b"\xff\x1b")).unwrap();
    let item: LogItem = serde_json::from_str(&events.next().unwrap().unwrap()).unwrap();
    assert_eq!(item, LogItem::line("web", "stderr", b"\xff\x1b"));
    drop(feed);
    assert!(events.next().is_none());
}

#[test]
fn a_reader_that_leaves_is_noticed_and_a_slow_one_costs_nothing_but_its_own_lines() {
    let stage = Stage::new();
    let events = stage.client().stream(&client::logs(&[], Some(0), true), SOON).unwrap();
    let feed = stage.feeds.lock().unwrap().pop().unwrap();
    let long = "x".repeat(4096);
    let full = (0..100_000).find_map(|_| feed.try_send(LogItem::line("a", "stdout", long.as_bytes())).err());
    assert!(matches!(full, Some(crate::control::request::NotFed::Full(_))));
    let _: StatusDto = stage.client().get(&client::status(&[]), SOON).unwrap();
    drop(events);
    let until = std::time::Instant::now() + SOON;
    while !feed.is_gone() {
        assert!(std::time::Instant::now() < until, "the feed outlives its reader");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_endless_line_and_half_a_frame_are_cut_off() {
    let stage = Stage::new();
    let mut stream = StdStream::connect(stage.socket()).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    let piece = vec![b'a'; 1 << 20];
    let mut sent = 0_usize;
    // A gigabyte, or rather what the server takes of it.
    while sent < 1 << 30 && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    assert!(sent < 8 << 20, "the server took {sent} bytes of a line without an end");
    let endless = format!("GET /v1/status?name={} HTTP/1.1\r\n", "a".repeat(1 << 20));
    assert!(stage.raw(endless.as_bytes()).starts_with("HTTP/1.1 4"));
    let mut half = StdStream::connect(stage.socket()).unwrap();
    half.write_all(b"POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 40\r\n\r\n{\"names\"").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    half.set_read_timeout(Some(SOON)).unwrap();
    let mut rest = Vec::new();
    half.read_to_end(&mut rest).unwrap();
    assert!(stage.asked.lock().unwrap().is_empty(), "half an order was carried out");
    let _: StatusDto = stage.client().get(&client::status(&[]), SOON).unwrap();
}

#[test]
fn a_hundred_silent_connections_do_not_lock_the_next_one_out() {
    let stage = Stage::new();
    let silent: Vec<StdStream> = (0..100).map(|_| StdStream::connect(stage.socket()).unwrap()).collect();
    let _: StatusDto = stage.client().get(&client::status(&[]), SOON).unwrap();
    drop(silent);
}

#[test]
fn a_room_full_of_followers_leaves_a_seat_for_orders() {
    let stage = Stage::new();
    let follow = || stage.client().stream(&client::logs(&[], Some(1), true), SOON);
    let mut followers: Vec<_> = (0..48).map(|_| follow().unwrap()).collect();
    for follower in &mut followers {
        assert!(follower.next().unwrap().is_ok());
    }
    assert!(matches!(follow(), Err(ClientError::Refused(error)) if error.error.kind == ErrorKind::Busy));
    let _: AcceptedDto = stage.client().post(&Target::path("/v1/stop"), &json!({}), SOON).unwrap();
}

#[test]
fn strangers_get_nothing_but_a_reason() {
    use rustix::thread::set_thread_res_uid;
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::with(Access { own_uid: u32::MAX - 1, group: Some(u32::MAX - 1) });
    let public = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(stage.folder.path(), public.clone()).unwrap();
    std::fs::set_permissions(stage.socket(), public).unwrap();
    let client = stage.client();
    // The kernel asks the thread that connects who it is. Without root's rights it stays who it is, a stranger.
    let asker = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65534);
        if nix::unistd::geteuid().is_root() {
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        client.get::<StatusDto>(&client::status(&[]), SOON)
    });
    let answer = asker.join().unwrap();
    assert!(
        matches!(answer, Err(ClientError::Refused(error)) if error.error.kind == ErrorKind::NotPermitted)
    );
    assert!(stage.asked.lock().unwrap().is_empty());
}

/// A socket can be passed on, and what it may goes with it: the kernel noted who connected.
#[test]
fn whoever_connected_is_who_asks() {
    use rustix::thread::set_thread_res_uid;
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let stage = Stage::new();
    let public = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(stage.folder.path(), public.clone()).unwrap();
    std::fs::set_permissions(stage.socket(), public).unwrap();
    let socket = stage.socket();
    let connector = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65534);
        set_thread_res_uid(nobody, nobody, nobody).unwrap();
        StdStream::connect(socket).unwrap()
    });
    let mut passed_on = connector.join().unwrap();
    passed_on.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(passed_on).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 403"), "{line}");
    assert!(stage.asked.lock().unwrap().is_empty());
}

#[test]
fn who_may_and_who_may_not() {
    let access = Access { own_uid: 1000, group: Some(50) };
    let admit = |uid, gid| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let verdict = runtime.block_on(access.admit(Peer { uid, gid, pid: None }));
        matches!(verdict, access::Admission::Allowed(_))
    };
    assert!(admit(0, 7) && admit(1000, 7) && admit(1001, 50));
    assert!(!admit(4_000_001, 7));
    // The database says that root is a member of root's own group: the look-up itself works.
    let root_group = Access { own_uid: 1000, group: Some(0) };
    assert!(access::is_member(Peer { uid: 0, gid: 0, pid: None }, 0) && root_group.group == Some(0));
}

#[test]
fn stopping_lets_answers_go_out_and_then_nobody_listens() {
    let mut stage = Stage::new();
    let _: AcceptedDto = stage.client().post(&Target::path("/v1/stop"), &json!({}), SOON).unwrap();
    let _idle = StdStream::connect(stage.socket()).unwrap();
    stage.server.take().unwrap().stop(Duration::from_millis(200));
    assert!(matches!(stage.client().probe(), Err(ClientError::NoServer(_))));
}

#[test]
fn events_are_numbered_resumed_and_say_what_was_missed() {
    let stage = Stage::new();
    let events = stage.client().stream(&client::events(&[], Some(41)), SOON).unwrap();
    let seen: Vec<String> = events.map(Result::unwrap).collect();
    assert!(seen[0].contains("\"seq\":42") && seen[0].contains("a\\nb"), "{seen:?}");
    assert_eq!(seen[1], "{\"missed\":7}");
    let history: Vec<Entry> = stage.client().get(&client::history(&[], None), SOON).unwrap();
    assert_eq!(history[0].text, u32::MAX.to_string());
}
