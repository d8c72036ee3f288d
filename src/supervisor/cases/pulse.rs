//! Readiness by notice, its timeout, more time, and the watch for signs of life.

use super::tell;

#[test]
fn ready_is_what_said_so() {
    tell(
        "plan web:notify=10
            => launch web.1#1 as web: web
         launched web.1
         show web
            => web starting: waits for its word that it is ready
         ready web.1
         show web
            => web running: it said that it is ready",
    );
}

#[test]
fn ready_may_be_said_before_it_is_known_to_run() {
    tell(
        "plan web:notify=10
            => launch web.1#1 as web: web
         ready web.1
         launched web.1
         show web
            => web running: started as the configuration says",
    );
}

#[test]
fn a_start_that_does_not_get_ready_in_time_is_a_failed_start() {
    tell(
        "plan web:notify=5:limit=1:stay
            => launch web.1#1 as web: web
         launched web.1
         wait 4s
         wait 1s
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web backoff: it did not say that it is ready within 5.0s (ready.timeout); next start in 1.0s
         wait 1s
            => launch web.1#2 as web: web
         launched web.1
         wait 5s
            => ask web.1#2 SIGTERM
         exited web.1 TERM
            => check web.1#2
         empty web.1
            => release web.1#2
         show web
            => web failed: it did not say that it is ready within 5.0s (ready.timeout); given up after 2 failed starts in a row",
    );
}

#[test]
fn a_stop_does_not_wait_for_readiness() {
    tell(
        "plan web:notify=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn a_late_start_is_ended_between_two_tasks_and_with_its_hooks() {
    tell(
        "plan web:notify=5:work:before-restart=2:before-stop=2
            => launch web.1#1 as web: web
         launched web.1
         wait 5s
            => hooks.before_restart for web.1#1
         restart-hook web.1 0
            => hooks.before_stop for web.1#1
         hook web.1 0
            => look at web.1#1
         busy web.1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn the_end_of_a_late_start_that_an_edit_mends_is_no_failure() {
    tell(
        "plan web:notify=5:limit=1:stay
            => launch web.1#1 as web: web
         launched web.1
         wait 5s
            => ask web.1#1 SIGTERM
         plan web:v2:notify=5:limit=1:stay
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web-v2
         launched web.1
         wait 5s
            => ask web.1#2 SIGTERM
         exited web.1 TERM
            => check web.1#2
         empty web.1
            => release web.1#2
         show web
            => web backoff: it did not say that it is ready within 5.0s (ready.timeout); next start in 1.0s",
    );
}

#[test]
fn the_end_of_a_late_start_that_is_to_be_restarted_is_no_failure() {
    tell(
        "plan web:notify=5:limit=1:stay
            => launch web.1#1 as web: web
         launched web.1
         wait 5s
            => ask web.1#1 SIGTERM
         restart web
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web",
    );
}

#[test]
fn a_late_start_that_is_kept_since_it_is_busy_may_get_ready_after_all() {
    tell(
        "plan at-once=1 a:notify=5:work=5:then-keep b
            => launch a.1#1 as a: a
         launched a.1
         wait 5s
            => look at a.1#1
            => launch b.1#1 as b: b
         busy a.1
         wait 5s
            => forget a.1#1
         show a
            => a starting: to be started again: it did not say that it is ready within 5.0s (ready.timeout); given up: it was busy for longer than max_busy
         ready a.1
         show a
            => a running: it said that it is ready
         exited a.1 1
            => check a.1#1
         empty a.1
            => release a.1#1
         show a
            => a waiting: waits for the one launch in flight to end (supervisor.start_concurrency)",
    );
}

#[test]
fn what_got_ready_while_it_drained_is_ready_when_the_stop_is_taken_back() {
    tell(
        "plan web:notify=5:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         ready web.1
         start web
            => forget web.1#1
         show web
            => web running: the stop is not wanted any more
         wait 100s",
    );
}

#[test]
fn a_stop_given_up_while_it_started_is_no_late_start_before_it_is_wanted() {
    tell(
        "plan web:notify=5:work=3:then-keep
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 3s
            => forget web.1#1
         wait 100s
         show web
            => web starting: stopped by ann at noon; `sppm start web` starts it again; given up: it was busy for longer than max_busy
         start web
            => look at web.1#1",
    );
}

#[test]
fn more_time_for_a_start_and_for_a_stop() {
    tell(
        "plan web:notify=5:timeout=5
            => launch web.1#1 as web: web
         launched web.1
         extend web.1 20
         wait 19s
         ready web.1
         stop web
            => ask web.1#1 SIGTERM
         wait 4s
         extend web.1 20
         wait 19s
         wait 1s
            => kill web.1#1",
    );
}

#[test]
fn what_it_said_while_no_supervisor_was_there_is_heard() {
    tell(
        "plan web:notify=5
            => launch web.1#1 as web: web
         launched web.1
         crash 20s
         ready web.1
         show web
            => web running: it said that it is ready",
    );
}

#[test]
fn what_it_did_not_say_while_no_supervisor_was_there_is_missed() {
    tell(
        "plan web:notify=5
            => launch web.1#1 as web: web
         launched web.1
         crash 20s
         wait 1s
            => ask web.1#1 SIGTERM",
    );
}

#[test]
fn readiness_said_and_a_crash() {
    tell(
        "plan web:notify=5
            => launch web.1#1 as web: web
         launched web.1
         crash at 0: ready web.1
            => died
         ready web.1
         crash
         wait 100s
         show web
            => web running: it said that it is ready",
    );
}

#[test]
fn signs_of_life_are_looked_for_when_they_are_due() {
    tell(
        "plan web:watchdog=10
            => launch web.1#1 as web: web
         launched web.1
         wait 10s
            => feel web.1#1
         beat web.1 8
         wait 6s
         wait 1s
            => feel web.1#1
         beat web.1 18",
    );
}

#[test]
fn silence_is_a_restart_between_two_tasks() {
    tell(
        "plan web:work:watchdog=10:before-restart=2
            => launch web.1#1 as web: web
         launched web.1
         wait 10s
            => feel web.1#1
         beat web.1 1
            => hooks.before_restart for web.1#1
         show web
            => web draining: hooks.before_restart runs, for 2.0s at most: to be restarted: it gave no sign of life for 10s
         restart-hook web.1 0
            => look at web.1#1
         busy web.1
         wait 100s
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web
         show web
            => web starting: restarted: it gave no sign of life for 10s",
    );
}

#[test]
fn what_says_that_it_is_stuck_is_restarted() {
    tell(
        "plan web:watchdog=10
            => launch web.1#1 as web: web
         launched web.1
         stuck web.1
            => ask web.1#1 SIGTERM
         show web
            => web stopping: asked with SIGTERM, SIGKILL follows in 10s: to be restarted: it said that it is stuck",
    );
}

#[test]
fn what_was_stuck_and_ended_by_itself_is_started_again() {
    tell(
        "plan web:never:work:watchdog=10
            => launch web.1#1 as web: web
         launched web.1
         stuck web.1
            => look at web.1#1
         busy web.1
         exited web.1 0
            => forget web.1#1
            => check web.1#1
         empty web.1
            => release web.1#1
         wait 1s
            => launch web.1#2 as web: web",
    );
}

#[test]
fn what_is_to_be_stopped_is_not_watched() {
    tell(
        "plan web:work:watchdog=10
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 100s
         start web
            => forget web.1#1
         wait 0s
            => feel web.1#1
         beat web.1 100",
    );
}

#[test]
fn a_look_for_signs_of_life_is_repeated_after_a_crash() {
    tell(
        "plan web:watchdog=10
            => launch web.1#1 as web: web
         launched web.1
         wait 10s
            => feel web.1#1
         crash
            => feel web.1#1
         beat web.1 11
         wait 10s
            => feel web.1#1",
    );
}

#[test]
fn a_watch_begins_when_it_is_ready() {
    tell(
        "plan web:notify=60:watchdog=10
            => launch web.1#1 as web: web
         launched web.1
         wait 50s
         ready web.1
         wait 9s
         wait 1s
            => feel web.1#1",
    );
}

#[test]
fn the_next_is_replaced_when_this_one_is_ready_and_steady() {
    tell(
        "plan web:x2:notify=10
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         ready web.1
         ready web.2
         plan web:x2:v2:notify=10
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2
         launched web.1
         wait 9s
         ready web.1
         wait 4s
         wait 1s
            => ask web.2#1 SIGTERM",
    );
}

#[test]
fn a_replacement_that_does_not_get_ready_ends_the_rollout() {
    tell(
        "plan web:x2:notify=10
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         ready web.1
         ready web.2
         plan web:x2:v2:notify=10
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2
         launched web.1
         wait 10s
            => ask web.1#2 SIGTERM
         exited web.1 TERM
            => check web.1#2
         empty web.1
            => release web.1#2
         show web
            => web.1 backoff: it did not say that it is ready within 10s (ready.timeout); next start in 1.0s
            => web.2 running: it said that it is ready
            => flag: replacing stopped at web.1: it did not say that it is ready within 10s (ready.timeout); the others stay as they are",
    );
}
