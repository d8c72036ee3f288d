//! What is heard of a run, and what must not stay stopped, over the supervisor's death.

use crate::rig::{Rig, shell, until, wait_for};
use sppm::keeper::link::{Ends, HoldFor, LaunchOrder, Order, Output, ProcessFds, Report, Stage};
use sppm::linux::datagram;
use sppm::linux::{cgroup, flock, pidfd, proc};
use sppm::model::{Exit, Signal};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A FIFO, a socket and a lock, as the supervisor makes them.
fn ends(folder: &Path) -> (Ends, PathBuf, PathBuf) {
    use rustix::fs::{CWD, FileType, Mode, OFlags};
    let (fifo, sd) = (folder.join("notify"), folder.join("sd"));
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let notify = rustix::fs::open(&fifo, flags, Mode::empty()).unwrap();
    let socket = datagram::bind(&sd).unwrap();
    let lock = OwnedFd::from(std::fs::File::create_new(folder.join("lock")).unwrap());
    let [notify, sd_end, lock] = [notify, socket, lock].map(|end| Some(Arc::new(end)));
    (Ends { notify, sd: sd_end, lock }, fifo, sd)
}

/// Whether a program could begin a task under the lock.
fn is_free(folder: &Path) -> bool {
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    lock.try_lock().is_ok()
}

fn said(fds: &ProcessFds) -> (String, String) {
    let (notify, sd) = (fds.notify.as_ref().unwrap(), fds.sd.as_ref().unwrap());
    let mut buffer = [0; 64];
    wait_for(notify, "a line");
    let count = rustix::io::read(notify, &mut buffer).unwrap();
    let line = String::from_utf8(buffer[..count].to_vec()).unwrap();
    wait_for(sd, "a message");
    let message = datagram::receive(sd, &mut buffer).unwrap().unwrap();
    assert_eq!(message.sender.pid, std::process::id());
    (line, String::from_utf8(message.bytes).unwrap())
}

pub(super) fn they_come_with_the_run_and_with_each_supervisor() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let (ends, fifo, sd) = ends(rig.dir.path());
    let order = LaunchOrder { ends, output: Output::Apart, ..shell("exec sleep 1000") };
    let (_, fds) = supervisor.launch(&order);
    let run = order.run;
    let program = UnixDatagram::unbound().unwrap();
    program.connect(&sd).unwrap();
    let say = |line: &str| {
        std::fs::write(&fifo, line).unwrap();
        program.send(line.as_bytes()).unwrap();
    };
    say("one");
    assert_eq!(said(&fds), ("one".to_owned(), "one".to_owned()));
    assert!(is_free(rig.dir.path()));
    assert!(flock::try_shared(fds.lock.as_ref().unwrap()).unwrap());
    // Nobody but the keeper holds them now: a writer neither waits nor fails, and nothing is lost.
    drop((fds, order));
    supervisor.kill();
    say("two");
    for word in ["two", "three"] {
        let supervisor = rig.supervisor();
        let (_, _, entries) = supervisor.table();
        let fds = entries.into_iter().find(|entry| entry.run == run).unwrap().fds.unwrap();
        assert!(fds.stderr.is_some());
        assert!(!is_free(rig.dir.path()), "the keeper has it, and it is the same open file");
        if word == "three" {
            flock::unlock(fds.lock.as_ref().unwrap());
            assert!(is_free(rig.dir.path()));
        }
        assert_eq!(said(&fds), (word.to_owned(), word.to_owned()));
        drop(fds);
        supervisor.kill();
        say("three");
    }
}

pub(super) fn they_go_with_the_run_and_no_child_has_them() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let before = rig.descriptors();
    let (ends, fifo, _) = ends(rig.dir.path());
    // What the shell has open besides the three, the folder that it lists, and the script's own pipe.
    let script = "for fd in /proc/$$/fd/*; do readlink $fd; done > \"$0\"; exec sleep 1000";
    let list = rig.dir.path().join("list");
    let mut order = LaunchOrder { ends, ..shell(script) };
    order.argv.push(std::ffi::CString::new(list.to_str().unwrap()).unwrap());
    let (_, fds) = supervisor.launch(&order);
    until("the list is written", || {
        std::fs::read_to_string(&list).is_ok_and(|text| text.lines().count() >= 3)
    });
    let text = std::fs::read_to_string(&list).unwrap();
    let has = |what: &str| text.lines().any(|line| line.contains(what));
    assert!(!(has("notify") || has("socket:") || has("/lock")), "{text}");
    // One whose exec fails leaves nothing with the keeper.
    let failing =
        LaunchOrder { run: shell("").run, candidates: vec![c"/no/program".to_owned()], ..order.clone() };
    let failing = LaunchOrder { tag: failing.run.to_string().into_bytes(), ..failing };
    supervisor.send(&Order::Launch(Box::new(failing.clone())));
    let forked = supervisor.news();
    assert!(forked.fds.unwrap().sd.is_some());
    assert!(matches!(supervisor.news().stage, Stage::Failed { .. }));
    supervisor.send(&Order::Release { run: failing.run });
    pidfd::send_signal(&fds.pidfd, Signal::KILL).unwrap();
    assert!(matches!(supervisor.exit(order.run), Exit::Signal { .. }));
    supervisor.send(&Order::Release { run: order.run });
    until("the keeper has closed everything", || rig.descriptors() == before);
    drop((fds, order, failing));
    let reader = || std::fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&fifo);
    // What another test of this process starts just now had a copy of ours until its exec.
    until("nobody reads", || reader().is_err());
    assert_eq!(reader().unwrap_err().raw_os_error(), Some(libc::ENXIO), "nobody reads");
}

fn state(pid: u32) -> char {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text[text.rfind(')').unwrap() + 2..].chars().next().unwrap()
}

pub(super) fn what_was_frozen_goes_on_when_the_supervisor_dies() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let order = shell("exec sleep 1000");
    let other = shell("exec sleep 1000");
    let (pid, fds) = supervisor.launch(&order);
    let (stays, of_stays) = supervisor.launch(&other);
    let freeze = rig.dir.path().join("cgroup.freeze");
    std::fs::write(&freeze, "").unwrap();
    let open = || -> OwnedFd { std::fs::File::options().append(true).open(&freeze).unwrap().into() };
    let hold = |name: &str, fd: OwnedFd, purpose| Order::Hold { name: name.to_owned(), fd, purpose };
    let before = rig.descriptors();
    supervisor.send(&hold("freeze/1", open(), HoldFor::ThawCgroup));
    supervisor.send(&hold("freeze/2", open(), HoldFor::ThawCgroup));
    supervisor.send(&hold("stop/1", fds.pidfd.try_clone().unwrap(), HoldFor::ContProcess));
    supervisor.send(&hold("stop/2", of_stays.pidfd.try_clone().unwrap(), HoldFor::ContProcess));
    supervisor.send(&hold("lock", open(), HoldFor::Keep));
    for fds in [&fds, &of_stays] {
        pidfd::send_signal(&fds.pidfd, Signal::STOP).unwrap();
    }
    until("both are stopped", || (state(pid), state(stays)) == ('T', 'T'));
    // What it had ordered counts: these it had let go of before it died, as the last of all.
    let keeper = pidfd::open(rig.keeper_pid()).unwrap();
    pidfd::send_signal(&keeper, Signal::STOP).unwrap();
    for name in ["freeze/2", "stop/2"] {
        supervisor.send(&Order::Unhold { name: name.to_owned() });
    }
    supervisor.kill();
    pidfd::send_signal(&keeper, Signal::CONT).unwrap();
    until("what was stopped goes on", || state(pid) == 'S');
    let supervisor = rig.supervisor();
    let mut held = Vec::new();
    loop {
        match supervisor.receive() {
            Report::Held { name, .. } => held.push(name),
            Report::TableEnd => break,
            _ => {}
        }
    }
    assert_eq!(held, ["lock"], "the others were closed");
    assert_eq!(rig.descriptors(), before + 1);
    assert_eq!(std::fs::read_to_string(&freeze).unwrap(), "0\n");
    assert_eq!(state(stays), 'T');
    // Nothing is done twice, and nothing of an old supervisor at the end of a new one.
    pidfd::send_signal(&fds.pidfd, Signal::STOP).unwrap();
    supervisor.kill();
    let supervisor = rig.supervisor();
    assert!(matches!(supervisor.receive(), Report::Hello { .. }));
    assert_eq!(std::fs::read_to_string(&freeze).unwrap(), "0\n");
    assert_eq!(state(pid), 'T');
    a_real_cgroup_is_thawed(&rig, &supervisor);
}

/// Where there is a writable hierarchy.
fn a_real_cgroup_is_thawed(rig: &Rig, supervisor: &crate::rig::Supervisor<'_>) {
    let Some(cgroups) = cgroup::Cgroups::detect(&format!("ends-{}", std::process::id())) else {
        eprintln!("SKIPPED: no writable version 2 hierarchy here");
        return;
    };
    let path = cgroups.create("one").unwrap();
    let order = shell("exec sleep 1000");
    let text = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let order = LaunchOrder { cgroup: Some(text), ..order };
    supervisor.send(&Order::Launch(Box::new(order)));
    until("it is in its cgroup", || cgroup::members(&path).is_ok_and(|pids| pids.len() == 1));
    let pid = cgroup::members(&path).unwrap()[0];
    let file = path.join("cgroup.freeze");
    let fd = std::fs::File::options().write(true).open(&file).unwrap().into();
    supervisor.send(&Order::Hold { name: "freeze".to_owned(), fd, purpose: HoldFor::ThawCgroup });
    std::fs::write(&file, "1\n").unwrap();
    let frozen = |wanted: &str| {
        let text = std::fs::read_to_string(path.join("cgroup.events")).unwrap();
        text.lines().any(|line| line == wanted)
    };
    until("it is frozen", || frozen("frozen 1"));
    // It says goodbye, and does not end: the keeper does not wait for ever, and ends it.
    supervisor.send(&Order::Goodbye { code: 0 });
    until("it is thawed", || frozen("frozen 0"));
    assert!(proc::stat(pid).is_ok());
    let member = pidfd::open(pid).unwrap();
    pidfd::send_signal(&member, Signal::KILL).unwrap();
    until("the cgroup is empty", || cgroup::is_empty(&path) && cgroups.remove_root().is_ok());
    let _ = rig;
}

pub(super) fn tens_of_thousands_are_held() {
    let rig = Rig::new();
    let supervisor = rig.first();
    let limit = std::fs::read_to_string(format!("/proc/{}/limits", rig.keeper_pid())).unwrap();
    let limit = limit.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let limit: usize = limit.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    let count = limit.saturating_sub(200).min(20_000);
    let file = tempfile::tempfile().unwrap();
    let before = rig.descriptors();
    for number in 0..count {
        let fd = file.try_clone().unwrap().into();
        supervisor.send(&Order::Hold { name: format!("{number}"), fd, purpose: HoldFor::ContProcess });
    }
    for number in 0..count {
        supervisor.send(&Order::Unhold { name: format!("{number}") });
    }
    supervisor.send(&Order::Hold { name: "last".to_owned(), fd: file.into(), purpose: HoldFor::Keep });
    until("all but one are closed", || rig.descriptors() == before + 1);
}
