//! `why`: the true cause and the next step, after an edit, a crash, a stop, and a kill by a stranger.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::{Rig, Yaml, wait_until};
use nix::sys::signal::Signal;

fn why(rig: &Rig, name: &str) -> String {
    rig.sppm(&["why", name]).ok().stdout
}

/// Each of `texts` is there, one behind the other.
#[track_caller]
fn in_order(text: &str, texts: &[&str]) {
    let mut rest = text;
    for wanted in texts {
        let at = rest.find(wanted).unwrap_or_else(|| panic!("no {wanted:?} (in this place) in\n{text}"));
        rest = &rest[at + wanted.len()..];
    }
}

#[test]
fn a_crash_is_told_with_its_last_words_and_the_next_start() {
    let rig = Rig::new();
    let crash = rig.actor("crash", "printf 'reading \\033[31mthe list\\n'\nsleep 0.2\nexit 3");
    let yaml = Yaml::new(&rig)
        .program("web", &[crash, "restart: { delay: 10m, max_delay: 10m }".into()])
        .program("other", &[rig.steady()]);
    rig.save(&yaml);
    rig.sppm(&["start"]).expect_code(1);
    rig.until_phase("web", "backoff");
    let text = why(&rig, "web");
    in_order(
        &text,
        &[
            "web  backoff since",
            "what led there",
            "started, pid",
            "code 3",
            "last lines",
            "reading ^[[31mthe list",
            "next: it is started again at",
            "(in ",
        ],
    );
    assert!(!text.contains('\u{1b}') && !text.contains("other"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&rig.sppm(&["why", "web", "--json"]).ok().stdout).unwrap();
    assert_eq!(json["instances"][0]["phase"], "backoff");
    let kinds: Vec<&str> =
        json["causes"].as_array().unwrap().iter().filter_map(|c| c["kind"].as_str()).collect();
    assert!(kinds.contains(&"exited"), "{kinds:?}");
    rig.shutdown();
}

#[test]
fn a_stop_names_its_author_and_a_kill_its_kind() {
    let rig = Rig::new();
    rig.start_with(
        &Yaml::new(&rig)
            .program("web", &[rig.steady()])
            .program("api", &[rig.steady(), "restart: { delay: 10m, max_delay: 10m }".into()]),
    );
    rig.sppm(&["stop", "web"]).ok();
    in_order(
        &why(&rig, "web"),
        &["web  stopped", "asked: stop", "next: nothing by itself; `sppm start web`"],
    );
    rig.status().process_of("api").signal(Signal::SIGKILL);
    rig.until_phase("api", "backoff");
    in_order(&why(&rig, "api"), &["SIGKILL", "which sppm did not send", "next: it is started again"]);
    // Two at once, and patterns.
    let both = rig.sppm(&["why", "all"]).ok().stdout;
    in_order(&both, &["api  backoff", "web  stopped"]);
    rig.sppm(&["why", "wbe"]).expect_code(4).expect_text("did you mean `web`?");
    rig.sppm(&["why", "../status"]).expect_code(4);
    rig.shutdown();
}

#[test]
fn an_edit_and_a_program_that_is_gone_are_explained() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("web", &[rig.steady()]).program("api", &[rig.steady()]);
    rig.start_with(&yaml);
    let before = rig.status();
    rig.save(&yaml.clone().with("web", "environment: { A: b }"));
    rig.sppm(&["reload"]).ok();
    rig.until("web was replaced", |status| {
        status.phase("web") == "running" && status.pid("web") != before.pid("web")
    });
    in_order(&why(&rig, "web"), &["web  running", "what led there", "started, pid", "next: it goes on"]);
    rig.save(&yaml.without("web"));
    rig.sppm(&["reload"]).ok();
    rig.until("web is gone", |status| status.find("web").is_none());
    in_order(&why(&rig, "web"), &["web  is gone", "what led there", "stopped", "next: nothing"]);
    wait_until("a stranger is unknown", || rig.sppm(&["why", "nobody"]).code == Some(4));
    rig.shutdown();
}
