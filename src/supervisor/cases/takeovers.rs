//! The supervisor dies and another one goes on.

use super::tell;

#[test]
fn what_runs_goes_on_and_what_waits_waits() {
    tell(
        "plan a b
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
         launched a.1
         failed b.1
            => release b.1#1
         crash
         wait 1s
            => launch b.1#2 as b: b",
    );
}

#[test]
fn a_slot_that_was_wanted_and_never_recorded_is_made() {
    tell(
        "crash at 1: plan web
            => died
            => launch web.1#1 as web: web",
    );
}

#[test]
fn a_launch_that_was_recorded_and_not_ordered_is_ordered_again() {
    tell(
        "crash at 2: plan web
            => died
            => launch web.1#1 as web: web",
    );
}

#[test]
fn a_plan_that_is_on_disk_is_carried_out_by_the_next() {
    tell(
        "plan a b c
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
            => launch c.1#1 as c: c
         launched a.1
         launched b.1
         launched c.1
         crash at 1: plan a:v2 b:tag
            => died
            => respec b.1#1
            => ask c.1#1 SIGTERM
            => ask a.1#1 SIGTERM",
    );
}

#[test]
fn a_failed_launch_counts_once() {
    tell(
        "plan web:limit=1
            => launch web.1#1 as web: web
         crash at 1: failed web.1
            => died
            => release web.1#1
         wait 1s
            => launch web.1#2 as web: web
         crash at 1: failed web.1
            => died
            => release web.1#2
         show web
            => web failed: cannot execute /x: no such file; given up after 2 failed starts in a row; one more try in 30s",
    );
}

#[test]
fn an_exit_during_the_death_is_not_asked_to_stop() {
    tell(
        "plan web:command=5
            => launch web.1#1 as web: web
         launched web.1
         crash at 0: exited web.1 1
            => died
            => check web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn a_drain_goes_on() {
    tell(
        "plan web:work=60
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         wait 30s
         crash
            => look at web.1#1
         busy web.1
         wait 30s
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn a_kill_goes_on() {
    tell(
        "plan web:timeout=1
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         wait 1s
            => kill web.1#1
         crash
            => kill web.1#1
         exited web.1 KILL
            => check web.1#1
         crash
            => kill web.1#1
            => check web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn a_release_that_was_lost_is_given_again() {
    tell(
        "plan web:keep
            => launch web.1#1 as web: web
         launched web.1
         wait 9s
         exited web.1 1
            => check web.1#1
         crash at 1: left web.1 1
            => died
            => release web.1#1
            => launch web.1#2 as web: web",
    );
}

#[test]
fn a_shutdown_goes_on() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         shutdown
            => ask web.1#1 SIGTERM
         crash
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => finish 0",
    );
}

#[test]
fn who_lost_the_records_of_another_plan_waits_for_a_task_whatever_the_file_says_now() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         plan web:work:v2:signal
            => look at web.1#1
         amnesia
         stop web
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}
