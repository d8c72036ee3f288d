//! One-way messages to the supervisor: lines into the FIFO `$SPPM_NOTIFY`.

use super::{environment, rest, wire};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Of a line with its newline: what the kernel writes into a pipe in one piece (PIPE_BUF, pipe(7)).
const LONGEST: usize = 4096;

/// So long a line that matters waits for room in a full FIFO.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// `O_NONBLOCK` of Linux, which the standard library does not name: asm-generic/fcntl.h, and the two that differ.
const NONBLOCK: i32 = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    0x80
} else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
    0x4000
} else {
    0o4000
};

/// Writes `word text` as one line into this FIFO; whether it went in.
pub(super) fn send_to(fifo: &Path, word: &str, text: &str, patience: Duration) -> bool {
    // Without a reader this fails at once and does not wait for one. Opened anew each time: a descriptor that is kept
    // may become another file in a program that closes all it has.
    let Ok(mut file) = File::options().write(true).custom_flags(NONBLOCK).open(fifo) else { return false };
    let line = line(word, text);
    let deadline = Instant::now() + patience;
    loop {
        match file.write(&line) {
            Ok(count) => return count == line.len(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !rest::before_another_look(deadline) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
}

/// The same for the supervisor of this process, where there is one.
pub(super) fn send(word: &str, text: &str, patience: Duration) -> bool {
    environment::path("SPPM_NOTIFY").is_some_and(|fifo| send_to(&fifo, word, text, patience))
}

/// One line without line breaks, cut to what fits, between two characters.
fn line(word: &str, text: &str) -> Vec<u8> {
    let mut line = word.to_owned();
    for part in text.split_whitespace() {
        line.push(' ');
        line.push_str(part);
    }
    wire::cut(&mut line, LONGEST - 1);
    line.push('\n');
    line.into_bytes()
}

/// This program can do its job now: others that wait for it are started (`ready: notify`).
///
/// Answers whether the supervisor was told; so do the others here. None of them is ever an error.
pub fn ready() -> bool {
    send("ready", "", PATIENCE)
}

/// This program is not stuck (`watchdog`).
pub fn beat() -> bool {
    send("beat", "", Duration::ZERO)
}

/// One more request is done: they are counted for `recycle.max_requests`.
pub fn request() -> bool {
    send("request", "", PATIENCE)
}

/// What this program is doing, in a few words, shown by `sppm status`.
pub fn status(text: &str) -> bool {
    send("status", text, Duration::ZERO)
}

/// Asks the supervisor to restart this program when no task is open any more; `why` is for people and may be empty.
pub fn request_restart(why: &str) -> bool {
    send("restart-me", why, PATIENCE)
}

/// Asks the supervisor to stop this program when no task is open any more; `why` is for people and may be empty.
pub fn request_stop(why: &str) -> bool {
    send("stop-me", why, PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_not_too_long() {
        assert_eq!(line("ready", ""), b"ready\n");
        assert_eq!(line("status", " a\nb\t c "), b"status a b c\n");
        let long = line("status", &"界".repeat(3000));
        assert!(long.len() <= LONGEST && long.len() > LONGEST - 4, "{}", long.len());
        assert!(std::str::from_utf8(&long).is_ok(), "cut in a character");
    }
}
