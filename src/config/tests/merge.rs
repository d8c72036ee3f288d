//! Defaults, null, anchors.

use super::*;
use crate::model::*;
use std::time::Duration;

#[test]
fn maps_merge_deep_and_all_else_replaces() {
    let plan = good(
        "defaults: {restart: {policy: on-failure, delay: 1s}, environment: {A: 1, B: 1}, tags: [d], logs: {max_files: 3}, stop: INT}\n\
         programs:\n  a: {command: x, restart: {delay: 2s}, environment: {B: 2, A: null}, tags: [e], logs: y.log}\n  b: {command: x}\n",
    );
    let (a, b) = (one(&plan, "a"), one(&plan, "b"));
    assert_eq!((a.restart.when, a.restart.delay), (RestartWhen::OnFailure, Duration::from_secs(2)));
    assert_eq!((b.restart.when, b.restart.delay), (RestartWhen::OnFailure, Duration::from_secs(1)));
    assert_eq!(a.environment, BTreeMap::from([("A".to_owned(), None), ("B".to_owned(), Some("2".into()))]));
    assert_eq!((&a.tags[..], &b.tags[..]), (&["e".to_owned()][..], &["d".to_owned()][..]));
    assert_eq!((a.logs.max_files, &a.logs.stdout), (3, &LogSink::File("/w/app/y.log".into())));
    assert_eq!(a.stop, b.stop);
}

#[test]
fn null_is_the_built_in_default_again() {
    let plan = good(
        "defaults: {restart: {policy: never, delay: 1s}, priority: 5, instances: 2, umask: '077', environment: {A: 1}}\n\
         programs:\n  a: {command: x, restart: null, priority: ~, instances:, umask: null, environment: null}\n  \
         b: {command: x, restart: {policy: null}}\n",
    );
    let (a, b) = (one(&plan, "a"), one(&plan, "b"));
    assert_eq!((a.restart.when, a.restart.delay), (RestartWhen::Always, Duration::from_millis(500)));
    assert_eq!((a.priority, a.instances, a.umask), (100, Instances::Single, Mode(0o022)));
    assert!(a.environment.is_empty());
    assert_eq!(
        (b.restart.when, b.restart.delay, b.instances),
        (RestartWhen::Always, Duration::from_secs(1), Instances::Numbered(2))
    );
}

#[test]
fn of_alternatives_the_nearest_layer_wins() {
    let plan = good(
        "defaults: {shell: 'd', stop: {steps: [{signal: INT, wait: 1s}]}}\n\
         programs:\n  a: {command: x, stop: {timeout: 9s}}\n  b: {}\n  c: {stop: {command: q}}\n",
    );
    assert_eq!(one(&plan, "a").command, Command::Exec(vec!["x".into()]));
    assert_eq!(
        one(&plan, "a").stop.by,
        StopBy::Signals(vec![StopStep { signal: Signal::TERM, wait: Duration::from_secs(9) }])
    );
    assert_eq!(one(&plan, "b").command, Command::Shell("d".into()));
    assert_eq!(one(&plan, "b").stop.grace(), Duration::from_secs(1));
    assert!(matches!(one(&plan, "c").stop.by, StopBy::Command { .. }));
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let plan = good(
        "x-base: &base {command: x, priority: 1, environment: &env {A: 1}}\nx-two: &two {priority: 2, orphans: keep}\n\
         programs:\n  a: {<<: *base, priority: 3}\n  b: {<<: [*two, *base]}\n  c: {command: y, environment: *env}\n",
    );
    let (a, b, c) = (one(&plan, "a"), one(&plan, "b"), one(&plan, "c"));
    assert_eq!((a.priority, b.priority, b.orphans, c.priority), (3, 2, Orphans::Keep, 100));
    assert_eq!((&a.command, &c.environment), (&b.command, &a.environment));
}
