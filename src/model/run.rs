//! One life of an instance, and how its launch can fail.

use std::fmt;
use std::str::FromStr;

/// One life of an instance, from launch to exit: a version 4 UUID, what the program sees as `SPPM_RUN`.
///
/// Every event about a process carries the run it is about, so that news of a past run is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u128);

impl RunId {
    /// Makes a run's id of 128 random bits; six of them are overwritten as RFC 9562, section 5.4 says.
    pub const fn from_random(bits: u128) -> Self {
        let bits = bits & !(0xf << 76) | (0x4 << 76);
        Self(bits & !(0x3 << 62) | (0x2 << 62))
    }

    /// An id read back from a record or a message.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// All 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0;
        let part = |shift: u32, bits: u32| (b >> shift) & ((1 << bits) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 32),
            part(80, 16),
            part(64, 16),
            part(48, 16),
            part(0, 48)
        )
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID of the usual form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRunId;

impl fmt::Display for InvalidRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID such as 01234567-89ab-4cde-8f01-23456789abcd")
    }
}

impl std::error::Error for InvalidRunId {}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let dashes_right = text.len() == 36 && [8, 13, 18, 23].iter().all(|&at| text.as_bytes()[at] == b'-');
        let digits: String = text.chars().filter(|&c| c != '-').collect();
        if !dashes_right || digits.len() != 32 || digits.starts_with('+') {
            return Err(InvalidRunId);
        }
        u128::from_str_radix(&digits, 16).map(Self).map_err(|_| InvalidRunId)
    }
}

/// The step of a launch that failed. "No such file" means another thing at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaunchStage {
    /// Making its folder, its log or its cgroup before the fork.
    Prepare,
    /// Looking up `user` or its groups.
    User,
    /// fork(2): no more processes or memory.
    Fork,
    /// Opening `stdin`.
    Stdin,
    /// Setting a resource limit, nice value or OOM score.
    Limits,
    /// Giving up root's rights.
    Identity,
    /// Entering `directory`.
    Directory,
    /// Finding or executing the program.
    Exec,
}

impl LaunchStage {
    /// Every stage, in the order in which a launch passes them.
    pub const ALL: [LaunchStage; 8] = [
        Self::Prepare,
        Self::User,
        Self::Fork,
        Self::Stdin,
        Self::Limits,
        Self::Identity,
        Self::Directory,
        Self::Exec,
    ];
}

impl fmt::Display for LaunchStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::User => "user",
            Self::Fork => "fork",
            Self::Stdin => "stdin",
            Self::Limits => "limits",
            Self::Identity => "identity",
            Self::Directory => "directory",
            Self::Exec => "exec",
        })
    }
}

/// A launch that never became a running program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchFailure {
    /// Where it failed.
    pub stage: LaunchStage,
    /// The errno(3) of the call that failed; 0 where no call did.
    pub errno: i32,
    /// One sentence for people, with path and cause: "cannot execute /srv/x: its interpreter /usr/bin/perl6 does not exist".
    pub message: String,
}

impl fmt::Display for LaunchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_version_4_uuids_and_read_back() {
        let id = RunId::from_random(u128::MAX);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        for bad in ["", "ffffffff-ffff-4fff-bfff-fffffffffff", "ffffffffffff-4fff-bfff-ffffffffffff-"] {
            assert_eq!(bad.parse::<RunId>(), Err(InvalidRunId));
        }
    }
}
