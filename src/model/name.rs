//! Names: of programs, of their slots, of instances.

use std::fmt;
use std::sync::Arc;

/// The name of a program: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`, and not the reserved word `all`.
///
/// The pattern leaves no room for a path separator, a leading dot or dash, or a control character: names
/// become file names, cgroup names and terminal output.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramName(Arc<str>);

/// Why a text is not a program name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidName {
    /// Nothing at all.
    Empty,
    /// More than 63 characters.
    TooLong,
    /// `all` means every program, in every command.
    Reserved,
    /// This character may not stand where it stands.
    Character(char),
}

impl ProgramName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 63;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// Names the first thing that is wrong with `text`.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let first = text.chars().next().ok_or(InvalidName::Empty)?;
        if !first.is_ascii_alphanumeric() {
            return Err(InvalidName::Character(first));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(bad) = text.chars().find(|&c| !allowed(c)) {
            return Err(InvalidName::Character(bad));
        }
        if text.len() > Self::MAX_LEN {
            return Err(InvalidName::TooLong);
        }
        if text == "all" {
            return Err(InvalidName::Reserved);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ProgramName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name may not be empty"),
            Self::TooLong => f.write_str("a name has at most 63 characters"),
            Self::Reserved => f.write_str("`all` is reserved: commands use it for every program"),
            Self::Character(c) => write!(
                f,
                "`{}` may not stand there: a name is a letter or digit, then letters, digits, `.`, `_` or `-`",
                c.escape_default()
            ),
        }
    }
}

impl std::error::Error for InvalidName {}

/// One place of a program for one process at a time: `(web, 2)`. Indexes start at 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The program.
    pub program: ProgramName,
    /// Which of its instances, from 1.
    pub index: u32,
}

impl Slot {
    /// The slot `index` of `program`.
    pub fn new(program: ProgramName, index: u32) -> Self {
        Self { program, index }
    }
}

/// What an instance is called: `web` where the file does not say `instances`, else `web.1`, `web.2`, …
///
/// A run keeps the label it was launched with, whatever an edit does to the program meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceLabel(Arc<str>);

impl InstanceLabel {
    /// `web` or `web.2`, as the program's `instances` key says.
    pub fn of(slot: &Slot, numbered: bool) -> Self {
        match numbered {
            true => Self(Arc::from(format!("{}.{}", slot.program, slot.index).as_str())),
            false => Self(Arc::from(slot.program.as_str())),
        }
    }

    /// A label read back from our own records, taken as it is.
    pub fn recorded(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_pattern() {
        for good in ["a", "0day", "web-1.2_x", &"x".repeat(63)] {
            assert!(ProgramName::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", InvalidName::Empty),
            ("all", InvalidName::Reserved),
            ("-x", InvalidName::Character('-')),
            ("a/b", InvalidName::Character('/')),
            ("a\u{1b}", InvalidName::Character('\u{1b}')),
        ] {
            assert_eq!(ProgramName::new(bad).unwrap_err(), why);
        }
        assert_eq!(ProgramName::new(&"x".repeat(64)).unwrap_err(), InvalidName::TooLong);
    }
}
