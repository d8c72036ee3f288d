//! Starting: the keeper in the foreground, or both in the background as a daemon.

use super::options::{Mode, Options, StartError};
use super::voice::MARK;
use crate::keeper::{self, KeeperOptions};
use std::io::Read;
use std::process::{Command, Stdio};

/// Becomes the keeper of `options.config`, and stays it until the end. Returns its exit code.
pub fn run_foreground(options: &Options) -> u8 {
    // It may have been executed through /proc/self/exe, which would show as `exe`.
    crate::linux::proc::set_own_name(c"sppm");
    crate::linux::memory::be_frugal();
    let code = keeper::run(&KeeperOptions { supervisor_argv: options.arguments("supervise") });
    u8::try_from(code).unwrap_or(70)
}

/// Starts a supervisor that outlives this command, and returns as soon as it answers.
///
/// A process in between starts a session of its own and ends (a double fork), so that the keeper belongs to no terminal
/// and is nobody's child here. Nothing of the caller's output is inherited.
///
/// # Errors
/// What the supervisor said before it ended, with its exit code.
pub fn start_background(options: &Options) -> Result<(), StartError> {
    let failed =
        |error: std::io::Error| StartError::new(format!("error: cannot start the supervisor: {error}"));
    let options = Options { mode: Mode::Background, ..options.clone() };
    let mut arguments = options.arguments("detach");
    let name = arguments.remove(0);
    let mut between = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut between, name);
    // A supervisor that outlives this command is not the service whose part the command is, and must not speak for it.
    between.env_remove("NOTIFY_SOCKET");
    between.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = between.spawn().map_err(failed)?;
    let said = child.stderr.take();
    child.wait().map_err(failed)?;
    // The supervisor closes its end when it works; the keeper keeps its own, so the word is waited for, not the end.
    let (text, code) = said.map(|mut said| read_word(&mut said)).unwrap_or_default();
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(StartError { message: text, exit_code: code }),
        None => Err(StartError::new(format!("{text}error: the supervisor ended before it worked"))),
    }
}

/// The process in between: makes a session, starts the keeper in it, and ends. Returns its exit code.
pub fn detach(options: &Options) -> u8 {
    // It fails only for a process that leads a group already, which a child of the command does not.
    let _ = nix::unistd::setsid();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut arguments = options.arguments("run");
    let name = arguments.remove(0);
    let mut keeper = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut keeper, name);
    match keeper.args(arguments).current_dir("/").spawn() {
        Ok(_) => 0,
        Err(_) => 71,
    }
}

/// Reads up to the supervisor's word: what it said, and its exit code (0: it works).
fn read_word(from: &mut impl Read) -> (String, Option<u8>) {
    let mut said = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte).is_ok_and(|count| count == 1) {
        let marked = said.iter().position(|&b| b == MARK);
        if let (Some(at), b'\n') = (marked, byte[0]) {
            let code = std::str::from_utf8(&said[at + 1..]).ok().and_then(|text| text.parse().ok());
            return (String::from_utf8_lossy(&said[..at]).into_owned(), code);
        }
        said.push(byte[0]);
    }
    (String::from_utf8_lossy(&said).into_owned(), None)
}
