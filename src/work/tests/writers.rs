//! Writers that never rest. None of them may be taken for idle in the middle of a task.

use super::rig::{Program, Rig};
use crate::work::GateNews;
use std::io::Read;
use std::time::{Duration, Instant};

/// A task is under way exactly while the first byte of the file `truth`, which is mapped, is 1.
/// Between two tasks it waits for `gap` seconds.
fn flipper(rig: &Rig, how: &str, gap: f64) -> Program {
    let script = format!(
        "f = open(LOCK + '.truth', 'w+b')\nf.write(b'0')\nf.flush()\ntruth = mmap.mmap(f.fileno(), 1)\n\
         {how}(0)\nsay('up')\nhear()\n\
         while True:\n    {how}(1)\n    truth[0] = 49\n    truth[0] = 48\n    {how}(0)\n    \
         if {gap}: time.sleep({gap})\n"
    );
    Program::python(rig, &script)
}

fn truth(program: &Program) -> u8 {
    let mut byte = [0];
    let path = program.lock.with_file_name("lock.truth");
    std::fs::File::open(path).unwrap().read_exact(&mut byte).unwrap();
    byte[0]
}

/// How often it could be held within three seconds, and never in a task.
fn holds(how: &str, cgroup: bool, gap: f64) -> u32 {
    let rig = Rig::new();
    let mut program = flipper(&rig, how, gap);
    if cgroup {
        program = program.in_cgroup();
    }
    assert_eq!(program.line(), "up");
    program.say("");
    let begun = Instant::now();
    let mut held = 0;
    rig.gate.watch(program.subject());
    while let Some(news) = rig.news(Duration::from_secs(3).saturating_sub(begun.elapsed())) {
        if !matches!(news, GateNews::Idle { .. }) {
            assert!(matches!(news, GateNews::Busy { .. }), "{news:?}");
            continue;
        }
        held += 1;
        assert_eq!(truth(&program), b'0', "in the middle of a task, at hold {held}");
        let before = std::fs::metadata(&program.lock).unwrap().modified().unwrap();
        std::thread::sleep(Duration::from_millis(10));
        assert_eq!(std::fs::metadata(&program.lock).unwrap().modified().unwrap(), before, "it stands still");
        rig.gate.cancel(program.run());
        rig.gate.watch(program.subject());
    }
    rig.gate.gone(program.run());
    held
}

#[test]
fn one_that_flips_as_fast_as_it_can_is_never_held_in_a_task() {
    // Truncation takes most of its time, so that it may well not be held at all: there is no gap to speak of.
    holds("state", false, 0.0);
    holds("renamed", false, 0.0);
    holds("state", true, 0.0);
    holds("renamed", true, 0.0);
}

#[test]
fn one_that_leaves_a_gap_is_held_in_it() {
    for (how, cgroup) in [("state", false), ("renamed", false), ("state", true), ("renamed", true)] {
        let held = holds(how, cgroup, 0.005);
        assert!(held >= 2, "{how}, in a cgroup: {cgroup}: {held} holds");
    }
}

fn never(how: &str) {
    let rig = Rig::new();
    let script = format!(
        "import select\n{how}(1)\nsay('busy')\n\
         while not select.select([0], [], [], 0)[0]:\n    {how}(1)\n{how}(0)\nhear()\nhear()"
    );
    let mut program = Program::python(&rig, &script);
    assert_eq!(program.line(), "busy");
    rig.gate.watch(program.subject());
    rig.expect_never_idle(Duration::from_secs(3));
    program.say("");
    rig.expect_idle(Duration::from_secs(5));
    rig.gate.gone(program.run());
}

#[test]
fn one_that_says_busy_all_the_time_is_never_idle() {
    never("state");
    never("renamed");
}
