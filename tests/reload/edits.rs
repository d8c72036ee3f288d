//! Each kind of edit and its effect, by `sppm reload`, by SIGHUP, and as `sppm diff` foretold it.

use super::cast::{five, only_changed, start};
use super::common::wait::stays;
use super::common::{Rig, Status, Who, Yaml};
use nix::sys::signal::Signal;
use std::time::Duration;

/// A configuration that is read only when asked for.
fn unwatched(rig: &Rig) -> Yaml {
    five(rig).supervisor("follow_file: { enabled: false }")
}

/// How a test asks for a reload.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Command,
    Hangup,
}

/// What `diff --json` foretells: each program that changes, and how.
#[track_caller]
fn foretold(rig: &Rig) -> Vec<(String, String)> {
    let answer = rig.sppm(&["diff", "--json"]).ok();
    let value: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON");
    let changes = value["changes"].as_array().unwrap_or_else(|| panic!("no changes\n{}", answer.all()));
    let word = |change: &serde_json::Value, key: &str| change[key].as_str().expect("a word").to_owned();
    changes.iter().map(|change| (word(change, "program"), word(change, "change"))).collect()
}

/// Saves `next`, checks what `diff` foretells, reloads, and checks that just that happens.
#[track_caller]
fn apply(rig: &Rig, by: By, next: &Yaml, changes: &[(&str, &str)]) -> Status {
    let before = rig.status();
    rig.save(next);
    let wanted: Vec<(String, String)> =
        changes.iter().map(|(program, change)| ((*program).to_owned(), (*change).to_owned())).collect();
    assert_eq!(foretold(rig), wanted, "diff foretells something else");
    assert_eq!(rig.status().generation(), before.generation(), "diff applied it");
    match by {
        By::Command => {
            let answer = rig.sppm(&["reload"]).ok();
            for (program, _) in changes {
                assert!(
                    answer.stdout.contains(program),
                    "reload does not tell of {program}\n{}",
                    answer.all()
                );
            }
        }
        By::Hangup => before.keeper_proc().signal(Signal::SIGHUP),
    }
    let of_kind = |kind: &str| -> Vec<&str> {
        changes.iter().filter(|(_, change)| *change == kind).map(|(program, _)| *program).collect()
    };
    let (restarted, stopped) = (of_kind("restart"), of_kind("stop"));
    let after = rig.until("the edit is applied and all run again", |status| {
        status.generation() > before.generation()
            && status.all_running()
            && restarted.iter().all(|id| status.pid(id) != before.pid(id))
            && stopped.iter().all(|name| status.find(name).is_none())
    });
    assert_eq!(after.generation(), before.generation() + 1, "applied more than once");
    only_changed(&before, &after, &[restarted, stopped].concat());
    assert_eq!(foretold(rig), [], "after the reload a difference is left");
    after
}

fn every_kind_of_edit_touches_only_its_program(who: Who) {
    let rig = Rig::of(who);
    let first = unwatched(&rig);
    start(&rig, &first);

    let command = rig.actor("worker2", "while :; do echo \"$SPPM_INSTANCE works anew\"; sleep 0.2; done");
    let next = first.set("worker", &command);
    apply(&rig, By::Command, &next, &[("worker", "restart")]);
    let next = next.set("crawler", "environment: { SPEED: 2 }");
    apply(&rig, By::Hangup, &next, &[("crawler", "restart")]);
    let next = next.with("site", "umask: \"027\"");
    apply(&rig, By::Command, &next, &[("site", "restart")]);

    // Live keys: applied, nobody restarts.
    let next = next.set("redis", "restart: { policy: on-failure, delay: 2s, limit: 3 }");
    apply(&rig, By::Command, &next, &[("redis", "live")]);
    let next = next.set("worker", "stop: { timeout: 5s }");
    apply(&rig, By::Hangup, &next, &[("worker", "live")]);
    let next = next.set("worker", "logs: { max_size: 2MiB, max_files: 3 }");
    apply(&rig, By::Command, &next, &[("worker", "live")]);
    let next = next.with("nginx", "description: serves pages").with("nginx", "tags: [web]");
    apply(&rig, By::Command, &next, &[("nginx", "live")]);
    rig.shutdown();
}
super::as_everyone!(every_kind_of_edit_touches_only_its_program);

#[test]
fn what_does_not_change_the_meaning_changes_nothing() {
    let rig = Rig::new();
    let yaml = unwatched(&rig);
    let before = start(&rig, &yaml);
    let text = yaml.text();
    let mut reversed = yaml.clone();
    reversed.programs.reverse();
    let variants = [
        format!("# a comment\n{text}\n# and another\n"),
        text.replace("\n  worker:", "\n\n\n  worker:   # here\n"),
        reversed.text(),
        text.replace(": { timeout: 20s }", ":\n      timeout: 20s"),
        text.replace("stop: { timeout: 20s }", "stop: { timeout: 20000ms }"),
        text.replace("    stop: INT", "    stop: &how INT").replace("  site:", "  # anchors\n  site:"),
        format!("x-shared: &shared {{ a: 1 }}\n{text}"),
        text.replace('\n', "\r\n"),
    ];
    for variant in variants {
        assert_ne!(variant, text, "this variant is none");
        rig.save_text(&variant);
        rig.sppm(&["diff"]).ok();
        rig.sppm(&["reload"]).ok();
        let after = rig.status();
        assert!(after.config_ok(), "{}\n{variant}", after.config_error());
        only_changed(&before, &after, &[]);
    }
    stays("nobody restarts", Duration::from_secs(1), || {
        before.running().values().all(super::common::Proc::alive)
    });
    rig.shutdown();
}

#[test]
fn entries_come_and_go_and_their_neighbours_stay() {
    let rig = Rig::new();
    let first = unwatched(&rig);
    start(&rig, &first);
    let next = first.program("extra", &[rig.steady()]);
    let added = apply(&rig, By::Command, &next, &[("extra", "start")]);
    let extra = added.process_of("extra");

    let disabled = next.clone().with("extra", "enabled: false");
    rig.save(&disabled);
    rig.sppm(&["reload"]).ok();
    rig.until("a disabled entry is stopped", |status| status.pid("extra").is_none());
    assert!(!extra.alive());
    let answer = rig.sppm(&["start", "extra"]).expect_code(2);
    assert!(answer.stderr.contains("sppm.yaml:"), "it does not say where\n{}", answer.all());

    let fewer = next.without("extra").without("nginx");
    let before = rig.status();
    apply(&rig, By::Command, &fewer, &[("nginx", "stop")]);
    assert!(!before.process_of_or_gone("nginx"), "the removed program runs on");
    rig.sppm(&["status", "nginx"]).expect_code(4);
    rig.shutdown();
}

#[test]
fn instances_are_added_and_taken_away_at_the_end() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .supervisor("follow_file: { enabled: false }")
        .program("web", &[rig.steady(), "instances: 2".into()]);
    rig.start_with(&yaml);
    let before = rig.status();
    rig.save(&yaml.clone().set("web", "instances: 4"));
    rig.sppm(&["reload"]).ok();
    let more = rig.until("four run", |status| status.running().len() == 4);
    for id in ["web.1", "web.2"] {
        assert_eq!(before.pid(id), more.pid(id), "{id} was disturbed");
    }
    rig.save(&yaml.clone().set("web", "instances: 1"));
    rig.sppm(&["reload"]).ok();
    let less = rig.until("one runs", |status| status.instances().count() == 1 && status.all_running());
    assert_eq!(before.pid("web.1"), less.pid("web.1"));
    rig.shutdown();
}

#[test]
fn an_env_file_and_an_include_are_part_of_the_configuration() {
    let rig = Rig::new();
    rig.folder_named("conf.d");
    rig.write("worker.env", "COLOUR=red\n");
    let actor = rig.actor("colour", "echo \"colour $COLOUR\"\nexec sleep 100000");
    rig.write("conf.d/extra.yaml", &format!("programs:\n  extra:\n    {actor}\n"));
    let mut yaml = Yaml::new(&rig)
        .program("steady", &[rig.steady()])
        .program("worker", &[actor.clone(), "env_files: [worker.env]".into()]);
    yaml.head = "include: [conf.d/*.yaml]\n".into();
    rig.start_with(&yaml);
    let before = rig.status();
    assert!(before.all_running() && before.find("extra").is_some(), "{:#}", before.0);

    rig.write("worker.env", "COLOUR=blue\n");
    let blue = rig.until("the env file's edit is applied", |status| {
        status.generation() == before.generation() + 1 && status.all_running()
    });
    only_changed(&before, &blue, &["worker"]);
    assert!(rig.log("worker").contains("colour blue"));

    rig.write(
        "conf.d/extra.yaml",
        &format!("programs:\n  extra:\n    {actor}\n    environment: {{ COLOUR: green }}\n"),
    );
    let green = rig.until("the include's edit is applied", |status| {
        status.generation() == before.generation() + 2 && status.all_running()
    });
    only_changed(&blue, &green, &["extra"]);

    rig.write("conf.d/more.yaml", &format!("programs:\n  more:\n    {actor}\n"));
    let more = rig.until("a new include is applied", |status| status.phase("more") == "running");
    only_changed(&green, &more, &[]);
    std::fs::remove_file(rig.path("conf.d/more.yaml")).unwrap();
    let gone = rig.until("a removed include is applied", |status| status.find("more").is_none());
    only_changed(&green, &gone, &[]);
    rig.shutdown();
}

/// The newest file wins while an older one is still being applied.
#[test]
fn a_reload_during_a_reload_ends_with_the_newest() {
    let rig = Rig::new();
    let slow = |text: &str| {
        rig.actor("slow", &format!("trap 'sleep 1; exit 0' TERM\necho {text}\nwhile :; do sleep 0.1; done"))
    };
    let line = slow("slow");
    let yaml = Yaml::new(&rig)
        .supervisor("follow_file: { enabled: false }")
        .program("slow", &[line, "environment: { N: 0 }".into()]);
    rig.start_with(&yaml);
    for n in 1..=5 {
        rig.save(&yaml.clone().set("slow", &format!("environment: {{ N: {n} }}")));
        rig.status().supervisor_proc().signal(Signal::SIGHUP);
        super::common::pause(Duration::from_millis(150));
    }
    let last = yaml.clone().set("slow", "environment: { N: 5 }");
    rig.save(&last);
    rig.sppm(&["reload"]).ok();
    let status = rig.until("it runs", Status::all_running);
    let pid = status.pid("slow").unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(environment.split(|&b| b == 0).any(|variable| variable == b"N=5"), "an older file won");
    assert!(rig.starts("slow").len() <= 7, "{:?}", rig.starts("slow"));
    rig.shutdown();
}
