//! Programs that must give signs of life.

use crate::common::wait::stays;
use crate::common::{Rig, Yaml, pause, wait_until};
use crate::puppet::{events, in_order, puppet, tell, text_of, why};
use std::time::{Duration, Instant};

const QUICK: &str = "restart: { delay: 100ms, min_uptime: 1s }";

/// Beats every half second until it is told `quiet`.
const BEATS: &str = "pulse() { while ! [ -e \"$RIG/quiet\" ]; do beat; sleep 0.5; done; }\npulse &\n";

fn watched(rig: &Rig, name: &str, body: &str, every: &str) -> Option<Vec<String>> {
    Some(vec![puppet(rig, name, body)?, format!("watchdog: {every}"), QUICK.into()])
}

#[test]
fn who_stops_beating_is_restarted_whichever_way_it_beats() {
    let rig = Rig::new();
    let ways = [
        ("by-line", "beat() { line beat; }\n"),
        ("by-notify", "beat() { notify WATCHDOG=1; }\n"),
        ("by-lock", "beat() { printf '%s\\n%s\\n0\\n' $$ $(date +%s) > \"$SPPM_LOCK\"; }\n"),
        ("by-socket", "beat() { say beat >/dev/null; }\n"),
    ];
    let mut yaml = Yaml::new(&rig);
    for (name, way) in ways {
        let Some(lines) = watched(&rig, name, &format!("{way}{BEATS}"), "3s") else { return };
        yaml = yaml.program(name, &lines);
    }
    rig.start_with(&yaml);
    let before = rig.status().running();
    stays("who beats is left alone", Duration::from_secs(5), || {
        pause(Duration::from_millis(300));
        rig.status().running() == before
    });
    let begun = Instant::now();
    rig.write("quiet", "");
    rig.until("all are others", |status| {
        before.iter().all(|(id, process)| status.pid(id).is_some_and(|pid| pid != process.pid))
    });
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    for (name, _) in ways {
        let stuck = events(&rig, name, "stuck");
        let text = stuck[0]["text"].as_str().unwrap();
        assert!(text.starts_with("it gave no sign of life for 3."), "{name}: {text}");
        in_order(
            &why(&rig, name),
            &[
                "what led there",
                text,
                &format!("stopping: to be restarted: {text}"),
                "as asked",
                "started, pid",
                "what you can do",
                "let it beat more often (WATCHDOG=1, or `echo beat > \"$SPPM_NOTIFY\"`), or raise `watchdog` (",
            ],
        );
    }
    rig.shutdown();
}

#[test]
fn the_variables_say_how_often() {
    let rig = Rig::new();
    let Some(lines) = watched(&rig, "web", "echo \"every $WATCHDOG_USEC to $NOTIFY_SOCKET\"", "90s") else {
        return;
    };
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    let socket = rig.path("r/i/web/sd").display().to_string();
    assert!(rig.log("web").contains(&format!("every 90000000 to {socket}")), "{}", rig.log("web"));
    rig.shutdown();
}

#[test]
fn one_that_says_it_is_stuck_is_restarted_at_once() {
    let rig = Rig::new();
    let Some(lines) = watched(&rig, "web", "", "10m") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    let before = rig.status().process_of("web");
    tell(&rig, "web", "notify WATCHDOG=trigger");
    rig.until("another one runs", |status| status.pid("web").is_some_and(|pid| pid != before.pid));
    let cause = "it said that it is stuck";
    assert_eq!(events(&rig, "web", "stuck")[0]["text"], cause);
    in_order(&why(&rig, "web"), &[cause, "started, pid"]);
    rig.shutdown();
}

#[test]
fn one_that_is_stuck_as_soon_as_it_runs_is_a_failed_start() {
    let rig = Rig::new();
    let Some(lines) = watched(&rig, "web", "notify WATCHDOG=trigger", "10m") else { return };
    let lines = [&lines[..2], &["restart: { delay: 10m, max_delay: 10m }".to_owned()]].concat();
    rig.save(&Yaml::new(&rig).program("web", &lines));
    rig.sppm(&["start", "--no-wait"]).ok();
    let status = rig.until_phase("web", "backoff");
    assert!(
        status.reason("web").starts_with("it said that it is stuck; next start in "),
        "{}",
        status.reason("web")
    );
    assert_eq!(rig.starts("web").len(), 1);
    rig.shutdown();
}

#[test]
fn a_program_changes_how_often_and_switches_it_off() {
    let rig = Rig::new();
    let Some(shorter) = watched(&rig, "shorter", "", "10m") else { return };
    let Some(off) = watched(&rig, "off", "notify WATCHDOG_USEC=0", "2s") else { return };
    let Some(longer) = watched(&rig, "longer", "notify WATCHDOG_USEC=600000000", "2s") else { return };
    rig.save(&Yaml::new(&rig).program("shorter", &shorter).program("off", &off).program("longer", &longer));
    rig.start();
    wait_until("they have spoken", || ["off", "longer"].iter().all(|id| rig.log(id).contains("obeys")));
    let before = rig.status().running();
    pause(Duration::from_secs(3));
    let supervisor = rig.status().supervisor_proc();
    let ticks = |proc: &crate::common::Proc| crate::common::processes::cpu_ticks(proc.pid).unwrap_or(0);
    let used = ticks(&supervisor);
    pause(Duration::from_millis(1500));
    assert!(ticks(&supervisor) - used < 75, "the supervisor is busy with nothing");
    for id in ["shorter", "off", "longer"] {
        assert_eq!(rig.status().process_of(id), before[id], "{id}");
    }
    // A take-over does not switch it on again.
    supervisor.signal(nix::sys::signal::Signal::SIGKILL);
    rig.until("another supervisor", |status| *status.supervisor("pid") != supervisor.pid);
    tell(&rig, "shorter", "notify WATCHDOG_USEC=1000000");
    rig.until("it was restarted", |status| status.restarts("shorter") == 1);
    pause(Duration::from_secs(3));
    for id in ["off", "longer"] {
        assert_eq!(rig.status().process_of(id), before[id], "{id}");
    }
    assert!(events(&rig, "shorter", "stuck")[0]["text"].as_str().unwrap().contains("no sign of life for 1."));
    rig.shutdown();
}

#[test]
fn a_busy_program_that_is_stuck_is_not_cut_short() {
    let rig = Rig::new();
    let Some(lines) = watched(&rig, "web", "line busy a long page", "2s") else { return };
    rig.start_with(&Yaml::new(&rig).program("web", &lines));
    let before = rig.status().process_of("web");
    rig.until_phase("web", "draining");
    let reason = text_of(&rig, "web", "reason");
    in_order(&reason, &["busy for ", "(a long page)", "it gave no sign of life for 2."]);
    stays("the task goes on", Duration::from_secs(1), || before.alive());
    tell(&rig, "web", "line idle");
    rig.until("another one runs", |status| status.restarts("web") == 1);
    // It is busy again, for ever.
    rig.sppm(&["shutdown", "--force"]).ok();
    rig.until_nothing_runs();
}
