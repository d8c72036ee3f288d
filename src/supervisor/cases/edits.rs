//! Edits of the plan, and edits that are taken back.

use super::tell;

#[test]
fn each_edit_touches_what_it_concerns() {
    tell(
        "plan a b c
            => launch a.1#1 as a: a
            => launch b.1#1 as b: b
            => launch c.1#1 as c: c
         launched a.1
         launched b.1
         launched c.1
         plan a:v2 b:tag d
            => respec b.1#1
            => ask c.1#1 SIGTERM
            => ask a.1#1 SIGTERM
            => launch d.1#1 as d: d
         plan a:v2 b:tag d",
    );
}

#[test]
fn an_edit_that_is_taken_back_in_time_cancels_the_drain() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         plan web:work:v2
            => look at web.1#1
         busy web.1
         plan web:work
            => forget web.1#1
         show web
            => web running: the stop is not wanted any more",
    );
}

#[test]
fn once_signalled_it_ends_and_the_newest_spec_starts() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         plan web:v2
            => ask web.1#1 SIGTERM
         plan web:v3
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web-v3",
    );
}

#[test]
fn a_program_that_comes_back_while_it_is_still_stopped_starts_again() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         plan
            => ask web.1#1 SIGTERM
         plan web:v2
         exited web.1 TERM
            => check web.1#1
         left web.1 1
            => ask web.1#1 SIGTERM
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web-v2",
    );
}

#[test]
fn a_removed_program_leaves_no_slot() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         plan
            => ask web.1#1 SIGTERM
         show web
            => web stopping: asked with SIGTERM, SIGKILL follows in 10s: the configuration does not name it any more
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
         start web
            => refused: Unknown(Program(\"web\"))",
    );
}

#[test]
fn an_edit_during_the_launch_is_applied_after_it() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         plan web:v2
         launched web.1
            => ask web.1#1 SIGTERM",
    );
}

#[test]
fn an_edit_of_what_failed_tries_it_at_once() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         failed web.1
            => release web.1#1
         plan web:v2
            => launch web.1#2 as web: web-v2
         show web
            => web starting: restarted because the configuration changed (command)",
    );
}

#[test]
fn a_live_edit_wakes_nothing_that_rests() {
    tell(
        "plan web:never
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 0
            => check web.1#1
         empty web.1
            => release web.1#1
         plan web:never:tag
         plan web:never:tag:v2
            => launch web.1#2 as web: web-v2",
    );
}

#[test]
fn a_stop_by_an_operator_is_not_cancelled_by_an_edit() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         busy web.1
         plan web:work:v2
         plan web:work
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn an_edit_is_not_lost_when_a_stop_is_taken_back() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         plan web:work:v2
            => look at web.1#1
         stop web
         start web
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web-v2",
    );
}

#[test]
fn a_stop_under_way_goes_by_the_policy_that_it_began_with() {
    tell(
        "plan web:steps
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGINT
         plan web:timeout=1
         wait 1s
         wait 1s
            => ask web.1#1 SIGTERM
         wait 3s
            => kill web.1#1",
    );
}

#[test]
fn an_edit_keeps_the_label_of_what_runs() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         plan web:x2
            => respec web.1#1
            => launch web.2#1 as web.2: web
         launched web.2
         plan web:x2:v2
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2",
    );
}

#[test]
fn switching_autostart_off_stops_nothing_and_on_starts() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         plan web:off
            => respec web.1#1
         stop web
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web stopped: stopped by ann at noon; `sppm start web` starts it again
         start web
            => launch web.1#2 as web: web",
    );
}
