//! What stands before a stop: hooks, and the end of a task.

use super::tell;

#[test]
fn a_drain_that_a_newer_plan_does_not_need_is_cancelled() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         plan web:v2:work
            => look at web.1#1
         busy web.1 report
         plan web:work
            => forget web.1#1
         show web
            => web running: the stop is not wanted any more",
    );
}

#[test]
fn start_cancels_a_drain() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         start web
            => forget web.1#1
         show web
            => web running: the stop is not wanted any more",
    );
}

#[test]
fn hooks_come_in_their_order_before_the_gate() {
    tell(
        "plan web:work:before-stop=5:before-restart=5
            => launch web.1#1 as web: web
         launched web.1
         restart web
            => hooks.before_restart for web.1#1
         show web
            => web draining: hooks.before_restart runs, for 5.0s at most: to be restarted, asked by ann
         restart-hook web.1 0
            => hooks.before_stop for web.1#1
         hook web.1 0
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn a_stop_has_no_hook_of_a_restart() {
    tell(
        "plan web:before-stop=5:before-restart=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => hooks.before_stop for web.1#1
         hook web.1 0
            => ask web.1#1 SIGTERM",
    );
}

#[test]
fn a_hook_that_takes_too_long_is_ended_and_one_that_fails_holds_nothing_up() {
    tell(
        "plan web:before-stop=5:before-restart=5
            => launch web.1#1 as web: web
         launched web.1
         restart web
            => hooks.before_restart for web.1#1
         restart-hook web.1 1
            => hooks.before_stop for web.1#1
         wait 4s
         wait 1s
            => end hooks.before_stop for web.1#1
            => ask web.1#1 SIGTERM
         hook web.1 0",
    );
}

#[test]
fn a_hook_that_cannot_be_launched_holds_nothing_up() {
    tell(
        "plan web:before-stop=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => hooks.before_stop for web.1#1
         hook web.1
            => ask web.1#1 SIGTERM",
    );
}

#[test]
fn force_runs_no_hook_and_waits_for_none() {
    tell(
        "plan a:before-stop=5 b:before-stop=5
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
         launched a.1
         launched b.1
         stop a force
            => kill a.1#1
         stop b
            => hooks.before_stop for b.1#1
         stop b force
            => kill b.1#1
            => end hooks.before_stop for b.1#1",
    );
}

#[test]
fn a_stop_that_is_taken_back_ends_its_hook() {
    tell(
        "plan web:before-stop=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => hooks.before_stop for web.1#1
         start web
            => end hooks.before_stop for web.1#1
         hook web.1 0
         stop web
            => hooks.before_stop for web.1#1",
    );
}

#[test]
fn a_hook_goes_on_over_a_crash_and_one_that_was_lost_is_not_waited_for_for_ever() {
    tell(
        "plan web:before-stop=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => hooks.before_stop for web.1#1
         crash
         hook web.1 0
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
         start web
            => launch web.1#2 as web: web
         launched web.1
         stop web
            => hooks.before_stop for web.1#2
         crash
         wait 5s
            => end hooks.before_stop for web.1#2
            => ask web.1#2 SIGTERM",
    );
}

#[test]
fn a_stop_that_becomes_a_restart_has_the_hook_of_a_restart() {
    tell(
        "plan web:work:before-restart=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         restart web
            => forget web.1#1
            => hooks.before_restart for web.1#1
         restart-hook web.1 0
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn what_was_removed_and_comes_back_as_another_has_the_hook_of_a_restart() {
    tell(
        "plan web:before-stop=5:before-restart=5
            => launch web.1#1 as web: web
         launched web.1
         plan
            => hooks.before_stop for web.1#1
         plan web:v2:before-stop=5:before-restart=5
            => end hooks.before_stop for web.1#1
            => hooks.before_restart for web.1#1
         restart-hook web.1 0
            => hooks.before_stop for web.1#1
         hook web.1 0
            => ask web.1#1 SIGTERM",
    );
}

#[test]
fn nobody_said_that_it_is_busy_so_it_is_asked_and_not_killed() {
    tell(
        "plan web:work=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         wait 5s
            => ask web.1#1 SIGTERM
            => forget web.1#1
         wait 10s
            => kill web.1#1",
    );
}

#[test]
fn past_max_busy_it_is_signalled_all_the_same() {
    tell(
        "plan web:work=5:then-signal
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 5s
            => ask web.1#1 SIGTERM
            => forget web.1#1
         wait 10s
            => kill web.1#1",
    );
}

#[test]
fn a_stop_that_was_given_up_is_tried_again_when_somebody_asks_again() {
    tell(
        "plan web:work=5:then-keep
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 5s
            => forget web.1#1
         show web
            => web running: stopped by ann at noon; `sppm start web` starts it again; given up: it was busy for longer than max_busy
         wait 100s
         stop web
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn start_makes_a_stop_that_was_given_up_a_thing_of_the_past() {
    tell(
        "plan web:work=5:then-keep
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 5s
            => forget web.1#1
         crash
         start web
         show web
            => web running: the stop is not wanted any more
         restart web
            => look at web.1#1
         busy web.1
         wait 5s
            => forget web.1#1
         restart web
            => look at web.1#1",
    );
}

#[test]
fn an_edit_of_max_busy_gives_a_stop_another_try() {
    tell(
        "plan web:work=5:then-keep
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 5s
            => forget web.1#1
         plan web:work=50
            => respec web.1#1
            => look at web.1#1
         busy web.1
         wait 50s
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn a_shutdown_gives_nothing_up() {
    tell(
        "plan web:work=5:then-keep
            => launch web.1#1 as web: web
         launched web.1
         shutdown
            => look at web.1#1
         busy web.1
         wait 100s
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn a_shutdown_tries_what_was_given_up() {
    tell(
        "plan web:work=5:then-keep
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 5s
            => forget web.1#1
         shutdown
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn an_edit_of_max_busy_counts_from_the_beginning_of_the_drain() {
    tell(
        "plan web:work=60
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 20s
         plan web:work=30
            => respec web.1#1
         wait 9s
         wait 1s
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn a_crash_at_the_beginning_of_a_drain() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         crash at 1: stop web
            => died
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn a_crash_in_the_middle_of_a_drain() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         crash
            => look at web.1#1
         busy web.1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn a_crash_after_the_signal_that_ends_a_drain() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         crash at 1: idle web.1
            => ask web.1#1 SIGTERM
            => died
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn a_crash_between_two_hooks() {
    tell(
        "plan web:before-stop=5:before-restart=5
            => launch web.1#1 as web: web
         launched web.1
         restart web
            => hooks.before_restart for web.1#1
         crash at 1: restart-hook web.1 0
            => hooks.before_stop for web.1#1
            => died
         restart-hook web.1 0
            => hooks.before_stop for web.1#1
         hook web.1 0
            => ask web.1#1 SIGTERM",
    );
}
