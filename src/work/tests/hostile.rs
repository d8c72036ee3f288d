//! Files that are none, and folders that cannot be watched.

use super::rig::{Program, Rig, put};
use crate::work::Subject;
use crate::work::bell::Bell;
use crate::work::gate::GateNews;
use crate::work::worker::{Hands, Order, Worker};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

fn make(kind: &str, path: &Path) {
    let other = path.with_file_name("other");
    let text = format!("{}\n9999999999\n1\n", std::process::id());
    match kind {
        "FIFO" => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap(),
        "folder" => std::fs::create_dir(path).unwrap(),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
        "symbolic link" => {
            std::fs::write(&other, text).unwrap();
            std::os::unix::fs::symlink(&other, path).unwrap();
        }
        "hard link" => {
            std::fs::write(&other, text).unwrap();
            std::fs::hard_link(&other, path).unwrap();
        }
        "bytes" => std::fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
        _ => unreachable!(),
    }
}

#[test]
fn what_is_no_small_regular_file_is_reported_once_and_is_no_obstacle() {
    for kind in ["FIFO", "folder", "socket", "symbolic link", "hard link", "bytes"] {
        let rig = Rig::new();
        let program = Program::shell(&rig, "read x");
        std::fs::remove_file(&program.lock).unwrap();
        make(kind, &program.lock);
        rig.gate.watch(program.subject());
        let (took, others) = rig.expect_idle(SOON);
        assert!(took < Duration::from_secs(1), "{kind}: {took:?}");
        let [GateNews::Trouble { text, .. }] = &others[..] else { panic!("{kind}: {others:?}") };
        assert!(text.contains(kind), "{text}");
        rig.gate.gone(program.run());
    }
}

#[test]
fn a_device_is_not_opened() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    rig.gate.watch(Subject { lock: "/dev/zero".into(), custom: true, ..program.subject() });
    let (_, others) = rig.expect_idle(SOON);
    assert!(matches!(&others[..], [GateNews::Trouble { text, .. }] if text.contains("device")), "{others:?}");
}

#[test]
fn rubbish_is_reported_and_holds_a_stop_for_two_seconds_at_most_however_often_it_is_written() {
    let rig = Rig::new();
    let script = "say('up')\nwhile True:\n    open(LOCK, 'w').write('rubbish')\n    time.sleep(0.001)";
    let program = Program::python(&rig, script);
    assert_eq!(program.line(), "up");
    std::thread::sleep(Duration::from_millis(50));
    // Every truncation looks like the beginning of a change; what is written then ends no time that runs.
    rig.gate.watch(program.subject());
    let begun = Instant::now();
    let mut troubles = 0;
    loop {
        match rig.news(Duration::from_secs(20)) {
            Some(GateNews::Idle { .. }) => break,
            Some(GateNews::Trouble { text, .. }) => {
                assert!(text.contains("three lines"), "{text}");
                troubles += 1;
            }
            other => panic!("{other:?} after {:?}", begun.elapsed()),
        }
    }
    assert_eq!(troubles, 1);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_missing_file_or_folder_is_idle() {
    let rig = Rig::new();
    let program = Program::shell(&rig, "read x");
    for lock in ["none", "none/below"] {
        let lock = rig.folder.path().join(lock);
        rig.gate.watch(Subject { lock, custom: true, ..program.subject() });
        let (_, others) = rig.expect_idle(SOON);
        assert!(others.is_empty(), "{others:?}");
        rig.gate.cancel(program.run());
    }
}

#[test]
fn without_a_watch_it_is_looked_at_every_tenth_of_a_second_and_said_once() {
    struct Nobody;
    impl crate::work::Keep for Nobody {
        fn hold_lock(&self, _: crate::model::RunId, _: std::os::fd::BorrowedFd<'_>) {}
        fn drop_lock(&self, _: crate::model::RunId) {}
        fn frozen_cgroup(&self, _: crate::model::RunId, _: std::os::fd::BorrowedFd<'_>) {}
        fn frozen_processes(&self, _: crate::model::RunId, _: &[std::os::fd::BorrowedFd<'_>]) {}
        fn thawed(&self, _: crate::model::RunId) {}
    }
    let rig = Rig::new();
    let mut program = Program::python(&rig, "state(1)\nsay('busy')\nhear()\nstate(0)\nhear()");
    assert_eq!(program.line(), "busy");
    let (orders, received) = mpsc::channel();
    let (tell, news) = mpsc::channel();
    let bell = Arc::new(Bell::new().unwrap());
    let none = Err(std::io::Error::from_raw_os_error(libc::EMFILE));
    let mut worker = Worker::with_notices(received, Arc::clone(&bell), none).unwrap();
    let hands = Hands {
        board: rig.board.clone(),
        keep: Box::new(Nobody),
        drain: Box::new(|_| {}),
        news: Arc::new(move |one| tell.send(one).unwrap_or(())),
    };
    let thread = std::thread::spawn(move || worker.run(&hands));
    orders.send(Order::Watch(Box::new(program.subject()), 1)).unwrap();
    bell.ring();
    let mut got = Vec::new();
    let begun = Instant::now();
    while let Ok(one) = news.recv_timeout(Duration::from_millis(1_000).saturating_sub(begun.elapsed())) {
        got.push(one);
    }
    let troubles = got.iter().filter(|one| matches!(one, GateNews::Trouble { .. })).count();
    assert!(troubles == 1 && got.len() == 2, "{got:?}");
    program.say("");
    let begun = Instant::now();
    assert!(matches!(news.recv_timeout(SOON), Ok(GateNews::Idle { .. })));
    assert!(begun.elapsed() < Duration::from_millis(600), "{:?}", begun.elapsed());
    drop(orders);
    bell.ring();
    thread.join().unwrap();
}

#[test]
fn a_file_that_is_replaced_by_something_else_while_it_drains_does_not_stop_the_gate() {
    let rig = Rig::new();
    let program = Program::python(&rig, "state(1)\nsay('busy')\nhear()");
    assert_eq!(program.line(), "busy");
    rig.gate.watch(program.subject());
    rig.expect_busy();
    // In one step: a file that is missing is idle.
    let fifo = program.lock.with_file_name("fifo");
    make("FIFO", &fifo);
    std::fs::rename(fifo, &program.lock).unwrap();
    let (_, others) = rig.expect_idle(SOON);
    assert!(matches!(&others[..], [GateNews::Trouble { .. }]), "{others:?}");
    std::fs::remove_file(&program.lock).unwrap();
    put(&program.lock, "");
    rig.gate.gone(program.run());
}
