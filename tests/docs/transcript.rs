//! Compares what a transcript shows with what was printed: words must be the same; times may differ; large numbers are
//! process ids, of which the same one stands for the same process through the whole transcript.
//!
//! In a transcript `…` stands for anything within a line, and alone on a line for any lines.

use std::collections::BTreeMap;

/// A command and what is shown below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) command: String,
    /// Index of its first line of output in the block.
    pub(crate) start: usize,
    pub(crate) shown: Vec<String>,
}

/// `$ ` begins a command, `> ` continues it.
pub(crate) fn steps(lines: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), start: at + 1, shown: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            match line.strip_prefix('>').filter(|_| step.shown.is_empty()) {
                Some(more) => {
                    step.command.push('\n');
                    step.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                    step.start = at + 1;
                }
                None => step.shown.push((*line).to_owned()),
            }
        } else {
            panic!("output without a command: {line}");
        }
    }
    steps
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Time,
    Process(u64),
    Text(String),
}

fn parse(line: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for text in line.split_whitespace() {
        let bare = text.trim_matches([',', ';', ':', '(', ')', '.', '[', ']']);
        let word = if is_time(bare) {
            Word::Time
        } else if let Ok(number) = bare.parse::<u64>()
            && number >= 300
        {
            Word::Process(number)
        } else {
            Word::Text(text.to_owned())
        };
        // `1m 3s` and `12s` are both one time.
        if word != Word::Time || words.last() != Some(&Word::Time) {
            words.push(word);
        }
    }
    words
}

/// A duration (`1.5s`, `12ms`), a time of day or a moment.
fn is_time(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = &text[number.len()..];
    let duration = ["ms", "s", "m", "h", "d"].contains(&unit) && number.parse::<f64>().is_ok();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    duration || shape.starts_with("0000-00-00T") || shape == "0000-00-00" || shape.starts_with("00:00:00")
}

/// Which process id of the page is which one here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes {
    there: BTreeMap<u64, u64>,
    here: BTreeMap<u64, u64>,
}

impl Processes {
    fn same(&mut self, shown: u64, actual: u64) -> bool {
        *self.there.entry(shown).or_insert(actual) == actual
            && *self.here.entry(actual).or_insert(shown) == shown
    }

    fn words(&mut self, shown: &[Word], actual: &[Word]) -> bool {
        shown.len() == actual.len()
            && shown.iter().zip(actual).all(|pair| match pair {
                (Word::Process(shown), Word::Process(actual)) => self.same(*shown, *actual),
                // A machine that has just booted, or a namespace, has small ones.
                (Word::Process(shown), Word::Text(text)) => {
                    text.parse().is_ok_and(|number| self.same(*shown, number))
                }
                (shown, actual) => shown == actual,
            })
    }

    fn line(&mut self, shown: &str, actual: &str) -> bool {
        let actual = parse(actual);
        let parts: Vec<Vec<Word>> = shown.split('…').map(parse).collect();
        self.parts(&parts, &actual, true)
    }

    /// Whether the parts stand in the line in this order, the last one at its end; anything may stand between them.
    fn parts(&mut self, parts: &[Vec<Word>], actual: &[Word], at_start: bool) -> bool {
        let Some((part, rest)) = parts.split_first() else { return actual.is_empty() };
        let latest = if at_start { 0 } else { actual.len().saturating_sub(part.len()) };
        let earliest = if rest.is_empty() { latest } else { 0 };
        (earliest..=latest).any(|start| {
            let before = self.clone();
            let same = start + part.len() <= actual.len()
                && self.words(part, &actual[start..start + part.len()])
                && (rest.is_empty() && start + part.len() == actual.len()
                    || !rest.is_empty() && self.parts(rest, &actual[start + part.len()..], false));
            if !same {
                *self = before;
            }
            same
        })
    }

    /// A command of the page with the process ids of here.
    pub(crate) fn translate(&self, command: &str) -> String {
        let mut words = Vec::new();
        for word in command.split(' ') {
            let here = word.parse().ok().and_then(|number: u64| self.there.get(&number));
            words.push(here.map_or_else(|| word.to_owned(), u64::to_string));
        }
        words.join(" ")
    }

    /// Whether the lines are what is shown; learns process ids only if they are.
    pub(crate) fn lines(&mut self, shown: &[&str], actual: &[&str]) -> bool {
        let before = self.clone();
        let same = match (shown.split_first(), actual.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((&"…", rest)), _) => (0..=actual.len()).any(|skip| self.lines(rest, &actual[skip..])),
            (Some(_), None) => false,
            (Some((first, rest)), Some((line, others))) => self.line(first, line) && self.lines(rest, others),
        };
        if !same {
            *self = before;
        }
        same
    }
}

#[test]
fn a_transcript_is_taken_apart() {
    let found = steps(&["$ cat <<E", "> a", ">  b", "> E", "out", "> more", "$ true"]);
    assert_eq!(found[0].command, "cat <<E\na\n b\nE");
    assert_eq!((found[0].start, found[0].shown.len()), (4, 2));
    assert_eq!(found[1], Step { command: "true".into(), start: 7, shown: vec![] });
}

#[test]
fn what_is_shown_is_compared_with_what_is_printed() {
    let same = |shown: &[&str], actual: &[&str]| Processes::default().lines(shown, actual);
    assert!(same(&["a  PID 4711 up 1m 3s", "b 4711"], &["a PID   812 up 5s", "b 812"]));
    assert!(!same(&["a 4711", "b 4711"], &["a 812", "b 813"]), "one process is shown, there are two");
    assert!(!same(&["a 4711", "b 4712"], &["a 812", "b 812"]), "two processes are shown, there is one");
    assert!(same(&["pid 4711"], &["pid 12"]) && !same(&["pid 4711"], &["pid x"]));
    assert!(!same(&["x 1 restart"], &["x 2 restart"]), "small numbers count");
    assert!(same(&["started … now"], &["started 3 of them now"]));
    assert!(same(&["a … c … e"], &["a b c d e"]) && same(&["… e"], &["e"]) && same(&["a …"], &["a b"]));
    assert!(!same(&["a … c … e"], &["a b d e"]) && !same(&["a b"], &["a b c"]) && !same(&["a … a"], &["a"]));
    assert!(same(&["a", "…", "z"], &["a", "b", "c", "z"]));
    assert!(!same(&["a", "…", "z"], &["a", "b", "c"]));
    assert!(!same(&["a"], &["a", "b"]));
    let mut known = Processes::default();
    assert!(known.lines(&["pid 4711"], &["pid 812"]));
    assert_eq!(known.translate("kill -9 4711 4712 47111"), "kill -9 812 4712 47111");
    assert!(same(&["at 2026-11-21T08:00:00Z"], &["at 2027-01-01T00:00:01.5Z"]));
}
