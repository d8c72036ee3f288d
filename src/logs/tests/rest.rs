//! Pipes that are left for a while, because many programs end at once or one is about to start.

use super::*;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// Nothing comes for so long: only a pump that does not rest would have done it by then.
const SILENCE: Duration = Duration::from_millis(100);

#[test]
fn pipes_are_left_until_the_next_order() {
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 5));
    world.logger.rest(LONG);
    writeln!(pipe, "last words").unwrap();
    drop(pipe);
    assert!(world.events.recv_timeout(SILENCE).is_err(), "it does not rest");
    world.logger.rest(Duration::ZERO);
    let run = RunId::from_bits(1);
    let closed = LogEvent::Closed { run, last: b"last words\n".to_vec() };
    assert_eq!(world.until(|_| true), closed);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "last words\n");
}

#[test]
fn a_rest_is_over_by_itself() {
    let world = World::new();
    let log = world.path("x.log");
    let pipe = world.attach(1, "x", sizes(&log, 0, 5));
    world.logger.rest(SILENCE);
    drop(pipe);
    world.until(|event| matches!(event, LogEvent::Closed { .. }));
}

#[test]
fn who_drains_is_not_kept_waiting() {
    let world = World::new();
    let log = world.path("x.log");
    let mut pipe = world.attach(1, "x", sizes(&log, 0, 5));
    writeln!(pipe, "a line").unwrap();
    world.logger.drain(RunId::from_bits(1));
    world.logger.rest(LONG);
    world.until(|event| matches!(event, LogEvent::Drained { .. }));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "a line\n");
}

#[test]
fn a_new_pipe_is_read_when_that_is_told() {
    let world = World::new();
    let log = world.path("x.log");
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    let output = Output { stream: LogStream::Stdout, pipe: read, sink: sizes(&log, 0, 5) };
    world.logger.attach(RunId::from_bits(1), InstanceLabel::recorded("x"), vec![output]);
    let mut pipe = File::from(write);
    writeln!(pipe, "first words").unwrap();
    drop(pipe);
    assert!(world.events.recv_timeout(SILENCE).is_err(), "the pump was woken for it");
    world.logger.tell();
    world.until(|event| matches!(event, LogEvent::Closed { .. }));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "first words\n");
}
