//! Signals to the keeper and to the supervisor mean the same; asking twice is not harder than once.

use super::common::{Background, Proc, Rig, Status, Yaml, pause, wait_until};
use nix::sys::signal::Signal;
use std::time::Duration;

fn keeper(status: &Status) -> Proc {
    status.keeper_proc()
}

fn supervisor(status: &Status) -> Proc {
    status.supervisor_proc()
}

/// A foreground supervisor with one program that needs a second to end.
fn slow(rig: &Rig) -> (Background, Status) {
    let body = "trap 'echo ending; sleep 1; echo ended; exit 0' TERM\necho up\nwhile :; do sleep 0.05; done";
    let line = rig.actor("slow", body);
    rig.save(&Yaml::new(rig).program("slow", &[line, "stop: { timeout: 60s }".into()]));
    let run = rig.run();
    let status = rig.until_phase("slow", "running");
    wait_until("it has set its trap", || rig.log("slow").contains("up"));
    (run, status)
}

#[test]
fn term_and_int_end_it_gracefully_and_twice_is_not_harder() {
    for (signal, whom) in [
        (Signal::SIGTERM, keeper as fn(&Status) -> Proc),
        (Signal::SIGTERM, supervisor),
        (Signal::SIGINT, keeper),
        (Signal::SIGINT, supervisor),
    ] {
        let rig = Rig::new();
        let (mut run, status) = slow(&rig);
        let target = whom(&status);
        target.signal(signal);
        pause(Duration::from_millis(200));
        target.signal(signal);
        let answer = run.end();
        assert_eq!(answer.code, Some(0), "{signal}\n{}", answer.all());
        assert!(rig.log("slow").contains("ended"), "{signal}: it was not given its time");
        rig.until_nothing_runs();
    }
}

#[test]
fn quit_is_fast() {
    for whom in [keeper as fn(&Status) -> Proc, supervisor] {
        let rig = Rig::new();
        let stubborn = rig.stubborn_family();
        rig.save(&Yaml::new(&rig).program("stubborn", &[stubborn, "stop: { timeout: 10m }".into()]));
        let mut run = rig.run();
        let status = rig.until_phase("stubborn", "running");
        whom(&status).signal(Signal::SIGQUIT);
        run.end();
        rig.until_nothing_runs();
    }
}

#[test]
fn hup_reloads_from_either() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).supervisor("follow_file: { enabled: false }").program("web", &[rig.steady()]);
    rig.start_with(&yaml);
    for (number, whom) in [keeper as fn(&Status) -> Proc, supervisor].into_iter().enumerate() {
        let before = rig.status();
        rig.save(&yaml.clone().with("web", &format!("environment: {{ N: {number} }}")));
        whom(&before).signal(Signal::SIGHUP);
        rig.until("the edit is applied", |status| {
            status.all_running() && status.pid("web") != before.pid("web")
        });
    }
    rig.shutdown();
}

#[test]
fn usr1_opens_the_logs_again() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("count", &[rig.counter()]));
    wait_until("it writes", || rig.log("count").contains("line 3"));
    for whom in [keeper as fn(&Status) -> Proc, supervisor] {
        std::fs::rename(rig.path("log/count.log"), rig.path("log/count.moved")).unwrap();
        whom(&rig.status()).signal(Signal::SIGUSR1);
        wait_until("a new file is written", || rig.log("count").contains("line"));
    }
    rig.shutdown();
}

#[test]
fn tty_signals_are_ignored() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    let before = rig.status();
    for signal in [Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGPIPE] {
        before.keeper_proc().signal(signal);
        before.supervisor_proc().signal(signal);
    }
    pause(Duration::from_millis(500));
    let after = rig.status();
    assert_eq!(before.running(), after.running());
    assert_eq!(before.supervisor("pid"), after.supervisor("pid"));
    rig.shutdown();
}

/// A wrong file at the start of `run`: 78, and the keeper ends with it.
#[test]
fn run_ends_with_the_code_of_its_reason() {
    let rig = Rig::new();
    rig.save_text("programs: { web: { comand: x } }\n");
    let mut run = rig.run();
    assert_eq!(run.end().code, Some(78));
    rig.until_nothing_runs();
}
