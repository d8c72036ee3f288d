//! How processes end.

use super::Signal;
use std::fmt;

/// How a process ended (wait(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It called exit with this code, 0 to 255.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// Which one.
        signal: Signal,
        /// The kernel wrote a core dump.
        core: bool,
    },
    /// It is gone, and nobody can say how: it was not our child any more.
    Unknown,
}

impl fmt::Display for Exit {
    /// A fragment that follows the name of who ended: "exited with code 1", "was killed by SIGSEGV (core dumped)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal { signal, core: false } => write!(f, "was ended by {signal}"),
            Self::Signal { signal, core: true } => write!(f, "was ended by {signal} (core dumped)"),
            Self::Unknown => f.write_str("ended, exit status unknown"),
        }
    }
}

/// One entry of `restart.success_codes` or `restart.never_codes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitMatch {
    /// This exit code.
    Code(u8),
    /// Ended by this signal.
    Signal(Signal),
}

impl ExitMatch {
    /// Whether `exit` is what this entry names.
    pub fn matches(self, exit: Exit) -> bool {
        match (self, exit) {
            (Self::Code(wanted), Exit::Code(code)) => wanted == code,
            (Self::Signal(wanted), Exit::Signal { signal, .. }) => wanted == signal,
            (Self::Code(_) | Self::Signal(_), _) => false,
        }
    }
}

impl fmt::Display for ExitMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Signal(signal) => write!(f, "{signal}"),
        }
    }
}
