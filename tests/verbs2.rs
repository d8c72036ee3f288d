//! Verbs that look on: events, history, wait, status --watch; and progress on a terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::{Background, Rig, Yaml, pause, tools, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::process::Command;
use std::time::{Duration, Instant};

fn numbers(lines: &str) -> Vec<u64> {
    let value = |line| serde_json::from_str::<serde_json::Value>(line).expect("JSON lines");
    lines.lines().map(|line| value(line)["seq"].as_u64().expect("a number")).collect()
}

#[test]
fn events_are_followed_over_the_death_of_the_supervisor() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]).program("api", &[rig.steady()]));
    let mut follow =
        Background::start(rig.command(&["events", "-f", "--json", "-n", "2"]), &rig.path("follow"));
    wait_until("the past is there", || follow.stdout().lines().count() >= 2);
    for round in 0..3 {
        rig.sppm(&["signal", "web", "CONT"]).ok();
        let old = rig.status().supervisor_proc();
        old.signal(Signal::SIGKILL);
        rig.until("another supervisor", |status| status.supervisor_proc() != old);
        rig.sppm(&["restart", "web"]).ok();
        let done = format!("round {round}");
        wait_until(&done, || follow.stdout().matches("\"kind\":\"started\"").count() > round);
    }
    rig.shutdown();
    assert_eq!(follow.end().code, Some(0));
    let seen = numbers(&follow.stdout());
    assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "lost or doubled: {seen:?}");
    assert!(follow.stdout().matches("supervisor_took_over").count() >= 3, "{}", follow.stdout());
}

#[test]
fn history_is_kept_and_chosen_from() {
    let rig = Rig::new();
    let pool = [rig.steady(), "instances: 2".into()];
    let yaml = Yaml::new(&rig).program("web", &[rig.steady()]).program("pool", &pool);
    rig.start_with(&yaml);
    rig.sppm(&["stop", "web"]).ok();
    let last = rig.sppm(&["events", "-n", "1", "web"]).ok().stdout;
    assert!(last.lines().count() <= 2 && last.contains("web  "), "{last}");
    let one = rig.sppm(&["history", "pool.2", "-n", "all"]).ok().stdout;
    assert!(one.contains("pool.2") && !one.contains("pool.1"), "{one}");
    rig.shutdown();
    rig.start();
    let all = rig.sppm(&["history", "-n", "all", "--json"]).ok().stdout;
    let seen = numbers(&all);
    assert!(seen[0] == 1 && seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seen:?}");
    let stop = all.lines().find(|line| line.contains("\"text\":\"stop")).expect("the stop");
    assert!(stop.contains("\"by\":\""), "{stop}");
    rig.save(&yaml.without("web"));
    rig.sppm(&["reload"]).ok();
    rig.until("web is gone", |status| status.find("web").is_none());
    rig.sppm(&["history", "web"]).ok().expect_text("stop");
    rig.sppm(&["history", "nobody"]).expect_code(4);
    rig.shutdown();
}

#[test]
fn wait_ends_when_it_is_so() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("web", &[rig.steady()])
        .program("later", &[rig.steady(), "autostart: false".into()])
        .program("job", &[rig.ends_with(0, "1"), "restart: on-failure".into()])
        .program("bad", &[rig.ends_with(1, "1.5"), "restart: { limit: 1, delay: 50ms, then: stay }".into()]);
    rig.save(&yaml);
    rig.sppm(&["start", "--no-wait"]).ok();
    rig.sppm(&["wait", "web"]).ok().expect_text("web is ready");
    rig.sppm(&["wait", "job", "--for", "completed"]).ok().expect_text("job is completed");
    rig.sppm(&["wait", "bad", "--for", "completed"]).expect_code(1).expect_text("sppm why bad");
    rig.sppm(&["wait", "web", "--for", "completed", "--timeout", "300ms"]).expect_code(75);
    rig.sppm(&["wait", "nobody"]).expect_code(4);
    let mut ready = Background::start(rig.command(&["wait", "later"]), &rig.path("ready"));
    let mut stopped =
        Background::start(rig.command(&["wait", "web", "later", "--for", "stopped"]), &rig.path("stopped"));
    pause(Duration::from_millis(500));
    rig.sppm(&["start", "later"]).ok();
    assert_eq!(ready.end().code, Some(0), "{}", ready.stderr());
    // A take-over in the middle.
    let old = rig.status().supervisor_proc();
    old.signal(Signal::SIGKILL);
    rig.until("another supervisor", |status| status.supervisor_proc() != old);
    assert!(stopped.child.try_wait().unwrap().is_none(), "{}", stopped.stderr());
    rig.sppm(&["stop", "web", "later"]).ok();
    let asked = Instant::now();
    assert_eq!(stopped.end().code, Some(0), "{}", stopped.stderr());
    assert!(asked.elapsed() < Duration::from_secs(10), "not by events: {:?}", asked.elapsed());
    rig.shutdown();
}

/// The command on a terminal of 80 by `rows`, with keys typed by `typed` (Python, given `key`, `seen`, `wait`).
fn on_a_terminal(rig: &Rig, args: &[&str], rows: u32, typed: &str) -> Option<common::Answer> {
    let script = rig.path("terminal.py");
    let text = format!(
        r#"
import fcntl, os, pty, select, struct, sys, termios, time
pid, tty = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", {rows}, 80, 0, 0))
out = b""
def seen(text, limit=30):
    global out
    end = time.time() + limit
    while text not in out:
        if time.time() > end:
            sys.stdout.write(out.decode("utf8", "replace")); sys.exit(99)
        if select.select([tty], [], [], 0.1)[0]:
            try:
                out += os.read(tty, 65536)
            except OSError:
                break
def key(text):
    os.write(tty, text)
{typed}
while True:
    try:
        more = os.read(tty, 65536)
    except OSError:
        break
    if not more:
        break
    out += more
_, status = os.waitpid(pid, 0)
sys.stdout.write(out.decode("utf8", "replace"))
sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
"#
    );
    std::fs::write(&script, text).unwrap();
    let mut command: Command = rig.program(&tools::python()?);
    command.arg(&script).arg(rig.binary()).arg("-c").arg(rig.file()).args(args);
    Some(finish(command, Duration::from_secs(60)))
}

#[test]
fn status_is_watched_on_a_terminal() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady(), "instances: 8".into()]));
    let stop =
        format!("os.system('{} -c {} stop web.1 >/dev/null')", rig.binary().display(), rig.file().display());
    let typed = format!("seen(b'web.8')\n{stop}\nseen(b'stopped')\nkey(b'\\x03')\n");
    let Some(answer) = on_a_terminal(&rig, &["status", "-w"], 30, &typed) else { return };
    assert_eq!(answer.code, Some(130), "{}", answer.all());
    assert!(answer.stdout.contains("\u{1b}[10A") && !answer.stdout.contains("?1049"), "{}", answer.all());
    // A screen with less room than programs.
    let typed = "seen(b'more lines')\nkey(b'\\x03')\n";
    let answer = on_a_terminal(&rig, &["status", "-w"], 6, typed).unwrap();
    assert!(answer.stdout.contains("… and 6 more lines"), "{}", answer.all());
    rig.shutdown();
}

#[test]
fn status_is_watched_by_programs() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    let mut watch = Background::start(rig.command(&["status", "-w", "--json"]), &rig.path("watch"));
    let phases = |text: String| -> Vec<String> {
        let phase = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(value["programs"][0]["phase"].as_str()?.to_owned())
        };
        text.lines().filter_map(phase).collect()
    };
    wait_until("the first line", || phases(watch.stdout()) == ["running"]);
    let old = rig.status().supervisor_proc();
    old.signal(Signal::SIGKILL);
    rig.until("another supervisor", |status| status.supervisor_proc() != old);
    rig.sppm(&["stop", "web"]).ok();
    wait_for("the stop", || (phases(watch.stdout()).last()? == "stopped").then_some(()));
    let lines = watch.stdout().lines().count();
    pause(Duration::from_secs(2));
    assert_eq!(watch.stdout().lines().count(), lines, "lines without a change");
    rig.shutdown();
    assert_eq!(watch.end().code, Some(0));
}

#[test]
fn a_wait_shows_its_progress_on_a_terminal_and_ctrl_c_ends_only_the_wait() {
    let rig = Rig::new();
    let slow = rig.actor("slow", "trap 'sleep 3; exit 0' TERM\nwhile :; do sleep 0.05; done");
    rig.start_with(&Yaml::new(&rig).program("slow", &[slow]));
    let typed = "seen(b'waiting for slow (stopping)')\nkey(b'\\x03')\n";
    let Some(answer) = on_a_terminal(&rig, &["stop", "slow"], 24, typed) else { return };
    assert_eq!(answer.code, Some(130), "{}", answer.all());
    assert!(answer.stdout.contains("the stop goes on"), "{}", answer.all());
    rig.until_phase("slow", "stopped");
    rig.sppm(&["start", "slow"]).ok();
    let answer = on_a_terminal(&rig, &["stop", "slow"], 24, "").unwrap();
    assert_eq!(answer.code, Some(0), "{}", answer.all());
    assert!(answer.stdout.contains("\r\u{1b}[Kslow stays stopped"), "the line stayed: {:?}", answer.stdout);
    rig.shutdown();
}
