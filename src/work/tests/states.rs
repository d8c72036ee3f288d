//! What is written in the lock's file, and what is said on the board.

use super::rig::{Kept, Program, Rig, put};
use crate::linux::clock;
use crate::model::{LockKind, Signal};
use crate::work::{GateNews, Mark, Subject};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SOON: Duration = Duration::from_secs(5);

fn seconds_ago(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{:.3}", (now - Duration::from_secs(seconds)).as_secs_f64())
}

#[test]
fn a_run_that_never_said_anything_is_idle_at_once_and_not_frozen() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    rig.gate.watch(program.subject());
    let (took, others) = rig.expect_idle(SOON);
    assert!(others.is_empty() && took < Duration::from_millis(500), "{took:?} {others:?}");
    assert_eq!(rig.kept(), [Kept::Hold]);
    assert!(!rig.is_free(&program));
    rig.gate.cancel(program.run());
    rig.gate.watch(Subject { kind: LockKind::State, ..program.subject() });
    rig.expect_idle(SOON);
    assert_eq!(rig.kept(), [Kept::Hold, Kept::Drop]);
    assert!(rig.is_free(&program));
}

#[test]
fn a_stop_waits_for_the_end_of_a_task_and_holds_the_run_until_it_is_signalled() {
    for cgroup in [false, true] {
        let rig = Rig::new();
        let script =
            "state(1)\nsay('busy')\nhear()\nstate(0)\nwhile True:\n    say('on')\n    time.sleep(0.005)";
        let mut program = Program::python(&rig, script);
        if cgroup {
            program = program.in_cgroup();
        }
        assert_eq!(program.line(), "busy");
        rig.gate.watch(program.subject());
        let busy = rig.expect_busy();
        assert!(busy.what.is_none() && clock::now().since(busy.since) < SOON);
        rig.expect_never_idle(Duration::from_millis(300));
        assert!(!rig.kept().contains(&Kept::Hold), "the lock is not kept from a task that may need it");
        program.say("");
        let (took, _) = rig.expect_idle(SOON);
        assert!(took < Duration::from_millis(900), "{took:?}: by the notice, not by the safety net");
        assert!(rig.is_frozen() && !rig.is_free(&program));
        while program.line_within(Duration::from_millis(100)).is_some() {}
        rig.gate.signalled(program.run());
        assert_eq!(program.line(), "on");
        let begun = Instant::now();
        while rig.is_frozen() {
            // The keeper is told after it runs again.
            assert!(begun.elapsed() < SOON);
        }
        assert!(!rig.is_free(&program));
        rig.gate.gone(program.run());
        while !rig.is_free(&program) {
            assert!(begun.elapsed() < SOON);
        }
        while rig.kept().last() != Some(&Kept::Drop) {
            assert!(begun.elapsed() < SOON);
        }
    }
}

#[test]
fn a_writer_that_is_killed_is_idle_at_once() {
    let rig = Rig::new();
    let script = "if os.fork() == 0:\n    state(1)\n    say(os.getpid())\nsignal.pause()";
    let program = Program::python(&rig, script);
    let writer: u32 = program.line().parse().unwrap();
    for pause in [0, 50] {
        rig.gate.watch(program.subject());
        if pause == 0 {
            rig.expect_busy();
            rig.expect_never_idle(Duration::from_millis(100));
            kill(writer);
        }
        let (took, _) = rig.expect_idle(SOON);
        assert!(took < Duration::from_millis(500), "{took:?}");
        rig.gate.cancel(program.run());
    }
}

fn kill(pid: u32) {
    let process = crate::linux::pidfd::open(pid).unwrap();
    crate::linux::pidfd::send_signal(process, Signal::KILL).unwrap();
}

#[test]
fn a_change_that_is_never_finished_holds_the_last_word_for_two_seconds() {
    let rig = Rig::new();
    let program =
        Program::python(&rig, "state(1)\nsay('busy')\nhear()\nopen(LOCK, 'w')\nsay('torn')\nhear()");
    let mut program = program;
    assert_eq!(program.line(), "busy");
    rig.gate.watch(program.subject());
    rig.expect_busy();
    program.say("");
    assert_eq!(program.line(), "torn");
    let (took, _) = rig.expect_idle(SOON);
    assert!(took > Duration::from_millis(1_500) && took < Duration::from_millis(3_500), "{took:?}");
}

#[test]
fn a_writer_that_dies_within_a_change_does_not_hold_anything() {
    let rig = Rig::new();
    let script = "if os.fork() == 0:\n    state(1)\n    say(os.getpid())\n    os.kill(os.getppid(), signal.SIGCONT)\n    \
        hear()\n    open(LOCK, 'w')\n    say('torn')\nsignal.pause()";
    let mut program = Program::python(&rig, script);
    let writer: u32 = program.line().parse().unwrap();
    rig.gate.watch(program.subject());
    rig.expect_busy();
    program.say("");
    assert_eq!(program.line(), "torn");
    kill(writer);
    let (took, _) = rig.expect_idle(SOON);
    assert!(took < Duration::from_millis(1_300), "{took:?}");
}

#[test]
fn only_members_of_the_tree_are_believed() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    for stranger in [std::process::id(), 1, 4_194_305] {
        program.put_state(stranger, &seconds_ago(0), 1);
        rig.gate.watch(program.subject());
        let (_, others) = rig.expect_idle(SOON);
        assert!(others.is_empty(), "{others:?}");
        rig.gate.cancel(program.run());
    }
    program.put_state(program.child.id(), &seconds_ago(0), 1);
    rig.gate.watch(program.subject());
    rig.expect_busy();
}

#[test]
fn a_pid_of_a_namespace_below_is_understood() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let rig = Rig::new();
    // CLONE_NEWPID of unshare(2) is for children; the number that such a child knows itself by is 1.
    let script = "import ctypes\nassert ctypes.CDLL(None).unshare(0x20000000) == 0\n\
        if os.fork() == 0:\n    state(1)\n    say(os.getpid())\nsignal.pause()";
    let program = Program::python(&rig, script);
    assert_eq!(program.line(), "1");
    rig.gate.watch(program.subject());
    rig.expect_busy();
    rig.expect_never_idle(Duration::from_millis(300));
    let inside = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", program.child.id())).unwrap();
    kill(inside.trim().parse().unwrap());
    let (took, _) = rig.expect_idle(SOON);
    assert!(took < Duration::from_millis(900), "{took:?}");
}

#[test]
fn at_a_path_of_its_own_a_word_from_before_the_launch_is_not_believed() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    let old = SystemTime::now() - Duration::from_secs(100);
    let custom = || Subject { custom: true, ..program.subject() };
    let age = |path: &std::path::Path| {
        std::fs::File::open(path).unwrap().set_modified(old).unwrap();
    };
    program.put_state(program.child.id(), &seconds_ago(100), 1);
    age(&program.lock);
    rig.gate.watch(custom());
    rig.expect_idle(SOON);
    assert!(!rig.is_frozen(), "it never was a source");
    rig.gate.cancel(program.run());
    // An old beginning of something is no change under way.
    put(&program.lock, "12\n");
    age(&program.lock);
    rig.gate.watch(custom());
    assert!(rig.expect_idle(SOON).0 < Duration::from_secs(1));
    rig.gate.cancel(program.run());
    // Without a fraction it may be from later in that second.
    let whole = seconds_ago(0);
    program.put_state(program.child.id(), whole.split('.').next().unwrap(), 1);
    rig.gate.watch(custom());
    rig.expect_busy();
}

#[test]
fn idle_for_is_counted_from_when_it_wrote_so() {
    let rig = Rig::new();
    let mut program = Program::python(&rig, "state(1)\nsay('busy')\nhear()\nstate(0)\nhear()");
    assert_eq!(program.line(), "busy");
    let subject = || Subject { idle_for: Duration::from_millis(700), ..program.subject() };
    rig.gate.watch(subject());
    rig.expect_busy();
    program.say("");
    let (took, _) = rig.expect_idle(SOON);
    assert!(took >= Duration::from_millis(600) && took < Duration::from_millis(2_500), "{took:?}");
    rig.gate.cancel(program.run());
    rig.gate.watch(program.subject());
    assert!(rig.expect_idle(SOON).0 < Duration::from_millis(500));
}

#[test]
fn marks_hold_and_what_is_heard_while_it_is_frozen_counts() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    let run = program.run();
    rig.board.busy(run, Mark::Line, Some("page 1".to_owned()), clock::now());
    rig.gate.watch(program.subject());
    assert_eq!(rig.expect_busy().what.as_deref(), Some("page 1"));
    // The idle that we hear is followed by a busy that is still in the FIFO.
    let board = rig.board.clone();
    let mut heard = 0;
    *rig.drain.lock().unwrap() = Box::new(move || {
        heard += 1;
        if heard == 1 {
            board.busy(run, Mark::Connection(1), Some("page 2".to_owned()), clock::now());
        }
    });
    rig.board.idle(run, Mark::Line, clock::now());
    assert_eq!(rig.expect_busy().what.as_deref(), Some("page 2"));
    rig.expect_never_idle(Duration::from_millis(100));
    assert!(rig.kept().contains(&Kept::Processes(1)) && !rig.is_frozen());
    rig.board.idle(run, Mark::Connection(1), clock::now());
    assert!(rig.expect_idle(SOON).0 < Duration::from_millis(500));
    assert!(rig.is_frozen());
}

#[test]
fn news_of_a_stop_that_was_called_off_is_known_as_such() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    let run = program.run();
    let idle = || match rig.news(SOON) {
        Some(GateNews::Idle { watch, .. }) => watch,
        other => panic!("{other:?}"),
    };
    rig.gate.watch(program.subject());
    let first = idle();
    rig.gate.watch(program.subject());
    assert_eq!(idle(), first);
    rig.gate.cancel(run);
    assert!(!rig.gate.is_current(run, first));
    rig.gate.watch(program.subject());
    let second = idle();
    assert!(!rig.gate.is_current(run, first) && rig.gate.is_current(run, second));
    rig.gate.signalled(run);
    assert!(!rig.gate.is_current(run, second));
    rig.gate.watch(program.subject());
    let third = idle();
    assert!(rig.gate.is_current(run, third) && third != second);
}

#[test]
fn the_end_of_the_gate_lets_everything_go() {
    let rig = Rig::new();
    let program = Program::python(&rig, "state(0)\nwhile True:\n    say('on')\n    time.sleep(0.005)");
    assert_eq!(program.line(), "on");
    rig.gate.watch(program.subject());
    rig.expect_idle(SOON);
    while program.line_within(Duration::from_millis(100)).is_some() {}
    let Rig { folder: _folder, gate, .. } = rig;
    drop(gate);
    assert_eq!(program.line(), "on");
}
