//! HTTP/1.1 answers, read with bounds: head, length, chunks. In: a buffered stream. Out: status and body.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;

/// The longest head, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The longest line that announces a chunk.
const MAX_CHUNK_LINE: usize = 256;
/// The most header fields.
const MAX_FIELDS: usize = 64;
/// The most interim answers (1xx) before the real one.
const MAX_INTERIM: u32 = 8;

/// How the end of a body is told (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What matters of an answer's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) framing: Framing,
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Head {
    /// Reads a head, skipping interim ones, and not a byte more than that.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        for _ in 0..MAX_INTERIM {
            let head = Self::parse(&read_head(reader)?)?;
            if !(100..200).contains(&head.status) {
                return Ok(head);
            }
        }
        Err(invalid("too many interim answers"))
    }

    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(invalid("the head is incomplete")),
            Err(error) => return Err(invalid(&format!("the head is not HTTP: {error}"))),
        }
        let status = response.code.ok_or_else(|| invalid("no status"))?;
        Ok(Self { status, framing: framing(status, response.headers)? })
    }
}

fn framing(status: u16, fields: &[httparse::Header<'_>]) -> io::Result<Framing> {
    let mut length = None;
    let mut chunked = false;
    for field in fields {
        let value = std::str::from_utf8(field.value).unwrap_or("?").trim();
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case("chunked") {
                return Err(invalid("unknown transfer encoding"));
            }
            chunked = true;
        } else if field.name.eq_ignore_ascii_case("content-length") {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let number = value.parse().ok().filter(|_| digits && length.is_none());
            length = Some(number.ok_or_else(|| invalid("unclear content length"))?);
        }
    }
    match (chunked, length, status) {
        (true, Some(_), _) => Err(invalid("both a length and chunks")),
        (true, None, _) => Ok(Framing::Chunked),
        (false, Some(length), _) => Ok(Framing::Length(length)),
        (false, None, 204 | 304) => Ok(Framing::Length(0)),
        (false, None, _) => Ok(Framing::UntilClose),
    }
}

/// Reads up to and with the empty line.
fn read_head(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let line_start = head.len();
        let room = (MAX_HEAD - line_start) as u64;
        reader.by_ref().take(room).read_until(b'\n', &mut head)?;
        let line = &head[line_start..];
        if !line.ends_with(b"\n") {
            return Err(match head.len() >= MAX_HEAD {
                true => invalid("the head is too long"),
                false => io::ErrorKind::UnexpectedEof.into(),
            });
        }
        if matches!(line, b"\r\n" | b"\n") && line_start > 0 {
            return Ok(head);
        }
    }
}

/// A body, unframed. An end that comes too early is an error, not an end.
#[derive(Debug)]
pub(super) struct Body<R = BufReader<UnixStream>> {
    reader: R,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Length(u64),
    UntilClose,
    /// Inside a chunk: so many bytes and a line end are left.
    Chunk(u64),
    /// Before the line that announces a chunk.
    Between,
    Done,
}

impl<R: BufRead> Body<R> {
    pub(super) fn new(reader: R, framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Between,
            Framing::UntilClose => State::UntilClose,
        };
        Self { reader, state }
    }

    /// How many bytes are to come, as far as that was said.
    pub(super) fn announced(&self) -> u64 {
        match self.state {
            State::Length(length) => length,
            State::UntilClose | State::Chunk(_) | State::Between | State::Done => 0,
        }
    }

    /// Reads the line that announces a chunk, extensions ignored; after the last one, the trailer.
    fn announce(&mut self) -> io::Result<State> {
        let line = self.line()?;
        let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|text| {
                !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
            })
            .and_then(|text| u64::from_str_radix(text, 16).ok())
            .ok_or_else(|| invalid("a chunk without a size"))?;
        if size > 0 {
            return Ok(State::Chunk(size));
        }
        for _ in 0..MAX_FIELDS {
            if self.line()?.is_empty() {
                return Ok(State::Done);
            }
        }
        Err(invalid("the trailer is too long"))
    }

    /// A short line without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.by_ref().take(MAX_CHUNK_LINE as u64).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(match line.is_empty() {
                true => io::ErrorKind::UnexpectedEof.into(),
                false => invalid("a chunk's line is cut off or too long"),
            });
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// Reads at most `left` bytes into `buffer`; an end of input is an error.
    fn some(&mut self, buffer: &mut [u8], left: u64) -> io::Result<u64> {
        let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match self.reader.read(&mut buffer[..room])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count as u64),
        }
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Done | State::Length(0) => return Ok(0),
                State::UntilClose => return self.reader.read(buffer),
                State::Length(left) => {
                    let count = self.some(buffer, left)?;
                    self.state = State::Length(left - count);
                    return Ok(count as usize);
                }
                State::Between => self.state = self.announce()?,
                State::Chunk(0) => {
                    if !self.line()?.is_empty() {
                        return Err(invalid("a chunk is longer than announced"));
                    }
                    self.state = State::Between;
                }
                State::Chunk(left) => {
                    let count = self.some(buffer, left)?;
                    self.state = State::Chunk(left - count);
                    return Ok(count as usize);
                }
            }
        }
    }
}
