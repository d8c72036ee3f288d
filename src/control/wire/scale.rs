//! The operand of scale, read and written.

use std::fmt;
use std::str::FromStr;

/// The operand of `scale`: `3`, `+1`, `-1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaleTo {
    /// So many.
    Exactly(u32),
    /// So many more.
    Up(u32),
    /// So many fewer; not below zero.
    Down(u32),
}

/// The text is no number of instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidScale(pub String);

impl fmt::Display for InvalidScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a number of instances: write 3, +1 or -1", self.0.escape_debug())
    }
}

impl std::error::Error for InvalidScale {}

impl FromStr for ScaleTo {
    type Err = InvalidScale;

    fn from_str(text: &str) -> Result<Self, InvalidScale> {
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u32>().map_err(|_| InvalidScale(text.to_owned())),
            false => Err(InvalidScale(text.to_owned())),
        };
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(digits), _) => number(digits).map(Self::Up),
            (_, Some(digits)) => number(digits).map(Self::Down),
            (None, None) => number(text).map(Self::Exactly),
        }
    }
}

impl fmt::Display for ScaleTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(number) => write!(f, "{number}"),
            Self::Up(number) => write!(f, "+{number}"),
            Self::Down(number) => write!(f, "-{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_steps_read_back() {
        for (text, wanted) in [
            ("3", ScaleTo::Exactly(3)),
            ("0", ScaleTo::Exactly(0)),
            ("+1", ScaleTo::Up(1)),
            ("-2", ScaleTo::Down(2)),
        ] {
            assert_eq!(text.parse(), Ok(wanted));
            assert_eq!(wanted.to_string(), text);
        }
        for bad in ["", "+", "-", "++1", "x", "99999999999", "1.5", " 1"] {
            assert!(bad.parse::<ScaleTo>().is_err(), "{bad}");
        }
    }
}
