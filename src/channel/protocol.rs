//! The language of `SPPM_SOCKET`, as clients/python/PROTOCOL.md has it: lines to requests, answers to lines. Pure.

use super::hub::{Message, Refusal};
use super::names::{Pattern, is_name};
use super::store::Value;
use crate::model::Saying;
use std::fmt::Write as _;

/// The longest line, in bytes, with its newline.
pub(super) const LINE: usize = 65_536;
/// What is said for people is cut to so many bytes.
const WORDS: usize = 1000;

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Request<'a> {
    Sub(Pattern),
    Unsub(&'a str),
    Pub {
        topic: &'a str,
        data: &'a str,
    },
    Get(&'a str),
    Set {
        key: &'a str,
        data: &'a str,
        expected: Option<u64>,
    },
    Del(&'a str),
    Keys(&'a str),
    WaitStop,
    /// Something that the program says of itself.
    Say(Saying),
    Ping,
}

const NO_NAME: &str = "the name of a topic or key is letters, digits and . _ / -, begins with a letter or digit, and has at most 128";

/// Reads a line without its newline. The error is what to say after `usage`.
pub(super) fn parse(line: &str) -> Result<Request<'_>, String> {
    let (word, rest) = line.split_once(' ').map_or((line, None), |(word, rest)| (word, Some(rest)));
    let text = rest.unwrap_or_default();
    let alone = |request| match rest {
        None => Ok(request),
        Some(_) => Err(format!("`{word}` stands alone")),
    };
    let words = || (!text.is_empty()).then(|| cut(text));
    Ok(match word {
        "sub" => {
            Request::Sub(Pattern::new(text).ok_or_else(|| format!("sub PATTERN; {NO_NAME}, or has a *"))?)
        }
        "unsub" if Pattern::new(text).is_some() => Request::Unsub(text),
        "unsub" => return Err("unsub PATTERN".to_owned()),
        "pub" => {
            let (topic, data) = two(text, "pub TOPIC DATA")?;
            Request::Pub { topic, data }
        }
        "get" => Request::Get(name(text)?),
        "set" => {
            let (key, data) = two(text, "set KEY DATA")?;
            Request::Set { key, data, expected: None }
        }
        "cas" => {
            let (key, rest) = two(text, "cas KEY VERSION DATA")?;
            let (version, data) = rest.split_once(' ').ok_or("cas KEY VERSION DATA")?;
            let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
            let expected = version.parse().ok().filter(|_| digits).ok_or("VERSION is a number")?;
            Request::Set { key, data, expected: Some(expected) }
        }
        "del" => Request::Del(name(text)?),
        "keys" if text.is_empty() || is_name(text) => Request::Keys(text),
        "keys" => return Err(format!("keys [PREFIX]; {NO_NAME}")),
        "wait-stop" => alone(Request::WaitStop)?,
        "ping" => alone(Request::Ping)?,
        "busy" => Request::Say(Saying::Busy(words())),
        "idle" => alone(Request::Say(Saying::Idle))?,
        "ready" => alone(Request::Say(Saying::Ready))?,
        "beat" => alone(Request::Say(Saying::Beat))?,
        "request" => alone(Request::Say(Saying::Request))?,
        "status" => Request::Say(Saying::Status(cut(text))),
        "restart-me" => Request::Say(Saying::RestartMe(words())),
        "stop-me" => Request::Say(Saying::StopMe(words())),
        "hello" => return Err("hello was said already".to_owned()),
        _ => return Err("there is no such request".to_owned()),
    })
}

fn two<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    let (first, rest) = text.split_once(' ').ok_or_else(|| form.to_owned())?;
    Ok((name(first)?, rest))
}

fn name(text: &str) -> Result<&str, String> {
    if is_name(text) { Ok(text) } else { Err(NO_NAME.to_owned()) }
}

fn cut(text: &str) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    text[..ends.take_while(|end| *end <= WORDS).last().unwrap_or(0)].to_owned()
}

/// Writes lines into a buffer.
pub(super) trait Say {
    /// One line; its newline is added. The text has none.
    fn line(&mut self, text: std::fmt::Arguments<'_>);

    fn ok(&mut self) {
        self.line(format_args!("ok"));
    }

    fn error(&mut self, code: &str, text: &str) {
        self.line(format_args!("error {code} {text}"));
    }

    fn refuse(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::Usage(text) => self.error("usage", text),
            Refusal::TooLarge(_) => self.error("too-large", &refusal.to_string()),
            Refusal::Full(text) => self.error("full", text),
            Refusal::Changed(version) => self.line(format_args!("error changed {version}")),
        }
    }

    fn number(&mut self, result: Result<u64, Refusal>) {
        match result {
            Ok(number) => self.line(format_args!("ok {number}")),
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn value(&mut self, value: Option<&Value>) {
        match value {
            Some(Value { version, data }) => self.line(format_args!("value {version} {data}")),
            None => self.line(format_args!("none")),
        }
    }

    fn message(&mut self, message: &Message) {
        let Message { topic, from, data } = message;
        self.line(format_args!("msg {topic} {from} {data}"));
    }
}

impl Say for Vec<u8> {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a Vec cannot fail.
        let _ = std::io::Write::write_fmt(self, text);
        self.push(b'\n');
    }
}

/// The answer to `keys`. It alone may be longer than a line of the protocol: 1,024 keys have up to 132,096 bytes.
pub(super) fn keys<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("keys");
    for key in keys {
        let _ = write!(text, " {key}");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let say = |saying| Ok(Request::Say(saying));
        for (line, wanted) in [
            ("sub jobs/*", Ok(Request::Sub(Pattern::new("jobs/*").unwrap()))),
            ("unsub jobs/*", Ok(Request::Unsub("jobs/*"))),
            ("pub t {\"a\": 1}  x ", Ok(Request::Pub { topic: "t", data: "{\"a\": 1}  x " })),
            ("get k", Ok(Request::Get("k"))),
            ("set k ", Ok(Request::Set { key: "k", data: "", expected: None })),
            ("cas k 0 a b", Ok(Request::Set { key: "k", data: "a b", expected: Some(0) })),
            ("del k", Ok(Request::Del("k"))),
            ("keys", Ok(Request::Keys(""))),
            ("keys jobs/", Ok(Request::Keys("jobs/"))),
            ("wait-stop", Ok(Request::WaitStop)),
            ("busy", say(Saying::Busy(None))),
            ("busy page 7 of 9", say(Saying::Busy(Some("page 7 of 9".into())))),
            ("idle", say(Saying::Idle)),
            ("status ä", say(Saying::Status("ä".into()))),
            ("restart-me", say(Saying::RestartMe(None))),
            ("stop-me done", say(Saying::StopMe(Some("done".into())))),
            ("ping", Ok(Request::Ping)),
        ] {
            assert_eq!(parse(line), wanted, "{line}");
        }
    }

    #[test]
    fn wrong_lines_are_told_from_right_ones() {
        let wrong = [
            "",
            " ",
            "PING",
            "ping ",
            "ping x",
            "idle x",
            "sub",
            "sub a b",
            "unsub",
            "pub",
            "pub t",
            "pub a* x",
            "get",
            "get a b",
            "set k",
            "cas k",
            "cas k 1",
            "cas k x d",
            "cas k +1 d",
            "cas k 99999999999999999999 d",
            "del",
            "keys *",
            "hello x",
            "ready now",
        ];
        for line in wrong {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn words_for_people_are_cut_between_characters() {
        let Ok(Request::Say(Saying::Busy(Some(what)))) = parse(&format!("busy {}", "ä".repeat(2000))) else {
            panic!("not busy");
        };
        assert!(what.len() <= WORDS && what.chars().all(|c| c == 'ä'));
    }
}
