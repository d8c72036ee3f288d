//! `sppm events` and `sppm history`: what happens, and what happened.

use super::{DONE, Outcome};
use crate::cli::args::{Events, History, Lines};
use crate::cli::clock::Clock;
use crate::cli::failure::Failure;
use crate::cli::feed::{self, News};
use crate::cli::render::{self, Days};
use crate::cli::session::{PATIENCE, Session};
use crate::control::client::{self, Client};
use crate::journal::Entry;

pub(super) fn history(session: &Session<'_>, args: &History) -> Outcome {
    let client = session.client()?;
    let entries = past(&client, &args.names, args.lines)?;
    Printer::new(session, &args.names, &entries).all(&entries)?;
    Ok(DONE)
}

pub(super) fn events(session: &Session<'_>, args: &Events) -> Outcome {
    let client = session.client()?;
    if !args.follow {
        let entries = past(&client, &args.names, args.lines)?;
        Printer::new(session, &args.names, &entries).all(&entries)?;
        return Ok(DONE);
    }
    // First the number, then the past: what happens between the two is in the past, and not told again.
    let after = feed::last_number(&client)?;
    let entries = past(&client, &args.names, args.lines)?;
    let after = entries.last().map_or(after, |entry| after.max(entry.seq));
    let mut printer = Printer::new(session, &args.names, &entries);
    printer.all(&entries)?;
    for news in feed::listen(&client, &args.names, after) {
        match news {
            News::Entry(entry) => printer.one(&entry)?,
            News::Missed(count) => printer.missed(count)?,
            News::Back => session.terminal.note("note: connected again; nothing was missed"),
            News::Ended(Some(failure)) => return Err(failure),
            News::Ended(None) => break,
        }
    }
    session.terminal.note("note: the supervisor has ended");
    Ok(DONE)
}

/// The last entries. Of instances, which the journal files under their program, all are asked for and sifted here.
fn past(client: &Client, names: &[String], lines: Lines) -> Result<Vec<Entry>, Failure> {
    let sifted = only_instances(names);
    let asked = if sifted { None } else { lines.0 };
    let mut entries: Vec<Entry> = client.get(&client::history(names, asked), PATIENCE)?;
    if sifted {
        entries.retain(|entry| concerns(entry, names));
        let excess = lines.0.map_or(0, |lines| entries.len().saturating_sub(lines as usize));
        entries.drain(..excess);
    }
    Ok(entries)
}

/// Whether every name is one instance's, like `web.2`.
fn only_instances(names: &[String]) -> bool {
    let numbered = |name: &String| {
        name.rsplit_once('.').is_some_and(|(_, index)| index.parse::<u32>().is_ok())
            && !name.contains(['*', '?', '[', '@'])
    };
    !names.is_empty() && names.iter().all(numbered)
}

/// Whether an entry is about one of these instances, or about a program as a whole.
fn concerns(entry: &Entry, names: &[String]) -> bool {
    let named = |whom: &str| names.iter().any(|name| name == whom);
    entry.instance.as_deref().is_none_or(named) || entry.program.as_deref().is_some_and(named)
}

/// Prints entries: for people a line each, for programs a JSON object each.
struct Printer<'a> {
    session: &'a Session<'a>,
    sift: Option<&'a [String]>,
    clock: Clock,
    days: Days,
    wide: usize,
}

impl<'a> Printer<'a> {
    fn new(session: &'a Session<'a>, names: &'a [String], entries: &[Entry]) -> Self {
        let whom = |entry: &Entry| {
            entry.instance.as_ref().or(entry.program.as_ref()).map_or(4, |n| n.chars().count())
        };
        let wide = entries.iter().map(whom).max().unwrap_or(8);
        let sift = only_instances(names).then_some(names);
        Self { session, sift, clock: Clock::here(), days: Days::default(), wide }
    }

    fn all(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        if self.session.terminal.json {
            let lines: String = entries
                .iter()
                .filter_map(|entry| serde_json::to_string(entry).ok())
                .map(|line| line + "\n")
                .collect();
            return self.session.terminal.raw(lines.as_bytes());
        }
        let text: String = entries.iter().map(|entry| self.line(entry)).collect();
        self.session.terminal.result(&text)
    }

    fn one(&mut self, entry: &Entry) -> Result<(), Failure> {
        if self.sift.is_some_and(|names| !concerns(entry, names)) {
            return Ok(());
        }
        if self.session.terminal.json {
            return self.session.terminal.json(entry);
        }
        // A zone may change its offset while we look on.
        self.clock = Clock::here();
        let line = self.line(entry);
        self.session.terminal.result(&line)
    }

    fn line(&mut self, entry: &Entry) -> String {
        let day = self.days.turn(&self.clock, &entry.at).map(|date| format!("{date}\n")).unwrap_or_default();
        format!("{day}{}\n", render::entry(entry, &self.clock, Some(self.wide)))
    }

    fn missed(&mut self, count: u64) -> Result<(), Failure> {
        if self.session.terminal.json {
            return self.session.terminal.json(&serde_json::json!({ "missed": count }));
        }
        let events = render::plural(usize::try_from(count).unwrap_or(usize::MAX), "event");
        self.session.terminal.note(&format!("note: {events} left out here: this reader is too slow"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Kind;

    #[test]
    fn instances_are_sifted_and_what_concerns_the_whole_program_stays() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(only_instances(&names(&["web.1", "api.2"])));
        for other in [&[][..], &["web"], &["web.1", "web"], &["w*.1"], &["@x.1"]] {
            assert!(!only_instances(&names(other)), "{other:?}");
        }
        let entry = |instance| Entry::new(String::new(), Kind::Phase, "").about("web", instance);
        assert!(concerns(&entry("web.1"), &names(&["web.1"])));
        assert!(!concerns(&entry("web.2"), &names(&["web.1"])));
        let request =
            Entry { program: Some("web".to_owned()), ..Entry::new(String::new(), Kind::Request, "") };
        assert!(concerns(&request, &names(&["web.1"])));
    }
}
