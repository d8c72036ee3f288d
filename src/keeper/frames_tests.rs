//! Frames: what is encoded comes back, garbage is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::link::{
    Identity, LaunchOrder, Order, Output, Predecessor, ProcessFds, Report, SignalOrigin, Stage,
};
use super::order_frames::{self, Arrived};
use super::report_frames;
use crate::linux::memfd;
use crate::linux::packet::Packet;
use crate::model::{Exit, LaunchStage, Rlimit, RlimitKind, RunId, Signal};
use proptest::prelude::*;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn launch() -> LaunchOrder {
    LaunchOrder {
        run: RunId::from_bits(u128::MAX - 5),
        tag: vec![0, 255, 7],
        argv: vec![c("sh"), c(""), c("ü")],
        candidates: vec![c("/bin/sh"), c("rel")],
        environment: vec![c("A=B"), c("C=")],
        directory: c("/srv"),
        identity: Some(Identity { uid: 1, gid: 2, groups: vec![2, 3] }),
        umask: 0o077,
        rlimits: vec![
            Rlimit { kind: RlimitKind::OpenFiles, value: Some(u64::MAX) },
            Rlimit { kind: RlimitKind::Processes, value: None },
            Rlimit { kind: RlimitKind::Core, value: Some(0) },
        ],
        nice: Some(-20),
        oom_score_adj: Some(-1000),
        cgroup: Some(c("/sys/fs/cgroup/x")),
        stdin: None,
        output: Output::Apart,
    }
}

fn packet((bytes, fds): report_frames::Outgoing<'_>) -> Packet {
    let fds = fds.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
    Packet { bytes, fds, cut: false }
}

#[test]
fn a_launch_arrives_as_it_was_sent() {
    let order = launch();
    let (bytes, beside) = order_frames::encode(&Order::Launch(Box::new(order.clone()))).unwrap();
    let packet = Packet { bytes, fds: beside.into_iter().collect(), cut: false };
    let Ok(Arrived::Launch(arrived)) = order_frames::decode(packet) else { panic!("not a launch") };
    assert_eq!(*arrived, order);
}

#[test]
fn a_launch_that_lost_its_file_keeps_run_and_tag() {
    let order = launch();
    let (bytes, _) = order_frames::encode(&Order::Launch(Box::new(order.clone()))).unwrap();
    let lost = Packet { bytes, fds: Vec::new(), cut: true };
    let Ok(Arrived::LostLaunch { run, tag, errno }) = order_frames::decode(lost) else { panic!("not lost") };
    assert_eq!((run, tag, errno), (order.run, order.tag, libc::EMFILE));
}

#[test]
fn every_report_arrives_as_it_was_sent() {
    let some = |text: &str| -> OwnedFd { memfd::sealed("x", text.as_bytes()).unwrap() };
    let process =
        |stage, fds| Report::Process { run: RunId::from_bits(9), tag: vec![1], pid: 42, stage, fds };
    let core = Exit::Signal { signal: Signal::QUIT, core: true };
    let failed = |stage| Stage::Failed { stage, errno: 2, path: Some("/no".into()) };
    let fds = ProcessFds { pidfd: some("a"), stdout: some("b"), stderr: Some(some("c")) };
    let mut reports = vec![
        Report::Hello { supervisors_before: 7, fresh_state: true, predecessor: None },
        Report::Hello {
            supervisors_before: 1,
            fresh_state: false,
            predecessor: Some(Predecessor { pid: 7, exit: Exit::Code(101), hung: true }),
        },
        process(Stage::Forked, Some(fds)),
        process(Stage::Execed, None),
        process(Stage::Exited(Exit::Code(255)), None),
        process(Stage::Exited(core), None),
        process(Stage::Exited(Exit::Unknown), None),
        Report::Held { name: "lock".to_owned(), fd: some("d") },
        Report::TableEnd,
        Report::Claimed,
        Report::ClaimRefused { holder: Some(1), message: "no".to_owned() },
        Report::Signal { signal: Signal::HUP, origin: SignalOrigin::Kernel },
        Report::Signal { signal: Signal::INT, origin: SignalOrigin::Process { pid: 3, uid: 4 } },
        Report::Strangers,
        Report::Ping,
    ];
    reports.extend(LaunchStage::ALL.map(|stage| process(failed(stage), None)));
    for report in &reports {
        let arrived = report_frames::decode(packet(report_frames::encode(report))).unwrap();
        // Descriptors have other numbers: their contents are compared below.
        let plain = |report: &Report| {
            let text = format!("{report:?}");
            let parts = text.split(" fd: ").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
            parts.collect::<String>()
        };
        assert_eq!(plain(&arrived), plain(report));
        if let Report::Process { fds: Some(fds), .. } = &arrived {
            assert_eq!(memfd::read_sealed(&fds.pidfd, 9).unwrap(), b"a");
            assert_eq!(memfd::read_sealed(&fds.stdout, 9).unwrap(), b"b");
            assert_eq!(memfd::read_sealed(fds.stderr.as_ref().unwrap().as_fd(), 9).unwrap(), b"c");
        }
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut: bool) {
        let _ = report_frames::decode(Packet { bytes: bytes.clone(), fds: Vec::new(), cut });
        let file = memfd::sealed("x", &bytes).unwrap();
        let mut framed = vec![2];
        framed.extend([0; 20]);
        let _ = order_frames::decode(Packet { bytes: framed, fds: vec![file], cut });
        let _ = order_frames::decode(Packet { bytes, fds: Vec::new(), cut });
    }

    #[test]
    fn a_cut_or_changed_launch_is_refused_or_another_launch(at in 0_usize..300, flip: u8) {
        let (_, beside) = order_frames::encode(&Order::Launch(Box::new(launch()))).unwrap();
        let mut bytes = memfd::read_sealed(beside.unwrap(), 10_000).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        for bytes in [&bytes[..], &bytes[..at]] {
            let mut framed = vec![2];
            framed.extend([0; 20]);
            let fds = vec![memfd::sealed("x", bytes).unwrap()];
            let decoded = order_frames::decode(Packet { bytes: framed, fds, cut: false });
            prop_assert!(decoded.is_ok());
        }
    }
}
