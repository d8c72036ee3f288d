//! Working locks, readiness, watchdogs and hooks: what they mean, and what is refused.

use super::*;
use crate::model::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn warnings(text: &str) -> Vec<String> {
    load_text(text).unwrap().warnings.iter().map(Problem::to_string).collect()
}

fn argv(words: &[&str]) -> Vec<Template> {
    words.iter().map(|word| Template::from(*word)).collect()
}

#[test]
fn without_a_word_the_gate_is_on_and_all_else_is_off() {
    let a = program("command: x");
    assert_eq!(a.work, WorkGate::default());
    assert_eq!(a.ready, Readiness::default());
    assert_eq!((a.watchdog, &a.hooks), (None, &Hooks::default()));
}

#[test]
fn each_key_means_what_it_says() {
    let a = program(
        "command: x, working_lock: {path: '/run/x/{instance}.lock', kind: state, on_stop: signal, idle_for: 2s, max_busy: 10m, then: keep},\n\
         ready: {notify: true, timeout: 1m}, watchdog: 30s,\n\
         hooks: {before_stop: {command: [leave, '{index}', '{name}'], timeout: 5s}, before_restart: warm --now}",
    );
    assert_eq!(
        a.work,
        WorkGate {
            path: LockPath::At("/run/x/{instance}.lock".into()),
            kind: LockKind::State,
            on_stop: OnStop::Signal,
            idle_for: 2 * SECOND,
            max_busy: Some(600 * SECOND),
            then: PastMaxBusy::Keep,
        }
    );
    assert_eq!(a.ready, Readiness { by: ReadyBy::Notify, timeout: 60 * SECOND });
    assert_eq!(a.watchdog, Some(30 * SECOND));
    let leave = Hook { argv: argv(&["leave", "{index}", "a"]), timeout: 5 * SECOND };
    let warm = Hook { argv: argv(&["warm", "--now"]), timeout: 30 * SECOND };
    assert_eq!(a.hooks, Hooks { before_stop: Some(leave), before_restart: Some(warm) });
    assert_eq!(
        program("command: x, working_lock: {kind: flock, then: signal, max_busy: 1s}").work.kind,
        LockKind::Flock
    );
}

#[test]
fn short_forms() {
    let notify = Readiness { by: ReadyBy::Notify, timeout: 30 * SECOND };
    assert_eq!(program("command: x, ready: notify").ready, notify);
    assert_eq!(program("command: x, ready: '${U:-notify}'").ready, notify);
    assert_eq!(program("command: x, ready: {notify: false}").ready, Readiness::default());
    assert_eq!(program("command: x, ready: null").ready, Readiness::default());
    let one = Some(Hook { argv: argv(&["a", "b c"]), timeout: 30 * SECOND });
    for hook in ["[a, b c]", "a 'b c'", "{command: [a, b c]}", "{command: a 'b c', timeout: 30s}"] {
        let hooks = program(&format!("command: x, hooks: {{before_stop: {hook}}}")).hooks.clone();
        assert_eq!(hooks, Hooks { before_stop: one.clone(), before_restart: None }, "{hook}");
    }
    assert_eq!(program("command: x, hooks: {before_stop: null}").hooks, Hooks::default());
    // 0 is for ever.
    assert_eq!(program("command: x, working_lock: {max_busy: 0s}").work.max_busy, None);
}

#[test]
fn defaults_are_merged_key_by_key() {
    let plan = good(
        "defaults: {working_lock: {max_busy: 5m, then: keep}, ready: notify, watchdog: 9s, hooks: {before_stop: {command: a, timeout: 3s}}}\n\
         programs:\n  a: {command: x, working_lock: {then: signal}, ready: {timeout: 2s}, hooks: {before_stop: b}}\n  \
         b: {command: x, working_lock: null, ready: null, watchdog: null, hooks: {before_stop: null}}\n",
    );
    let (a, b) = (one(&plan, "a"), one(&plan, "b"));
    assert_eq!((a.work.max_busy, a.work.then), (Some(300 * SECOND), PastMaxBusy::Signal));
    assert_eq!(a.ready, Readiness { by: ReadyBy::Notify, timeout: 2 * SECOND });
    assert_eq!(a.hooks.before_stop, Some(Hook { argv: argv(&["b"]), timeout: 3 * SECOND }));
    assert_eq!(a.watchdog, Some(9 * SECOND));
    assert_eq!((&b.work, b.ready, b.watchdog), (&WorkGate::default(), Readiness::default(), None));
    assert_eq!(b.hooks, Hooks::default());
}

#[test]
fn the_default_path_written_out_is_the_default() {
    for path in ["{runtime_dir}/i/{instance}/lock", "{runtime_dir}/./i/x/../{instance}/lock"] {
        let a = program(&format!("command: x, instances: 3, working_lock: {{path: '{path}'}}"));
        assert_eq!(a.work, WorkGate::default(), "{path}");
    }
    let at = |path: &str| program(&format!("command: x, working_lock: {{path: '{path}'}}")).work.path.clone();
    assert_eq!(at("state/{name}.lock"), LockPath::At("/w/app/state/a.lock".into()));
    assert_eq!(at("{state_dir}/../x"), LockPath::At("/var/lib/sppm/x".into()));
}

/// A file, and how its first line is reported.
const WRONG: &[(&str, &str)] = &[
    (
        "working_lock: {kind: flock, idle_for: 2s}",
        "sppm.yaml:4:43: programs.a.working_lock.idle_for: how long a program has been idle is known by",
    ),
    (
        "working_lock: {kind: lock}",
        "sppm.yaml:4:26: programs.a.working_lock.kind: `lock` is not accepted here",
    ),
    (
        "working_lock: {on_stop: drain}",
        "programs.a.working_lock.on_stop: `drain` is not accepted here; accepted is `wait` or `signal`",
    ),
    (
        "working_lock: {then: stop}",
        "programs.a.working_lock.then: `stop` is not accepted here; accepted is `kill`, `signal` or `keep`",
    ),
    (
        "working_lock: {max_busy: 5}",
        "sppm.yaml:4:30: programs.a.working_lock.max_busy: `5` is not a duration",
    ),
    ("working_lock: {path: /x/}", "sppm.yaml:4:26: programs.a.working_lock.path: this is a folder's path"),
    ("working_lock: {path: '{runtime_dir}/i/a/mine'}", "programs.a.working_lock.path: `/r/i` is sppm's own"),
    (
        "working_lock: /x",
        "sppm.yaml:4:19: programs.a.working_lock: `/x` stands here; accepted is a map with the keys",
    ),
    (
        "instances: 2\n    working_lock: {path: /x/lock}",
        "sppm.yaml:5:26: programs.a.working_lock.path: all 2 instances would write this one file",
    ),
    ("watchdog: 999ms", "sppm.yaml:4:15: programs.a.watchdog: 999ms is too short: at least 1s"),
    ("watchdog: 0", "programs.a.watchdog: 0s is too short"),
    ("watchdog: {timeout: 1s}", "programs.a.watchdog: a map stands here; accepted is a duration"),
    (
        "ready: {timeout: 0s}",
        "sppm.yaml:4:22: programs.a.ready.timeout: with 0 every start would be a failed one",
    ),
    ("ready: {notify: notify}", "programs.a.ready.notify: `notify` is neither `true` nor `false`"),
    (
        "ready: true",
        "sppm.yaml:4:12: programs.a.ready: `true` is not accepted here; accepted is `notify`, or a map",
    ),
    ("ready: [notify]", "programs.a.ready: a list stands here; accepted is `notify`, or a map with the keys"),
    ("ready: '${TOKEN}'", "programs.a.ready: `${TOKEN}` is not accepted here"),
    ("ready: http", "sppm.yaml:4:12: programs.a.ready: `http` is not in this version"),
    ("ready: \"http://127.0.0.1:80/ready\"", "programs.a.ready: `http` is not in this version"),
    (
        "ready: {http: \"http://127.0.0.1:80/ready\"}",
        "sppm.yaml:4:13: programs.a.ready.http: `http` is not in this version",
    ),
    ("ready: {tcp: \"127.0.0.1:80\"}", "programs.a.ready.tcp: `tcp` is not in this version"),
    ("ready: {log: up}", "programs.a.ready.log: `log` is not in this version"),
    ("ready: {exec: [x]}", "programs.a.ready.exec: `exec` is not in this version"),
    ("ready: {delay: 2s}", "programs.a.ready.delay: `delay` is not in this version"),
    (
        "hooks: {before_start: [x]}",
        "sppm.yaml:4:13: programs.a.hooks.before_start: `before_start` is not in this version",
    ),
    ("hooks: {after_ready: x}", "`after_ready` is not in this version"),
    ("hooks: {after_exit: x}", "`after_exit` is not in this version"),
    ("hooks: {on_failed: {command: x}}", "`on_failed` is not in this version"),
    ("hooks: [x]", "programs.a.hooks: a list stands here; accepted is a map with the keys `before_stop` and"),
    (
        "hooks: {before_stop: {timeout: 5s}}",
        "sppm.yaml:4:26: programs.a.hooks.before_stop: the hook has no `command`",
    ),
    ("hooks: {before_stop: []}", "programs.a.hooks.before_stop: a command may not be empty"),
    (
        "hooks: {before_stop: {command: ''}}",
        "programs.a.hooks.before_stop.command: a command may not be empty",
    ),
    ("hooks: {before_stop: [x, [y]]}", "programs.a.hooks.before_stop[1]: a list stands here"),
    ("hooks: {before_stop: 'x | y'}", "programs.a.hooks.before_stop: no shell runs here"),
    (
        "hooks: {before_stop: {command: x, timeout: 0}}",
        "sppm.yaml:4:48: programs.a.hooks.before_stop.timeout: with 0",
    ),
];

/// `keys` in the program `a`, from line 4 and column 5 on.
fn with(keys: &str) -> String {
    format!("supervisor: {{runtime_dir: /r}}\nprograms:\n  a: &a\n    {keys}\n    command: x\n")
}

#[test]
fn each_mistake_is_named_alone_and_with_its_place() {
    for (keys, part) in WRONG {
        let problems = bad(&with(keys));
        let all: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert!(all.len() == 1 && all[0].contains(part), "{keys}\n  got  {all:#?}\n  want {part}");
        assert!(!problems.render(Style::Plain).contains("hunter2"), "a value of the environment was shown");
    }
}

#[test]
fn help_names_the_mend() {
    for (keys, part) in [
        ("WatchdogSec: 30s", "here that is `watchdog`"),
        ("notify: true", "here that is `ready: notify`"),
        ("Type: notify", "`ready: notify` here"),
        ("readiness_probe: {}", "`ready: notify` only"),
        ("ExecStop: x", "here that is `stop.command`"),
        ("pre_stop: x", "here that is `hooks.before_stop`"),
        ("before_stop: x", "here that is `hooks.before_stop`"),
        ("lock: /x", "here that is `working_lock.path`"),
        ("lockfile: /x", "here that is `working_lock.path`"),
        ("state_file: /x", "here that is `working_lock.path`"),
        ("max_busy: 5m", "`max_busy` belongs under `programs.NAME.working_lock`"),
        ("working_lock: {kind: fcntl}", "here that is `flock`"),
        ("working_lock: {file: /x}", "here that is `path`"),
        ("ready: true", "here that is `notify`"),
        ("ready: notfy", "did you mean `notify`?"),
        ("ready: {listen_timeout: 5s}", "here that is `timeout`"),
        ("hooks: {pre_stop: x}", "here that is `before_stop`"),
        ("hooks: {post_stop: x}", "`after_exit` will do that"),
        ("hooks: {before_stop: 'x | y'}", "`[sh, -c, \"…\"]`"),
        ("watchdog: 0s", "`watchdog: null`"),
    ] {
        let rendered = bad(&with(keys)).render(Style::Plain);
        assert!(rendered.contains(part), "{part} is not in\n{rendered}");
    }
}

#[test]
fn who_shares_a_lock_is_told() {
    let text = "programs:\n  a: {command: x, instances: 2, working_lock: {path: /x, kind: flock}}\n";
    let told = warnings(text);
    assert!(
        told.len() == 1 && told[0].contains("sppm.yaml:2:54: programs.a.working_lock.path: all 2"),
        "{told:?}"
    );
    let text = "programs:\n  a: {command: x, working_lock: {path: /x/lock}}\n  b: {command: x, working_lock: {path: /x/y/../lock}}\n";
    let told = warnings(text);
    let want = "sppm.yaml:3:40: programs.b.working_lock.path: `a` and `b` have one lock";
    assert!(told.len() == 1 && told[0].contains(want), "{told:?}");
    let text = "defaults: {working_lock: {path: '/x/{index}'}}\nprograms: {a: {command: x}, b: {command: x}, c: {command: x, instances: 2}}\n";
    let told = warnings(text);
    assert!(told.len() == 1 && told[0].contains("`a`, `b` and 1 more have one lock"), "{told:?}");
    for apart in ["/x/{name}", "/x/{instance}", "{runtime_dir}/i/{instance}/lock"] {
        let text = format!(
            "defaults: {{working_lock: {{path: '{apart}'}}}}\nprograms: {{a: {{command: x}}, b: {{command: x}}}}\n"
        );
        assert_eq!(warnings(&text), [""; 0], "{apart}");
    }
    // What is not run writes nothing.
    let text = "defaults: {working_lock: {path: /x}}\nprograms: {a: {command: x}, b: {command: x, enabled: false}}\n";
    assert_eq!(warnings(text), [""; 0]);
    good("programs: {a: {command: x, instances: 2, working_lock: {path: '/x/{index}'}}}");
    good("programs: {a: {command: x, instances: 1, working_lock: {path: /x}}}");
}

#[test]
fn what_never_comes_is_warned_about() {
    let told = warnings(&with("working_lock: {then: keep}"));
    let want = "sppm.yaml:4:26: programs.a.working_lock.then: this never comes: without `max_busy`";
    assert!(told.len() == 1 && told[0].contains(want), "{told:?}");
    assert_eq!(warnings(&with("working_lock: {then: keep, max_busy: 1m}")), [""; 0]);
}

#[test]
fn paths_of_notify_sockets_have_an_end() {
    // "/" + folder + "/i/" + label + "/sd"
    let file = |length: usize, keys: &str| {
        format!(
            "supervisor: {{runtime_dir: /{}}}\nprograms:\n  web: {{command: x, {keys}}}\n",
            "r".repeat(length)
        )
    };
    for keys in ["ready: notify", "watchdog: 5s", "ready: {notify: true}, watchdog: 5s"] {
        good(&file(96, keys));
        good(&file(92, &format!("instances: 9999, {keys}")));
        let problems = bad(&file(93, &format!("instances: 9999, {keys}")));
        assert!(problems.first_line().contains("108 bytes"), "{problems}");
        let name = "n".repeat(63);
        let long = |length: usize| file(length, keys).replace("web:", &format!("{name}:"));
        good(&long(37));
        let problems = bad(&long(38));
        let place = if keys.starts_with("ready") { "ready" } else { "watchdog" };
        let line = problems.first_line();
        assert!(line.contains(&format!("programs.{name}.{place}: the socket for sd_notify")), "{line}");
        assert!(line.contains("with 108 bytes"), "{line}");
        assert_eq!(problems.iter().count(), 1, "{problems}");
    }
    // Who does not speak sd_notify has no such socket.
    let quiet = file(90, "ready: {timeout: 5s}").replace("web:", &format!("{}:", "n".repeat(63)));
    good(&quiet);
}
