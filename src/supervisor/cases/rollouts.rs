//! Several instances: one at a time, and none after the first that fails.

use super::tell;

#[test]
fn one_at_a_time_each_when_the_last_is_steady() {
    tell(
        "plan web:x2:uptime=3
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         plan web:x2:uptime=3:v2
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2
         launched web.1
         wait 2s
         wait 1s
            => ask web.2#1 SIGTERM
         exited web.2 TERM
            => check web.2#1
         empty web.2
            => release web.2#1
            => launch web.2#2 as web.2: web-v2
         launched web.2
         wait 3s",
    );
}

#[test]
fn the_first_failure_ends_it_and_a_mended_file_goes_on() {
    tell(
        "plan web:x2
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         plan web:x2:v2
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2
         failed web.1
            => release web.1#2
         show web
            => web.1 backoff: cannot execute /x: no such file; next start in 1.0s
            => web.2 running: started as the configuration says
            => flag: replacing stopped at web.1: cannot execute /x: no such file; the others stay as they are
         wait 1s
            => launch web.1#3 as web.1: web-v2
         launched web.1
         wait 100s
         plan web:x2:v3
            => ask web.1#3 SIGTERM",
    );
}

#[test]
fn a_restart_by_hand_ends_at_the_first_failure_too() {
    tell(
        "plan web:x3
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
            => launch web.3#1 as web.3: web
         launched web.1
         launched web.2
         launched web.3
         restart web
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web
         failed web.1
            => release web.1#2
         wait 1s
            => launch web.1#3 as web.1: web
         launched web.1
         wait 100s
         restart web.3
            => ask web.3#1 SIGTERM",
    );
}

#[test]
fn one_on_trial_that_is_stopped_holds_up_nobody() {
    tell(
        "plan web:x2
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         plan web:x2:v2
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2
         launched web.1
         stop web.1
            => ask web.1#2 SIGTERM
            => ask web.2#1 SIGTERM
         exited web.1 TERM
            => check web.1#2
         empty web.1
            => release web.1#2",
    );
}

#[test]
fn one_on_trial_that_is_done_holds_up_nobody() {
    tell(
        "plan web:x2:on-failure
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         plan web:x2:on-failure:v2
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2
         launched web.1
         exited web.1 0
            => check web.1#2
         empty web.1
            => release web.1#2
            => ask web.2#1 SIGTERM",
    );
}

#[test]
fn one_on_trial_that_is_scaled_away_holds_up_nobody() {
    tell(
        "plan web:x3
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
            => launch web.3#1 as web.3: web
         launched web.1
         launched web.2
         launched web.3
         stop web.1
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
         restart web.3
            => ask web.3#1 SIGTERM
         exited web.3 TERM
            => check web.3#1
         empty web.3
            => release web.3#1
            => launch web.3#2 as web.3: web
         launched web.3
         scale web 2
            => ask web.3#2 SIGTERM
         plan web:x3:v2
            => ask web.2#1 SIGTERM
         exited web.3 TERM
            => check web.3#2
         empty web.3
            => release web.3#2",
    );
}

#[test]
fn drains_that_are_taken_back_wait_for_their_turn() {
    tell(
        "plan web:x2:work
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         stop web
            => look at web.2#1
            => look at web.1#1
         busy web.1
         busy web.2
         plan web:x2:work:v2
         start web
            => forget web.2#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1",
    );
}

#[test]
fn an_edit_that_is_taken_back_puts_an_instance_back_on_trial() {
    tell(
        "plan web:x2:v1
            => launch web.1#1 as web.1: web-v1
            => launch web.2#1 as web.2: web-v1
         launched web.1
         launched web.2
         plan web:x2:v2
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web.1: web-v2
         launched web.1
         restart web.2
         plan web:x2:v2:tag
            => respec web.1#2
         wait 5s
            => ask web.2#1 SIGTERM",
    );
}
