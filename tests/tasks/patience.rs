//! How long a stop waits for a task that does not end: for ever, if nobody said otherwise.

use super::common::wait::stays;
use super::common::{Background, Rig, Yaml, pause, tools, wait_for, wait_until};
use super::workers::{How, let_go, notes, puppet, until_busy, until_draining};
use nix::sys::signal::Signal;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn past_max_busy_is_done_what_then_says() {
    let rig = Rig::new();
    let mut yaml = Yaml::new(&rig);
    let name = |how: How, then: &str| format!("{}-{then}", how.name());
    for how in [How::State, How::Flock] {
        for then in ["kill", "signal", "keep"] {
            let lock = format!("working_lock: {{ max_busy: 1s, then: {then} }}");
            yaml = yaml.program(&name(how, then), &[puppet(&rig, how), lock]);
        }
    }
    rig.start_with(&yaml);
    for how in [How::State, How::Flock] {
        for then in ["kill", "signal", "keep"] {
            let name = name(how, then);
            let before = until_busy(&rig, &name).process_of(&name);
            until_draining(&rig, &name);
            match then {
                "kill" => {
                    rig.until_phase(&name, "stopped");
                    assert_eq!(notes(&rig, &name), ["begin"], "{name}");
                    rig.sppm(&["why", &name]).ok().expect_text("max_busy");
                }
                "signal" => {
                    rig.until_phase(&name, "stopped");
                    assert_eq!(notes(&rig, &name), ["begin", "termed"], "{name}");
                }
                _ => {
                    let status = rig.until_phase(&name, "running");
                    assert_eq!(status.process_of(&name), before);
                    assert!(status.reason(&name).contains("max_busy"), "{:#}", status.instance(&name));
                    rig.sppm(&["why", &name]).ok().expect_text("max_busy");
                    let_go(&rig, &name);
                    wait_until("it ends its task", || notes(&rig, &name) == ["begin", "end"]);
                    stays("it is left alone", Duration::from_millis(500), || before.alive());
                    rig.sppm(&["stop", &name]).ok();
                }
            }
        }
    }
    rig.shutdown();
}

#[test]
fn without_max_busy_it_waits_says_so_and_force_ends_it() {
    let rig = Rig::new();
    let mut yaml = Yaml::new(&rig);
    for how in super::workers::ALL {
        yaml = yaml.program(how.name(), &[puppet(&rig, how), "stop: { timeout: 1s }".into()]);
    }
    rig.start_with(&yaml);
    for how in super::workers::ALL {
        until_busy(&rig, how.name());
        until_draining(&rig, how.name());
    }
    let quiet = || super::workers::ALL.iter().all(|how| notes(&rig, how.name()) == ["begin"]);
    stays("nobody is signalled", Duration::from_secs(3), quiet);
    for how in super::workers::ALL {
        let name = how.name();
        rig.sppm(&["status", name]).expect_text("draining").expect_text("busy");
        rig.sppm(&["why", name]).ok().expect_text("busy for");
        rig.sppm(&["stop", "--timeout", "1s", name]).expect_code(75);
        rig.sppm(&["stop", "--force", name]).ok();
        assert_eq!(rig.status().phase(name), "stopped");
        assert_eq!(notes(&rig, name), ["begin"], "{how:?}");
    }
    rig.shutdown();
}

/// A supervisor in the foreground with a busy program of each kind that matters.
fn busy_foreground(rig: &Rig) -> Background {
    let mut yaml = Yaml::new(rig);
    for how in [How::State, How::Flock] {
        yaml = yaml.program(how.name(), &[puppet(rig, how)]);
    }
    rig.save(&yaml);
    let run = rig.run();
    for how in [How::State, How::Flock] {
        wait_until("it is up", || rig.log(how.name()).contains("begin"));
        until_busy(rig, how.name());
    }
    run
}

fn is_only_waiting(rig: &Rig) -> bool {
    [How::State, How::Flock].iter().all(|how| notes(rig, how.name()) == ["begin"])
}

#[test]
fn a_shutdown_waits_and_quit_ends_it() {
    let rig = Rig::new();
    let mut run = busy_foreground(&rig);
    let keeper = rig.status().keeper_proc();
    for signal in [Signal::SIGTERM, Signal::SIGTERM, Signal::SIGINT, Signal::SIGINT] {
        keeper.signal(signal);
        pause(Duration::from_millis(300));
    }
    rig.until_phase("state", "draining");
    stays("it waits", Duration::from_secs(1), || keeper.alive() && is_only_waiting(&rig));
    keeper.signal(Signal::SIGQUIT);
    run.end();
    rig.until_nothing_runs();
    assert!(is_only_waiting(&rig));
}

#[test]
fn a_shutdown_ends_with_the_tasks() {
    let rig = Rig::new();
    let mut run = busy_foreground(&rig);
    rig.status().keeper_proc().signal(Signal::SIGTERM);
    rig.until_phase("flock", "draining");
    let_go(&rig, "state");
    let_go(&rig, "flock");
    assert_eq!(run.end().code, Some(0));
    rig.until_nothing_runs();
    for how in [How::State, How::Flock] {
        assert_eq!(notes(&rig, how.name()), ["begin", "end", "termed"], "{how:?}");
    }
}

/// The first Ctrl-C waits for the tasks, the second does not.
#[test]
fn a_second_ctrl_c_from_a_terminal_ends_it() {
    let Some(script) = tools::find_or_skip(&["script"]) else { return };
    let rig = Rig::new();
    let yaml = Yaml::new(&rig).program("state", &[puppet(&rig, How::State)]);
    rig.save(&yaml);
    let line = format!("{} -c {} run", rig.binary().display(), rig.file().display());
    let mut command = rig.program(&script);
    command.args(["-qec", &line, "/dev/null"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut terminal = command.spawn().unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    wait_for("it is up", || rig.try_status());
    until_busy(&rig, "state");
    keys.write_all(b"\x03").unwrap();
    rig.until_phase("state", "draining");
    stays("it waits", Duration::from_secs(1), || {
        notes(&rig, "state") == ["begin"] && !rig.processes().is_empty()
    });
    keys.write_all(b"\x03").unwrap();
    super::common::command::wait(&mut terminal, super::common::wait::LIMIT).expect("it ends");
    rig.until_nothing_runs();
    assert_eq!(notes(&rig, "state"), ["begin"]);
}
