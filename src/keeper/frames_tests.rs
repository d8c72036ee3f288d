//! Frames: what is encoded comes back, garbage is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::link::{
    Ends, HoldFor, Identity, LaunchOrder, MAX_ABOVE, Order, Output, Predecessor, ProcessFds, Report,
    SignalOrigin, Stage,
};
use super::order_frames::{self, Arrived};
use super::report_frames;
use crate::linux::memfd;
use crate::linux::packet::Packet;
use crate::linux::texts::Texts;
use crate::model::{Exit, LaunchStage, Rlimit, RlimitKind, RunId, Signal};
use proptest::prelude::*;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn texts(texts: &[&str]) -> Texts {
    texts.iter().map(|text| c(text)).collect::<Vec<_>>().iter().map(CString::as_c_str).collect()
}

fn launch() -> LaunchOrder {
    LaunchOrder {
        run: RunId::from_bits(u128::MAX - 5),
        tag: vec![0, 255, 7],
        argv: vec![c("sh"), c(""), c("ü")],
        candidates: vec![c("/bin/sh"), c("rel")],
        environment: texts(&["A=B", "C="]),
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
        ends: Ends::default(),
    }
}

/// Too large to travel in its packet.
fn large_launch() -> LaunchOrder {
    LaunchOrder { environment: texts(&[&format!("A={}", "b".repeat(9000))]), ..launch() }
}

fn order_packet(order: &Order) -> Packet {
    let (bytes, beside) = order_frames::encode(order).unwrap();
    let fds = beside.all().iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
    Packet { bytes, fds, cut: false }
}

fn memory(text: &str) -> OwnedFd {
    memfd::sealed("x", text.as_bytes()).unwrap()
}

fn text(fd: impl AsFd) -> Vec<u8> {
    memfd::read_sealed(fd, 99).unwrap()
}

fn packet((bytes, fds): report_frames::Outgoing<'_>) -> Packet {
    let fds = fds.iter().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
    Packet { bytes, fds, cut: false }
}

#[test]
fn a_launch_arrives_as_it_was_sent() {
    for (order, files) in [(launch(), 0), (large_launch(), 1)] {
        let packet = order_packet(&Order::Launch(Box::new(order.clone())));
        assert_eq!(packet.fds.len(), files);
        let Ok(Arrived::Launch(arrived)) = order_frames::decode(packet) else { panic!("not a launch") };
        assert_eq!(*arrived, order);
    }
}

#[test]
fn the_ends_of_a_launch_arrive_each_as_itself_or_the_launch_is_lost() {
    for (bits, launch) in (1..8).flat_map(|bits| [(bits, launch()), (bits, large_launch())]) {
        let [notify, sd, lock] = [1, 2, 4].map(|bit| bits & bit != 0);
        let some = |wanted: bool, text: &str| wanted.then(|| Arc::new(memory(text)));
        let ends = Ends { notify: some(notify, "n"), sd: some(sd, "s"), lock: some(lock, "l") };
        let order = Order::Launch(Box::new(LaunchOrder { ends, ..launch }));
        let Ok(Arrived::Launch(arrived)) = order_frames::decode(order_packet(&order)) else {
            panic!("not a launch")
        };
        let LaunchOrder { ends, .. } = *arrived;
        let read = |end: Option<Arc<OwnedFd>>| end.map(|end| text(&*end));
        let wanted = |wanted: bool, text: &str| wanted.then(|| text.as_bytes().to_vec());
        let expected = [wanted(notify, "n"), wanted(sd, "s"), wanted(lock, "l")];
        assert_eq!([ends.notify, ends.sd, ends.lock].map(read), expected);
        let mut less = order_packet(&order);
        less.fds.pop();
        less.cut = true;
        let lost = order_frames::decode(less);
        assert!(matches!(lost, Ok(Arrived::LostLaunch { errno: libc::EMFILE, .. })), "{lost:?}");
    }
}

#[test]
fn what_is_held_for_what_arrives() {
    for wanted in [HoldFor::Keep, HoldFor::ThawCgroup, HoldFor::ContProcess] {
        let order = Order::Hold { name: "a name".to_owned(), fd: memory("x"), purpose: wanted };
        let arrived = order_frames::decode(order_packet(&order));
        let Ok(Arrived::Order(Order::Hold { name, fd, purpose })) = arrived else { panic!("{arrived:?}") };
        assert_eq!((name.as_str(), text(&fd), purpose), ("a name", b"x".to_vec(), wanted));
    }
}

#[test]
fn a_rest_arrives_and_is_bounded() {
    for (sent, arrives) in [(0, 0), (7, 7), (50, 50), (51, 50), (u64::MAX, 50)] {
        let order = Order::Rest { at_most: Duration::from_millis(sent) };
        let arrived = order_frames::decode(order_packet(&order));
        let Ok(Arrived::Order(Order::Rest { at_most })) = arrived else { panic!("{arrived:?}") };
        assert_eq!(at_most, Duration::from_millis(arrives));
    }
}

#[test]
fn what_is_told_above_arrives_unless_it_is_too_long() {
    let order = |length: usize| Order::TellAbove { text: "ü".repeat(length / 2) };
    let arrived = order_frames::decode(order_packet(&order(MAX_ABOVE)));
    let Ok(Arrived::Order(Order::TellAbove { text })) = arrived else { panic!("{arrived:?}") };
    assert_eq!(text, "ü".repeat(MAX_ABOVE / 2));
    let error = order_frames::encode(&order(MAX_ABOVE + 2)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    let mut packet = order_packet(&order(MAX_ABOVE));
    packet.bytes[1..5].copy_from_slice(&(MAX_ABOVE as u32 + 1).to_le_bytes());
    packet.bytes.push(b'x');
    assert!(order_frames::decode(packet).is_err(), "one byte more than is allowed");
    let mut packet = order_packet(&order(2));
    packet.bytes[5] = 0xff;
    assert!(order_frames::decode(packet).is_err(), "no text");
}

#[test]
fn a_launch_that_lost_its_file_keeps_run_and_tag() {
    let order = large_launch();
    let (bytes, _) = order_frames::encode(&Order::Launch(Box::new(order.clone()))).unwrap();
    let lost = Packet { bytes, fds: Vec::new(), cut: true };
    let Ok(Arrived::LostLaunch { run, tag, errno }) = order_frames::decode(lost) else { panic!("not lost") };
    assert_eq!((run, tag, errno), (order.run, order.tag, libc::EMFILE));
}

#[test]
fn every_report_arrives_as_it_was_sent() {
    let some = memory;
    let process =
        |stage, fds| Report::Process { run: RunId::from_bits(9), tag: vec![1], pid: 42, stage, fds };
    let core = Exit::Signal { signal: Signal::QUIT, core: true };
    let failed = |stage| Stage::Failed { stage, errno: 2, path: Some("/no".into()) };
    let fds = |others: [Option<&str>; 4]| {
        let [stderr, notify, sd, lock] = others.map(|text| text.map(some));
        ProcessFds { pidfd: some("a"), stdout: some("b"), stderr, notify, sd, lock }
    };
    let mut reports = vec![
        Report::Hello { supervisors_before: 7, fresh_state: true, predecessor: None },
        Report::Hello {
            supervisors_before: 1,
            fresh_state: false,
            predecessor: Some(Predecessor { pid: 7, exit: Exit::Code(101), hung: true }),
        },
        process(Stage::Forked, Some(fds([None; 4]))),
        process(Stage::Forked, Some(fds([Some("c"), None, None, None]))),
        process(Stage::Forked, Some(fds([None, Some("d"), None, None]))),
        process(Stage::Execed, Some(fds([None, None, Some("e"), None]))),
        process(Stage::Execed, Some(fds([None, Some("d"), None, Some("f")]))),
        process(Stage::Exited(Exit::Code(1)), Some(fds(["c", "d", "e", "f"].map(Some)))),
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
        let (arrived, second) = report_frames::decode(packet(report_frames::encode(report))).unwrap();
        assert!(second.is_none(), "{second:?}");
        // Descriptors have other numbers: their contents are compared below.
        let plain = |report: &Report| {
            let text = format!("{report:?}");
            let parts = text.split(" fd: ").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
            parts.collect::<String>()
        };
        assert_eq!(plain(&arrived), plain(report));
        if let Report::Process { fds: Some(fds), .. } = &arrived {
            assert_eq!((text(&fds.pidfd), text(&fds.stdout)), (b"a".to_vec(), b"b".to_vec()));
            for (end, wanted) in
                [(&fds.stderr, b"c"), (&fds.notify, b"d"), (&fds.sd, b"e"), (&fds.lock, b"f")]
            {
                assert!(end.as_ref().is_none_or(|end| text(end) == wanted));
            }
        }
    }
}

#[test]
fn a_launch_that_went_well_is_two_reports_in_one_packet() {
    let fds = ProcessFds {
        pidfd: memory("a"),
        stdout: memory("b"),
        stderr: None,
        notify: None,
        sd: None,
        lock: None,
    };
    let wanted = RunId::from_bits(7);
    let packet = packet(report_frames::launched(wanted, b"tag", 77, Some(&fds)));
    let (first, second) = report_frames::decode(packet).unwrap();
    let of = |report: Option<Report>| match report {
        Some(Report::Process { run, tag, pid, stage, fds }) => {
            ((run, tag, pid, stage), fds.map(|fds| (text(&fds.pidfd), text(&fds.stdout))))
        }
        other => panic!("{other:?}"),
    };
    let named = |stage| (wanted, b"tag".to_vec(), 77, stage);
    assert_eq!(of(Some(first)), (named(Stage::Forked), Some((b"a".to_vec(), b"b".to_vec()))));
    assert_eq!(of(second), (named(Stage::Execed), None));
}

proptest! {
    #[test]
    fn garbage_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut: bool) {
        let _ = report_frames::decode(Packet { bytes: bytes.clone(), fds: Vec::new(), cut });
        let file = memfd::sealed("x", &bytes).unwrap();
        let mut framed = vec![2];
        framed.extend([0; 24]);
        let _ = order_frames::decode(Packet { bytes: framed, fds: vec![file], cut });
        let _ = order_frames::decode(Packet { bytes, fds: Vec::new(), cut });
    }

    #[test]
    fn a_cut_or_changed_launch_is_refused_or_another_launch(at in 0_usize..300, flip: u8) {
        let packet = order_packet(&Order::Launch(Box::new(large_launch())));
        let mut bytes = memfd::read_sealed(&packet.fds[0], 10_000).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        for bytes in [&bytes[..], &bytes[..at]] {
            let mut beside = vec![2];
            beside.extend([0; 24]);
            let fds = vec![memfd::sealed("x", bytes).unwrap()];
            let decoded = order_frames::decode(Packet { bytes: beside, fds, cut: false });
            prop_assert!(decoded.is_ok());
            let mut inside = vec![2];
            inside.extend([0; 23]);
            inside.push(1);
            inside.extend((bytes.len() as u32).to_le_bytes());
            inside.extend(bytes);
            let decoded = order_frames::decode(Packet { bytes: inside, fds: Vec::new(), cut: false });
            prop_assert!(decoded.is_ok());
        }
    }
}
