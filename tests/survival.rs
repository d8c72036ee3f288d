//! The supervisor may die at any moment: the programs go on, the same ones, once each, and a new supervisor answers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::command::finish;
use common::wait::LIMIT;
use common::{Background, Proc, Rig, Status, Who, Yaml, pause, processes, tools, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// A number below `limit` that differs from run to run.
fn random(limit: u64) -> u64 {
    RandomState::new().build_hasher().finish() % limit
}

/// Twenty programs of several kinds.
fn twenty(rig: &Rig) -> Yaml {
    let mut yaml = Yaml::new(rig);
    for n in 0..8 {
        yaml = yaml.program(&format!("steady-{n}"), &[rig.steady()]);
    }
    for n in 0..6 {
        yaml = yaml.program(&format!("counter-{n}"), &[rig.counter()]);
    }
    yaml.program("pool", &[rig.steady(), "instances: 5".into()])
        .program("family", &[rig.stubborn_family(), "stop: { timeout: 1s }".into()])
}

/// Kills the supervisor and waits for an answer of its successor; answers how long that took.
#[track_caller]
fn kill_supervisor(rig: &Rig, before: &Status) -> (Status, Duration) {
    let victim = before.supervisor_proc();
    let start = Instant::now();
    victim.signal(Signal::SIGKILL);
    let after = rig.until("a new supervisor answers", |status| {
        status.supervisor("pid").as_u64() != Some(u64::from(victim.pid))
    });
    (after, start.elapsed())
}

#[track_caller]
fn same_processes(before: &BTreeMap<String, Proc>, after: &Status, rig: &Rig) {
    let now = after.running();
    assert_eq!(before, &now, "other processes than before\n{}", rig.own_log());
    for id in before.keys() {
        let starts = rig.starts(id);
        assert_eq!(starts.len(), 1, "{id} was started {} times: {starts:?}", starts.len());
    }
}

fn twenty_deaths_of_the_supervisor(who: Who) {
    let rig = Rig::of(who);
    rig.start_with(&twenty(&rig));
    let first = rig.until("all twenty run", |status| status.all_running() && status.running().len() == 20);
    let programs = first.running();
    let keeper = first.keeper_proc();
    let rounds = if who == Who::Own { 20 } else { 5 };
    let mut last = first;
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        pause(Duration::from_millis(random(500)));
        let (after, took) = kill_supervisor(&rig, &last);
        same_processes(&programs, &after, &rig);
        assert_eq!(after.generation(), last.generation(), "round {round}: the plan's number changed");
        assert_eq!(after.keeper_proc(), keeper, "round {round}: another keeper");
        slowest = slowest.max(took);
        last = after;
    }
    assert!(slowest < Duration::from_secs(5), "the slowest take-over took {slowest:?}");
    eprintln!("the slowest of {rounds} take-overs: {slowest:?}");
    for n in 0..6 {
        in_order(&rig, &format!("counter-{n}"), rounds);
    }
    // It is a supervisor like the first: it restarts, stops and ends.
    last.process_of("steady-0").signal(Signal::SIGKILL);
    rig.until("a killed program is restarted", |status| {
        status.phase("steady-0") == "running" && status.pid("steady-0") != last.pid("steady-0")
    });
    rig.sppm(&["stop", "pool.3"]).ok();
    rig.shutdown();
}
as_everyone!(twenty_deaths_of_the_supervisor);

/// No line of a counter is in its log twice or out of order, and next to none is missing: what was read and not yet
/// written when the supervisor died is lost, a line now and then.
#[track_caller]
fn in_order(rig: &Rig, id: &str, deaths: u64) {
    let log = rig.log(id);
    let numbers: Vec<u64> = log.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert!(numbers.len() > 10, "{id} wrote next to nothing");
    let mut missing = 0;
    for pair in numbers.windows(2) {
        assert!(pair[0] < pair[1], "{id}: {} comes after {}", pair[1], pair[0]);
        missing += pair[1] - pair[0] - 1;
    }
    assert!(missing <= deaths / 4, "{id}: {missing} lines lost over {deaths} deaths");
}

/// What ends while nobody decides is known to the successor.
#[test]
fn an_exit_during_the_take_over_is_not_lost() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("restarted", &[rig.steady()])
        .program("ended", &[rig.steady(), "restart: never".into()])
        .program("stays", &[rig.steady()]);
    rig.start_with(&yaml);
    let before = rig.status();
    for name in ["restarted", "ended"] {
        before.process_of(name).signal(Signal::SIGSTOP);
    }
    before.supervisor_proc().signal(Signal::SIGKILL);
    for name in ["restarted", "ended"] {
        before.process_of(name).signal(Signal::SIGKILL);
    }
    let after = rig.until("the one is restarted and the other is not", |status| {
        status.phase("restarted") == "running"
            && status.pid("restarted") != before.pid("restarted")
            && status.pid("ended").is_none()
    });
    assert_eq!(before.pid("stays"), after.pid("stays"));
    assert!(
        after.instance("ended")["last_exit"]["signal"].to_string().contains("KILL"),
        "{:#}",
        after.instance("ended")
    );
    assert_eq!(
        (rig.starts("restarted").len(), rig.starts("ended").len(), rig.starts("stays").len()),
        (2, 1, 1)
    );
    rig.shutdown();
}

/// A stop that was under way goes on with what is left of its timeout; an operator's wish is remembered.
#[test]
fn a_stop_goes_on_over_the_supervisors_death() {
    let rig = Rig::new();
    let yaml = Yaml::new(&rig)
        .program("stubborn", &[rig.stubborn_family(), "stop: { timeout: 3s }".into()])
        .program("wished", &[rig.steady()]);
    rig.start_with(&yaml);
    rig.sppm(&["stop", "wished"]).ok();
    let before = rig.status();
    let stubborn = before.process_of("stubborn");
    rig.sppm(&["stop", "--no-wait", "stubborn"]).ok();
    rig.until_phase("stubborn", "stopping");
    let (after, _) = kill_supervisor(&rig, &before);
    assert_eq!(after.phase("wished"), "stopped");
    rig.until_phase("stubborn", "stopped");
    assert!(!stubborn.alive());
    assert_eq!(rig.starts("stubborn").len(), 1);
    assert_eq!(rig.starts("wished").len(), 1);
    rig.shutdown();
}

/// A command that waits is not disturbed by a take-over.
#[test]
fn a_waiting_command_survives_a_take_over() {
    let rig = Rig::new();
    let slow = rig.actor("slow", "trap 'sleep 3; exit 0' TERM\nwhile :; do sleep 0.1; done");
    rig.start_with(&Yaml::new(&rig).program("slow", &[slow, "stop: { timeout: 30s }".into()]));
    let before = rig.status();
    let mut stop = Background::start(rig.command(&["stop", "slow"]), &rig.path("stop"));
    rig.until_phase("slow", "stopping");
    before.supervisor_proc().signal(Signal::SIGKILL);
    stop.end().ok();
    assert_eq!(rig.status().phase("slow"), "stopped");
    rig.shutdown();
}

/// Without their keeper programs run on and are found again; what one of them left that died meanwhile is ended first.
fn the_keepers_death_makes_no_second_copy(who: Who) {
    let rig = Rig::of(who);
    let family = rig.overlap_detector("sleep 100000 &\nexec sleep 100000");
    let yaml = Yaml::new(&rig)
        .program("web", &[rig.steady()])
        .program("family", &[family, "restart: { min_uptime: 0s }".into()]);
    rig.start_with(&yaml);
    let before = rig.until("both run", Status::all_running);
    let (keeper, supervisor) = (before.keeper_proc(), before.supervisor_proc());
    keeper.signal(Signal::SIGKILL);
    wait_until("the supervisor ends with its keeper", || !supervisor.alive());
    assert!(before.running().values().all(Proc::alive), "a program ended with its keeper");
    before.process_of("family").signal(Signal::SIGKILL);
    wait_until("one of them is dead", || !before.process_of("family").alive());
    rig.start();
    let after = rig.until("both run again", |status| {
        status.all_running() && status.pid("family") != before.pid("family")
    });
    assert_eq!(before.pid("web"), after.pid("web"), "{}", rig.own_log());
    assert_eq!((rig.starts("web").len(), rig.starts("family").len()), (1, 2), "{}", rig.own_log());
    assert_eq!(rig.overlaps(), "", "a second copy beside what the first one left\n{}", rig.own_log());
    after.process_of("web").signal(Signal::SIGKILL);
    rig.until("its end is noticed", |status| status.all_running() && status.pid("web") != before.pid("web"));
    rig.shutdown();
}
as_everyone!(the_keepers_death_makes_no_second_copy);

/// Crashes that are the supervisor's own fault, one after the other: the programs are not touched by them either.
#[test]
fn crashes_in_a_row_disturb_nobody() {
    let rig = Rig::new();
    rig.start_with(
        &Yaml::new(&rig)
            .program("web", &[rig.steady(), "instances: 3".into()])
            .program("off", &[rig.steady()]),
    );
    rig.sppm(&["stop", "off"]).ok();
    let first = rig.until("three run", |status| status.running_count() == 3);
    let programs = first.running();
    let mut last = first;
    for round in 1..=5 {
        let victim = last.supervisor_proc();
        victim.signal(Signal::SIGABRT);
        last = rig.until(&format!("an answer after crash {round}"), |status| {
            status.supervisor("pid").as_u64() != Some(u64::from(victim.pid))
        });
        same_processes(&programs, &last, &rig);
        assert_eq!(last.phase("off"), "stopped", "an operator's wish was forgotten");
    }
    rig.shutdown();
}

/// The keeper killed, with or without the supervisor: whatever happens to the programs, none of them runs twice.
#[test]
fn a_killed_keeper_never_leads_to_a_second_copy() {
    for both in [false, true] {
        let rig = Rig::new();
        rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady(), "instances: 3".into()]));
        let before = rig.status();
        if both {
            before.supervisor_proc().signal(Signal::SIGSTOP);
        }
        before.keeper_proc().signal(Signal::SIGKILL);
        before.supervisor_proc().signal(if both { Signal::SIGKILL } else { Signal::SIGCONT });
        wait_until("the keeper is gone", || !before.keeper_proc().alive());
        let mut answer = rig.sppm(&["start"]);
        for _ in 0..20 {
            if answer.code == Some(0) {
                break;
            }
            pause(Duration::from_millis(500));
            answer = rig.sppm(&["start"]);
        }
        assert_eq!(answer.code, Some(0), "no start works any more\n{}", answer.all());
        let after = rig.until("three run", |status| status.running_count() == 3);
        for (id, process) in after.running() {
            let living: Vec<u32> = rig
                .starts(&id)
                .into_iter()
                .filter(|&pid| Proc::of(pid).is_some_and(|found| found.alive()))
                .collect();
            assert_eq!(living, [process.pid], "{id} runs more than once, or is not the one in status");
        }
        rig.shutdown();
    }
}

/// One supervisor per folder; what an earlier one left does not hinder the next.
#[test]
fn a_second_supervisor_is_refused_and_a_stale_pid_file_is_harmless() {
    let rig = Rig::new();
    rig.start_with(&Yaml::new(&rig).program("web", &[rig.steady()]));
    let keeper = rig.status().keeper_proc();
    let second = rig.sppm(&["run"]);
    assert_ne!(second.code, Some(0));
    assert!(second.stderr.contains(&keeper.pid.to_string()), "it does not name the first\n{}", second.all());
    assert_eq!(rig.starts("web").len(), 1);
    rig.shutdown();
    rig.folder_named("r");
    rig.write("r/sppm.pid", &format!("{}\n", std::process::id()));
    rig.start();
    assert_eq!(rig.starts("web").len(), 2);
    rig.shutdown();
    assert!(!rig.path("r/sppm.pid").exists() && !rig.path("r/sppm.sock").exists());
}

/// As PID 1 of a pid namespace: orphans are reaped, TERM ends all in order.
#[test]
fn as_pid_1_nothing_stays_a_zombie_and_term_ends_it() {
    let rig = Rig::new();
    let Some(unshare) = tools::find_or_skip(&["unshare"]) else { return };
    let flags = ["-p", "-f", "--mount-proc", "--kill-child"];
    let mut probe = rig.program(&unshare);
    if !common::rig::is_root() {
        probe.args(["-U", "--map-current-user"]);
    }
    probe.args(flags).arg("true");
    if finish(probe, LIMIT).code != Some(0) {
        return tools::cannot("no pid namespace may be made here");
    }
    let forking =
        rig.actor("forking", "while :; do ( ( sleep 0.05 & ) & ); ( setsid sleep 0.1 & ); sleep 0.1; done");
    rig.save(&Yaml::new(&rig).program("forking", &[forking]).program("steady", &[rig.steady()]));
    let mut command = rig.program(&unshare);
    if !common::rig::is_root() {
        command.args(["-U", "--map-current-user"]);
    }
    command.args(flags).arg(rig.binary()).arg("-c").arg(rig.file()).arg("run");
    let mut run = Background::start(command, &rig.path("run"));
    let status = rig.until("both run inside", |status| status.all_running() && status.running_count() == 2);
    assert_eq!(status.supervisor("keeper_pid"), 1, "{:#}", status.0);
    let keeper = wait_for("the keeper as seen from outside", || {
        let me = run.child.id();
        processes::pids().into_iter().find(|&pid| processes::stat(pid).is_some_and(|stat| stat.parent == me))
    });
    let mut worst = 0;
    for _ in 0..30 {
        worst = worst.max(processes::zombies_of(keeper).len());
        pause(Duration::from_millis(100));
    }
    assert!(worst < 10, "{worst} zombies at once");
    wait_until("no zombie stays", || processes::zombies_of(keeper).len() <= 2);
    Proc::of(keeper).unwrap().signal(Signal::SIGTERM);
    assert_eq!(run.end().code, Some(0));
    rig.until_nothing_runs();
    assert!(rig.log("forking").is_empty());
}

/// An idle supervisor with programs that say nothing sleeps.
#[test]
fn idle_costs_next_to_nothing() {
    let rig = Rig::new();
    let mut yaml = Yaml::new(&rig);
    for n in 0..20 {
        yaml = yaml.program(&format!("quiet-{n}"), &["command: [sleep, '100000']"]);
    }
    rig.start_with(&yaml);
    let status = rig.status();
    let (supervisor, keeper) = (status.supervisor_proc(), status.keeper_proc());
    pause(Duration::from_secs(2));
    let ticks = || processes::cpu_ticks(supervisor.pid).unwrap() + processes::cpu_ticks(keeper.pid).unwrap();
    let before = ticks();
    pause(Duration::from_secs(5));
    let used = ticks() - before;
    assert!(used <= 5, "{used} hundredths of a second in five seconds of idleness");
    let memory = processes::memory_kib(keeper.pid).unwrap();
    assert!(memory < 16 * 1024, "the keeper has {memory} KiB");
    rig.shutdown();
}
