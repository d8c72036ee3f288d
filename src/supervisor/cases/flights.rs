//! At most so many launches are in flight; the others wait for their turn.

use super::tell;

#[test]
fn they_start_by_priority_and_name_as_far_as_there_is_room() {
    tell(
        "plan at-once=2 a b c d:first
            => launch d.1#1 as d: d
            => launch a.1#1 as a: a
         show b
            => b waiting: waits for one of 2 launches in flight to end (supervisor.start_concurrency)
         launched a.1
            => launch b.1#1 as b: b
         failed d.1
            => release d.1#1
            => launch c.1#1 as c: c
         launched b.1
         launched c.1
         show c
            => c running: started as the configuration says",
    );
}

#[test]
fn a_restart_waits_behind_those_that_came_before() {
    tell(
        "plan at-once=1 a b c
            => launch a.1#1 as a: a
         failed a.1
            => release a.1#1
            => launch b.1#1 as b: b
         wait 1s
         show a
            => a waiting: waits for the one launch in flight to end (supervisor.start_concurrency)
         launched b.1
            => launch c.1#1 as c: c
         launched c.1
            => launch a.1#2 as a: a
         launched a.1
         show a
            => a running: restarted: cannot execute /x: no such file",
    );
}

#[test]
fn who_is_not_wanted_any_more_leaves_at_once() {
    tell(
        "plan at-once=1 a b c:x2 d
            => launch a.1#1 as a: a
         stop b
         show b
            => b stopped: stopped by ann at noon; `sppm start b` starts it again
         scale c 1
         plan at-once=1 a b c:x2
         start b
         launched a.1
            => launch c.1#1 as c.1: c
         launched c.1
            => launch b.1#1 as b: b
         launched b.1",
    );
}

#[test]
fn a_shutdown_waits_for_nobody_who_waits() {
    tell(
        "plan at-once=1 a b
            => launch a.1#1 as a: a
         shutdown
         show b
            => b stopped: the supervisor is shutting down
         launched a.1
            => ask a.1#1 SIGTERM
         exited a.1 TERM
            => check a.1#1
         empty a.1
            => release a.1#1
            => finish 0",
    );
}

#[test]
fn the_number_is_live() {
    tell(
        "plan at-once=1 a b c d
            => launch a.1#1 as a: a
         plan at-once=3 a b c d
            => launch b.1#1 as b: b
            => launch c.1#1 as c: c
         plan at-once=1 a b c d
         launched a.1
         launched b.1
         launched c.1
            => launch d.1#1 as d: d",
    );
}

#[test]
fn it_is_launched_with_what_the_file_says_then() {
    tell(
        "plan at-once=1 a b
            => launch a.1#1 as a: a
         plan at-once=1 a b:v2
         launched a.1
            => launch b.1#1 as b: b-v2
         show b
            => b starting: started as the configuration says",
    );
}

#[test]
fn a_take_over_keeps_the_order() {
    tell(
        "plan at-once=1 a b:first c
            => launch b.1#1 as b: b
         restart b
         crash
         show a
            => a waiting: waits for the one launch in flight to end (supervisor.start_concurrency)
         launched b.1
            => ask b.1#1 SIGTERM
            => launch a.1#1 as a: a
         exited b.1 TERM
            => check b.1#1
         empty b.1
            => release b.1#1
         crash
         launched a.1
            => launch c.1#1 as c: c
         failed c.1
            => release c.1#1
            => launch b.1#2 as b: b",
    );
}

#[test]
fn a_launch_that_a_crash_lost_makes_room() {
    tell(
        "plan at-once=1 a b
            => launch a.1#1 as a: a
         crash at 1: launched a.1
            => died
            => launch b.1#1 as b: b",
    );
}

#[test]
fn one_that_waits_to_replace_another_holds_its_siblings_up() {
    tell(
        "plan at-once=1 web:x2:uptime=1 other
            => launch other.1#1 as other: other
         launched other.1
            => launch web.1#1 as web.1: web
         launched web.1
            => launch web.2#1 as web.2: web
         launched web.2
         wait 1s
         restart other
            => ask other.1#1 SIGTERM
         exited other.1 TERM
            => check other.1#1
         empty other.1
            => release other.1#1
            => launch other.1#2 as other: other
         restart web
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web.1 waiting: waits for the one launch in flight to end (supervisor.start_concurrency)
            => web.2 running: started as the configuration says
         launched other.1
            => launch web.1#2 as web.1: web
         launched web.1
         wait 1s
            => ask web.2#1 SIGTERM",
    );
}

#[test]
fn an_edit_while_it_waits_is_a_new_beginning_and_keeps_its_place() {
    tell(
        "plan at-once=1 a web:limit=1:stay
            => launch a.1#1 as a: a
         launched a.1
            => launch web.1#1 as web: web
         failed web.1
            => release web.1#1
         restart a
            => ask a.1#1 SIGTERM
         exited a.1 TERM
            => check a.1#1
         empty a.1
            => release a.1#1
            => launch a.1#2 as a: a
         wait 1s
         plan at-once=1 a b web:limit=1:stay:v2
         launched a.1
            => launch web.1#2 as web: web-v2
         failed web.1
            => release web.1#2
            => launch b.1#1 as b: b
         show web
            => web backoff: cannot execute /x: no such file; next start in 1.0s",
    );
}
