//! The line, the claim and the signals.

use crate::rig::{News, Rig, shell, wait_for};
use sppm::keeper::link::{MAX_REST, Order, Report, SignalOrigin, Stage};
use sppm::linux::packet::{self, Waiting};
use sppm::linux::{memfd, pidfd};
use sppm::model::{Exit, RunId, Signal};
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::Duration;

pub(super) fn one_keeper_per_folder() {
    let (first, second) = (Rig::new(), Rig::new());
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("sppm.pid");
    std::fs::write(&pid_file, "1\n").unwrap(); // stale: harmless
    let claim = || Order::Claim { runtime_dir: folder.path().to_owned(), pid_file: pid_file.clone() };
    let holder = first.first();
    holder.send(&claim());
    assert!(matches!(holder.receive(), Report::Claimed));
    let other = second.first();
    other.send(&claim());
    let Report::ClaimRefused { holder: Some(pid), message } = other.receive() else { panic!("claimed") };
    assert_eq!(pid, first.keeper_pid());
    assert!(message.contains(&format!("pid {pid}")), "{message}");
    // A supervisor that takes over has it at once.
    holder.kill();
    let successor = first.supervisor();
    successor.table();
    successor.send(&claim());
    assert!(matches!(successor.receive(), Report::Claimed));
    drop(successor);
    // The lock dies with its keeper, whatever the pid file says.
    drop(first);
    other.send(&claim());
    assert!(matches!(other.receive(), Report::Claimed));
    let owner = std::fs::read_to_string(&pid_file).unwrap();
    assert_eq!(owner, format!("{}\n", second.keeper_pid()));
}

pub(super) fn hostile_packets_are_ignored() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let before = rig.descriptors();
    let send = |bytes: &[u8], fds: &[std::os::fd::BorrowedFd<'_>]| {
        packet::send(&supervisor.raw, bytes, fds, Waiting::Allowed).unwrap();
    };
    let memory = memfd::sealed("x", &[0xff; 100]).unwrap();
    let unsealed = tempfile::tempfile().unwrap();
    send(&[], &[]);
    send(&[], &[memory.as_fd()]);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..2000_usize {
        let bytes: Vec<u8> = (0..round % 97)
            .map(|index| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let byte = (seed >> 33) as u8;
                // Mostly real kinds, but never Goodbye (8).
                if index == 0 { byte % 8 } else { byte }
            })
            .collect();
        let fds = [memory.as_fd(), unsealed.as_fd(), memory.as_fd(), memory.as_fd()];
        send(&bytes, &fds[..round % 5]);
    }
    // A launch with run and tag, but the wrong file, is answered.
    let mut bytes = vec![2];
    bytes.extend([7; 16]);
    bytes.extend([0; 6]);
    send(&bytes, &[unsealed.as_fd()]);
    let order = shell("exit 8");
    supervisor.send(&Order::Launch(Box::new(order.clone())));
    let exit = loop {
        match supervisor.receive() {
            Report::Process { run, stage: sppm::keeper::link::Stage::Exited(exit), .. }
                if run == order.run =>
            {
                break exit;
            }
            _ => {}
        }
    };
    assert_eq!(exit, Exit::Code(8));
    assert!(rig.descriptors() <= before + 64 + 2, "descriptors of garbage are closed");
}

pub(super) fn signals_are_passed_on_with_their_sender() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let keeper = pidfd::open(rig.keeper_pid()).unwrap();
    let own = SignalOrigin::Process { pid: std::process::id(), uid: rustix::process::getuid().as_raw() };
    for number in [1, 2, 3, 10, 12, 15] {
        let wanted = Signal::from_number(number).unwrap();
        pidfd::send_signal(&keeper, wanted).unwrap();
        let Report::Signal { signal, origin } = supervisor.receive() else { panic!("{wanted}") };
        assert_eq!((signal, origin), (wanted, own));
    }
    for number in [13, 21, 22, 25] {
        pidfd::send_signal(&keeper, Signal::from_number(number).unwrap()).unwrap();
    }
    supervisor.expect_silence();
    // One that comes while there is no supervisor is for the next.
    supervisor.kill();
    pidfd::send_signal(&keeper, Signal::HUP).unwrap();
    let supervisor = rig.supervisor();
    supervisor.table();
    assert!(matches!(supervisor.receive(), Report::Signal { signal: Signal::HUP, .. }));
}

pub(super) fn exits_during_a_rest_are_told_together() {
    const PROGRAMS: usize = 64;
    let rig = Rig::new();
    let supervisor = rig.first();
    let few = (0..20).any(|_| {
        let launched: Vec<_> = (0..PROGRAMS)
            .map(|_| {
                let order = shell("exec sleep 1000");
                let (_, fds) = supervisor.launch(&order);
                (order.run, fds.pidfd)
            })
            .collect();
        let rest = |at_most| supervisor.send(&Order::Rest { at_most });
        rest(MAX_REST);
        let before = pauses(rig.keeper_pid());
        for (_, pidfd) in &launched {
            pidfd::send_signal(pidfd, Signal::KILL).unwrap();
            wait_for(pidfd, "its end");
        }
        let after = pauses(rig.keeper_pid());
        rest(Duration::ZERO);
        let runs: BTreeSet<RunId> = launched.iter().map(|(run, _)| *run).collect();
        let told: BTreeSet<RunId> = (0..PROGRAMS).map(|_| killed(&supervisor.news())).collect();
        assert_eq!(told, runs);
        runs.into_iter().for_each(|run| supervisor.send(&Order::Release { run }));
        // It had to be waked for next to none: unless this machine gave nobody any time before the rest was over.
        after - before < PROGRAMS as u64 / 4
    });
    assert!(few, "it does not rest");
    // A rest is over by itself, and signals come then.
    supervisor.send(&Order::Rest { at_most: MAX_REST });
    pidfd::send_signal(pidfd::open(rig.keeper_pid()).unwrap(), Signal::HUP).unwrap();
    assert!(matches!(supervisor.receive(), Report::Signal { signal: Signal::HUP, .. }));
}

fn killed(news: &News) -> RunId {
    assert_eq!(news.stage, Stage::Exited(Exit::Signal { signal: Signal::KILL, core: false }));
    news.run
}

/// How often it has begun to wait.
fn pauses(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

pub(super) fn a_supervisor_that_reads_nothing_costs_nothing() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let keeper = pidfd::open(rig.keeper_pid()).unwrap();
    // Orders go on although far more reports wait than the socket holds; each comes in its turn.
    let orders: Vec<_> = (0..300).map(|_| shell("exit 0")).collect();
    for order in &orders {
        supervisor.send(&Order::Launch(Box::new(order.clone())));
    }
    pidfd::send_signal(&keeper, Signal::HUP).unwrap();
    let (mut exits, mut signals) = (0, 0);
    while exits < 300 || signals < 1 {
        match supervisor.receive() {
            Report::Process { stage: sppm::keeper::link::Stage::Exited(exit), .. } => {
                assert_eq!(exit, Exit::Code(0));
                exits += 1;
            }
            Report::Process { .. } => {}
            Report::Signal { .. } => signals += 1,
            other => panic!("{other:?}"),
        }
    }
    supervisor.expect_silence();
}

pub(super) fn a_supervisor_without_its_line_is_replaced() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let order = shell("exec sleep 1000");
    supervisor.send(&Order::Launch(Box::new(order.clone())));
    // It hangs: it lives, and nobody can talk with it.
    rustix::net::shutdown(&supervisor.raw, rustix::net::Shutdown::Both).unwrap();
    let successor = rig.supervisor();
    let (before, fresh, entries) = successor.table();
    assert_eq!((before, fresh, entries.len()), (1, false, 1), "what it had ordered counts");
    assert_eq!(entries[0].run, order.run);
    drop(supervisor);
}
