//! A channel against the fake socket: answers, messages, the store, and a supervisor that is replaced.

use super::stop::Ends;
use super::tests_fake::{Fake, LIMIT};
use super::{Channel, ChannelError, Stop, StopKind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_message_reaches_those_who_subscribed() {
    let fake = Fake::new();
    let (here, there) = (fake.channel(), fake.channel());
    let mut all = here.subscribe("jobs/*").unwrap();
    let one = here.subscribe("jobs/b").unwrap();
    assert_eq!(there.publish("jobs/a", "first  one"), Ok(1));
    assert_eq!(there.publish("jobs/b", "second"), Ok(1));
    assert_eq!(there.publish("other", "x"), Ok(0));
    let message = all.next().unwrap();
    assert_eq!((message.topic.as_str(), message.data.as_str()), ("jobs/a", "first  one"));
    assert_eq!(message.sender, "prog.2");
    assert_eq!(all.next().unwrap().data, "second");
    assert_eq!(one.recv_timeout(LIMIT).unwrap().data, "second");
    assert_eq!(one.recv_timeout(SHORT), None);
}

#[test]
fn the_last_subscription_of_a_pattern_takes_it_back() {
    let fake = Fake::new();
    let channel = fake.channel();
    let (one, two) = (channel.subscribe("a").unwrap(), channel.subscribe("a").unwrap());
    drop(one);
    assert_eq!(channel.publish("a", "x"), Ok(1));
    assert_eq!(two.recv_timeout(LIMIT).unwrap().data, "x");
    drop(two);
    fake.until("it is taken back", |state| !state.subscribed("a"));
    assert_eq!(channel.publish("a", "x"), Ok(0));
}

#[test]
fn lost_messages_are_counted() {
    let fake = Fake::new();
    let channel = fake.channel();
    let subscription = channel.subscribe("a").unwrap();
    fake.push("missed 3");
    channel.publish("a", "x").unwrap();
    assert!(subscription.recv_timeout(LIMIT).is_some());
    assert_eq!(subscription.missed(), 3);
}

#[test]
fn the_store_answers_with_versions() {
    let fake = Fake::new();
    for channel in [fake.channel(), Channel::new(None, LIMIT)] {
        assert_eq!(channel.get("k"), Ok(None));
        assert_eq!(channel.set("k", "one two"), Ok(1));
        let found = channel.get("k").unwrap().unwrap();
        assert_eq!((found.version, found.data.as_str()), (1, "one two"));
        assert_eq!(channel.compare_and_set("k", 0, "x"), Ok(None));
        assert_eq!(channel.compare_and_set("k", 1, "x"), Ok(Some(2)));
        assert_eq!(channel.change("k", |old| format!("{}y", old.unwrap())), Ok("xy".into()));
        assert_eq!(channel.set("other", ""), Ok(1));
        assert_eq!(channel.get("other").unwrap().unwrap().data, "");
        assert_eq!(channel.keys(""), Ok(vec!["k".into(), "other".into()]));
        assert_eq!(channel.keys("o"), Ok(vec!["other".into()]));
        assert_eq!((channel.delete("k"), channel.delete("k")), (Ok(true), Ok(false)));
        assert_eq!(channel.set("k", "again"), Ok(4), "a version is never used twice");
    }
}

#[test]
fn a_change_that_was_overtaken_is_made_again() {
    let fake = Fake::new();
    let channel = fake.channel();
    channel.set("n", "1").unwrap();
    fake.look(|state| state.answers.insert("cas".into(), Some("error changed 1".into())));
    let mut asked = 0;
    let set = channel.change("n", |_| {
        asked += 1;
        asked.to_string()
    });
    assert_eq!((set, asked), (Ok("2".into()), 2));
}

#[test]
fn refusals_are_errors_with_a_name() {
    let fake = Fake::new();
    let channel = fake.channel();
    fake.look(|state| state.answers.insert("set".into(), Some("error full 1,024 keys".into())));
    assert_eq!(channel.set("k", "x"), Err(ChannelError::Full("1,024 keys".into())));
    assert!(matches!(channel.set("no key", "x"), Err(ChannelError::Usage(_))));
    assert!(matches!(channel.publish("t", "a\nb"), Err(ChannelError::Usage(_))));
    let stranger = fake.channel_as("another", SHORT);
    let error = stranger.get("k").unwrap_err();
    assert!(error.to_string().contains("no such run"), "{error}");
}

#[test]
fn a_lost_answer_is_asked_for_again_where_that_is_safe() {
    let fake = Fake::new();
    let channel = fake.channel();
    channel.set("k", "x").unwrap();
    fake.look(|state| state.answers.extend([("get".into(), None)]));
    assert_eq!(channel.get("k").unwrap().unwrap().data, "x");
    fake.look(|state| state.answers.extend([("pub".into(), None)]));
    assert!(matches!(channel.publish("t", "x"), Err(ChannelError::Unavailable(_))));
    assert_eq!(channel.publish("t", "x"), Ok(0));
}

#[test]
fn a_replaced_supervisor_is_told_again_what_lasts() {
    let fake = Fake::new();
    let channel = fake.channel();
    let subscription = channel.subscribe("a").unwrap();
    let task = channel.task("page 7");
    assert_eq!(fake.look(|state| state.busy()), ["page 7"]);
    fake.vanish();
    fake.until("it is gone", |state| state.connections() == 0);
    fake.listen();
    fake.until("it is told", |state| state.subscribed("a") && state.busy() == ["page 7"]);
    channel.publish("a", "x").unwrap();
    assert!(subscription.recv_timeout(LIMIT).is_some());
    drop(task);
    assert!(fake.look(|state| state.busy()).is_empty());
}

#[test]
fn nested_tasks_are_one_mark() {
    let fake = Fake::new();
    let channel = fake.channel();
    let (outer, inner) = (channel.task("outer"), channel.task("inner"));
    drop(outer);
    assert_eq!(fake.look(|state| state.busy()), ["outer"]);
    drop(inner);
    assert!(fake.look(|state| state.busy()).is_empty());
}

#[test]
fn a_stop_is_announced_also_by_the_next_supervisor() {
    let fake = Fake::new();
    let channel = fake.channel();
    let (sender, stops) = mpsc::channel();
    channel.on_stop(move |stop| {
        sender.send(stop).unwrap();
        panic!("a program's own panic does not end the channel");
    });
    fake.until("it waits", |state| state.lines.iter().any(|line| line == "wait-stop"));
    fake.want_stop("restart the file has changed");
    let wanted = Stop { kind: StopKind::Restart, why: "the file has changed".into() };
    assert_eq!(stops.recv_timeout(LIMIT), Ok(wanted.clone()));
    fake.hang_up();
    assert_eq!(stops.recv_timeout(LIMIT), Ok(wanted), "said again after a take-over");
    assert_eq!(channel.publish("a", "x"), Ok(0));
}

#[test]
fn a_supervisor_that_is_away_costs_no_more_than_the_timeout() {
    let fake = Fake::new();
    fake.vanish();
    let channel = fake.channel_as("any", SHORT);
    let start = Instant::now();
    assert!(matches!(channel.get("k"), Err(ChannelError::Unavailable(_))));
    assert!(!channel.busy(""));
    assert!(channel.subscribe("a").is_ok(), "it is told when it is back");
    assert!(start.elapsed() < LIMIT / 2);
}

#[test]
fn a_closed_channel_ends_its_subscriptions() {
    let fake = Fake::new();
    let channel = fake.channel();
    let mut subscription = channel.subscribe("a").unwrap();
    let other = channel.clone();
    let thread = std::thread::spawn(move || subscription.next());
    fake.until("it subscribed", |state| state.subscribed("a"));
    other.close();
    assert_eq!(thread.join().unwrap(), None);
    assert!(matches!(channel.get("k"), Err(ChannelError::Unavailable(_))));
    fake.until("it hung up", |state| state.connections() == 0);
}

#[test]
fn a_channel_that_is_dropped_hangs_up() {
    let fake = Fake::new();
    let subscription = fake.channel().subscribe("a").unwrap();
    assert_eq!(fake.look(|state| state.connections()), 1, "a subscription keeps its channel");
    drop(subscription);
    fake.until("it hung up", |state| state.connections() == 0);
}

#[test]
fn a_stop_ends_a_subscription() {
    let channel = Channel::new(None, LIMIT);
    let mut subscription = channel.subscribe("a").unwrap();
    let queue = std::sync::Arc::clone(&subscription.queue);
    let thread = std::thread::spawn(move || subscription.next());
    queue.end();
    assert_eq!(thread.join().unwrap(), None);
}

#[test]
fn a_line_without_end_breaks_the_connection_and_no_more() {
    let fake = Fake::new();
    let channel = fake.channel_as("00000000-0000-4000-8000-000000000001", LIMIT);
    channel.set("k", "x").unwrap();
    fake.push(&"y".repeat(2 << 20));
    fake.until("it hung up", |state| {
        state.lines.iter().filter(|line| line.starts_with("hello")).count() == 2
    });
    assert_eq!(channel.get("k").unwrap().unwrap().data, "x");
}
