//! Programs that say that they are ready, and those that never do.

use crate::common::yaml::command;
use crate::common::{Background, Rig, Yaml, http, pypi, tools, wait_until};
use crate::puppet::{events, in_order, puppet, tell, text_of, why};
use std::time::{Duration, Instant};

#[test]
fn redis_gets_ready_by_sd_notify() {
    let Some(redis) = tools::find_or_skip(&["redis-server"]) else { return };
    let rig = Rig::new();
    let socket = rig.path("redis.sock").display().to_string();
    let words = [
        redis.to_str().unwrap(),
        "--port",
        "0",
        "--unixsocket",
        &socket,
        "--supervised",
        "systemd",
        "--daemonize",
        "no",
        "--save",
        "",
        "--dir",
        rig.folder().to_str().unwrap(),
    ];
    rig.start_with(&Yaml::new(&rig).program("redis", &[command(&words), "ready: notify".into()]));
    // `start` has returned: it serves.
    let mut client = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    std::io::Write::write_all(&mut client, b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    std::io::Read::read_exact(&mut client, &mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    let status = rig.status();
    assert_eq!(status.reason("redis"), "it said that it is ready");
    assert_eq!(text_of(&rig, "redis", "says"), "Ready to accept connections");
    assert_eq!(text_of(&rig, "redis", "complaint"), "");
    rig.sppm(&["restart", "redis"]).ok();
    assert!(rig.status().process_of("redis") != status.process_of("redis"));
    rig.shutdown();
}

#[test]
fn gunicorn_gets_ready_by_sd_notify() {
    let Some((python, library)) =
        pypi::installed("pypi-gunicorn-23", &["gunicorn==23.0.0", "packaging==24.2"], "gunicorn/arbiter.py")
    else {
        return;
    };
    let rig = Rig::new();
    rig.write(
        "application.py",
        "def app(environ, start):\n    start('200 OK', [('Content-Length', '5')])\n    return [b'hello']\n",
    );
    let port = http::free_port();
    let bind = format!("127.0.0.1:{port}");
    let words =
        [python.to_str().unwrap(), "-m", "gunicorn", "--workers", "2", "--bind", &bind, "application:app"];
    let path = format!("{}:{}", library.display(), rig.folder().display());
    let lines = [command(&words), "ready: notify".into(), format!("environment: {{ PYTHONPATH: {path:?} }}")];
    rig.start_with(&Yaml::new(&rig).program("site", &lines));
    let (code, body) = http::get_local(port, "/").expect("it listens");
    assert_eq!((code, body.as_str()), (200, "hello"));
    assert_eq!(text_of(&rig, "site", "says"), "Gunicorn arbiter booted");
    assert_eq!(rig.status().reason("site"), "it said that it is ready");
    rig.shutdown();
}

#[test]
fn start_returns_when_the_program_is_ready() {
    let rig = Rig::new();
    let gate = rig.path("gate").display().to_string();
    let body = |say: &str| format!("while ! [ -e {gate} ]; do sleep 0.05; done\n{say}");
    let (Some(by_line), Some(by_notify)) = (
        puppet(&rig, "line", &body("line ready")),
        puppet(&rig, "notify", &body("notify READY=1 STATUS=up")),
    ) else {
        return;
    };
    let slow = "ready: { notify: true, timeout: 5m }";
    let yaml =
        Yaml::new(&rig).program("line", &[by_line, slow.into()]).program("notify", &[by_notify, slow.into()]);
    rig.save(&yaml);
    let mut start = Background::start(rig.command(&["start"]), &rig.path("start"));
    rig.until("both run", |status| {
        ["line", "notify"].iter().all(|id| status.phase(id) == "starting" && status.pid(id).is_some())
    });
    // Longer than a program without readiness has to live.
    crate::common::pause(Duration::from_millis(1500));
    let status = rig.status();
    for id in ["line", "notify"] {
        assert_eq!(status.phase(id), "starting");
        assert_eq!(status.reason(id), "waits for its word that it is ready");
        assert_eq!(status.instance(id)["ready"], false);
    }
    assert_eq!(rig.sppm(&["status"]).code, Some(3));
    assert!(start.child.try_wait().unwrap().is_none(), "start came back too early: {}", start.stdout());
    rig.write("gate", "");
    start.end().ok();
    let status = rig.status();
    assert!(status.all_running());
    assert_eq!(status.reason("line"), "it said that it is ready");
    rig.shutdown();
}

#[test]
fn a_start_that_never_gets_ready_fails_and_follows_the_restart_policy() {
    let rig = Rig::new();
    let Some(silent) = puppet(&rig, "silent", "") else { return };
    let lines = [
        silent,
        "ready: { notify: true, timeout: 1s }".into(),
        "restart: { limit: 2, window: 5m, delay: 100ms, then: stay }".into(),
    ];
    rig.save(&Yaml::new(&rig).program("silent", &lines).program("other", &[rig.steady()]));
    let begun = Instant::now();
    let answer = rig.sppm(&["start"]).expect_code(1);
    let cause = "it did not say that it is ready within 1.0s (ready.timeout)";
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(answer.all().contains(cause), "{}", answer.all());
    let status = rig.until_phase("silent", "failed");
    assert!(status.reason("silent").contains(cause), "{}", status.reason("silent"));
    assert!(status.reason("silent").contains("given up after 3 failed starts in a row"));
    assert_eq!(status.pid("silent"), None);
    assert_eq!(rig.starts("silent").len(), 3);
    assert_eq!(status.phase("other"), "running");
    assert_eq!(events(&rig, "silent", "not_ready").len(), 3);
    in_order(
        &why(&rig, "silent"),
        &[
            "failed since",
            cause,
            "what led there",
            cause,
            &format!("stopping: to be started again: {cause}"),
            "as asked",
            "what you can do",
            "it must say READY=1 (sd_notify(3))",
            "raise ready.timeout (",
        ],
    );
    assert!(rig.own_log().contains(cause));
    // What is mended starts.
    rig.sppm(&["start", "silent", "--no-wait"]).ok();
    tell(&rig, "silent", "line ready");
    rig.until_phase("silent", "running");
    rig.shutdown();
}

#[test]
fn a_start_that_ends_before_it_is_ready_fails_too() {
    let rig = Rig::new();
    let lines =
        [rig.ends_with(0, "0.2"), "ready: notify".into(), "restart: { delay: 10m, max_delay: 10m }".into()];
    rig.save(&Yaml::new(&rig).program("web", &lines));
    rig.sppm(&["start"]).expect_code(1);
    assert_eq!(rig.status().phase("web"), "backoff");
    rig.shutdown();
}

#[test]
fn a_slow_start_may_ask_for_more_time() {
    let rig = Rig::new();
    let Some(slow) = puppet(&rig, "slow", "notify EXTEND_TIMEOUT_USEC=300000000") else { return };
    rig.save(&Yaml::new(&rig).program("slow", &[slow, "ready: { notify: true, timeout: 2s }".into()]));
    let mut start = Background::start(rig.command(&["start"]), &rig.path("start"));
    wait_until("it obeys", || rig.log("slow").contains("obeys"));
    crate::common::wait::stays("it may take its time", Duration::from_millis(2500), || {
        rig.status().phase("slow") == "starting"
    });
    tell(&rig, "slow", "notify READY=1");
    start.end().ok();
    assert_eq!(rig.starts("slow").len(), 1);
    rig.shutdown();
}

#[test]
fn a_slow_stop_may_ask_for_more_time() {
    let rig = Rig::new();
    let last = "trap 'notify EXTEND_TIMEOUT_USEC=60000000; sleep 3; echo saved; exit 0' TERM\nnotify READY=1";
    let Some(slow) = puppet(&rig, "slow", last) else { return };
    rig.start_with(
        &Yaml::new(&rig).program("slow", &[slow, "ready: notify".into(), "stop: { timeout: 1s }".into()]),
    );
    let begun = Instant::now();
    rig.sppm(&["stop", "slow"]).ok();
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(rig.log("slow").contains("saved"));
    let exit = events(&rig, "slow", "exited").pop().unwrap();
    assert_eq!((exit["code"].as_u64(), &exit["signal"]), (Some(0), &serde_json::Value::Null));
    rig.shutdown();
}

#[test]
fn stop_of_all_gives_ten_seconds_and_then_kills() {
    let rig = Rig::new();
    let stubborn = rig.actor("stubborn", "trap '' TERM\necho deaf\nwhile :; do sleep 0.2; done");
    let ten = "stop: { timeout: 10s }";
    let yaml = Yaml::new(&rig)
        .program("one", &[stubborn.clone(), ten.into()])
        .program("two", &[stubborn, ten.into()])
        .program("quick", &[rig.steady(), ten.into()]);
    rig.start_with(&yaml);
    for id in ["one", "two"] {
        crate::common::rig::file_says(&rig.path(&format!("log/{id}.log")), "deaf");
    }
    let before = rig.status().running();
    let begun = Instant::now();
    let mut stop = Background::start(rig.command(&["stop"]), &rig.path("stop"));
    rig.until_phase("quick", "stopped");
    let early = rig.status();
    if begun.elapsed() < Duration::from_secs(9) {
        for id in ["one", "two"] {
            assert!(
                early.reason(id).starts_with("asked with SIGTERM, SIGKILL follows in "),
                "{}",
                early.reason(id)
            );
            assert!(before[id].alive(), "{id}");
        }
    }
    stop.end().ok();
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(10), "{took:?}");
    assert!(before.values().all(|process| !process.alive()));
    for id in ["one", "two"] {
        let reason = text_of(&rig, id, "reason");
        assert!(reason.contains("it was killed: it did not end within 10s of SIGTERM"), "{reason}");
        assert_eq!(events(&rig, id, "exited").pop().unwrap()["signal"], "SIGKILL");
    }
    // All together, not one behind the other.
    assert!(took < Duration::from_secs(19), "{took:?}");
    rig.sppm(&["shutdown"]).ok();
}
