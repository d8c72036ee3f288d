//! The supervisor dies, the programs do not.

use crate::rig::{Rig, Supervisor, read_line, shell, until, wait_for};
use sppm::keeper::link::{HoldFor, LaunchOrder, Order, ProcessFds, Report, Stage};
use sppm::linux::{memfd, pidfd};
use sppm::model::{Exit, Signal};
use std::collections::BTreeMap;

/// A program that prints its pid each time it is sent HUP, and exits with 3 at TERM.
fn echoer() -> LaunchOrder {
    shell("trap 'echo $$' HUP; trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done")
}

fn answers(pid: u32, fds: &ProcessFds) {
    pidfd::send_signal(&fds.pidfd, Signal::HUP).unwrap();
    assert_eq!(read_line(&fds.stdout), pid.to_string());
}

pub(super) fn the_same_processes_over_many_kills() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let orders: Vec<LaunchOrder> = (0..8).map(|_| echoer()).collect();
    let mut alive = BTreeMap::new();
    for order in &orders {
        let (pid, fds) = supervisor.launch(order);
        assert_eq!(read_line(&fds.stdout), "up");
        alive.insert(order.run, (pid, fds));
    }
    let baseline = rig.descriptors();
    supervisor.kill();
    let mut ended = BTreeMap::new();
    for round in 1..=6_u32 {
        // One ends while nobody listens, or just as somebody begins to.
        let (run, (pid, fds)) = alive.pop_first().unwrap();
        pidfd::send_signal(&fds.pidfd, Signal::TERM).unwrap();
        let supervisor = rig.supervisor();
        let (before, fresh, entries) = supervisor.table();
        assert_eq!((before, fresh), (round, false));
        supervisor.send(&Order::Ready);
        assert_eq!(entries.len(), alive.len() + ended.len() + 1, "each once");
        ended.insert(run, pid);
        let mut exits = 0;
        for entry in entries {
            let fds = entry.fds.unwrap();
            if let Some(pid) = ended.get(&entry.run) {
                assert_eq!(*pid, entry.pid);
                exits += usize::from(entry.stage == Stage::Exited(Exit::Code(3)));
            } else {
                assert_eq!((entry.stage, alive[&entry.run].0), (Stage::Execed, entry.pid));
                answers(entry.pid, &fds);
                alive.insert(entry.run, (entry.pid, fds));
            }
        }
        while exits < ended.len() {
            assert_eq!(supervisor.exit(run), Exit::Code(3));
            exits += 1;
        }
        supervisor.expect_silence();
        supervisor.kill();
    }
    let supervisor = rig.supervisor();
    supervisor.table();
    assert_eq!(rig.descriptors(), baseline, "a take-over leaks nothing");
    for run in ended.keys() {
        supervisor.send(&Order::Release { run: *run });
    }
    until("no zombie is left", || rig.zombies() == 0);
}

pub(super) fn orders_of_a_dead_supervisor_are_executed_first() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let keeper = pidfd::open(rig.keeper_pid()).unwrap();
    // Stopped, the keeper finds all of it at once: many orders, and their sender dead.
    pidfd::send_signal(&keeper, Signal::STOP).unwrap();
    let orders: Vec<LaunchOrder> = (0..100).map(|_| shell("exec sleep 1000")).collect();
    for order in &orders {
        supervisor.send(&Order::Launch(Box::new(order.clone())));
    }
    supervisor.kill();
    pidfd::send_signal(&keeper, Signal::CONT).unwrap();
    let supervisor = rig.supervisor();
    let (_, _, entries) = supervisor.table();
    let told: Vec<_> = entries.iter().map(|entry| entry.run).collect();
    let ordered: Vec<_> = orders.iter().map(|order| order.run).collect();
    assert_eq!(told, ordered, "in the table, in the order of their launches");
}

fn crash(supervisor: Supervisor<'_>) {
    supervisor.send(&Order::Ready);
    supervisor.end(101);
}

pub(super) fn crashes_in_a_row_make_the_state_suspicious() {
    let rig = Rig::new();
    let supervisor = rig.first();
    supervisor.launch(&shell("exec sleep 1000"));
    crash(supervisor);
    for (before, suspicious) in [(1, false), (2, false), (3, true)] {
        let supervisor = rig.supervisor();
        let (count, fresh, entries) = supervisor.table();
        assert_eq!((count, fresh, entries.len()), (before, suspicious, 1));
        crash(supervisor);
    }
    assert!(rig.stderr().contains("the supervisor exited with code 101"), "{}", rig.stderr());
}

pub(super) fn the_first_ones_exit_code_is_the_keepers() {
    let rig = Rig::new();
    let supervisor = rig.supervisor();
    supervisor.table();
    supervisor.end(78);
    assert_eq!(rig.exit_code(), 78);
}

pub(super) fn goodbye_ends_with_its_code_and_without_a_pid_file() {
    let rig = Rig::new();
    let (runtime_dir, pid_file) = (rig.dir.path().to_owned(), rig.dir.path().join("x.pid"));
    let supervisor = rig.first();
    supervisor.send(&Order::Claim { runtime_dir, pid_file: pid_file.clone() });
    assert!(matches!(supervisor.receive(), Report::Claimed));
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), format!("{}\n", rig.keeper_pid()));
    supervisor.send(&Order::Goodbye { code: 9 });
    supervisor.end(0);
    // The folder goes with the rig: look before.
    until("the pid file is gone", || !pid_file.exists());
    assert_eq!(rig.exit_code(), 9);
}

pub(super) fn held_descriptors_come_back() {
    let rig = Rig::new();
    let supervisor = rig.first();
    for name in ["one", "two", "three"] {
        let fd = memfd::sealed(name, name.as_bytes()).unwrap();
        supervisor.send(&Order::Hold { name: name.to_owned(), fd, purpose: HoldFor::Keep });
    }
    let fd = memfd::sealed("x", b"another").unwrap();
    supervisor.send(&Order::Hold { name: "two".to_owned(), fd, purpose: HoldFor::Keep });
    supervisor.send(&Order::Unhold { name: "three".to_owned() });
    supervisor.kill();
    let supervisor = rig.supervisor();
    let mut held = BTreeMap::new();
    loop {
        match supervisor.receive() {
            Report::Hello { .. } => {}
            Report::Held { name, fd } => drop(held.insert(name, memfd::read_sealed(&fd, 100).unwrap())),
            Report::TableEnd => break,
            other => panic!("{other:?}"),
        }
    }
    let wanted = [("one", "one"), ("two", "another")];
    assert_eq!(held, wanted.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into());
}

pub(super) fn a_program_outlives_the_keeper() {
    let mut rig = Rig::new();
    let supervisor = rig.first();
    let order = echoer();
    let (pid, fds) = supervisor.launch(&order);
    assert_eq!(read_line(&fds.stdout), "up");
    let reader = fds.stdout;
    drop(supervisor);
    rig.keeper.kill().unwrap();
    rig.keeper.wait().unwrap();
    // Without any reader left it writes on, and who opens the pipe again gets what it wrote.
    drop(reader);
    pidfd::send_signal(&fds.pidfd, Signal::HUP).unwrap();
    let reopened = std::fs::File::open(format!("/proc/{pid}/fd/1")).unwrap();
    wait_for(&reopened, "what it wrote without a reader");
    assert_eq!(read_line(&reopened.into()), pid.to_string());
    assert!(pidfd::exists(&fds.pidfd).unwrap());
}
