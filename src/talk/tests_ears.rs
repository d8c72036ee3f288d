//! Hearing: real FIFOs and sockets, friendly and hostile.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Ears, EnvFile, Heard, Opened, Way, make};
use crate::model::{InstanceLabel, RunId, Saying};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

struct Rig {
    ears: Ears,
    heard: Receiver<(RunId, Heard)>,
    folder: tempfile::TempDir,
}

/// One run's ends as the program has them.
struct Program {
    run: RunId,
    fifo: File,
    sd: UnixDatagram,
    /// What the keeper holds.
    opened: Opened,
}

impl Rig {
    fn new() -> Self {
        let (tell, heard) = channel();
        let ears = Ears::start(Box::new(move |run, heard| drop(tell.send((run, heard))))).unwrap();
        Self { ears, heard, folder: tempfile::tempdir().unwrap() }
    }

    fn program(&self, number: u128) -> Program {
        let program = self.unheard(number);
        self.attach(&program);
        program
    }

    fn unheard(&self, number: u128) -> Program {
        let label = InstanceLabel::recorded(&format!("p{number}"));
        let opened = make(&self.folder.path().join("i"), &label, None, true, &EnvFile::default()).unwrap();
        let fifo = File::options().write(true).open(&opened.places.notify).unwrap();
        let sd = UnixDatagram::unbound().unwrap();
        sd.connect(opened.places.sd.as_ref().unwrap()).unwrap();
        Program { run: RunId::from_bits(number), fifo, sd, opened }
    }

    fn attach(&self, program: &Program) {
        let Opened { fifo, sd, .. } = &program.opened;
        let sd = sd.as_ref().map(|sd| sd.try_clone().unwrap());
        self.ears.attach(program.run, fifo.try_clone().unwrap(), sd);
        self.ears.prick();
    }

    fn next(&self) -> (RunId, Heard) {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }

    /// What was heard by the moment from which on all is said to be.
    fn when_done(&self, run: RunId) -> Vec<Heard> {
        let until = std::time::Instant::now() + PATIENCE;
        while !self.ears.are_done(run) {
            assert!(std::time::Instant::now() < until, "it is never done");
            std::thread::yield_now();
        }
        self.all()
    }

    /// All that was heard by now.
    fn all(&self) -> Vec<Heard> {
        self.heard.try_iter().map(|(_, heard)| heard).collect()
    }
}

fn line(saying: Saying) -> Heard {
    Heard { way: Way::Line, saying }
}

fn notify(saying: Saying) -> Heard {
    Heard { way: Way::Notify { pid: std::process::id() }, saying }
}

fn send(from: &UnixDatagram, text: &str, fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    rustix::net::sendmsg(from, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::empty()).unwrap();
}

#[test]
fn both_ways_are_heard_with_their_run_and_sender() {
    let rig = Rig::new();
    let (mut one, two) = (rig.program(1), rig.program(2));
    one.fifo.write_all(b"ready\nbusy page 7\n").unwrap();
    assert_eq!(rig.next(), (one.run, line(Saying::Ready)));
    assert_eq!(rig.next(), (one.run, line(Saying::Busy(Some("page 7".to_owned())))));
    two.sd.send(b"READY=1\nSTATUS=on").unwrap();
    assert_eq!(rig.next(), (two.run, notify(Saying::Ready)));
    assert_eq!(rig.next(), (two.run, notify(Saying::Status("on".to_owned()))));
    // A torn line waits for its rest.
    one.fifo.write_all(b"id").unwrap();
    assert!(rig.ears.drain(one.run));
    assert_eq!(rig.all(), []);
    one.fifo.write_all(b"le\n").unwrap();
    assert_eq!(rig.next(), (one.run, line(Saying::Idle)));
}

#[test]
fn a_drain_hears_all_that_was_said_before() {
    let rig = Rig::new();
    let mut program = rig.program(1);
    for _ in 0..200 {
        program.fifo.write_all(b"busy\nidle\n").unwrap();
        program.sd.send(b"X_SPPM_BUSY=1").unwrap();
        assert!(rig.ears.drain(program.run));
        let heard = rig.all();
        assert_eq!(heard.iter().filter(|heard| heard.way == Way::Line).count(), 2, "{heard:?}");
        assert!(heard.contains(&notify(Saying::Busy(None))));
    }
    assert!(rig.ears.drain(RunId::from_bits(77)), "nobody has said nothing");
}

#[test]
fn a_barrier_is_lifted_when_all_before_it_was_heard() {
    let rig = Rig::new();
    let mut program = rig.program(1);
    for _ in 0..100 {
        let (mut reader, writer) = std::io::pipe().unwrap();
        program.fifo.write_all(b"beat\n").unwrap();
        program.sd.send(b"READY=1").unwrap();
        send(&program.sd, "BARRIER=1", &[writer.as_fd()]);
        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "closed");
        let mut heard = rig.all();
        heard.sort_by_key(|heard| heard.way == Way::Line);
        assert_eq!(heard, [notify(Saying::Ready), line(Saying::Beat)]);
    }
}

#[test]
fn equal_things_in_a_row_are_told_once_where_that_is_the_same() {
    let rig = Rig::new();
    let mut program = rig.program(1);
    let mut text = "beat\n".repeat(300);
    text.push_str(&"request\n".repeat(3));
    text.push_str("nonsense\n");
    program.fifo.write_all(text.as_bytes()).unwrap();
    rig.ears.drain(program.run);
    let heard = rig.all();
    assert!(heard.len() < 20, "{heard:?}");
    assert_eq!(heard.iter().filter(|heard| heard.saying == Saying::Request).count(), 3);
    assert_eq!(heard.last().unwrap(), &line(Saying::Unknown("nonsense".to_owned())));
}

#[test]
fn a_flood_waits_for_itself_and_starves_nobody() {
    let rig = Rig::new();
    let (flooder, mut other) = (rig.program(1), rig.program(2));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (told, mut fifo) = (std::sync::Arc::clone(&stop), flooder.fifo.try_clone().unwrap());
    let text = "x\n".repeat(2048);
    let flood = std::thread::spawn(move || {
        let mut lines = 0;
        while !told.load(std::sync::atomic::Ordering::Relaxed) {
            fifo.write_all(text.as_bytes()).unwrap();
            lines += 2048;
        }
        lines
    });
    let (begun, mut worst, mut ours, mut theirs) = (Instant::now(), Duration::ZERO, 0, 0_u64);
    while begun.elapsed() < Duration::from_millis(1500) {
        let asked = Instant::now();
        other.fifo.write_all(b"request\n").unwrap();
        loop {
            let (run, _) = rig.next();
            if run == other.run {
                break;
            }
            theirs += 1;
        }
        worst = worst.max(asked.elapsed());
        ours += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let written = loop {
        rig.ears.drain(flooder.run);
        if flood.is_finished() {
            break flood.join().unwrap();
        }
    };
    assert!(worst < Duration::from_millis(500), "{worst:?} of {ours}");
    // Two seconds' worth, and what one turn may be over it.
    assert!(theirs < 40_000, "{theirs} of {written}");
}

#[test]
fn long_lines_and_long_messages_are_told_once_as_unknown() {
    let rig = Rig::new();
    let mut program = rig.program(1);
    let mut text = vec![b'y'; 10_000];
    text.extend_from_slice(b"\nidle\n");
    program.fifo.write_all(&text).unwrap();
    assert_eq!(rig.next().1, line(Saying::Unknown("y".repeat(64))));
    assert_eq!(rig.next().1, line(Saying::Idle));
    program.sd.send(&[b'z'; 5000]).unwrap();
    assert_eq!(rig.next().1, notify(Saying::Unknown("z".repeat(64))));
}

/// A connection with unsent data whose close waits for as long as its owner said (SO_LINGER, socket(7)).
fn lingering() -> (std::net::TcpStream, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::from_secs(3))).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut full = &stream;
    while full.write(&[0; 65536]).is_ok() {}
    (stream, listener)
}

#[test]
fn a_descriptor_whose_close_takes_long_keeps_nobody_waiting() {
    let rig = Rig::new();
    let (hostile, mut other) = (rig.unheard(1), rig.program(2));
    let mut listeners = Vec::new();
    for _ in 0..6 {
        let (stream, listener) = lingering();
        send(&hostile.sd, "FDSTORE=1", &[stream.as_fd()]);
        listeners.push(listener);
    }
    // Only now: the last to close one is who waits, and that must not be this test.
    rig.attach(&hostile);
    let asked = Instant::now();
    other.fifo.write_all(b"idle\n").unwrap();
    assert_eq!(rig.next(), (other.run, line(Saying::Idle)));
    assert!(!rig.ears.drain(hostile.run), "four at once, the others wait");
    assert!(asked.elapsed() < Duration::from_secs(2));
    // In the end all is closed, and its socket is heard again.
    drop(listeners);
    hostile.sd.send(b"READY=1").unwrap();
    assert_eq!(rig.next(), (hostile.run, notify(Saying::Ready)));
}

/// Else a task could be begun, and said so, in the moment before the thread hears of its run, and be cut.
#[test]
fn who_is_not_heard_yet_may_have_said_something() {
    let rig = Rig::new();
    let mut program = rig.unheard(1);
    program.fifo.write_all(b"busy\n").unwrap();
    let fifo = program.opened.fifo.try_clone().unwrap();
    rig.ears.attach(program.run, fifo, None);
    assert!(!rig.ears.are_done(program.run), "nobody has read its FIFO");
    assert_eq!(rig.when_done(RunId::from_bits(2)), [], "what another has said is as it was");
    rig.ears.prick();
    assert!(rig.when_done(program.run).contains(&line(Saying::Busy(None))));
}

#[test]
fn what_is_done_was_heard_at_whatever_moment_that_is_asked() {
    let rig = Rig::new();
    let mut program = rig.unheard(1);
    for _ in 0..2000 {
        program.fifo.write_all(b"busy\n").unwrap();
        rig.ears.attach(program.run, program.opened.fifo.try_clone().unwrap(), None);
        rig.ears.prick();
        assert_eq!(rig.when_done(program.run), [line(Saying::Busy(None))]);
        rig.ears.detach(program.run);
        rig.ears.prick();
    }
}

#[test]
fn who_rests_may_have_said_something() {
    let rig = Rig::new();
    let mut program = rig.program(1);
    for _ in 0..200 {
        program.fifo.write_all(&b"status x\n".repeat(100)).unwrap();
    }
    program.fifo.write_all(b"busy\n").unwrap();
    assert_eq!(rig.when_done(program.run).last(), Some(&line(Saying::Busy(None))));
}

#[test]
fn who_is_detached_is_not_heard_and_cannot_send() {
    let rig = Rig::new();
    let mut program = rig.program(1);
    rig.ears.detach(program.run);
    rig.ears.prick();
    assert!(rig.ears.drain(program.run));
    program.fifo.write_all(b"ready\n").unwrap();
    assert!(program.sd.send(b"READY=1").is_err());
    assert!(rig.ears.drain(program.run));
    assert_eq!(rig.all(), []);
}

#[test]
fn ears_that_end_leave_the_ends_to_their_successor() {
    let rig = Rig::new();
    let mut program = rig.program(1);
    drop(rig.ears);
    let successor = Rig::new();
    while rig.heard.recv().is_ok() {}
    program.fifo.write_all(b"ready\n").unwrap();
    program.sd.send(b"READY=1").unwrap();
    successor.attach(&program);
    assert!(successor.ears.drain(program.run));
    assert_eq!(successor.all().len(), 2);
}
