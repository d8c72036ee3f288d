//! Operators: start, stop, restart, scale, and what outlives what.

use super::tell;

#[test]
fn start_clears_a_stop_and_takes_it_back_where_nothing_was_signalled() {
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
fn start_of_what_is_being_stopped_starts_it_when_it_is_gone() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         stop web
            => ask web.1#1 SIGTERM
         start web
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web",
    );
}

#[test]
fn restart_starts_what_is_stopped_failed_or_done() {
    tell(
        "plan web:never db:never:off
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 0
            => check web.1#1
         empty web.1
            => release web.1#1
         restart web
            => launch web.1#2 as web: web
         restart db
            => launch db.1#1 as db: db
         failed db.1
            => release db.1#1
         restart db
            => launch db.1#2 as db: db",
    );
}

#[test]
fn a_stop_of_one_instance_leaves_the_others() {
    tell(
        "plan web:x2
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         stop web.2
            => ask web.2#1 SIGTERM
         exited web.2 TERM
            => check web.2#1
         empty web.2
            => release web.2#1
         stop web
            => ask web.1#1 SIGTERM
         start web.2
            => launch web.2#2 as web.2: web
         show web
            => web.1 stopping: asked with SIGTERM, SIGKILL follows in 10s: stopped by ann at noon; `sppm start web` starts it again
            => web.2 starting: started by ann",
    );
}

#[test]
fn a_scale_ends_when_the_file_says_another_number() {
    tell(
        "plan web:x1
            => launch web.1#1 as web.1: web
         launched web.1
         scale web 2
            => launch web.2#1 as web.2: web
         launched web.2
         plan web:x1:tag
            => respec web.1#1
            => respec web.2#1
         plan web:x3
            => respec web.1#1
            => respec web.2#1
            => launch web.3#1 as web.3: web
         show web
            => web.1 running: started as the configuration says
            => web.2 running: started as the configuration says
            => web.3 starting: started as the configuration says",
    );
}

#[test]
fn a_scale_down_takes_the_highest_and_up_fills_the_hole() {
    tell(
        "plan web:x3
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
            => launch web.3#1 as web.3: web
         launched web.1
         launched web.2
         launched web.3
         scale web 2
            => ask web.3#1 SIGTERM
         exited web.3 TERM
            => check web.3#1
         empty web.3
            => release web.3#1
         scale web 3
            => launch web.3#2 as web.3: web",
    );
}

#[test]
fn what_cannot_be_is_refused() {
    tell(
        "plan web api:x2
            => launch api.1#1 as api.1: api
            => launch api.2#1 as api.2: api
            => launch web.1#1 as web: web
         start db
            => refused: Unknown(Program(\"db\"))
         restart web.2
            => refused: Unknown(Instance(Slot { program: \"web\", index: 2 }))
         scale web 2
            => refused: NotNumbered(\"web\")
         scale api 10001
            => refused: TooMany(\"api\")
         signal web
            => refused: NotRunning(Program(\"web\"))",
    );
}

#[test]
fn a_start_of_what_is_off_lasts() {
    tell(
        "plan web:off
         start web
            => launch web.1#1 as web: web
         launched web.1
         plan web:off:tag
            => respec web.1#1
         crash
         exited web.1 TERM
            => check web.1#1
         empty web.1
            => release web.1#1",
    );
}

#[test]
fn a_forced_restart_passes_the_gate() {
    tell(
        "plan web:work
            => launch web.1#1 as web: web
         launched web.1
         restart web
            => look at web.1#1
         busy web.1
         restart web force
            => kill web.1#1
            => forget web.1#1
         exited web.1 KILL
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web",
    );
}

#[test]
fn what_is_scaled_away_is_not_restarted() {
    tell(
        "plan web:x2
            => launch web.1#1 as web.1: web
            => launch web.2#1 as web.2: web
         launched web.1
         launched web.2
         scale web 1
            => ask web.2#1 SIGTERM
         restart web.2
            => refused: Unknown(Instance(Slot { program: \"web\", index: 2 }))
         restart web force
            => kill web.1#1",
    );
}

#[test]
fn a_stop_that_is_taken_back_in_time_is_a_new_beginning() {
    tell(
        "plan web:x1:limit=1:stay
            => launch web.1#1 as web.1: web
         failed web.1
            => release web.1#1
         wait 1s
            => launch web.1#2 as web.1: web
         scale web 0
         scale web 1
         failed web.1
            => release web.1#2
         show web
            => web.1 backoff: cannot execute /x: no such file; next start in 1.0s",
    );
}
