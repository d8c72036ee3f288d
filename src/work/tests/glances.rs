//! The look for those who ask.

use super::rig::{Program, Rig, put};
use crate::linux::clock;
use crate::linux::locks::Locks;
use crate::model::LockKind;
use crate::work::{Glance, Launch, Mark, Reading, look, rewritten};
use std::time::{Duration, Instant};

#[test]
fn every_source_is_seen_and_nothing_is_held() {
    let rig = Rig::new();
    let script = "import fcntl\nf = open(LOCK)\nsay('up')\n\
        while True:\n    word = hear()\n    \
        if word in '01': state(int(word))\n    \
        elif word == 'lock': fcntl.flock(f, fcntl.LOCK_EX)\n    \
        elif word == 'free': fcntl.flock(f, fcntl.LOCK_UN)\n    \
        elif word == 'empty': open(LOCK, 'w').close()\n    say(word)\n";
    let mut program = Program::python(&rig, script);
    assert_eq!(program.line(), "up");
    // On a file system whose locks cannot be told, nothing is ever known to be idle.
    let idle = read(&rig, &program);
    assert!(matches!(idle, Reading::Idle | Reading::Unknown(_)), "{idle:?}");
    let mut after = |word: &str| {
        program.say(word);
        assert_eq!(program.line(), word);
        read(&rig, &program)
    };
    assert!(matches!(after("1"), Reading::Busy(_)));
    assert!(matches!(after("empty"), Reading::Busy(_)), "the last whole reading holds");
    assert_eq!(after("0"), idle);
    assert_eq!(after("empty"), idle, "the last whole reading holds");
    assert!(matches!(after("lock"), Reading::Busy(_)));
    assert_eq!(after("free"), idle);
    rig.board.busy(program.run(), Mark::Notify, Some("x".to_owned()), clock::now());
    assert!(matches!(read(&rig, &program), Reading::Busy(busy) if busy.what.as_deref() == Some("x")));
    rig.board.idle(program.run(), Mark::Notify, clock::now());
    assert_eq!(read(&rig, &program), idle);
    assert!(rig.is_free(&program) && rig.kept().is_empty());
}

fn read(rig: &Rig, program: &Program) -> Reading {
    look(&program.glance(), &rig.board, &Locks::read())
}

#[test]
fn our_own_hold_is_not_taken_for_a_task() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    let before = read(&rig, &program);
    rig.gate.watch(program.subject());
    rig.expect_idle(Duration::from_secs(5));
    assert_eq!(read(&rig, &program), before);
}

#[test]
fn what_is_no_file_cannot_be_told() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    put(&program.lock, &"x".repeat(5_000));
    assert!(matches!(read(&rig, &program), Reading::Unknown(why) if why.contains("5000 bytes")));
    let glance = Glance { kind: LockKind::State, ..program.glance() };
    std::fs::remove_file(&program.lock).unwrap();
    assert_eq!(look(&glance, &rig.board, &Locks::default()), Reading::Idle);
}

#[test]
fn a_rewrite_is_a_beat_and_a_file_as_it_was_made_is_none() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    assert_eq!(rewritten(&program.glance()), None);
    std::thread::sleep(Duration::from_millis(30));
    std::fs::write(&program.lock, "1\n1\n0\n").unwrap();
    let at = rewritten(&program.glance()).unwrap();
    assert!(clock::now().since(at) < Duration::from_secs(5) && at >= program.launch.at);
    let later = Launch { at: clock::now() + Duration::from_secs(9), wall: Duration::from_secs(1 << 40) };
    let old = Glance { launch: later, ..program.glance() };
    assert!(rewritten(&old).is_none_or(|at| at <= clock::now()));
}

#[test]
fn a_file_that_was_never_written_costs_microseconds() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    let locks = Locks::read();
    look(&program.glance(), &rig.board, &locks);
    let begun = Instant::now();
    for _ in 0..1_000 {
        look(&program.glance(), &rig.board, &locks);
    }
    // Ten times as long as it takes on a busy machine.
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?} for a thousand", begun.elapsed());
}
