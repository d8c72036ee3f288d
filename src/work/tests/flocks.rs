//! flock(2) on the lock's file.

use super::rig::{Kept, Program, Rig};
use crate::linux::clock;
use crate::work::{Mark, Subject};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

/// Two loops of tasks, each under the lock, with as little between them as a shell can do with.
const LOOPS: &str = "loop() { while :; do flock -x \"$SPPM_LOCK\" sh -c 'echo begin; sleep 0.03; echo end'; done; }\n\
    loop & loop";

#[test]
fn no_task_begins_once_the_lock_is_ours_and_all_do_again_when_it_is_given_back() {
    let rig = Rig::new();
    let program = Program::shell(&rig, LOOPS);
    for _ in 0..5 {
        assert!(program.line_within(SOON).is_some());
        rig.gate.watch(program.subject());
        rig.expect_idle(Duration::from_secs(30));
        // From here on what is written was written before.
        let mut open = 0;
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        while let Some(line) = program.line_within(Duration::from_millis(150)) {
            open = if line == "begin" { 1 } else { 0 };
            *lines.entry(line).or_default() += 1;
        }
        assert_eq!(open, 0, "no task was under way: {lines:?}");
        assert!(!rig.is_free(&program));
        rig.gate.cancel(program.run());
        assert_eq!(program.line(), "begin");
    }
    assert!(!rig.is_frozen());
}

#[test]
fn the_end_of_a_holder_that_is_killed_is_the_end_of_its_task() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "exec 9<\"$SPPM_LOCK\"; flock -x 9; echo busy; exec sleep 60");
    assert_eq!(program.line(), "busy");
    rig.gate.watch(program.subject());
    let busy = rig.expect_busy();
    assert!(clock::now().since(busy.since) < SOON);
    rig.expect_never_idle(Duration::from_millis(300));
    let process = crate::linux::pidfd::open(program.child.id()).unwrap();
    crate::linux::pidfd::send_signal(process, crate::model::Signal::KILL).unwrap();
    let (took, _) = rig.expect_idle(SOON);
    assert!(took < Duration::from_millis(900), "{took:?}");
}

#[test]
fn a_wait_that_is_called_off_leaves_nothing_behind() {
    let rig = Rig::new();
    let program = Program::shell(
        &rig,
        "exec 9<\"$SPPM_LOCK\"; flock -x 9; echo busy; read x; flock -u 9; echo free; read x",
    );
    let mut program = program;
    assert_eq!(program.line(), "busy");
    for _ in 0..50 {
        rig.gate.watch(program.subject());
        rig.expect_busy();
        rig.gate.cancel(program.run());
    }
    program.say("");
    assert_eq!(program.line(), "free");
    let begun = Instant::now();
    while !rig.is_free(&program) {
        assert!(begun.elapsed() < SOON);
    }
    let count = |what: &Kept| rig.kept().iter().filter(|kept| *kept == what).count();
    while count(&Kept::Hold) != count(&Kept::Drop) {
        assert!(begun.elapsed() < SOON, "{:?}", rig.kept());
    }
}

#[test]
fn a_file_emptied_by_a_shell_that_opens_it_for_a_lock_is_no_change_for_long() {
    let rig = Rig::new();
    let program = Program::shell(
        &rig,
        "sleep 0.05; exec 9>\"$SPPM_LOCK\"; flock -x 9; echo busy; flock -u 9; echo free; read x",
    );
    assert_eq!((program.line(), program.line()), ("busy".to_owned(), "free".to_owned()));
    rig.gate.watch(program.subject());
    let (took, _) = rig.expect_idle(SOON);
    assert!(took < Duration::from_millis(3_000), "{took:?}");
}

#[test]
fn the_lock_is_not_kept_from_a_task_that_takes_it_within() {
    let rig = Rig::new();
    let mut program = Program::shell(&rig, "read x; flock -x \"$SPPM_LOCK\" echo inner; read x");
    rig.board.busy(program.run(), Mark::Line, None, clock::now());
    rig.gate.watch(program.subject());
    rig.expect_busy();
    program.say("");
    assert_eq!(program.line(), "inner");
    rig.board.idle(program.run(), Mark::Line, clock::now());
    rig.expect_idle(SOON);
}

#[test]
fn a_lock_that_an_earlier_supervisor_held_is_never_free_in_between() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    let left = std::fs::File::open(&program.lock).unwrap();
    assert!(crate::linux::flock::try_shared(&left).unwrap());
    let keepers = left.try_clone().unwrap();
    rig.gate.watch(Subject { left: Some(Arc::new(left.into())), ..program.subject() });
    rig.expect_idle(SOON);
    assert!(rig.kept().is_empty(), "the keeper has it already: {:?}", rig.kept());
    assert!(!rig.is_free(&program));
    rig.gate.cancel(program.run());
    let begun = Instant::now();
    while !rig.is_free(&program) {
        assert!(begun.elapsed() < SOON);
    }
    drop(keepers);
}
