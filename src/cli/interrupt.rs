//! Ctrl-C while something is waited for.

use super::terminal::Terminal;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

/// Exit code after Ctrl-C.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C ends the command with a word on what goes on without it.
///
/// A thread does it, so that no read has to be interruptible. Where it cannot be had, Ctrl-C ends the command
/// as it ends every program.
pub(super) fn explain(terminal: Terminal, text: String) {
    let Ok(mut signals) = Signals::new([SIGINT]) else { return };
    let watch = move || {
        if signals.forever().next().is_some() {
            let end_of_line = if terminal.draws() { "\n" } else { "" };
            terminal.note(&format!("{end_of_line}interrupted: {text}"));
            std::process::exit(INTERRUPTED);
        }
    };
    let _no_thread = std::thread::Builder::new().name("interrupt".to_owned()).spawn(watch);
}
