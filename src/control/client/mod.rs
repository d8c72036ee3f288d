//! The blocking client of the command: one connection per request, no runtime, no threads.
//!
//! In: a socket's path and a request. Out: the JSON of the answer, or a stream of events. Everything that is
//! read is bounded. Never add here: printing, exit codes, or a look for the socket (the command does that).

mod events;
mod http;
mod target;

pub use events::Events;
pub use target::{Target, brief_status, events, history, key, keys, logs, messages, settle, status, why};

use super::wire::{ErrorDto, ErrorKind};
use http::{Body, Head};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest successful answer: a status of 10,000 programs is about 6 MiB.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;
/// So much room is made for an answer before it has come.
const MAX_ROOM: u64 = 8 * 1024 * 1024;
/// The longest answer that says what went wrong.
const MAX_ERROR: u64 = 1024 * 1024;
/// A supervisor that takes over answers again within a second; the socket refuses meanwhile.
const TAKE_OVER: Duration = Duration::from_millis(1500);
/// The pause between two attempts to connect.
const RETRY: Duration = Duration::from_millis(25);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("nobody listens at {}", .0.display())]
    NoServer(PathBuf),
    /// The socket may not be used by this user.
    #[error("you may not use {}", .0.display())]
    NotPermitted(PathBuf),
    /// The connection ended before the answer was complete; whether the request was seen is unknown.
    #[error("the connection to the supervisor was lost: {0}")]
    Lost(io::Error),
    /// The answer did not come in time.
    #[error("the supervisor did not answer in time")]
    TimedOut,
    /// What came is not what a supervisor says.
    #[error("the answer is not understood: {0}")]
    Protocol(String),
    /// The supervisor said no.
    #[error("{}", .0.error.message)]
    Refused(Box<ErrorDto>),
}

/// A supervisor's socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The client of this socket; nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether somebody listens: connects, and says nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn probe(&self) -> Result<(), ClientError> {
        self.connect().map(drop)
    }

    /// Asks with GET. No part of the answer may let wait longer than `patience`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, target: &Target, patience: Duration) -> Result<T, ClientError> {
        decode(self.exchange("GET", target, &[], patience)?)
    }

    /// Orders with POST and a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn post<T: DeserializeOwned>(
        &self,
        target: &Target,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Protocol(error.to_string()))?;
        decode(self.exchange("POST", target, &body, patience)?)
    }

    /// Sets something with PUT and a JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn put<T: DeserializeOwned>(
        &self,
        target: &Target,
        body: &impl Serialize,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Protocol(error.to_string()))?;
        decode(self.exchange("PUT", target, &body, patience)?)
    }

    /// Removes something with DELETE.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn delete<T: DeserializeOwned>(&self, target: &Target, patience: Duration) -> Result<T, ClientError> {
        decode(self.exchange("DELETE", target, &[], patience)?)
    }

    /// Opens a stream of server-sent events. Between two events any time may pass: the server's keep-alive
    /// comments tell a quiet stream from a dead one, `patience` is counted between any two bytes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn stream(&self, target: &Target, patience: Duration) -> Result<Events, ClientError> {
        Ok(Events::new(self.exchange("GET", target, &[], patience)?))
    }

    /// Sends a request and reads the head of the answer. An answer that is no success becomes an error.
    fn exchange(
        &self,
        method: &str,
        target: &Target,
        body: &[u8],
        patience: Duration,
    ) -> Result<Body, ClientError> {
        let mut stream = self.connect()?;
        let lost = |error: io::Error| from_io(error);
        stream.set_read_timeout(Some(patience)).map_err(lost)?;
        stream.set_write_timeout(Some(patience)).map_err(lost)?;
        let head = format!(
            "{method} {} HTTP/1.1\r\nhost: sppm\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            target.as_str(),
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        // A server that refuses early may have closed its reading end; its answer is there all the same.
        let written = stream.write_all(&request);
        let mut reader = BufReader::new(stream);
        let head = match (Head::read(&mut reader), written) {
            (Ok(head), _) => head,
            (Err(_), Err(write)) => return Err(from_io(write)),
            (Err(read), Ok(())) => return Err(from_io(read)),
        };
        let body = Body::new(reader, head.framing);
        match head.status {
            200..=299 => Ok(body),
            status => Err(refusal(status, body)),
        }
    }

    /// Connects. A refused connection may be a take-over: it is tried again for a moment.
    fn connect(&self) -> Result<UnixStream, ClientError> {
        let until = Instant::now() + TAKE_OVER;
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => return Ok(stream),
                Err(error) => match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        return Err(ClientError::NotPermitted(self.socket.clone()));
                    }
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock
                        if Instant::now() < until =>
                    {
                        std::thread::sleep(RETRY);
                    }
                    _other => return Err(ClientError::NoServer(self.socket.clone())),
                },
            }
        }
    }
}

/// What an I/O error on an open connection means.
fn from_io(error: io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
        io::ErrorKind::InvalidData => ClientError::Protocol(error.to_string()),
        _other => ClientError::Lost(error),
    }
}

fn decode<T: DeserializeOwned>(body: Body) -> Result<T, ClientError> {
    let bytes = read_all(body, MAX_ANSWER)?;
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Protocol(error.to_string()))
}

fn read_all(body: Body, limit: u64) -> Result<Vec<u8>, ClientError> {
    // As much as is announced, within reason: growing by doubling would copy and touch twice as much memory.
    let mut bytes = Vec::with_capacity(body.announced().min(limit).min(MAX_ROOM) as usize);
    body.take(limit + 1).read_to_end(&mut bytes).map_err(from_io)?;
    match bytes.len() as u64 > limit {
        true => Err(ClientError::Protocol(format!("it is longer than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// Reads what an answer that is no success says.
fn refusal(status: u16, body: Body) -> ClientError {
    let bytes = match read_all(body, MAX_ERROR) {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    let error = serde_json::from_slice::<ErrorDto>(&bytes).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&bytes);
        let message = format!("HTTP status {status}: {}", text.trim().escape_debug());
        ErrorDto::new(ErrorKind::Failed, message)
    });
    ClientError::Refused(Box::new(error))
}

#[cfg(test)]
mod tests;
