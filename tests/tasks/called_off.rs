//! A stop that is not wanted any more leaves the program as it was; and what main left is waited for as well.

use super::common::wait::stays;
use super::common::{Proc, Rig, Who, Yaml, wait_for, wait_until};
use super::workers::{self, How, ended, let_go, notes, prepare_workers, until_busy, worker};
use nix::sys::signal::Signal;
use std::time::Duration;

/// Works on as the same process, one task after the other.
fn goes_on(rig: &Rig, name: &str, process: &Proc) {
    let status = rig.until_phase(name, "running");
    assert_eq!(&status.process_of(name), process, "{name}");
    let before = ended(rig, name);
    wait_until("it has done two more tasks", || ended(rig, name) >= before + 2);
    assert!(process.alive());
}

fn a_drain_is_called_off(who: Who) {
    let mut rig = Rig::of(who);
    if !prepare_workers(&mut rig) {
        return;
    }
    let rig = rig;
    let mut yaml = Yaml::new(&rig);
    for kind in ["state", "flock"] {
        yaml = yaml.program(kind, &[worker(&rig, kind, 2.0, 2.2), "stop: { timeout: 60s }".into()]);
    }
    rig.start_with(&yaml);
    for kind in ["state", "flock"] {
        let process = drained_in_the_middle(&rig, kind, || {
            rig.sppm(&["stop", "--no-wait", kind]).ok();
        });
        rig.sppm(&["start", "--no-wait", kind]).ok();
        goes_on(&rig, kind, &process);

        let edit = yaml.clone().set(kind, "environment: { EDIT: '1' }");
        let process = drained_in_the_middle(&rig, kind, || {
            rig.save(&edit);
            rig.sppm(&["reload"]).ok();
        });
        rig.save(&yaml);
        rig.sppm(&["reload"]).ok();
        goes_on(&rig, kind, &process);
    }
    rig.sppm(&["stop"]).ok();
    rig.shutdown();
    workers::every_task_is_whole(&rig);
    assert_eq!(workers::journals(&rig).len(), 2, "nothing was started again");
}
crate::as_everyone!(a_drain_is_called_off);

/// Right after the beginning of a task, so that there is time.
fn drained_in_the_middle(rig: &Rig, name: &str, ask: impl FnOnce()) -> Proc {
    let before = ended(rig, name);
    wait_until("a task has ended", || ended(rig, name) > before);
    let process = rig.status().process_of(name);
    ask();
    rig.until_phase(name, "draining");
    process
}

/// Main ends; a child of it, in a session of its own, is in the middle of a task.
fn a_leftover_is_not_cut_either(who: Who) {
    let rig = Rig::of(who);
    let mut yaml = Yaml::new(&rig);
    for how in [How::State, How::Flock, How::Command] {
        let child =
            rig.script(&format!("child-{}", how.name()), &format!("#!/bin/sh\n{}\n", how.body(rig.binary())));
        let main =
            rig.actor(&format!("leaving-{}", how.name()), &format!("setsid {child} &\nexec sleep 1000"));
        yaml = yaml.program(how.name(), &[main, "restart: { delay: 10ms }".into()]);
    }
    rig.start_with(&yaml);
    for how in [How::State, How::Flock, How::Command] {
        let name = how.name();
        let first = until_busy(&rig, name).process_of(name);
        first.signal(Signal::SIGKILL);
        wait_until("main is gone", || !first.alive());
        rig.until_phase(name, "stopping");
        stays("the child is left alone", Duration::from_secs(1), || notes(&rig, name) == ["begin"]);
        assert_eq!(rig.starts(name).len(), 1, "started beside what is left");
        let_go(&rig, name);
        wait_for("it is started again", || (rig.starts(name).len() == 2).then_some(()));
        assert_eq!(notes(&rig, name)[..3], ["begin", "end", "termed"], "{how:?}");
    }
    rig.shutdown();
}
crate::as_everyone!(a_leftover_is_not_cut_either);
