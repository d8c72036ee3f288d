//! Runs the command, with a limit, and keeps what it said.

use super::wait::{LIMIT, wait_for};
use super::{Proc, pause};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a finished command said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// As typed, for messages.
    pub line: String,
    /// Its exit code; `None` = it was ended by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Answer {
    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "`{}` ended otherwise\n{}", self.line, self.all());
        self
    }

    /// Fails the test unless the command did what it was asked to.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect_code(0)
    }

    /// Fails the test unless `text` is in what it said.
    #[track_caller]
    pub fn expect_text(self, text: &str) -> Self {
        assert!(self.all().contains(text), "`{}` does not say {text:?}\n{}", self.line, self.all());
        self
    }

    /// Both streams, marked.
    pub fn all(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}\n--- took {:?}", self.stdout, self.stderr, self.took)
    }
}

/// Runs `command` to its end and reads both streams to theirs. A command that leaves a stream open in a background
/// process, or does not end, fails the test: both would hang a script.
#[track_caller]
pub fn finish(mut command: Command, limit: Duration) -> Answer {
    let line = describe(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{line}`: {error}"));
    let stdout = read_aside(child.stdout.take().expect("piped"));
    let stderr = read_aside(child.stderr.take().expect("piped"));
    let status = wait(&mut child, limit);
    let took = start.elapsed();
    let rest = Duration::from_secs(5);
    let text = |stream: &mpsc::Receiver<Vec<u8>>| stream.recv_timeout(rest).ok();
    let (out, err) = (text(&stdout), text(&stderr));
    let closed = out.is_some() && err.is_some();
    let words = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let (stdout, stderr) = (words(out), words(err));
    let Some(status) = status else {
        panic!("`{line}` did not end within {limit:?}\n{stdout}\n{stderr}");
    };
    assert!(closed, "`{line}` ended, but something it started still holds its output");
    Answer { line, code: status.code(), stdout, stderr, took }
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn read_aside(mut stream: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A broken stream ends it, as its end does.
        let _result = stream.read_to_end(&mut bytes);
        let _nobody_waits = sender.send(bytes);
    });
    receiver
}

/// Waits for the end of a child; kills it at the limit and answers `None`.
pub fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            return Some(status);
        }
        if start.elapsed() > limit {
            child.kill().expect("our own child");
            child.wait().expect("our own child");
            return None;
        }
        pause(Duration::from_millis(5));
    }
}

/// A command that goes on while the test does other things. Killed when dropped.
pub struct Background {
    pub child: Child,
    out: PathBuf,
    err: PathBuf,
    line: String,
}

impl Background {
    /// Starts `command` with its output in two files whose names begin with `name`.
    pub fn start(mut command: Command, name: &std::path::Path) -> Self {
        let line = describe(&command);
        let (out, err) = (name.with_extension("out"), name.with_extension("err"));
        let create = |path: &PathBuf| fs::File::create(path).expect("a file for output");
        command.stdin(Stdio::null()).stdout(create(&out)).stderr(create(&err));
        let child = command.spawn().unwrap_or_else(|error| panic!("`{line}`: {error}"));
        Self { child, out, err, line }
    }

    pub fn proc(&self) -> Proc {
        Proc::of(self.child.id()).expect("an unreaped child")
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        self.proc().signal(signal);
    }

    /// Waits until its output contains `text`.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        wait_for(&format!("`{}` says {text:?}", self.line), || {
            if self.stdout().contains(text) || self.stderr().contains(text) {
                return Some(());
            }
            if let Some(status) = self.child.try_wait().expect("our own child") {
                panic!(
                    "`{}` ended ({status}) before it said {text:?}\n{}\n{}",
                    self.line,
                    self.stdout(),
                    self.stderr()
                );
            }
            None
        });
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> Answer {
        let start = Instant::now();
        let Some(status) = wait(&mut self.child, LIMIT) else {
            panic!("`{}` did not end\n{}\n{}", self.line, self.stdout(), self.stderr());
        };
        Answer {
            line: self.line.clone(),
            code: status.code(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            took: start.elapsed(),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // It may have ended meanwhile; then there is nothing to do.
            let _gone = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
