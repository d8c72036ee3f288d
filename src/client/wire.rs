//! The language of `$SPPM_SOCKET`: names, data, answers, errors. Pure: nothing is sent here.

use super::{Message, Stop, StopKind};
use std::fmt;

/// Data of a message or a key, in bytes (PROTOCOL.md, `too-large`).
const LONGEST_DATA: usize = 60_000;

/// Words for people, in bytes.
const LONGEST_TEXT: usize = 1_000;

const LONGEST_NAME: usize = 128;

/// Why something could not be published, subscribed to, stored or asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelError {
    /// It is no topic, pattern or key, or data with a line break in it; or the supervisor does not know the request.
    Usage(String),
    /// The supervisor does not take this process for the one that it started.
    NotPermitted(String),
    /// More than 60,000 bytes of data.
    TooLarge(String),
    /// The store has all the keys or bytes that it may have.
    Full(String),
    /// The supervisor has too many connections.
    Busy(String),
    /// There is no answer: the supervisor cannot be reached, or was lost in the middle.
    Unavailable(String),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, text) = match self {
            Self::Usage(text) => ("wrong use", text),
            Self::NotPermitted(text) => ("not permitted", text),
            Self::TooLarge(text) => ("too large", text),
            Self::Full(text) => ("the store is full", text),
            Self::Busy(text) => ("the supervisor is busy", text),
            Self::Unavailable(text) => ("no answer from the supervisor", text),
        };
        if text.is_empty() { f.write_str(what) } else { write!(f, "{what}: {text}") }
    }
}

impl std::error::Error for ChannelError {}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._/-".contains(&byte)
}

/// A topic or a key, if it is one.
pub(super) fn name(text: &str) -> Result<&str, ChannelError> {
    let fine = text.len() <= LONGEST_NAME
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(is_name_byte);
    if fine {
        return Ok(text);
    }
    Err(ChannelError::Usage(format!(
        "{text:?} is not a name: letters, digits and . _ / -, beginning with a letter or digit, at most 128"
    )))
}

/// A topic, or one with `*` for any run of characters.
pub(super) fn pattern(text: &str) -> Result<&str, ChannelError> {
    let fine = text.len() <= LONGEST_NAME
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'*')
        && text.bytes().all(|byte| is_name_byte(byte) || byte == b'*');
    if fine {
        return Ok(text);
    }
    Err(ChannelError::Usage(format!("{text:?} is neither a topic nor a pattern of topics")))
}

/// Whether a pattern matches a topic.
pub(super) fn matches(pattern: &str, topic: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = topic.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Data that fits on a line of the protocol.
pub(super) fn data(text: &str) -> Result<&str, ChannelError> {
    if text.len() > LONGEST_DATA {
        return Err(ChannelError::TooLarge(format!("{} bytes of data, at most {LONGEST_DATA}", text.len())));
    }
    if text.contains('\n') {
        return Err(ChannelError::Usage("data is one line: there is a line break in it".to_owned()));
    }
    Ok(text)
}

/// Words for people: one line, and not too long for a line of the protocol.
pub(super) fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&mut line, LONGEST_TEXT);
    line
}

/// Cuts a text to at most so many bytes, between two characters.
pub(super) fn cut(text: &mut String, most: usize) {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
}

/// A line that came from the supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// The answer to the oldest request.
    Answer(&'a str),
    Message(Message),
    /// So many messages were lost here.
    Missed(u64),
    Stop(Stop),
}

pub(super) fn heard(line: &str) -> Heard<'_> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
    match kind {
        "msg" => {
            let (sender, data) = more.split_once(' ').unwrap_or((more, ""));
            Heard::Message(Message { topic: first.into(), sender: sender.into(), data: data.into() })
        }
        "missed" => Heard::Missed(first.parse().unwrap_or(1)),
        "stop" => {
            let kind = match first {
                "restart" => StopKind::Restart,
                "shutdown" => StopKind::Shutdown,
                _ => StopKind::Stop,
            };
            Heard::Stop(Stop { kind, why: more.to_owned() })
        }
        _ => Heard::Answer(line),
    }
}

/// The supervisor's answer to a request that had one of two good ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What follows the word.
    Good(String),
    /// `none`: there is no such key.
    Nothing,
    /// `error changed`: another version is there.
    Changed,
}

/// The answer, if it begins with `word` or is one of the two others; else the error that it is.
pub(super) fn answer(line: &str, word: &str) -> Result<Answer, ChannelError> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    if first == word {
        return Ok(Answer::Good(rest.to_owned()));
    }
    if line == "none" {
        return Ok(Answer::Nothing);
    }
    if first != "error" {
        return Err(ChannelError::Usage(format!("the supervisor answered {line:?}")));
    }
    let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let text = text.to_owned();
    Err(match code {
        "changed" => return Ok(Answer::Changed),
        "not-permitted" => ChannelError::NotPermitted(text),
        "too-large" => ChannelError::TooLarge(text),
        "full" => ChannelError::Full(text),
        "busy" => ChannelError::Busy(text),
        _ => ChannelError::Usage(text),
    })
}

/// The number that a good answer must be.
pub(super) fn number(text: &str) -> Result<u64, ChannelError> {
    let word = text.split(' ').next().unwrap_or_default();
    word.parse()
        .map_err(|_| ChannelError::Usage(format!("the supervisor answered {text:?} where a number was due")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "A/b-c_d.e", "7", &"x".repeat(128)] {
            assert_eq!(name(good), Ok(good));
        }
        for bad in ["", " a", "a b", "a\n", ".a", "*", "ä", &"x".repeat(129)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
        assert!(pattern("*").is_ok() && pattern("a/*").is_ok() && pattern("a b*").is_err());
    }

    #[test]
    fn patterns_match_any_run_of_characters() {
        let cases = [
            ("a*", "ab/c", true),
            ("a*", "ba", false),
            ("*/x", "a/b/x", true),
            ("a.b", "axb", false),
            ("a", "ab", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*", "anything", true),
            ("**", "a", true),
        ];
        for (pattern, topic, wanted) in cases {
            assert_eq!(matches(pattern, topic), wanted, "{pattern} {topic}");
        }
    }

    #[test]
    fn data_is_one_line_of_a_bounded_length() {
        assert!(data(&"x".repeat(LONGEST_DATA)).is_ok());
        assert!(matches!(data(&"x".repeat(LONGEST_DATA + 1)), Err(ChannelError::TooLarge(_))));
        assert!(matches!(data("a\nb"), Err(ChannelError::Usage(_))));
        assert_eq!(one_line(" a\n b "), "a b");
        assert!(one_line(&"ä".repeat(1000)).len() <= LONGEST_TEXT);
    }

    #[test]
    fn pushes_are_told_from_answers() {
        let message = |sender: &str, data: &str| {
            Heard::Message(Message { topic: "t".into(), sender: sender.into(), data: data.into() })
        };
        assert_eq!(heard("msg t web.1 a b  c"), message("web.1", "a b  c"));
        assert_eq!(heard("msg t operator "), message("operator", ""));
        assert_eq!(heard("missed 3"), Heard::Missed(3));
        let stop = Stop { kind: StopKind::Restart, why: "the file has changed".into() };
        assert_eq!(heard("stop restart the file has changed"), Heard::Stop(stop));
        for line in ["ok", "ok 3", "none", "value 1 msg", "keys msg", "error usage msg"] {
            assert_eq!(heard(line), Heard::Answer(line));
        }
    }

    #[test]
    fn answers_are_what_was_asked_for_or_an_error() {
        assert_eq!(answer("value 1 a b", "value"), Ok(Answer::Good("1 a b".into())));
        assert_eq!(answer("ok", "ok"), Ok(Answer::Good(String::new())));
        assert_eq!(answer("none", "value"), Ok(Answer::Nothing));
        assert_eq!(answer("error changed 7", "ok"), Ok(Answer::Changed));
        assert_eq!(answer("error full 1,024 keys", "ok"), Err(ChannelError::Full("1,024 keys".into())));
        assert!(matches!(answer("nonsense", "ok"), Err(ChannelError::Usage(_))));
        assert_eq!(ChannelError::Full("1,024 keys".into()).to_string(), "the store is full: 1,024 keys");
        assert!(number("x").is_err() && number("7 more") == Ok(7));
    }
}
