//! Followers see each line once, whatever happens to files, runs and themselves.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

fn source(label: &str, path: &Path) -> FollowSource {
    let label = InstanceLabel::recorded(label);
    FollowSource { label, stream: LogStream::Stdout, path: Some(path.to_owned()) }
}

fn receiver() -> (Box<dyn FollowSink>, Receiver<FollowItem>) {
    let (sender, items) = channel();
    let sink: Box<dyn FollowSink> = Box::new(move |item: &FollowItem| match sender.send(item.clone()) {
        Ok(()) => FollowVerdict::Taken,
        Err(_) => FollowVerdict::Stop,
    });
    (sink, items)
}

/// Texts of items up to the one with `last`.
fn texts(items: &Receiver<FollowItem>, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text| text != last) {
        match items.recv_timeout(SOON).expect("the line never came") {
            FollowItem::Line { text, .. } => texts.push(String::from_utf8(text).unwrap()),
            FollowItem::Missed { lines } => texts.push(format!("missed {lines}")),
            FollowItem::End => texts.push("END".to_owned()),
        }
    }
    texts
}

fn numbers(from: u32, to: u32) -> Vec<String> {
    (from..to).map(|n| format!("line {n}")).collect()
}

#[test]
fn each_line_once_over_rotations_a_restart_and_another_path() {
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 1000, 20));
    let (sink, items) = receiver();
    let mut next = 0;
    let mut write = |pipe: &mut File, count: u32| {
        for n in next..next + count {
            writeln!(pipe, "line {n}").unwrap();
        }
        next += count;
    };
    write(&mut pipe, 100);
    pipe.write_all(b"line ").unwrap();
    world.drain(1);
    world.logger.follow(vec![source("x", &log)], 50, sink, true);
    pipe.write_all(b"100\n").unwrap();
    next_is(&mut write, &mut pipe);
    world.drain(1);
    world.logger.respec(RunId::from_bits(1), LogStream::Stdout, sizes(&world.path("y.log"), 1000, 20));
    world.drain(1);
    write(&mut pipe, 500);
    drop(pipe);
    world.drain(1);
    let mut second = world.attach(2, "x", sizes(&world.path("y.log"), 1000, 20));
    write(&mut second, 100);
    world.drain(2);
    assert_eq!(texts(&items, "line 1700"), numbers(50, 1701));
    assert!(files(&log).len() > 5 && files(&world.path("y.log")).len() > 2);

    /// `line 100` was written by hand; the counter goes on after it.
    fn next_is(write: &mut impl FnMut(&mut File, u32), pipe: &mut File) {
        let null =
            rustix::fs::open("/dev/null", rustix::fs::OFlags::WRONLY, rustix::fs::Mode::empty()).unwrap();
        write(&mut File::from(null), 1);
        write(pipe, 1000);
    }
}

#[test]
fn joining_a_busy_log_loses_and_repeats_nothing() {
    /// So many lines of history are asked for, and so many are written while somebody joins: fewer, so that some of
    /// the history must be from before. All that are written then fit into a queue.
    const HISTORY: u32 = 4000;
    const MEANWHILE: u32 = 2000;
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 5000, 100));
    for line in numbers(0, HISTORY) {
        writeln!(pipe, "{line}").unwrap();
    }
    world.drain(1);
    let (more, wanted) = channel();
    let writer = std::thread::spawn(move || {
        for (from, to) in wanted {
            for n in from..to {
                writeln!(pipe, "line {n}").unwrap();
            }
        }
        writeln!(pipe, "last").unwrap();
    });
    let mut total = HISTORY;
    let mut followers = Vec::new();
    for _ in 0..10 {
        let before = total;
        total += MEANWHILE;
        let (sink, items) = receiver();
        more.send((before, total)).unwrap();
        world.logger.follow(vec![source("x", &log)], HISTORY as usize, sink, true);
        let seen = texts(&items, &format!("line {}", total - 1));
        let first = seen[0][5..].parse().unwrap();
        assert!(
            (before - HISTORY..=total - HISTORY).contains(&first),
            "{first} came first, after {before} lines"
        );
        assert_eq!(seen, numbers(first, total));
        followers.push((items, total));
    }
    drop(more);
    writer.join().unwrap();
    for (items, next) in followers {
        let mut seen = texts(&items, "last");
        seen.pop();
        assert_eq!(seen, numbers(next, total));
    }
}

#[test]
fn history_alone_ends() {
    let world = World::new();
    let log = world.path("x.log");
    std::fs::write(&log, "a\nb\nc\nopen").unwrap();
    let (sink, items) = receiver();
    world.logger.follow(vec![source("x", &log), source("y", &log)], 2, sink, false);
    assert_eq!(texts(&items, "END"), ["b", "c", "open", "END"]);
    assert!(items.recv_timeout(SOON).is_err(), "the receiver is dropped after the end");
    let (sink, items) = receiver();
    world.logger.follow(vec![source("x", &world.path("none"))], 2, sink, false);
    assert_eq!(texts(&items, "END"), ["END"]);
}

#[test]
fn last_words_without_a_newline_come_when_the_program_has_ended() {
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 1));
    let (sink, items) = receiver();
    world.logger.follow(vec![source("x", &log)], 10, sink, true);
    pipe.write_all(b"one\nlast words").unwrap();
    drop(pipe);
    assert_eq!(texts(&items, "last words"), ["one", "last words"]);
}

#[test]
fn a_slow_follower_gets_all_history_and_is_told_what_it_missed() {
    let world = World::new();
    let log = world.path("x.log");
    std::fs::write(&log, numbers(0, 5000).join("\n") + "\n").unwrap();
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 1));
    let open = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (gate, list) = (Arc::clone(&open), Arc::clone(&taken));
    let (told, done) = channel();
    let sink: Box<dyn FollowSink> = Box::new(move |item: &FollowItem| {
        if !gate.load(Ordering::SeqCst) {
            return FollowVerdict::Full;
        }
        list.lock().unwrap().push(item.clone());
        if matches!(item, FollowItem::Missed { .. }) {
            told.send(()).unwrap();
        }
        FollowVerdict::Taken
    });
    world.logger.follow(vec![source("x", &log)], 4000, sink, true);
    let line = [b"y".repeat(999), b"\n".to_vec()].concat();
    let count = 10_000;
    for _ in 0..count {
        pipe.write_all(&line).unwrap();
    }
    world.drain(1);
    open.store(true, Ordering::SeqCst);
    done.recv_timeout(SOON).unwrap();
    let taken = taken.lock().unwrap();
    let live = taken.len() - 4000 - 1;
    let missed = match taken.last() {
        Some(FollowItem::Missed { lines }) => *lines as usize,
        other => panic!("{other:?}"),
    };
    assert_eq!(live + missed, count);
    assert!(live > 1000 && missed > 1000, "{live} and {missed}");
}

/// Leaves when the flag is set; while it is known, it holds one end of a channel.
struct Leaving(Arc<AtomicBool>, std::sync::mpsc::Sender<()>);

impl FollowSink for Leaving {
    fn offer(&mut self, _: &FollowItem) -> FollowVerdict {
        let _ = self.1.send(());
        FollowVerdict::Taken
    }

    fn wait(&mut self) {
        std::thread::sleep(Duration::from_millis(1));
    }

    fn is_gone(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn who_left_without_a_line_is_forgotten_when_the_next_one_comes() {
    let world = World::new();
    let log = world.path("quiet.log");
    let _pipe = world.attach(1, "x", sizes(&log, 0, 1));
    let gone = Arc::new(AtomicBool::new(false));
    let (held, released) = channel();
    let leaving = Box::new(Leaving(Arc::clone(&gone), held));
    world.logger.follow(vec![source("x", &log)], 0, leaving, true);
    gone.store(true, Ordering::SeqCst);
    world.logger.follow(vec![source("x", &log)], 0, receiver().0, true);
    assert_eq!(released.recv_timeout(SOON), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}
