//! Descendants and strangers.

use crate::rig::{Rig, read_line, root, shell, until, wait_for};
use sppm::keeper::link::{LaunchOrder, Order, Report, Stage};
use sppm::linux::cgroup::{self, Cgroups};
use sppm::linux::tree::{KillState, KillUntilEmpty, Main, Root, Snapshot};
use sppm::linux::{pidfd, proc};
use sppm::model::{Exit, Signal};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

/// A daemon (setsid, fork twice), a background job and main, which all say their pids.
const FAMILY: &str = "setsid sh -c '(echo $$; exec sleep 1000) & echo $!; wait' & sleep 1000 & echo $!; \
                      (setsid setsid sh -c 'echo $$; exec sleep 1000' &) ; echo up; trap '' TERM; while :; do sleep 0.1; done";

fn pids_until_up(stdout: &std::os::fd::OwnedFd) -> Vec<u32> {
    // Five lines in any order: `$$` within the subshell is its parent's.
    (0..5).filter_map(|_| read_line(stdout).parse().ok()).collect()
}

fn is_alive(pid: u32) -> bool {
    proc::stat(pid).is_ok_and(|stat| !stat.is_dead())
}

pub(super) fn daemons_are_found_and_killed() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let order = shell(FAMILY);
    let bystander = shell("exec sleep 1000");
    let (other, _) = supervisor.launch(&bystander);
    let (pid, fds) = supervisor.launch(&order);
    let family = pids_until_up(&fds.stdout);
    assert_eq!(family.len(), 4);
    let snapshot = Snapshot::take(rig.keeper_pid()).unwrap();
    let members: Vec<u32> = snapshot
        .members(&Root { run: order.run, main: Main::Pinned(pid), cgroup: None })
        .iter()
        .map(|member| member.pid)
        .collect();
    assert!(family.iter().chain([&pid]).all(|one| members.contains(one)), "{family:?} in {members:?}");
    assert!(!members.contains(&other));

    // Main first: the rest must still be found.
    pidfd::send_signal(&fds.pidfd, Signal::KILL).unwrap();
    assert_eq!(supervisor.exit(order.run), Exit::Signal { signal: Signal::KILL, core: false });
    let mut kill = KillUntilEmpty::new(Root { run: order.run, main: Main::Pinned(pid), cgroup: None });
    until("the tree is empty", || kill.step(&Snapshot::take(rig.keeper_pid()).unwrap()) == KillState::Empty);
    assert!(family.iter().all(|pid| !is_alive(*pid)), "{family:?}");
    assert!(is_alive(other));
    supervisor.send(&Order::Release { run: order.run });
    until("orphans were reaped too", || rig.zombies() == 0);
}

pub(super) fn a_cgroup_is_killed_whole() {
    // Only where this process may make one; elsewhere the walk has to do.
    let Some(cgroups) = Cgroups::detect(&format!("test-{}", std::process::id())) else { return };
    let rig = Rig::new();
    let supervisor = rig.first();
    let path = cgroups.create("web.1").unwrap();
    assert!(cgroups.create("../x").is_err());
    let order =
        LaunchOrder { cgroup: Some(CString::new(path.as_os_str().as_bytes()).unwrap()), ..shell(FAMILY) };
    let (pid, fds) = supervisor.launch(&order);
    let family = pids_until_up(&fds.stdout);
    let members = cgroup::members(&path).unwrap();
    assert!(family.iter().chain([&pid]).all(|one| members.contains(one)), "{family:?} in {members:?}");
    assert!(!cgroup::is_empty(&path));
    assert!(cgroup::remove(&path).is_err());
    let mut kill =
        KillUntilEmpty::new(Root { run: order.run, main: Main::Pinned(pid), cgroup: Some(path.clone()) });
    until("the cgroup is empty", || {
        kill.step(&Snapshot::take(rig.keeper_pid()).unwrap()) == KillState::Empty
    });
    assert!(family.iter().all(|pid| !is_alive(*pid)), "{family:?}");
    assert_eq!(supervisor.exit(order.run), Exit::Signal { signal: Signal::KILL, core: false });
    cgroup::remove(&path).unwrap();
    assert!(cgroup::is_empty(&path));
    cgroups.remove_root().unwrap();
    assert!(!cgroups.root().exists());

    // A cgroup that is gone does not keep a program from running.
    let order = LaunchOrder { cgroup: order.cgroup.clone(), ..shell("exit 6") };
    supervisor.launch(&order);
    assert_eq!(supervisor.exit(order.run), Exit::Code(6));
}

pub(super) fn strangers_are_reaped() {
    let rig = Rig::new();
    let supervisor = rig.first();
    // The orphan outlives main, and ends when its pipe does.
    let order = shell("(setsid sh -c 'echo $$; sleep 0.3' &) ; exit 0");
    let (_, fds) = supervisor.launch(&order);
    let orphan: u32 = read_line(&fds.stdout).parse().unwrap();
    let watched = pidfd::open(orphan).unwrap();
    assert_eq!(supervisor.exit(order.run), Exit::Code(0));
    assert_eq!(proc::stat(orphan).unwrap().parent, rig.keeper_pid(), "orphans come to the keeper");
    wait_for(&watched, "the orphan's end");
    assert!(matches!(supervisor.receive(), Report::Strangers));
    until("reaped", || proc::stat(orphan).is_err());
    assert_eq!(rig.zombies(), 1, "the pinned one stays");
}

pub(super) fn pid_one_leaves_no_zombie() {
    if !root() || std::process::Command::new("unshare").args(["-p", "true"]).status().is_err() {
        return;
    }
    let rig = Rig::pid_one();
    let supervisor = rig.first();
    let order =
        shell("for n in 1 2 3 4 5 6 7 8; do (setsid sh -c '(sleep 0.1 &)' &) ; done; echo up; sleep 0.3");
    let (_, fds) = supervisor.launch(&order);
    assert_eq!(read_line(&fds.stdout), "up");
    let exit = loop {
        match supervisor.receive() {
            Report::Process { stage: Stage::Exited(exit), .. } => break exit,
            Report::Strangers => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(exit, Exit::Code(0));
    let parent = rig.keeper_pid();
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let keeper: u32 = children.trim().parse().unwrap();
    until("only the pinned zombie is left", || rig.zombies_of(keeper) == 1);
    supervisor.send(&Order::Release { run: order.run });
    until("no zombie is left", || rig.zombies_of(keeper) == 0);
    supervisor.send(&Order::Goodbye { code: 5 });
    supervisor.end(0);
    assert_eq!(rig.exit_code(), 5);
}
