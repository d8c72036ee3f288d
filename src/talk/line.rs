//! Lines of `SPPM_NOTIFY`: from bytes to lines, and what a line says.

use super::text::{beginning, topic};
use crate::model::Saying;

/// The longest line, in bytes, with its newline: what one write(2) into a pipe puts there in one piece (PIPE_BUF).
pub const MAX_LINE: usize = 4096;

/// Puts lines together from what is read.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line so far, at most [`MAX_LINE`] bytes.
    begun: Vec<u8>,
    /// The line is longer than that, which was said.
    too_long: bool,
}

impl Lines {
    /// Takes what was read, and calls `line` with each complete line, without its newline. One that is too long is told
    /// once, as `Err` with its beginning, and the rest of it is left out.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(Result<&[u8], &[u8]>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (piece, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.too_long {
                self.too_long = false;
            } else if self.begun.len() + piece.len() >= MAX_LINE {
                self.begun.extend_from_slice(piece);
                line(Err(&self.begun));
            } else if self.begun.is_empty() {
                line(Ok(piece));
            } else {
                self.begun.extend_from_slice(piece);
                line(Ok(&self.begun));
            }
            self.begun.clear();
            bytes = rest;
        }
        if self.too_long {
            return;
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() >= MAX_LINE {
            line(Err(&self.begun));
            self.too_long = true;
            self.begun = Vec::new();
        }
    }
}

/// What a line says; `None`: it is empty. Text that is not UTF-8 is repaired.
pub(super) fn saying(line: &[u8]) -> Option<Saying> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim_start();
    let some = || (!rest.is_empty()).then(|| rest.to_owned());
    let bare = |saying: Saying| rest.is_empty().then_some(saying);
    let known = match word {
        "" => return None,
        "ready" => bare(Saying::Ready),
        "busy" => Some(Saying::Busy(some())),
        "idle" => bare(Saying::Idle),
        "beat" => bare(Saying::Beat),
        "request" => bare(Saying::Request),
        "status" => Some(Saying::Status(rest.to_owned())),
        "restart-me" => Some(Saying::RestartMe(some())),
        "stop-me" => Some(Saying::StopMe(some())),
        "pub" => {
            let (name, data) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            topic(name).map(|topic| Saying::Publish { topic, data: data.to_owned() })
        }
        _ => None,
    };
    Some(known.unwrap_or_else(|| Saying::Unknown(beginning(line))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn say(line: &str) -> Saying {
        saying(line.as_bytes()).unwrap()
    }

    #[test]
    fn every_word_is_understood_and_nothing_else() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(say("ready"), Saying::Ready);
        assert_eq!(say(" ready \r"), Saying::Ready);
        assert_eq!(say("busy"), Saying::Busy(None));
        assert_eq!(say("busy  page 7 of 9 "), Saying::Busy(some("page 7 of 9")));
        assert_eq!(say("idle"), Saying::Idle);
        assert_eq!(say("beat"), Saying::Beat);
        assert_eq!(say("request"), Saying::Request);
        assert_eq!(say("status grüezi"), Saying::Status("grüezi".to_owned()));
        assert_eq!(say("status"), Saying::Status(String::new()));
        assert_eq!(say("restart-me"), Saying::RestartMe(None));
        assert_eq!(say("restart-me leak"), Saying::RestartMe(some("leak")));
        assert_eq!(say("stop-me done"), Saying::StopMe(some("done")));
        let message =
            |topic: &str, data: &str| Saying::Publish { topic: topic.to_owned(), data: data.to_owned() };
        assert_eq!(say("pub a/b.c {\"x\": 1}"), message("a/b.c", "{\"x\": 1}"));
        assert_eq!(say("pub a"), message("a", ""));
        for unknown in ["ready now", "READY", "pub", "pub /a b", "pub a*b c", "beats", "\u{1b}[2J", "\0"] {
            assert_eq!(say(unknown), Saying::Unknown(beginning(unknown.as_bytes())), "{unknown}");
        }
        assert_eq!(saying(b""), None);
        assert_eq!(saying(b" \t\r"), None);
        assert_eq!(say("status \u{fffd}"), saying(b"status \xff").unwrap());
    }

    fn lines(pieces: &[&[u8]]) -> Vec<Result<String, usize>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| {
                found.push(line.map(|line| String::from_utf8(line.to_vec()).unwrap()).map_err(<[u8]>::len));
            });
        }
        found
    }

    #[test]
    fn lines_are_put_together_and_long_ones_are_told_once() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(lines(&[b"a\nbc", b"d\n\ne"]), [ok("a"), ok("bcd"), ok("")]);
        let longest = [b'x'; MAX_LINE - 1];
        let over = [b'x'; MAX_LINE];
        assert_eq!(lines(&[&longest, b"\nb\n"]), [ok(&"x".repeat(MAX_LINE - 1)), ok("b")]);
        assert_eq!(lines(&[&over, b"\nb\n"]), [Err(MAX_LINE), ok("b")]);
        assert_eq!(lines(&[&over, &over, b"yy", b"z\nb\n"]), [Err(MAX_LINE), ok("b")]);
        assert_eq!(lines(&[b"ab", &longest, b"\nb\n"]), [Err(MAX_LINE + 1), ok("b")]);
        assert_eq!(lines(&[b"a", &over, b"\nb\n"]), [Err(MAX_LINE + 1), ok("b")]);
    }
}
