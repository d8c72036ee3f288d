//! What follows the end of a run.

use super::tell;

#[test]
fn a_steady_run_is_restarted_at_once() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         wait 5s
         exited web.1 1
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web",
    );
}

#[test]
fn failed_starts_pause_ever_longer_and_end_at_the_limit() {
    tell(
        "plan web:limit=2:stay
            => launch web.1#1 as web: web
         failed web.1
            => release web.1#1
         wait 999ms
         wait 1ms
            => launch web.1#2 as web: web
         failed web.1
            => release web.1#2
         wait 2s
            => launch web.1#3 as web: web
         failed web.1
            => release web.1#3
         wait 1000s
         show web
            => web failed: cannot execute /x: no such file; given up after 3 failed starts in a row",
    );
}

#[test]
fn an_end_is_told_with_its_last_words_and_with_whoever_caused_it() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         exited web.1 1 boom
            => check web.1#1
         crash
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web backoff: it exited with code 1 after 0ms, saying \"boom\"; next start in 1.0s
         wait 1s
            => launch web.1#2 as web: web
         launched web.1
         wait 5s
         exited web.1 KILL page-12
            => check web.1#2
         empty web.1
            => release web.1#2
            => launch web.1#3 as web: web
         show web
            => web starting: restarted: it was ended by SIGKILL (not sent by sppm) after 5.0s
         launched web.1
         signal web
            => signal web.1#3 SIGHUP
         crash
         wait 5s
         exited web.1 HUP
            => check web.1#3
         empty web.1
            => release web.1#3
            => launch web.1#4 as web: web
         show web
            => web starting: restarted: it was ended by SIGHUP (sent by `sppm signal`) after 5.0s",
    );
}

#[test]
fn one_more_try_after_each_long_pause() {
    tell(
        "plan web:limit=1
            => launch web.1#1 as web: web
         failed web.1
            => release web.1#1
         wait 1s
            => launch web.1#2 as web: web
         failed web.1
            => release web.1#2
         show web
            => web failed: cannot execute /x: no such file; given up after 2 failed starts in a row; one more try in 30s
         wait 30s
            => launch web.1#3 as web: web
         failed web.1
            => release web.1#3
         wait 30s
            => launch web.1#4 as web: web",
    );
}

#[test]
fn the_limit_can_end_the_supervisor() {
    tell(
        "plan web:limit=1:fatal db
            => launch db.1#1 as db: db
            => launch web.1#1 as web: web
         launched db.1
         failed web.1
            => release web.1#1
         wait 1s
            => launch web.1#2 as web: web
         failed web.1
            => ask db.1#1 SIGTERM
            => release web.1#2
         exited db.1 TERM
            => check db.1#1
         empty db.1
            => release db.1#1
            => finish 1",
    );
}

#[test]
fn a_shutdown_for_the_limit_is_on_disk_before_the_failure() {
    tell(
        "plan web:limit=1:fatal db
            => launch db.1#1 as db: db
            => launch web.1#1 as web: web
         launched db.1
         failed web.1
            => release web.1#1
         wait 1s
            => launch web.1#2 as web: web
         crash at 3: failed web.1
            => died
            => ask db.1#1 SIGTERM
            => release web.1#2
         exited db.1 TERM
            => check db.1#1
         empty db.1
            => release db.1#1
            => finish 1",
    );
}

#[test]
fn a_forbidden_exit_is_final() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         wait 9s
         exited web.1 78
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web failed: it exited with code 78, which restart.never_codes forbids to start again",
    );
}

#[test]
fn nothing_starts_before_the_tree_is_empty() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         wait 9s
         exited web.1 1
            => check web.1#1
         left web.1 3
            => ask web.1#1 SIGTERM
         wait 10s
            => kill web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web",
    );
}

#[test]
fn an_exit_whose_exec_was_told_to_another_supervisor_counts() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         exited web.1 1
            => check web.1#1
         empty web.1
            => release web.1#1
         show web
            => web backoff: it exited with code 1 after 0ms; next start in 1.0s",
    );
}

#[test]
fn news_of_a_past_run_change_nothing() {
    tell(
        "plan web
            => launch web.1#1 as web: web
         launched web.1
         wait 9s
         exited web.1 1
            => check web.1#1
         empty web.1
            => release web.1#1
            => launch web.1#2 as web: web
         exited web.1#1 1
         empty web.1#1
         launched web.1#1
         failed web.1#1
         launched web.1#2",
    );
}
