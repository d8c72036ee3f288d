//! `sppm busy`: runs a command, and has the program around it busy as long as that lives.
//!
//! The mark is a connection to `SPPM_SOCKET`, held by a thread that makes it again when sppm is replaced. It ends with this
//! process, however that ends. Language: clients/python/PROTOCOL.md.

use super::Outcome;
use crate::cli::args::Busy;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::wire::ErrorKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::iterator::Signals;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// What is passed on.
const PASSED: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
/// So long CMD waits for the mark at most: a supervisor that is just being replaced is back by then.
const PATIENCE: Duration = Duration::from_secs(3);
/// So long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST: u64 = 64 * 1024;
/// Pauses between two attempts: a supervisor that was replaced must hear of the mark within 2 seconds.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// The longest text of the mark, in characters.
const WORDS: usize = 1000;

pub(super) fn busy(session: &Session<'_>, args: &Busy) -> Outcome {
    // First: what comes from now on reaches the command, however soon.
    let mut signals = catch().map_err(|error| failed(&format!("cannot catch signals: {error}")))?;
    if let Err(why) = mark(session, args.what.as_deref())
        && !session.terminal.quiet
    {
        session.terminal.error_text(&format!("sppm busy: {why}; the command runs without the mark\n"));
    }
    let Some((program, arguments)) = args.command.split_first() else { return Err(failed("no command")) };
    let mut child = match Command::new(program).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => {
            let mut failure = crate::control::wire::ErrorDto::new(
                ErrorKind::Failed,
                format!("cannot run {}: {error}", program.display()),
            );
            // As shells have it.
            failure.error.exit_code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            return Err(failure.into());
        }
    };
    let status =
        attend(&mut child, &mut signals).map_err(|error| failed(&format!("cannot wait for it: {error}")))?;
    Ok(code(status))
}

fn failed(message: &str) -> Failure {
    Failure::new(ErrorKind::Failed, message)
}

/// Collects what is to be passed on, and the news of the child's end. By handlers, which end with an exec: a mask would be the
/// child's too. What is ignored, as by nohup(1), stays so, for the child too.
fn catch() -> io::Result<Signals> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let heeded = PASSED.into_iter().filter(|signal| ignored >> (*signal as i32 - 1) & 1 == 0);
    Signals::new(heeded.chain([Signal::SIGCHLD]).map(|signal| signal as i32))
}

/// Waits for the child's end and passes signals on. Only here it is reaped, so its number is its own all the while.
fn attend(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for signal in signals.wait().filter_map(|number| Signal::try_from(number).ok()) {
            let by_a_key = matches!(signal, Signal::SIGINT | Signal::SIGQUIT) && in_the_foreground();
            if PASSED.contains(&signal) && !by_a_key {
                // It may not be ours to signal (setuid): then it is asked by somebody else.
                let _ = kill(pid, signal);
            }
        }
    }
}

/// Whether the keys of a terminal reach us, and so the child, which is of the same process group.
fn in_the_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    let foreground = terminal.ok().and_then(|terminal| rustix::termios::tcgetpgrp(terminal).ok());
    foreground == Some(rustix::process::getpgrp())
}

/// As shells have it: 128 + N for signal N.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|number| 128 + number));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Has the mark set, and kept from now on. The error says why it is not there; where a supervisor may come back, it is
/// tried on.
fn mark(session: &Session<'_>, what: Option<&str>) -> Result<(), String> {
    let variable = |name: &str| session.place.environment.get(name).filter(|value| !value.is_empty());
    let (Some(socket), Some(run)) = (variable("SPPM_SOCKET"), variable("SPPM_RUN")) else {
        return Err("sppm did not start this (SPPM_SOCKET and SPPM_RUN are not set)".to_owned());
    };
    let what: String = what.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let what: String = what.chars().take(WORDS).collect();
    let holder = Holder {
        socket: PathBuf::from(socket),
        hello: format!("hello {run}\n"),
        busy: format!("busy {what}").trim_end().to_owned() + "\n",
    };
    let (sender, marked) = mpsc::channel();
    // It ends with this process.
    std::thread::Builder::new()
        .name("busy".to_owned())
        .spawn(move || holder.hold(&sender))
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    await_mark(&marked, Instant::now() + PATIENCE, socket)
}

/// Waits for the first success, and keeps the last reason against it.
fn await_mark(marked: &Receiver<Result<(), String>>, until: Instant, socket: &str) -> Result<(), String> {
    let mut trouble = format!("{socket} does not answer");
    loop {
        match marked.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => trouble = error,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(trouble),
        }
    }
}

/// What the thread says, again and again.
struct Holder {
    socket: PathBuf,
    hello: String,
    busy: String,
}

impl Holder {
    fn hold(&self, told: &Sender<Result<(), String>>) {
        let mut pause = PAUSES.0;
        loop {
            match self.connect() {
                Ok(mut connection) => {
                    // Who waited has gone on by now.
                    let _ = told.send(Ok(()));
                    pause = PAUSES.0;
                    until_cut(&mut connection);
                }
                Err(error) => {
                    let _ = told.send(Err(format!("{}: {error}", self.socket.display())));
                }
            }
            // No event tells that a supervisor which is gone has a successor that listens.
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Connects, says who it is and that it is busy.
    fn connect(&self) -> io::Result<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        stream.write_all(self.hello.as_bytes())?;
        let mut reader = BufReader::new(stream);
        expect_ok(&mut reader)?;
        reader.get_mut().write_all(self.busy.as_bytes())?;
        expect_ok(&mut reader)?;
        reader.get_ref().set_read_timeout(None)?;
        Ok(reader)
    }
}

fn expect_ok(reader: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    reader.by_ref().take(LONGEST).read_line(&mut line)?;
    match line.trim_end() {
        "" => Err(io::ErrorKind::UnexpectedEof.into()),
        answer if answer == "ok" || answer.starts_with("ok ") => Ok(()),
        other => {
            Err(io::Error::other(other.strip_prefix("error ").unwrap_or(other).escape_debug().to_string()))
        }
    }
}

/// Nothing is said unasked here but a stop, which is none of ours: reads until the other end is gone.
fn until_cut(reader: &mut impl BufRead) {
    while let Ok(bytes) = reader.fill_buf() {
        match bytes.len() {
            0 => return,
            count => reader.consume(count),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn exit_codes_are_those_of_shells() {
        assert_eq!(code(ExitStatus::from_raw(0)), 0);
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(15)), 143);
    }

    #[test]
    fn the_mark_is_made_again_when_the_supervisor_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let holder = Holder { socket: socket.clone(), hello: "hello r\n".into(), busy: "busy it\n".into() };
        let (sender, marked) = mpsc::channel();
        std::thread::spawn(move || holder.hold(&sender));
        for _ in 0..2 {
            let listener = UnixListener::bind(&socket).unwrap();
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut lines = String::new();
            reader.read_line(&mut lines).unwrap();
            reader.get_mut().write_all(b"ok a\n").unwrap();
            reader.read_line(&mut lines).unwrap();
            reader.get_mut().write_all(b"ok\n").unwrap();
            assert_eq!(lines, "hello r\nbusy it\n");
            let mut until = Instant::now() + Duration::from_secs(20);
            assert_eq!(await_mark(&marked, until, "s"), Ok(()));
            std::fs::remove_file(&socket).unwrap();
            drop((reader, listener));
            until = Instant::now() + Duration::from_millis(50);
            assert!(await_mark(&marked, until, "s").is_err());
        }
    }
}
