//! Signals by name and number.

use std::fmt;
use std::str::FromStr;

/// A signal of signal(7), by its Linux number (1 to 64; the common numbers of x86 and ARM).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// Signals with a name, in the order of their numbers.
const NAMES: [(&str, u8); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

impl Signal {
    /// SIGTERM, the polite request to end.
    pub const TERM: Signal = Signal(15);
    /// SIGKILL.
    pub const KILL: Signal = Signal(9);
    /// SIGCONT.
    pub const CONT: Signal = Signal(18);
    /// SIGINT.
    pub const INT: Signal = Signal(2);
    /// SIGHUP.
    pub const HUP: Signal = Signal(1);
    /// SIGQUIT.
    pub const QUIT: Signal = Signal(3);
    /// SIGUSR1.
    pub const USR1: Signal = Signal(10);
    /// SIGSTOP.
    pub const STOP: Signal = Signal(19);

    /// The signal of that number, if Linux has one.
    pub const fn from_number(number: i32) -> Option<Self> {
        if number >= 1 && number <= 64 { Some(Self(number as u8)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// Whether the kernel sends it for what the process itself did (signal(7): synchronously generated, and PIPE,
    /// XCPU, XFSZ).
    pub const fn is_fault(self) -> bool {
        matches!(self.0, 4 | 5 | 6 | 7 | 8 | 11 | 13 | 24 | 25 | 31)
    }

    /// All names that [`FromStr`] takes without the `SIG`, for messages and completion.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(name, _)| name)
    }
}

/// The text names no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSignal(pub String);

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a signal: use a name such as TERM or SIGTERM, RTMIN+1, or a number from 1 to 64",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for UnknownSignal {}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Takes `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3`, `SIGRTMAX`.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let unknown = || UnknownSignal(text.to_owned());
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().and_then(Self::from_number).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(&(_, number)) = NAMES.iter().find(|&&(known, _)| known == name) {
            return Ok(Self(number));
        }
        match name {
            "POLL" => return Ok(Self(29)),
            "IOT" => return Ok(Self(6)),
            "CLD" => return Ok(Self(17)),
            _ => {}
        }
        // glibc keeps 32 and 33 to itself: what a program calls SIGRTMIN is 34 (signal(7)).
        let real_time = |rest: &str, base: i32, sign: i32| -> Option<i32> {
            if rest.is_empty() {
                return Some(base);
            }
            let digits = rest.strip_prefix(if sign > 0 { '+' } else { '-' })?;
            Some(base + sign * digits.parse::<i32>().ok().filter(|n| *n <= 30)?)
        };
        let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) => real_time(rest, 34, 1),
            (_, Some(rest)) => real_time(rest, 64, -1),
            _ => None,
        };
        number.and_then(Self::from_number).ok_or_else(unknown)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|&&(_, number)| number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 >= 34 => write!(f, "SIGRTMIN+{}", self.0 - 34),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_understood_and_printed_back() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(text.parse::<Signal>().unwrap(), Signal::TERM);
        }
        assert_eq!("RTMIN+1".parse::<Signal>().unwrap().number(), 35);
        assert_eq!("RTMAX".parse::<Signal>().unwrap().number(), 64);
        for number in 1..=31 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
        }
        for bad in ["", "0", "65", "TERMX", "RTMIN+99", "-1", "RTMIN-1"] {
            assert!(bad.parse::<Signal>().is_err(), "{bad}");
        }
    }
}
