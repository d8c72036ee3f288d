//! Signs of life: what their lack leads to, and how a program changes the measure.

use super::tell;

#[test]
fn who_is_stuck_as_soon_as_it_runs_is_a_failed_start() {
    tell(
        "plan web:watchdog=2:uptime=5
            => launch web.1#1 as web: web
         launched web.1
         stuck web.1
            => ask web.1#1 SIGTERM
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web backoff: it said that it is stuck; next start in 1.0s
         wait 1s
            => launch web.1#2 as web: web
         launched web.1
         wait 5s
            => feel web.1#2
         beat web.1 3
            => ask web.1#2 SIGTERM
         exited web.1 TERM
            => check web.1#2
         empty web.1
            => release web.1#2
            => launch web.1#3 as web: web",
    );
}

#[test]
fn a_program_switches_its_watch_off_and_on_again() {
    tell(
        "plan web:watchdog=2
            => launch web.1#1 as web: web
         launched web.1
         every web.1 0
         wait 60s
         every web.1 3
         wait 3s
            => feel web.1#1",
    );
}

#[test]
fn one_that_does_not_get_ready_says_so_while_it_is_stopped() {
    tell(
        "plan web:notify=2
            => launch web.1#1 as web: web
         launched web.1
         wait 2s
            => ask web.1#1 SIGTERM
         show web
            => web stopping: asked with SIGTERM, SIGKILL follows in 10s: to be started again: it did not say that it is ready within 2.0s (ready.timeout)",
    );
}
