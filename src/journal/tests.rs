//! The journal: numbers without a gap, bounded files, torn lines, slow followers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::file::MAX_SIZE;
use super::{Entry, Journal, Kind, Offer, Query};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;

fn entry(program: &str, text: &str) -> Entry {
    Entry::new("2026-01-01T00:00:00.000Z".to_owned(), Kind::Phase, text).about(program, program)
}

fn read(journal: &Journal, query: Query) -> Vec<Entry> {
    let (answer, entries) = mpsc::channel();
    journal.read(query, Box::new(move |found| answer.send(found).unwrap()));
    entries.recv().unwrap()
}

fn start(folder: &Path) -> Journal {
    Journal::start(folder.join("history.jsonl")).unwrap()
}

#[test]
fn numbers_go_on_over_a_restart_and_a_torn_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let journal = start(folder.path());
    journal.add(entry("a", "one"));
    journal.add(entry("b", "two"));
    journal.flush();
    let mut file = fs::File::options().append(true).open(folder.path().join("history.jsonl")).unwrap();
    file.write_all(b"{\"seq\":3,\"at\":\"x").unwrap();
    drop((journal, file));

    let journal = start(folder.path());
    journal.add(entry("a", "three"));
    let all = read(&journal, Query::default());
    assert_eq!(
        all.iter().map(|e| (e.seq, e.text.as_str())).collect::<Vec<_>>(),
        [(1, "one"), (2, "two"), (3, "three")]
    );
    let only = Query { programs: BTreeSet::from(["a".to_owned()]), after: Some(1), ..Query::default() };
    assert_eq!(read(&journal, only).len(), 1);
    assert_eq!(read(&journal, Query { last: Some(1), ..Query::default() })[0].text, "three");
}

#[test]
fn what_is_kept_is_bounded_and_the_newest_is_always_there() {
    let folder = tempfile::tempdir().unwrap();
    let journal = start(folder.path());
    let long = "x".repeat(4000);
    for _ in 0..1500 {
        journal.add(entry("a", &long));
        journal.flush();
    }
    let size: u64 =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size > MAX_SIZE && size < 2 * MAX_SIZE + 2_000_000, "{size}");
    let all = read(&journal, Query::default());
    assert_eq!(all.last().unwrap().seq, 1500);
    assert!(all.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
}

#[test]
fn a_follower_gets_the_past_then_the_news_and_is_told_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = start(folder.path());
    journal.add(entry("a", "past"));
    let (seen, items) = mpsc::sync_channel(2);
    let sink = move |offer: Offer<'_>| {
        let text = match offer {
            Offer::Entry(entry) => entry.text.clone(),
            Offer::Missed(count) => format!("missed {count}"),
            Offer::Nothing => return Some(true),
        };
        match seen.try_send(text) {
            Ok(()) => Some(true),
            Err(mpsc::TrySendError::Full(_)) => Some(false),
            Err(mpsc::TrySendError::Disconnected(_)) => None,
        }
    };
    journal.follow(Query::default(), Box::new(sink));
    for text in ["one", "two", "three"] {
        journal.add(entry("a", text));
    }
    journal.flush();
    assert_eq!((items.recv().unwrap().as_str(), items.recv().unwrap().as_str()), ("past", "one"));
    journal.add(entry("a", "four"));
    journal.flush();
    assert_eq!((items.recv().unwrap().as_str(), items.recv().unwrap().as_str()), ("missed 2", "four"));
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_history_alone() {
    let journal = Journal::start("/proc/self/no-such-folder/history.jsonl".into()).unwrap();
    journal.add(entry("a", "one"));
    assert!(read(&journal, Query::default()).is_empty());
}

#[test]
fn a_follower_gets_what_only_the_disk_remembers_and_nothing_that_is_not_yet_there() {
    let folder = tempfile::tempdir().unwrap();
    let journal = start(folder.path());
    for number in 1..=2000 {
        journal.add(entry("a", &number.to_string()));
        if number % 100 == 0 {
            journal.flush();
        }
    }
    let (seen, items) = mpsc::channel();
    let path = folder.path().join("history.jsonl");
    let sink = move |offer: Offer<'_>| {
        if let Offer::Entry(entry) = offer {
            let written = fs::read_to_string(&path).unwrap();
            assert!(written.contains(&format!("\"seq\":{},", entry.seq)), "told before it was written");
            seen.send(entry.seq).unwrap();
        }
        Some(true)
    };
    journal.follow(Query { after: Some(1490), ..Query::default() }, Box::new(sink));
    journal.add(entry("a", "news"));
    journal.flush();
    assert_eq!(items.try_iter().collect::<Vec<_>>(), (1491..=2001).collect::<Vec<_>>());
}

#[test]
fn followers_that_have_left_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let journal = start(folder.path());
    for _ in 0..100 {
        journal.follow(Query::default(), Box::new(|_| None));
    }
    let (seen, items) = mpsc::channel();
    let sink = move |offer: Offer<'_>| seen.send(matches!(offer, Offer::Entry(_))).ok().map(|()| true);
    journal.follow(Query::default(), Box::new(sink));
    journal.add(entry("a", "news"));
    journal.flush();
    assert!(items.try_iter().any(|entry| entry));
}
