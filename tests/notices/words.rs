//! What programs say for people, and what nobody understands.

use crate::common::rig::file_says;
use crate::common::{Rig, Yaml, processes, tools, wait_until};
use crate::puppet::{puppet, tell, text_of, why};
use std::time::{Duration, Instant};

#[test]
fn status_texts_and_tasks_are_shown() {
    let rig = Rig::new();
    let Some(web) = puppet(&rig, "web", "notify READY=1") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[web, "ready: notify".into()]));
    for (told, shown) in [
        ("line status crawling page 7", "crawling page 7"),
        ("notify 'STATUS=serves 3 of 4'", "serves 3 of 4"),
        ("say 'status by socket'", "by socket"),
        ("notify RELOADING=1", "rereads its configuration"),
        ("notify STATUS=", ""),
    ] {
        tell(&rig, "web", told);
        wait_until(told, || text_of(&rig, "web", "says") == shown);
        let detail = rig.sppm(&["status", "web"]).ok().stdout;
        assert_eq!(detail.contains(&format!("  says       {shown}\n")), !shown.is_empty(), "{detail}");
    }
    tell(&rig, "web", "line busy page 1");
    rig.until("it is busy", |status| status.instance("web")["busy"] == true);
    let table = rig.sppm(&["status"]).ok().stdout;
    let row = table.lines().find(|line| line.starts_with("web ")).unwrap();
    assert!(row.contains("  busy for ") && row.contains("s (page 1); it said that it is ready"), "{row}");
    let detail = rig.sppm(&["status", "web"]).ok().stdout;
    assert!(detail.contains("  busy       page 1, since 2"), "{detail}");
    tell(&rig, "web", "line idle");
    rig.until("it is idle", |status| status.instance("web")["busy"] == false);
    assert!(!rig.sppm(&["status"]).ok().stdout.contains("busy"));
    rig.shutdown();
}

#[test]
fn what_nobody_understands_is_counted_and_shown() {
    let rig = Rig::new();
    let Some(web) = puppet(&rig, "web", "notify READY=1") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[web, "ready: notify".into()]));
    let before = rig.status().process_of("web");
    assert_eq!(text_of(&rig, "web", "complaint"), "");
    tell(&rig, "web", "line rady");
    wait_until("one", || text_of(&rig, "web", "complaint") == "1 line that nobody understands: rady");
    tell(&rig, "web", "notify GARBAGE=1; printf '\\033[31mred\\n\\n \\n' > \"$SPPM_NOTIFY\"");
    wait_until("three", || {
        text_of(&rig, "web", "complaint").starts_with("3 lines that nobody understands, last: ")
    });
    let detail = rig.sppm(&["status", "web"]).ok().stdout;
    assert!(detail.contains("  complaint  3 lines that nobody understands, last: ^[[31mred\n"), "{detail:?}");
    assert_eq!(rig.status().process_of("web"), before);
    // It goes with the run.
    rig.sppm(&["restart", "web"]).ok();
    assert_eq!(text_of(&rig, "web", "complaint"), "");
    rig.shutdown();
}

#[test]
fn a_lock_that_cannot_be_read_is_a_complaint_of_the_stop() {
    let rig = Rig::new();
    let Some(web) = puppet(&rig, "web", "rm \"$SPPM_LOCK\"; mkdir \"$SPPM_LOCK\"") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[web, "stop: { timeout: 2s }".into()]));
    let status = rig.status();
    let instance = status.instance("web");
    assert_eq!(instance["busy"], serde_json::Value::Null, "{instance:#}");
    let why = instance["busy_what"].as_str().unwrap().to_owned();
    let detail = rig.sppm(&["status", "web"]).ok().stdout;
    assert!(detail.contains(&format!("  busy       nobody knows: {why}\n")), "{detail}");
    rig.sppm(&["stop", "web"]).ok();
    assert!(rig.own_log().contains(&why), "{why}\n{}", rig.own_log());
    rig.shutdown();
}

/// How long a word of `quiet` takes to be heard.
fn hears_quiet(rig: &Rig, number: u32) -> Duration {
    let begun = Instant::now();
    tell(rig, "quiet", &format!("line status turn {number}"));
    wait_until("the quiet one is heard", || text_of(rig, "quiet", "says") == format!("turn {number}"));
    begun.elapsed()
}

#[test]
fn floods_are_bounded_and_shown_and_others_are_heard() {
    let rig = Rig::new();
    let Some(quiet) = puppet(&rig, "quiet", "") else { return };
    let floods = [
        ("unknown", rig.actor("unknown", "exec yes 'what is this' > \"$SPPM_NOTIFY\"")),
        ("asks", rig.actor("asks", "exec yes 'stop-me not' > \"$SPPM_NOTIFY\"")),
        ("busy", rig.actor("busy", "while :; do echo busy; echo idle; done > \"$SPPM_NOTIFY\"")),
        (
            "publishes",
            rig.actor("publishes", "exec yes \"pub flood $(printf '%4000s' x)\" > \"$SPPM_NOTIFY\""),
        ),
        ("extends", rig.actor("extends", "exec yes ready > \"$SPPM_NOTIFY\"")),
    ];
    // One that asks for its stop all the time gets it; what it asks meanwhile is bounded.
    let mut yaml = Yaml::new(&rig).program("quiet", &[quiet]);
    for (name, command) in floods {
        yaml = yaml.program(name, &[command]);
    }
    rig.save(&yaml);
    rig.sppm(&["start"]);
    rig.until_phase("asks", "stopped");
    for number in 1..=5 {
        let took = hears_quiet(&rig, number);
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    wait_until("it is counted", || {
        let complaint = text_of(&rig, "unknown", "complaint");
        let count = complaint.split(' ').next().unwrap_or_default().parse::<u64>().unwrap_or(0);
        count > 10_000 && complaint.ends_with("lines that nobody understands, last: what is this")
    });
    let status = rig.status();
    let [supervisor, keeper] = [status.supervisor_proc(), status.keeper_proc()];
    let peak = processes::peak_memory_kib(supervisor.pid).unwrap();
    assert!(peak < 150_000, "the supervisor has used {peak} KiB");
    assert!(keeper.alive());
    assert!(rig.own_log().len() < 1_000_000, "{} bytes of log", rig.own_log().len());
    let begun = Instant::now();
    rig.sppm(&["stop"]).ok();
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    rig.shutdown();
}

#[test]
fn decisions_that_come_too_fast_are_dropped_and_counted() {
    let rig = Rig::new();
    let many =
        "i=0; while [ $i -lt 300 ]; do echo ready; echo \"status $i\"; i=$((i+1)); done > \"$SPPM_NOTIFY\"";
    let Some(web) = puppet(&rig, "web", many) else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[web]));
    wait_until("the last is heard", || text_of(&rig, "web", "says") == "299");
    let complaint = text_of(&rig, "web", "complaint");
    let dropped: u32 = complaint.split(' ').next().unwrap().parse().unwrap();
    assert!(
        complaint.ends_with(" dropped, too many at once") && (100..300).contains(&dropped),
        "{complaint}"
    );
    rig.shutdown();
}

#[test]
fn a_line_of_a_gigabyte_harms_nobody() {
    let rig = Rig::new();
    let Some(quiet) = puppet(&rig, "quiet", "") else { return };
    let endless = rig.actor("endless", "exec head -c 1073741824 /dev/zero > \"$SPPM_NOTIFY\"");
    rig.save(
        &Yaml::new(&rig).program("quiet", &[quiet]).program("endless", &[endless, "restart: never".into()]),
    );
    rig.start();
    let status = rig.status();
    let supervisor = status.supervisor_proc();
    let before = processes::memory_kib(supervisor.pid).unwrap();
    for number in 1..=5 {
        let took = hears_quiet(&rig, number);
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    wait_until("it is counted once", || {
        text_of(&rig, "endless", "complaint").starts_with("1 line that nobody understands: ")
    });
    let after = processes::peak_memory_kib(supervisor.pid).unwrap();
    assert!(after < before + 30_000, "{before} KiB, then {after} KiB");
    assert!(!why(&rig, "endless").contains('\0'));
    rig.sppm(&["stop", "endless"]).ok();
    rig.shutdown();
}

#[test]
fn a_barrier_is_passed_when_all_before_it_is_heard() {
    let rig = Rig::new();
    let Some(web) = puppet(&rig, "web", "notify READY=1") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &[web, "ready: notify".into()]));
    tell(&rig, "web", "line status by line; notify BARRIER=1");
    file_says(&rig.path("log/web.log"), "barrier passed");
    assert_eq!(text_of(&rig, "web", "says"), "by line");
    tell(&rig, "web", "notify STATUS=first STATUS=second BARRIER=1; echo over");
    file_says(&rig.path("log/web.log"), "over");
    assert_eq!(text_of(&rig, "web", "says"), "second");
    let Some(tool) = tools::find_or_skip(&["systemd-notify"]) else { return rig.shutdown() };
    // It waits for its barrier (since 246), and fails where nobody closes it.
    tell(&rig, "web", &format!("{} --status='by the tool' && echo 'the tool is content'", tool.display()));
    file_says(&rig.path("log/web.log"), "the tool is content");
    assert_eq!(text_of(&rig, "web", "says"), "by the tool");
    assert_eq!(text_of(&rig, "web", "complaint"), "");
    rig.shutdown();
}
