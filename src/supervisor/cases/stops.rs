//! Stopping: the gate, the steps, KILL, the sweep, shutdown.

use super::tell;

#[test]
fn a_stop_takes_its_steps_and_sweeps() {
    tell(
        "plan web:steps
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGINT
         wait 2s
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         left web.1 2
            => ask web.1#1 SIGTERM
         wait 2s
         wait 1s
            => kill web.1#1
         empty web.1
            => release web.1#1
         show web
            => web stopped: stopped by ann at noon; `sppm start web` starts it again",
    );
}

#[test]
fn what_ignores_every_signal_is_killed_with_its_tree() {
    tell(
        "plan web:steps
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGINT
         wait 5s
            => ask web.1#1 SIGTERM
            => kill web.1#1
         exited web.1 KILL
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web stopped: stopped by ann at noon; `sppm start web` starts it again; it was killed: it did not end within 5.0s of SIGINT and SIGTERM",
    );
}

#[test]
fn a_run_that_had_to_be_killed_is_told_of_until_the_next_one_has_ended() {
    tell(
        "plan web:timeout=2
            => launch web.1#1 as web: web
         launched web.1
         restart web
            => ask web.1#1 SIGTERM
         wait 2s
            => kill web.1#1
         exited web.1 KILL
            => check web.1#1
         crash
            => kill web.1#1
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web
         launched web.1
         show web
            => web running: restarted by ann; its last run was killed: it did not end within 2.0s of SIGTERM
         stop web
            => ask web.1#2 SIGTERM
         exited web.1 TERM
            => check web.1#2
         empty web.1
            => release web.1#2
         show web
            => web stopped: stopped by ann at noon; `sppm start web` starts it again",
    );
}

#[test]
fn a_busy_program_is_asked_when_it_is_idle() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 1000s
         show web
            => web draining: busy for 16m40s, stops when idle: stopped by ann at noon; `sppm start web` starts it again
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn patience_with_a_busy_program_ends_with_max_busy() {
    tell(
        "plan web:work=60
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 59s
         wait 1s
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn a_stop_during_the_launch_waits_for_the_exec() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         stop web
         launched web.1
            => ask web.1#1 SIGTERM",
    );
}

#[test]
fn force_kills_what_is_being_stopped_but_not_twice() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         stop web force
            => kill web.1#1
            => forget web.1#1
         stop web force",
    );
}

#[test]
fn a_forced_stop_that_was_taken_back_forces_nothing_later() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         stop web force
         start web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM",
    );
}

#[test]
fn force_while_sweeping_kills_what_is_left() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         exited web.1 0
            => check web.1#1
         left web.1 1
            => ask web.1#1 SIGTERM
         stop web force
            => kill web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn what_is_to_be_kept_survives_a_forced_stop() {
    tell(
        "plan web:keep
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 0
            => check web.1#1
         stop web force
            => release web.1#1",
    );
}

#[test]
fn a_stop_that_was_given_up_waits_as_long_when_it_is_asked_for_again() {
    tell(
        "plan web:work=5:then-keep
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 5s
            => forget web.1#1
         stop web
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn a_stop_command_has_until_its_timeout() {
    tell(
        "plan web:command=9
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => stop command for web.1#1
         command web.1 1
         wait 9s
            => kill web.1#1",
    );
}

#[test]
fn a_stop_command_that_cannot_be_launched_is_replaced_by_term() {
    tell(
        "plan web:command=9
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => stop command for web.1#1
         command web.1
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn a_shutdown_ends_everything_and_finishes_last() {
    tell(
        "plan a b:work c:off
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
         launched a.1
         launched b.1
         shutdown
            => look at b.1#1
            => ask a.1#1 SIGTERM
         exited a.1 TERM
            => check a.1#1
         empty a.1
            => release a.1#1
         idle b.1
            => ask b.1#1 SIGTERM
            => forget b.1#1
         start a
            => refused: ShuttingDown
         exited b.1 TERM
            => check b.1#1
         empty b.1
            => release b.1#1
            => finish 0
         stop a
            => refused: ShuttingDown",
    );
}

#[test]
fn a_shutdown_of_nothing_finishes_at_once() {
    tell(
        "shutdown
            => finish 0",
    );
}

#[test]
fn shutdown_timeout_stands_still_while_something_drains() {
    tell(
        "plan a:timeout=9000 b:work
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
         launched a.1
         launched b.1
         shutdown
            => look at b.1#1
            => ask a.1#1 SIGTERM
         busy b.1
         wait 1000s
         idle b.1
            => ask b.1#1 SIGTERM
            => forget b.1#1
         exited b.1 TERM
            => check b.1#1
         empty b.1
            => release b.1#1
         wait 19s
         wait 1s
            => kill a.1#1",
    );
}

#[test]
fn a_shutdown_says_what_it_waits_for() {
    tell(
        "plan a b:work c:work d:before-stop=60
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
            => launch c.1#1 as c: c
            => launch d.1#1 as d: d
         launched a.1
         launched b.1
         launched c.1
         launched d.1
         shutdown
            => hooks.before_stop for d.1#1
            => look at c.1#1
            => look at b.1#1
            => ask a.1#1 SIGTERM
         waits
            => 1 waits for hooks.before_stop of d
         busy c.1 crawl
         wait 192s
            => kill a.1#1
            => end hooks.before_stop for d.1#1
            => ask d.1#1 SIGTERM
            => kill d.1#1
         waits
            => 1 waits for the end of a task: c (crawl), busy for 3m12s
         busy b.1
         waits
            => 2 waits for the end of a task: b, busy for 3m12s; 1 more
         idle b.1
            => ask b.1#1 SIGTERM
            => forget b.1#1
         exited c.1 1
            => forget c.1#1
            => check c.1#1
         waits
            => 0 waits for the end of a; 3 more",
    );
}

#[test]
fn a_shutdown_during_a_launch_waits_for_it() {
    tell(
        "plan a b
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
         shutdown
         failed a.1
            => release a.1#1
         launched b.1
            => ask b.1#1 SIGTERM
         shutdown force
            => kill b.1#1
         exited b.1 KILL
            => check b.1#1
         empty b.1
            => release b.1#1
            => finish 0",
    );
}

#[test]
fn all_are_asked_before_the_first_is_written_down() {
    // Three actions: the shutdown's record and two signals. What a crash there loses is asked for again.
    tell(
        "plan a b
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
         launched a.1
         launched b.1
         crash at 3: shutdown
            => ask b.1#1 SIGTERM
            => ask a.1#1 SIGTERM
            => died
            => ask b.1#1 SIGTERM
            => ask a.1#1 SIGTERM
         exited a.1 TERM
            => check a.1#1
         empty a.1
            => release a.1#1
         exited b.1 TERM
            => check b.1#1
         empty b.1
            => release b.1#1
            => finish 0",
    );
}
