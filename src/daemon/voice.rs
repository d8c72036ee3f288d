//! What a supervisor says about its own start, on stderr: to a person, or to the `sppm start` that waits for it.

use super::options::{Mode, StartError};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The last byte before the word about a background start; nothing that is said for people has it.
pub(super) const MARK: u8 = 0;

/// Tells whoever waits for a background start that it works, and lets go of its output.
pub(super) fn announce(mode: Mode) {
    match mode {
        Mode::Foreground => {}
        Mode::Background => {
            let _ = std::io::stderr().write_all(&[MARK, b'0', b'\n']);
            if let Ok(null) = fs::File::options().write(true).open(Path::new("/dev/null")) {
                let _ = rustix::stdio::dup2_stderr(&null);
            }
        }
    }
}

/// Says why there is no supervisor.
pub(super) fn complain(mode: Mode, error: &StartError) {
    let mut text = error.message.trim_end().as_bytes().to_vec();
    text.push(b'\n');
    if let Mode::Background = mode {
        text.push(MARK);
        text.extend_from_slice(format!("{}\n", error.exit_code).as_bytes());
    }
    let _ = std::io::stderr().write_all(&text);
}
