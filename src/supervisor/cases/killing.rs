//! What stands before a KILL, and before the end of what main left: the end of a task.

use super::tell;

#[test]
fn what_is_signalled_at_once_has_its_grace_again_when_its_task_ends() {
    tell(
        "plan web:work:signal:timeout=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         wait 5s
            => look at web.1#1
         busy web.1
         show web
            => web stopping: asked with SIGTERM; busy for 5.0s, SIGKILL waits for the end of that: stopped by ann at noon; `sppm start web` starts it again
         wait 100s
         idle web.1
            => forget web.1#1
         wait 5s
            => look at web.1#1
         idle web.1
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn what_is_signalled_at_once_and_idle_is_killed_after_its_grace() {
    tell(
        "plan web:work:signal:timeout=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         wait 5s
            => look at web.1#1
         idle web.1
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn what_began_another_task_after_its_signal_is_killed_when_that_ends() {
    tell(
        "plan web:work:timeout=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         wait 5s
            => look at web.1#1
         busy web.1
         crash
            => look at web.1#1
         busy web.1
         wait 100s
         idle web.1
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn what_ends_while_kill_waits_is_swept() {
    tell(
        "plan web:work:signal:timeout=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         wait 5s
            => look at web.1#1
         busy web.1
         exited web.1 TERM
            => forget web.1#1
            => check web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn force_does_not_wait_for_a_task_before_a_kill() {
    tell(
        "plan web:work:signal:timeout=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         wait 5s
            => look at web.1#1
         busy web.1
         stop web force
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn what_main_left_is_asked_when_it_is_idle() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 1
            => check web.1#1
         left web.1 2
            => look at web.1#1
         busy web.1
         show web
            => web stopping: it ended and left 2 processes, which are to end; busy for 0ms
         wait 100s
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         wait 10s
            => kill web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn what_main_left_ends_by_itself() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         exited web.1 TERM
            => check web.1#1
         left web.1 1
            => look at web.1#1
         busy web.1
         empty web.1
            => forget web.1#1
            => release web.1#1",
    );
}

#[test]
fn patience_with_what_main_left_ends_with_max_busy() {
    tell(
        "plan web:work=5
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         exited web.1 TERM
            => check web.1#1
         left web.1 1
            => look at web.1#1
         busy web.1
         wait 5s
            => kill web.1#1
            => forget web.1#1",
    );
}

#[test]
fn past_max_busy_what_main_left_is_asked_where_then_says_signal() {
    tell(
        "plan web:work=5:then-signal
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 0
            => check web.1#1
         left web.1 1
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
fn a_crash_while_what_main_left_is_busy() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 0
            => check web.1#1
         left web.1 1
            => look at web.1#1
         busy web.1
         crash
            => check web.1#1
         left web.1 1
            => look at web.1#1
         busy web.1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         crash
            => check web.1#1
         left web.1 1
            => look at web.1#1
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
         wait 10s
            => kill web.1#1",
    );
}

#[test]
fn what_main_left_is_not_killed_before_it_is_known_whether_it_is_busy() {
    tell(
        "plan web:work:timeout=0
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 1
            => check web.1#1
            => look at web.1#1
         wait 0s
         busy web.1
         wait 100s
         idle web.1
            => ask web.1#1 SIGTERM
            => forget web.1#1
            => kill web.1#1
         wait 0s",
    );
}

#[test]
fn force_does_not_wait_for_what_main_left() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 0
            => check web.1#1
         left web.1 1
            => look at web.1#1
         busy web.1
         stop web force
            => kill web.1#1
            => forget web.1#1",
    );
}
