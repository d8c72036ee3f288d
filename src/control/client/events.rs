//! Server-sent events out of a body, one text each.

use super::http::Body;
use super::{ClientError, from_io};
use std::io::{BufRead, BufReader, Read};

/// The longest line of an event, in bytes.
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// The data of server-sent events, one after the other (the format of the WHATWG HTML standard, 9.2).
/// Comments and other fields are skipped. Ends with the stream's orderly end; a cut connection is an error.
#[derive(Debug)]
pub struct Events {
    reader: BufReader<Body>,
    line: Vec<u8>,
    data: String,
}

impl Events {
    pub(super) fn new(body: Body) -> Self {
        Self { reader: BufReader::new(body), line: Vec::new(), data: String::new() }
    }

    /// The next event's data.
    fn event(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            self.line.clear();
            self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut self.line).map_err(from_io)?;
            if self.line.is_empty() {
                return Ok(None);
            }
            if self.line.pop() != Some(b'\n') {
                return Err(ClientError::Protocol("an event is cut off or too long".to_owned()));
            }
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            if let Some(rest) = line.strip_prefix(b"data:") {
                let rest = rest.strip_prefix(b" ").unwrap_or(rest);
                let text = std::str::from_utf8(rest)
                    .map_err(|_| ClientError::Protocol("an event that is not UTF-8".to_owned()))?;
                if self.data.len() + text.len() > MAX_LINE as usize {
                    return Err(ClientError::Protocol("an event is too long".to_owned()));
                }
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(text);
            } else if line.is_empty() && !self.data.is_empty() {
                return Ok(Some(std::mem::take(&mut self.data)));
            }
        }
    }
}

impl Iterator for Events {
    type Item = Result<String, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.event().transpose()
    }
}
