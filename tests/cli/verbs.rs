//! start, logs, scale, signal, run -- CMD, init, schema, aliases.

use super::common::{Background, Rig, Who, Yaml, wait_for, wait_until};
use std::time::Duration;

#[test]
fn names_patterns_and_tags_select() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("web-a", &[rig.steady(), "tags: [front]".into()])
        .program("web-b", &[rig.steady()])
        .program("pool", &[rig.steady(), "instances: 3".into(), "tags: [front, back]".into()]);
    rig.start_with(&yaml);
    let stopped = |wanted: &[&str]| {
        let status = rig.status();
        let mut ids: Vec<&str> =
            status.instances().filter(|i| i["phase"] == "stopped").filter_map(|i| i["id"].as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, wanted, "{:#}", status.0);
    };
    rig.sppm(&["stop", "web-*"]).ok();
    stopped(&["web-a", "web-b"]);
    rig.sppm(&["start", "all"]).ok();
    stopped(&[]);
    rig.sppm(&["stop", "@back"]).ok();
    stopped(&["pool.1", "pool.2", "pool.3"]);
    rig.sppm(&["start", "pool"]).ok();
    rig.sppm(&["stop", "pool.2", "web-b"]).ok();
    stopped(&["pool.2", "web-b"]);
    rig.sppm(&["start"]).ok();
    stopped(&[]);
    rig.shutdown();
}

#[test]
fn autostart_false_waits_for_a_start() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("now", &[rig.steady()])
        .program("later", &[rig.steady(), "autostart: false".into()]);
    rig.start_with(&yaml);
    assert_eq!(rig.status().phase("later"), "stopped");
    rig.sppm(&["start", "later"]).ok();
    assert_eq!(rig.status().phase("later"), "running");
    rig.shutdown();
    rig.start();
    assert_eq!(rig.status().phase("later"), "stopped", "a start lasts until shutdown");
    rig.shutdown();
}

#[test]
fn scale_takes_both_orders_and_lasts_until_the_file_says_otherwise() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("web", &[rig.steady(), "instances: 2".into(), "restart: { min_uptime: 200ms }".into()]);
    rig.start_with(&yaml);
    let first = rig.status();
    let count = |wanted: usize| {
        let status = rig.until(&format!("{wanted} run"), |status| {
            status.running_count() == wanted && status.instances().count() == wanted
        });
        assert_eq!(status.pid("web.1"), first.pid("web.1"), "web.1 was disturbed");
    };
    rig.sppm(&["scale", "web=4"]).ok();
    count(4);
    rig.sppm(&["scale", "web", "3"]).ok();
    count(3);
    rig.sppm(&["scale", "web=+1"]).ok();
    count(4);
    rig.sppm(&["scale", "web=-2"]).ok();
    count(2);
    rig.sppm(&["scale", "web=5"]).ok();
    rig.save(&yaml.clone().with("web", "description: edited"));
    rig.sppm(&["reload"]).ok();
    count(5);
    rig.save(&yaml.set("web", "instances: 1"));
    rig.sppm(&["reload"]).ok();
    count(1);
    rig.shutdown();
}

#[test]
fn signal_reaches_the_main_process_alone() {
    let rig = Rig::new();
    let noting = rig.actor("noting", "trap 'echo got HUP' HUP\nsh -c 'trap \"echo child got HUP\" HUP; while :; do sleep 0.05; done' &\necho up\nwhile :; do sleep 0.05; done");
    rig.start_with(&Yaml::new(&rig).program("noting", &[noting]));
    wait_until("it is up", || rig.log("noting").contains("up"));
    let spellings: [&[&str]; 3] =
        [&["signal", "HUP", "noting"], &["signal", "noting", "SIGHUP"], &["kill", "-s", "HUP", "noting"]];
    for (number, args) in spellings.iter().enumerate() {
        rig.sppm(args).ok();
        // One after the other: a signal that is pending already is not delivered twice.
        wait_until("it got it", || rig.log("noting").matches("got HUP").count() > number);
    }
    assert!(!rig.log("noting").contains("child got"), "its child got one too");
    rig.shutdown();
}

fn logs_are_shown_and_followed_over_rotation(who: Who) {
    let rig = Rig::of(who);
    let yaml = Yaml::new(&rig)
        .program("count", &[rig.counter(), "logs: { max_size: 4KiB, max_files: 3 }".into()])
        .program("other", &[rig.counter()]);
    rig.start_with(&yaml);
    let mut follow = Background::start(rig.command(&["logs", "-f", "-n", "1", "count"]), &rig.path("follow"));
    wait_until("it was rotated twice", || rig.path("log/count.log.2").exists());
    let log = format!("{}{}{}", rig.read("log/count.log.2"), rig.read("log/count.log.1"), rig.log("count"));
    let numbers: Vec<u64> = log.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "lines lost or cut by rotation:\n{log}");
    let last = format!("line {}", numbers.last().unwrap());
    follow.wait_for_text(&last);
    let followed = follow.stdout();
    let numbers: Vec<u64> =
        followed.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert!(
        numbers.len() > 100 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "lines lost while following"
    );

    let ten = rig.sppm(&["logs", "-n", "10", "count"]).ok();
    assert_eq!(ten.stdout.lines().count(), 10, "{}", ten.all());
    let all = rig.sppm(&["logs"]).ok();
    assert!(all.stdout.contains("count") && all.stdout.contains("other"), "{}", all.all());
    assert!(!rig.path("log/count.log.3").exists(), "more files than max_files");
    drop(follow);
    rig.shutdown();
}
super::as_everyone!(logs_are_shown_and_followed_over_rotation);

#[test]
fn standard_error_goes_where_it_should() {
    let rig = Rig::new();
    let both = rig.actor("both", "echo to-out\necho to-err >&2\nexec sleep 100000");
    let apart = format!("logs: {{ stderr: {} }}", rig.path("apart.err").display());
    let yaml = Yaml::new(&rig)
        .program("merged", std::slice::from_ref(&both))
        .program("apart", &[both.clone(), apart])
        .program("silent", &[both, "logs: discard".into()]);
    rig.start_with(&yaml);
    wait_until("merged", || rig.log("merged").contains("to-out") && rig.log("merged").contains("to-err"));
    wait_until("apart", || rig.log("apart").contains("to-out") && rig.read("apart.err").contains("to-err"));
    assert!(!rig.log("apart").contains("to-err"));
    assert_eq!(rig.log("silent"), "");
    rig.shutdown();
}

#[test]
fn what_a_dying_program_said_is_in_its_log_when_its_exit_is_told() {
    let rig = Rig::new();
    let last_words =
        rig.actor("last-words", "n=0; while [ $n -lt 500 ]; do n=$((n+1)); echo word $n; done\nexit 3");
    rig.save(&Yaml::new(&rig).program("last-words", &[last_words, "restart: never".into()]));
    rig.sppm(&["start"]);
    rig.until("its exit is told", |status| status.instance("last-words")["last_exit"]["code"] == 3);
    assert!(rig.log("last-words").contains("word 500\n"));
    rig.shutdown();
}

#[test]
fn a_flood_slows_nobody() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("flood", &[rig.flood(), "logs: { max_size: 1MiB, max_files: 2 }".into()])
        .program("count", &[rig.counter()]);
    rig.start_with(&yaml);
    for _ in 0..5 {
        let answer = rig.sppm(&["status"]).ok();
        assert!(answer.took < Duration::from_secs(10), "status took {:?}", answer.took);
        let lines = rig.log("count").lines().count();
        wait_until("the counter's lines arrive", || rig.log("count").lines().count() > lines + 5);
    }
    // While it is being rotated there is no file of that name.
    let size = wait_for("the flood's log", || Some(std::fs::metadata(rig.path("log/flood.log")).ok()?.len()));
    assert!(size <= 1024 * 1024 + 512 * 1024, "{size} bytes in one file of at most 1 MiB");
    rig.shutdown();
}

#[test]
fn run_takes_a_command_instead_of_a_file() {
    // Root's folders for it would lie outside the test's own.
    let rig = Rig::of(Who::ordinary().unwrap_or(Who::Own));
    let mut command = rig.program(rig.binary());
    command.args(["run", "--", "sh", "-c", "echo hello from inside; sleep 100000"]);
    let mut run = Background::start(command, &rig.path("run"));
    run.wait_for_text("hello from inside");
    run.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(run.end().code, Some(0));
    rig.until_nothing_runs();
}

#[test]
fn aliases_that_fingers_know() {
    let rig = Rig::new();
    rig.save(&Yaml::new(&rig).program("web", &[rig.steady()]));
    rig.sppm(&["config"]).ok();
    rig.start();
    for alias in ["ps", "ls", "apply", "reread", "update"] {
        rig.sppm(&[alias]).ok();
    }
    rig.sppm(&["tail", "web"]).ok();
    let mut down = Background::start(rig.command(&["down"]), &rig.path("down"));
    assert_eq!(down.end().code, Some(0));
    rig.until_nothing_runs();
}

#[test]
fn the_schema_is_the_one_in_the_repository() {
    let rig = Rig::new();
    let schema = rig.bare(&["schema"]).ok().stdout;
    let value: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(value["properties"]["programs"].is_object());
    let kept =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sppm.schema.json")).unwrap();
    assert_eq!(kept, schema, "run `sppm schema > schemas/sppm.schema.json`");
}

/// `start` waits for what it started, and says so by its exit code.
#[test]
fn start_waits_for_each_program() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("good", &[rig.steady()]).program("bad", &[rig.ends_with(4, "0.2")]);
    rig.save(&yaml);
    let answer = rig.sppm(&["start"]).expect_code(1);
    assert!(answer.all().contains("bad") && answer.all().contains('4'), "{}", answer.all());
    assert!(rig.status().supervisor("pid").is_u64(), "the supervisor is gone");
    rig.save(&yaml.without("bad"));
    rig.until("only the good one is left", |status| status.names() == ["good"] && status.all_running());
    let before = rig.status();
    rig.sppm(&["start"]).ok();
    assert_eq!(before.running(), rig.status().running(), "a second start disturbed a program");
    rig.shutdown();
}

/// The environment of a program: ours, the file's, the caller's; nothing of what talks to sppm itself.
#[test]
fn a_program_sees_the_environment_it_should() {
    let mut rig = Rig::new();
    rig.env("CALLERS_OWN", "seen");
    rig.env("NOTIFY_SOCKET", "/not/for/programs");
    rig.env("SPPM_SECRET", "not for programs");
    let showing = rig.actor("showing", "env > \"$RIG/env.$SPPM_INSTANCE\"\nexec sleep 100000");
    let yaml = Yaml::new(&rig)
        .program("all", std::slice::from_ref(&showing))
        .program(
            "web",
            &[
                showing.clone(),
                "environment: { N: 5, FLAG: true, CALLERS_OWN: null, WHO: '{name}/{instance}/{index}' }"
                    .into(),
                "instances: 1".into(),
            ],
        )
        .without("all")
        .program("plain", &[showing]);
    rig.start_with(&yaml);
    let plain = super::common::rig::file_says(&rig.path("env.plain"), "SPPM_RUN=");
    for line in ["CALLERS_OWN=seen", "SPPM_NAME=plain", "SPPM_INSTANCE=plain", "SPPM_INDEX=1"] {
        assert!(plain.lines().any(|found| found == line), "no {line}\n{plain}");
    }
    assert!(!plain.contains("NOTIFY_SOCKET") && !plain.contains("SPPM_SECRET"), "{plain}");
    let web = super::common::rig::file_says(&rig.path("env.web.1"), "SPPM_RUN=");
    for line in ["N=5", "FLAG=true", "WHO=web/web.1/1", "SPPM_INSTANCE=web.1"] {
        assert!(web.lines().any(|found| found == line), "no {line}\n{web}");
    }
    assert!(!web.contains("CALLERS_OWN"), "{web}");
    rig.shutdown();
}

/// A command that waits can be left: what was asked for goes on.
#[test]
fn waiting_can_be_bounded_and_interrupted() {
    let rig = Rig::new();
    let slow = rig.actor("slow", "trap 'sleep 4; exit 0' TERM\necho up\nwhile :; do sleep 0.05; done");
    rig.start_with(&Yaml::new(&rig).program("slow", &[slow, "stop: { timeout: 60s }".into()]));
    wait_until("it is up", || rig.log("slow").contains("up"));
    let answer = rig.sppm(&["stop", "slow", "--timeout", "500ms"]).expect_code(75);
    assert!(answer.stderr.contains("goes on"), "it does not say that the stop goes on\n{}", answer.all());
    rig.until_phase("slow", "stopped");
    rig.sppm(&["start", "slow"]).ok();
    wait_until("it is up again", || rig.log("slow").matches("up").count() == 2);
    let mut stop = Background::start(rig.command(&["stop", "slow"]), &rig.path("stop"));
    rig.until_phase("slow", "stopping");
    stop.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(stop.end().code, Some(130));
    rig.until_phase("slow", "stopped");
    assert_eq!(rig.starts("slow").len(), 2);
    rig.shutdown();
}

#[test]
fn one_name_is_shown_in_detail() {
    let rig = Rig::new();
    let saying = rig.actor("saying", "echo my last words\nexec sleep 100000");
    rig.start_with(&Yaml::new(&rig).program("saying", &[saying, "description: says something".into()]));
    wait_until("it has said it", || rig.log("saying").contains("my last words"));
    let answer = rig.sppm(&["status", "saying"]).ok();
    let pid = rig.status().pid("saying").unwrap().to_string();
    for word in ["saying", "running", pid.as_str(), "my last words"] {
        assert!(answer.stdout.contains(word), "no {word:?}\n{}", answer.all());
    }
    rig.shutdown();
}

/// What a terminal would obey is made visible in what programs print.
#[test]
fn escape_sequences_of_programs_do_not_reach_json_consumers_raw() {
    let rig = Rig::new();
    let rude = rig.actor("rude", "printf 'a\\033[31mb\\007\\n'\nexec sleep 100000");
    rig.start_with(&Yaml::new(&rig).program("rude", &[rude]));
    wait_until("it has printed", || rig.log("rude").contains('b'));
    assert!(rig.log("rude").contains('\u{1b}'), "the file has other bytes than the program wrote");
    let shown = rig.sppm(&["status", "rude"]).ok();
    assert!(!shown.stdout.contains('\u{1b}'), "{:?}", shown.stdout);
    let json = rig.sppm(&["logs", "--json", "rude"]).ok();
    assert!(!json.stdout.contains('\u{1b}'), "{:?}", json.stdout);
    rig.shutdown();
}
