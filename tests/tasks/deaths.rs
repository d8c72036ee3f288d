//! The supervisor is killed in the middle of a stop: no task begins or is cut by that, and nothing stays frozen.

use super::common::processes::{cgroup_folder, stat};
use super::common::wait::stays;
use super::common::{Proc, Rig, Who, Yaml, pause, wait_for, wait_until};
use super::workers::{
    self, kill_supervisor, let_go, notes, prepare_workers, puppet, successor, time_until, until_busy,
    until_draining, worker,
};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

fn a_drain_goes_on_over_a_death(who: Who) {
    let rig = Rig::of(who);
    let mut yaml = Yaml::new(&rig);
    for how in workers::ALL {
        yaml = yaml.program(how.name(), &[puppet(&rig, how)]);
    }
    rig.start_with(&yaml);
    for how in workers::ALL {
        until_busy(&rig, how.name());
        until_draining(&rig, how.name());
    }
    kill_supervisor(&rig);
    for how in workers::ALL {
        rig.until_phase(how.name(), "draining");
        assert_eq!(rig.status().instance(how.name())["busy"], true, "{how:?}");
    }
    stays("nobody is signalled", Duration::from_millis(2500), || {
        workers::ALL.iter().all(|how| notes(&rig, how.name()) == ["begin"])
    });
    for how in workers::ALL {
        let_go(&rig, how.name());
        rig.until_phase(how.name(), "stopped");
        assert_eq!(notes(&rig, how.name()), ["begin", "end", "termed"], "{how:?}");
    }
    rig.shutdown();
}
crate::as_everyone!(a_drain_goes_on_over_a_death);

/// Nothing drains when the supervisor dies; the stop comes to its successor.
fn what_was_said_before_a_death_holds_after_it(who: Who) {
    let rig = Rig::of(who);
    let mut yaml = Yaml::new(&rig);
    for how in workers::ALL {
        yaml = yaml.program(how.name(), &[puppet(&rig, how)]);
    }
    rig.start_with(&yaml);
    for how in workers::ALL {
        until_busy(&rig, how.name());
    }
    for _ in 0..2 {
        let victim = rig.status().supervisor_proc();
        victim.signal(Signal::SIGKILL);
        rig.sppm(&["restart", "--no-wait", "*"]).ok();
        successor(&rig, &victim);
    }
    stays("nobody is signalled", Duration::from_millis(2500), || {
        workers::ALL.iter().all(|how| notes(&rig, how.name()) == ["begin"])
    });
    for how in workers::ALL {
        let name = how.name();
        let_go(&rig, name);
        wait_until("it is restarted", || rig.starts(name).len() == 2);
        wait_until("it has ended its second task", || notes(&rig, name).len() == 5);
        assert_eq!(notes(&rig, name), ["begin", "end", "termed", "begin", "end"], "{how:?}");
    }
    rig.shutdown();
}
crate::as_everyone!(what_was_said_before_a_death_holds_after_it);

/// Tasks of a child that heeds no signal, under a lock; main leaves when it is told.
const LOCKED: &str = r#"
( trap '' TERM
  while :; do flock -x "$SPPM_LOCK" sh -c 'echo begin; sleep 0.03; echo end'; sleep 0.01; done ) &
trap 'echo termed; while [ ! -e "$RIG/go.$SPPM_INSTANCE" ]; do sleep 0.02; done; exit 0' TERM
while :; do sleep 0.02; done"#;

fn a_lock_that_is_held_for_a_stop_stays_held(who: Who) {
    if super::common::tools::find_or_skip(&["flock"]).is_none() {
        return;
    }
    let rig = Rig::of(who);
    let lines = [rig.actor("locked", LOCKED), "stop: { timeout: 4s }".into()];
    rig.start_with(&Yaml::new(&rig).program("locked", &lines));
    wait_for("its tasks", || rig.log("locked").contains("end").then_some(()));
    rig.sppm(&["stop", "--no-wait", "locked"]).ok();
    wait_for("it is asked to stop", || rig.log("locked").contains("termed").then_some(()));
    for _ in 0..3 {
        kill_supervisor(&rig);
        pause(Duration::from_millis(300));
    }
    let_go(&rig, "locked");
    rig.until_phase("locked", "stopped");
    let notes = notes(&rig, "locked");
    let termed = notes.iter().position(|note| note == "termed").unwrap();
    assert_eq!(&notes[termed..], ["termed"], "a task began although the lock was held");
    assert_eq!(notes[termed - 1], "end", "{notes:?}");
    rig.shutdown();
}
crate::as_everyone!(a_lock_that_is_held_for_a_stop_stays_held);

fn no_task_is_cut_by_deaths_at_any_moment(who: Who) {
    let mut rig = Rig::of(who);
    if !prepare_workers(&mut rig) {
        return;
    }
    let rig = rig;
    let mut yaml = Yaml::new(&rig);
    for kind in ["state", "flock"] {
        let lines = [worker(&rig, kind, 0.001, 0.1), "instances: 2".into(), "stop: { timeout: 60s }".into()];
        yaml = yaml.program(kind, &lines);
    }
    rig.start_with(&yaml);
    for round in 0..10 {
        let status = rig.until("all are at work", |status| {
            let journals = workers::journals(&rig);
            let works = |name: &str| {
                let run = status.pid(name).and_then(|pid| journals.get(&format!("{name}.{pid}")));
                run.is_some_and(|lines| !lines.is_empty())
            };
            ["state.1", "state.2", "flock.1", "flock.2"].into_iter().all(works)
        });
        let victim = status.supervisor_proc();
        rig.sppm(&["restart", "--no-wait", "state", "flock"]).ok();
        pause(Duration::from_millis(13 * round));
        victim.signal(Signal::SIGKILL);
        successor(&rig, &victim);
    }
    rig.until("all run", |status| status.all_running());
    rig.shutdown();
    workers::every_task_is_whole(&rig);
    let runs = workers::journals(&rig).len();
    assert!(runs >= 14, "hardly anything was restarted: {runs}");
}
crate::as_everyone!(no_task_is_cut_by_deaths_at_any_moment);

/// Idle, but with so much to say that it stands still for a while at a stop, until all of it is read.
const TALKATIVE: &str = r#"echo idle > "$SPPM_NOTIFY"; exec yes beat > "$SPPM_NOTIFY""#;

/// How it stands still: by a signal, or by its cgroup.
fn is_frozen(process: &Proc) -> bool {
    let stopped = stat(process.pid).is_some_and(|stat| stat.started == process.started && stat.state == 'T');
    let frozen = || {
        let folder = cgroup_folder(process.pid)?;
        std::fs::read_to_string(folder.join("cgroup.freeze")).ok()
    };
    stopped || frozen().is_some_and(|text| text.trim() == "1")
}

fn what_is_frozen_is_thawed_at_once(who: Who) {
    let rig = Rig::of(who);
    let lines = [rig.actor("talkative", TALKATIVE)];
    rig.start_with(&Yaml::new(&rig).program("talkative", &lines));
    let mut hits = 0;
    for _ in 0..20 {
        let status = rig.until_phase("talkative", "running");
        let (victim, process) = (status.supervisor_proc(), status.process_of("talkative"));
        rig.sppm(&["stop", "--no-wait", "talkative"]).ok();
        let start = Instant::now();
        let mut hit = false;
        while process.alive() && start.elapsed() < Duration::from_secs(5) && !hit {
            hit = is_frozen(&process);
        }
        if hit {
            victim.signal(Signal::SIGKILL);
            let took = time_until("it is thawed", || !process.alive() || !is_frozen(&process));
            assert!(took < Duration::from_millis(500), "thawed only after {took:?}");
            hits += 1;
        }
        // The successor completes the stop.
        wait_until("it is stopped", || !process.alive());
        rig.until_phase("talkative", "stopped");
        if hits == 3 {
            break;
        }
        rig.sppm(&["start", "talkative"]).ok();
    }
    assert!(hits > 0, "it was never met frozen");
    eprintln!("met frozen {hits} times");
    rig.shutdown();
}
crate::as_everyone!(what_is_frozen_is_thawed_at_once);
