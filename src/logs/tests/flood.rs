//! Fairness, the end of programs, and what pipes cost when nothing happens.

use super::*;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

/// A command whose output goes to the pump.
fn program(world: &World, number: u128, shell: &str, sink: SinkSettings) -> Child {
    let pipe = world.attach(number, &format!("p{number}"), sink);
    Command::new("sh").args(["-c", shell]).stdout(Stdio::from(pipe)).spawn().unwrap()
}

#[test]
fn four_floods_do_not_keep_a_quiet_program_waiting() {
    let world = World::new();
    let mut floods: Vec<Child> = (1..=4)
        .map(|n| program(&world, n, "exec yes", sizes(&world.path(&format!("{n}.log")), 1 << 20, 2)))
        .collect();
    let begin = Instant::now();
    while (1..=4).any(|n| !rotate::numbered(&world.path(&format!("{n}.log")), 1).exists()) {
        assert!(begin.elapsed() < SOON, "each flood gets its turns");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut quiet = world.attach(9, "quiet", SinkSettings::plain(SinkTarget::Discard));
    let (sender, lines) = channel();
    let source =
        FollowSource { label: InstanceLabel::recorded("quiet"), stream: LogStream::Stdout, path: None };
    let sink: Box<dyn FollowSink> = Box::new(move |_: &FollowItem| {
        sender.send(Instant::now()).unwrap_or_default();
        FollowVerdict::Taken
    });
    world.logger.follow(vec![source], 0, sink, true);
    let mut waits: Vec<Duration> = (0..30)
        .map(|_| {
            let begin = Instant::now();
            writeln!(quiet, "here").unwrap();
            lines.recv_timeout(SOON).unwrap().duration_since(begin)
        })
        .collect();
    waits.sort();
    for flood in &mut floods {
        flood.kill().unwrap();
        flood.wait().unwrap();
    }
    assert!(waits[15] < Duration::from_millis(100), "{waits:?}");
}

#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hold_the_end() {
    let world = World::new();
    let log = world.path("x.log");
    let shell = "echo first; (read x; echo late) <&3 & exit 0";
    let (hold, release) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    let pipe = world.attach(1, "x", sizes(&log, 0, 5));
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec 3<&0; {shell}")])
        .stdin(Stdio::from(hold))
        .stdout(Stdio::from(pipe))
        .spawn()
        .unwrap();
    child.wait().unwrap();
    let begin = Instant::now();
    world.drain(1);
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
    assert_eq!(std::fs::read(&log).unwrap(), b"first\n", "all that main wrote");
    drop(File::from(release));
    let end = Instant::now() + SOON;
    while std::fs::read(&log).unwrap() != b"first\nlate\n" {
        assert!(Instant::now() < end, "what a stray writes is still read");
        std::thread::sleep(Duration::from_millis(10));
    }
    world.logger.detach(RunId::from_bits(1));
    world.drain(1);
}

#[test]
fn a_drain_of_a_flood_ends_after_a_second() {
    let world = World::new();
    let mut child = program(&world, 1, "exec yes", SinkSettings::plain(SinkTarget::Discard));
    let begin = Instant::now();
    world.drain(1);
    assert!(begin.elapsed() < Duration::from_secs(5));
    child.kill().unwrap();
    child.wait().unwrap();
    world.drain(1);
    world.drain(4711);
}

#[test]
fn what_a_program_wrote_last_is_there_when_it_is_drained() {
    let world = World::new();
    for n in 1..50 {
        let log = world.path(&format!("{n}.log"));
        let mut child = program(&world, n, "printf 'a\\nb'", sizes(&log, 0, 5));
        child.wait().unwrap();
        world.drain(n);
        assert_eq!(std::fs::read(&log).unwrap(), b"a\nb");
    }
}

/// Nanoseconds that a thread has run (/proc/PID/schedstat, first field).
fn cpu_time(thread: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn closed_and_silent_pipes_cost_nothing() {
    static THREAD: AtomicI32 = AtomicI32::new(0);
    let (sender, events) = channel();
    let logger = Logger::start(move |event| {
        let myself = std::fs::read_link("/proc/thread-self").unwrap();
        THREAD.store(myself.file_name().unwrap().to_str().unwrap().parse().unwrap(), Ordering::SeqCst);
        sender.send(event).unwrap_or_default();
    })
    .unwrap();
    let mut held = Vec::new();
    for number in 0..20 {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
        // The keeper holds the read end as well: closing ours must take it out of the epoll all the same.
        held.push(rustix::io::fcntl_dupfd_cloexec(&read, 3).unwrap());
        let label = InstanceLabel::recorded("x");
        let sink = SinkSettings::plain(SinkTarget::Discard);
        let output = Output { stream: LogStream::Stdout, pipe: read, sink };
        logger.attach(RunId::from_bits(number), label, vec![output]);
        logger.tell();
        if number % 2 == 0 {
            held.push(write);
        }
    }
    logger.drain(RunId::from_bits(0));
    events.recv_timeout(SOON).unwrap();
    let thread = THREAD.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(50));
    let before = cpu_time(thread);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(cpu_time(thread), before, "an idle logger does not run at all");
    logger.stop();
}
