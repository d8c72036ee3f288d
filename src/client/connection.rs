//! A connection to `$SPPM_SOCKET` that is made again when it breaks.
//!
//! Requests are lines, each has one answer line, in order. What lasts (subscriptions, a busy mark) is said again at each
//! new connection. One thread reads; it exists from the first request on, and ends with the channel.

use super::wire::{self, ChannelError, Heard};
use super::{locked, wire::Answer};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Pauses between two attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// The answer to `hello`, and room in the socket for a line of ours.
const PATIENCE: Duration = Duration::from_secs(5);

/// A line of the supervisor: far above what the protocol has, and a bound all the same.
const LONGEST_LINE: u64 = 1 << 20;

/// What is said again at each new connection.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    /// The busy mark, with its text, which may be empty.
    pub(super) busy: Option<String>,
    /// Patterns, and how many subscriptions each has.
    pub(super) patterns: BTreeMap<String, usize>,
    pub(super) waits_for_stop: bool,
}

impl Lasting {
    fn lines(&self) -> Vec<String> {
        let busy = self.busy.iter().map(|what| busy_line(what));
        let patterns = self.patterns.keys().map(|pattern| format!("sub {pattern}"));
        busy.chain(patterns).chain(self.waits_for_stop.then(|| "wait-stop".to_owned())).collect()
    }
}

pub(super) fn busy_line(what: &str) -> String {
    format!("busy {what}").trim_end().to_owned()
}

type Waiting = mpsc::SyncSender<String>;
type Answers = mpsc::Receiver<String>;

/// What was pushed goes to this.
type Pushed = Box<dyn Fn(Heard<'_>) + Send + Sync>;

/// See the head of this file.
pub(super) struct Connection {
    path: PathBuf,
    run: String,
    pushed: Pushed,
    /// Held while something is said, and while what lasts is changed: so nothing is said twice or forgotten.
    said: Mutex<Said>,
    /// Requests without an answer yet, the oldest first. Apart: the reader must not wait for somebody who writes.
    waiting: Mutex<VecDeque<Waiting>>,
    up: Mutex<Up>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    /// The side that is written to, where there is a connection.
    stream: Option<UnixStream>,
    lasting: Lasting,
}

#[derive(Default)]
struct Up {
    started: bool,
    connected: bool,
    closed: bool,
    trouble: String,
}

impl Connection {
    pub(super) fn new(path: PathBuf, run: String, pushed: Pushed) -> Arc<Self> {
        let (said, waiting) = (Mutex::default(), Mutex::default());
        Arc::new(Self { path, run, pushed, said, waiting, up: Mutex::default(), changed: Condvar::new() })
    }

    /// Begins to connect; returns at once.
    pub(super) fn start(self: &Arc<Self>) {
        let mut up = locked(&self.up);
        if up.started || up.closed {
            return;
        }
        let own = Arc::clone(self);
        let thread = std::thread::Builder::new().name("sppm-channel".to_owned());
        match thread.spawn(move || own.serve()) {
            Ok(_) => up.started = true,
            Err(error) => up.trouble = error.to_string(), // asked again at the next request
        }
    }

    /// Sends a request and waits for its answer; `again`: once more where the answer was lost.
    pub(super) fn call(
        self: &Arc<Self>,
        line: &str,
        again: bool,
        timeout: Duration,
    ) -> Result<String, ChannelError> {
        let deadline = Instant::now() + timeout;
        self.start();
        loop {
            self.connected(deadline)?;
            let Some(answers) = self.say(line) else { continue };
            match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(answer) => return Ok(answer),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(ChannelError::Unavailable(format!("none within {timeout:?}")));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) if again => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(ChannelError::Unavailable("the connection was lost before it".to_owned()));
                }
            }
        }
    }

    /// The same for a request whose answer begins with `word`.
    pub(super) fn ask(
        self: &Arc<Self>,
        line: &str,
        word: &str,
        again: bool,
        timeout: Duration,
    ) -> Result<Answer, ChannelError> {
        wire::answer(&self.call(line, again, timeout)?, word)
    }

    /// Changes what lasts, in any case, and says it: once, but for a connection that breaks meanwhile.
    pub(super) fn declare(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Lasting),
        line: &str,
        timeout: Duration,
    ) -> Result<(), ChannelError> {
        let deadline = Instant::now() + timeout;
        self.start();
        let connected = self.connected(deadline);
        let answers = {
            let mut said = locked(&self.said);
            change(&mut said.lasting);
            self.put(&mut said, line)
        };
        connected?;
        let left = || deadline.saturating_duration_since(Instant::now());
        let answer = answers.and_then(|answers| answers.recv_timeout(left()).ok());
        let answer = answer.map_or_else(|| self.call(line, true, left()), Ok)?;
        wire::answer(&answer, "ok").map(|_| ())
    }

    /// Changes what lasts and, where the change answers so, says it if there is a connection. Waits for nothing.
    pub(super) fn note(self: &Arc<Self>, change: impl FnOnce(&mut Lasting) -> bool, line: &str) {
        let mut said = locked(&self.said);
        if change(&mut said.lasting) {
            // Its answer has nobody who waits for it.
            drop(self.put(&mut said, line));
        }
    }

    /// Ends it for good.
    pub(super) fn close(&self) {
        let mut up = locked(&self.up);
        up.closed = true;
        drop(up);
        self.changed.notify_all();
        if let Some(stream) = &locked(&self.said).stream {
            hang_up(stream);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        locked(&self.up).closed
    }

    fn say(&self, line: &str) -> Option<Answers> {
        self.put(&mut locked(&self.said), line)
    }

    /// Writes a line; `None` without a connection. A line that is lost disconnects its receiver.
    fn put(&self, said: &mut Said, line: &str) -> Option<Answers> {
        let stream = said.stream.as_mut()?;
        let (sender, answers) = mpsc::sync_channel(1);
        locked(&self.waiting).push_back(sender);
        if stream.write_all(format!("{line}\n").as_bytes()).is_err() {
            hang_up(stream); // half of it may have gone out; the reader sees the end, and tells all who wait
        }
        Some(answers)
    }

    fn connected(&self, deadline: Instant) -> Result<(), ChannelError> {
        let mut up = locked(&self.up);
        loop {
            if up.closed {
                return Err(ChannelError::Unavailable("the channel is closed".to_owned()));
            }
            if up.connected {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ChannelError::Unavailable(up.trouble.clone()));
            }
            up = self.changed.wait_timeout(up, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The life of the thread.
    fn serve(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.is_closed() {
            let ended = self.greet().and_then(|mut lines| {
                pause = FIRST_PAUSE;
                self.hear(&mut lines)
            });
            self.lose(ended.err());
            let up = locked(&self.up);
            if !up.closed {
                drop(self.changed.wait_timeout_while(up, pause, |up| !up.closed));
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Connects, says hello and all that lasts.
    fn greet(&self) -> io::Result<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(stream.try_clone()?);
        stream.write_all(format!("hello {}\n", self.run).as_bytes())?;
        let answer = next(&mut lines)?;
        wire::answer(&answer, "ok").map_err(io::Error::other)?;
        stream.set_read_timeout(None)?;
        let mut said = locked(&self.said);
        let lasting = said.lasting.lines();
        said.stream = Some(stream);
        for line in lasting {
            drop(self.put(&mut said, &line));
        }
        drop(said);
        locked(&self.up).connected = true;
        self.changed.notify_all();
        if self.is_closed() {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(lines)
    }

    fn hear(&self, lines: &mut BufReader<UnixStream>) -> io::Result<()> {
        loop {
            let line = next(lines)?;
            match wire::heard(&line) {
                Heard::Answer(answer) => {
                    if let Some(waiting) = locked(&self.waiting).pop_front() {
                        // Who asked may have given up.
                        let _gone = waiting.try_send(answer.to_owned());
                    }
                }
                push => (self.pushed)(push),
            }
        }
    }

    fn lose(&self, error: Option<io::Error>) {
        let mut said = locked(&self.said);
        if let Some(stream) = said.stream.take() {
            hang_up(&stream);
        }
        {
            let mut up = locked(&self.up);
            up.connected = false;
            up.trouble = error.map_or_else(String::new, |error| error.to_string());
        }
        // Dropped, each tells its receiver that there will be no answer.
        locked(&self.waiting).clear();
    }
}

/// The next line, without its end.
fn next(lines: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = Vec::new();
    lines.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(ErrorKind::ConnectionReset, "the supervisor closed the connection"));
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn hang_up(stream: &UnixStream) {
    // An error means that it is not connected any more.
    let _gone = stream.shutdown(Shutdown::Both);
}
