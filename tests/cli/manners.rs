//! Help, usage errors, exit codes, colours, JSON.

use super::common::{Rig, Who, Yaml, http};
use std::time::Duration;

const VERBS: &[&str] = &[
    "run",
    "start",
    "stop",
    "restart",
    "reload",
    "shutdown",
    "status",
    "diff",
    "check",
    "logs",
    "signal",
    "scale",
    "init",
    "schema",
    "why",
    "events",
    "history",
    "wait",
    "completions",
    "man",
];

#[test]
fn help_names_every_verb_and_fits_a_screen() {
    let rig = Rig::new();
    let help = rig.bare(&["--help"]).ok();
    for verb in VERBS {
        assert!(help.stdout.contains(verb), "no {verb}\n{}", help.stdout);
        let own = rig.bare(&[verb, "--help"]).ok();
        assert!(own.stdout.contains("Usage"), "{verb}: {}", own.all());
    }
    let short = rig.bare(&["-h"]).ok();
    assert!(short.stdout.lines().count() <= 60, "{} lines", short.stdout.lines().count());
    let version = rig.bare(&["--version"]).ok();
    assert_eq!(version.stdout.trim(), concat!("sppm ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn misuse_is_2_and_says_what_was_meant() {
    let rig = Rig::new();
    rig.bare(&["statsu"]).expect_code(2).expect_text("status");
    rig.bare(&["status", "--jsno"]).expect_code(2).expect_text("--json");
    rig.bare(&["scale"]).expect_code(2);
    let nothing = rig.bare::<&str>(&[]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.all().contains("Usage"), "{}", nothing.all());
}

#[test]
fn without_a_supervisor_commands_end_with_69_and_name_the_socket() {
    let rig = Rig::new();
    rig.save(&Yaml::new(&rig).program("web", &[rig.steady()]));
    for args in [
        &["status"][..],
        &["stop"],
        &["reload"],
        &["shutdown"],
        &["logs", "web"],
        &["signal", "HUP", "web"],
        &["scale", "web=2"],
    ] {
        let answer = rig.sppm(args).expect_code(69);
        assert!(
            answer.stderr.contains("sppm.sock") || answer.stderr.contains("by-path"),
            "no place\n{}",
            answer.all()
        );
        assert!(answer.stderr.contains("error:") && answer.stdout.is_empty(), "{}", answer.all());
    }
}

#[test]
fn without_a_file_the_search_is_told() {
    let rig = Rig::new();
    let answer = rig.bare(&["check"]);
    assert_eq!(answer.code, Some(78), "{}", answer.all());
    answer.expect_text("sppm.yaml");
    rig.write("sppm.yaml", "programs: {}\n");
    rig.write("sppm.yml", "programs: {}\n");
    rig.bare(&["check"]).expect_code(78).expect_text("sppm.yml");
    std::fs::remove_file(rig.path("sppm.yml")).unwrap();
    rig.bare(&["check"]).ok();
}

#[test]
fn the_file_is_found_where_it_is_looked_for() {
    let mut rig = Rig::new();
    rig.write("other.yaml", "programs: { other: { command: [x] } }\n");
    let other = rig.path("other.yaml").display().to_string();
    rig.bare(&["check", "--config", &other]).ok();
    rig.bare(&["-c", "other.yaml", "check"]).ok();
    rig.env("SPPM_CONFIG", &other);
    rig.bare(&["check"]).ok();
    let rig = Rig::new();
    rig.folder_named("c/sppm");
    rig.write("c/sppm/sppm.yaml", "programs: { other: { command: [x] } }\n");
    rig.bare(&["check"]).ok();
}

#[test]
fn unknown_names_are_4_in_every_command() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("crawler", &[rig.steady()]));
    for args in [
        &["status", "crawlr"][..],
        &["start", "crawlr"],
        &["stop", "crawlr"],
        &["restart", "crawlr"],
        &["logs", "crawlr"],
        &["signal", "HUP", "crawlr"],
        &["scale", "crawlr=2"],
    ] {
        let answer = rig.sppm(args).expect_code(4);
        assert!(answer.stderr.contains("crawler"), "no nearest name\n{}", answer.all());
    }
    rig.sppm(&["signal", "NOSUCH", "crawler"]).expect_code(2);
    rig.sppm(&["reload", "crawler"]).expect_code(2).expect_text("restart");
    rig.shutdown();
}

#[test]
fn status_has_its_exit_codes_and_a_stable_json() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("good", &[rig.steady(), "instances: 2".into()])
        .program("bad", &[rig.ends_with(1, "0"), "restart: { limit: 1, delay: 50ms, then: stay }".into()]);
    rig.save(&yaml);
    rig.sppm(&["start"]).expect_code(1);
    let status = rig.until_phase("bad", "failed");
    rig.sppm(&["status"]).expect_code(3);
    rig.sppm(&["status", "good"]).ok();
    for key in
        ["version", "pid", "keeper_pid", "config", "config_ok", "config_error", "generation", "started_at"]
    {
        assert!(!status.supervisor(key).is_null() || key == "config_error", "no supervisor.{key}");
    }
    assert_eq!(status.supervisor("config"), rig.file().to_str().unwrap());
    for key in ["name", "desired", "phase", "ready", "wanted", "flag", "instances"] {
        assert!(status.program("good").get(key).is_some(), "no program.{key}");
    }
    for key in [
        "id",
        "phase",
        "pid",
        "since",
        "uptime_s",
        "ready",
        "healthy",
        "busy",
        "busy_since",
        "busy_what",
        "restarts",
        "last_exit",
        "next_start_at",
        "adopted",
        "reason",
    ] {
        assert!(status.instance("good.1").get(key).is_some(), "no instance.{key}");
    }
    assert_eq!(status.program("good")["ready"], 2);
    assert_eq!(status.instance("bad")["last_exit"]["code"], 1);
    let since = status.instance("good.1")["since"].as_str().unwrap();
    assert!(since.len() >= 20 && since.contains('T'), "{since} is not RFC 3339");
    rig.shutdown();
}

#[test]
fn errors_too_are_json_under_json() {
    let rig = Rig::new();
    rig.save(&Yaml::new(&rig).program("web", &[rig.steady()]));
    let json = |answer: &super::common::Answer| -> serde_json::Value {
        let text = if answer.stdout.trim().is_empty() { &answer.stderr } else { &answer.stdout };
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{}", answer.all()))
    };
    let answer = rig.sppm(&["status", "--json"]).expect_code(69);
    assert_eq!(json(&answer)["error"]["exit_code"], 69);
    rig.start();
    let answer = rig.sppm(&["status", "--json", "nobody"]).expect_code(4);
    assert_eq!(json(&answer)["error"]["exit_code"], 4);
    for args in [
        &["diff", "--json"][..],
        &["reload", "--json"],
        &["stop", "--json", "web"],
        &["start", "--json", "web"],
    ] {
        let answer = rig.sppm(args).ok();
        assert!(json(&answer).is_object(), "{}", answer.all());
    }
    rig.save_text("programs: { web: { comand: x } }\n");
    let answer = rig.sppm(&["check", "--json"]).expect_code(78);
    assert!(json(&answer).to_string().contains("comand"));
    rig.shutdown();
}

#[test]
fn colour_is_for_terminals_and_on_demand() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    assert!(!rig.sppm(&["status"]).ok().stdout.contains('\u{1b}'));
    assert!(rig.sppm(&["status", "--color", "always"]).ok().stdout.contains('\u{1b}'));
    assert!(!rig.sppm(&["status", "--color", "never"]).ok().stdout.contains('\u{1b}'));
    rig.shutdown();
}

fn the_socket_answers_http_and_only_to_its_own(who: Who) {
    let rig = Rig::of(who);
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    let socket = rig.path("r/sppm.sock");
    let (code, body) = http::get_unix(&socket, "/v1/status").expect("an answer");
    assert_eq!(code, 200, "{body}");
    assert!(body.contains("\"web\""), "{body}");
    assert_eq!(http::get_unix(&socket, "/healthz").expect("an answer").0, 200);
    assert_eq!(http::get_unix(&socket, "/v1/no-such").expect("an answer").0, 404);
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str| std::fs::metadata(rig.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(format!("{:o}", mode("r/sppm.sock")), "660");
    assert_eq!(format!("{:o}", mode("r")), "711");
    rig.shutdown();
}
super::as_everyone!(the_socket_answers_http_and_only_to_its_own);

#[test]
fn a_stranger_is_not_permitted() {
    let Some(Who::Other(uid)) = Who::ordinary() else { return };
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]).supervisor("api: { mode: \"0666\" }"));
    let binary = rig.path("sppm");
    std::fs::copy(rig.binary(), &binary).unwrap();
    let mut command = std::process::Command::new(super::common::tools::find(&["setpriv"]).unwrap());
    command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).arg("--clear-groups");
    command.arg(&binary).arg("-c").arg(rig.file()).args(["shutdown", "--force"]);
    command.env_clear().env("HOME", rig.path("home")).env("XDG_STATE_HOME", rig.path("s")).current_dir("/");
    let answer = super::common::command::finish(command, Duration::from_secs(60));
    assert_eq!(answer.code, Some(77), "{}", answer.all());
    assert!(rig.status().all_running());
    rig.shutdown();
}
