//! One event of a stream of log lines.

use serde::{Deserialize, Serialize};

/// One server-sent event of `GET /v1/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LogItem {
    /// A line, without its newline.
    Line {
        /// Which instance wrote it.
        name: String,
        /// `stdout` or `stderr`.
        stream: String,
        /// The line; bytes that are not UTF-8 appear as U+FFFD.
        text: String,
        /// The very bytes, where they are not UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<Vec<u8>>,
    },
    /// The reader was too slow: so many lines were left out here.
    Missed {
        /// How many.
        lines: u64,
    },
    /// Something for people that is no line of a program: "no log file yet".
    Note {
        /// The sentence.
        text: String,
    },
}

impl LogItem {
    /// A line of any bytes, without its newline.
    pub fn line(name: impl Into<String>, stream: impl Into<String>, line: &[u8]) -> Self {
        let (text, bytes) = match std::str::from_utf8(line) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (String::from_utf8_lossy(line).into_owned(), Some(line.to_vec())),
        };
        Self::Line { name: name.into(), stream: stream.into(), text, bytes }
    }
}
