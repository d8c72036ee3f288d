//! The plan: the complete, validated set of programs and the supervisor's own settings.

use super::{Account, Mode, Program, ProgramName};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Which plan. Counts from 1, never backwards within a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where something stands in a configuration file. Lines count from 1.
///
/// Any two places are equal: that an entry moved down by a line is no difference between two specs.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file as given.
    pub file: Arc<PathBuf>,
    /// The line.
    pub line: u32,
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// The complete, validated set of programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The supervisor's own settings.
    pub supervisor: SupervisorSettings,
    /// Every enabled program.
    pub programs: BTreeMap<ProgramName, Arc<Program>>,
    /// Programs with `enabled: false`: known by name, otherwise as if absent.
    pub disabled: BTreeMap<ProgramName, DisabledProgram>,
}

/// An entry that is switched off in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledProgram {
    /// Where it says so.
    pub place: Place,
}

/// How many launches may be in flight at once: ordered, and their programs not ready yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartConcurrency(NonZeroU32);

impl StartConcurrency {
    /// One after the other.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// `None`: with 0 nothing would ever start.
    pub const fn new(count: u32) -> Option<Self> {
        match NonZeroU32::new(count) {
            Some(count) => Some(Self(count)),
            None => None,
        }
    }

    /// The number, at least 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// `supervisor:` in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorSettings {
    /// Shown in status and logs.
    pub name: String,
    /// Where it keeps its files.
    pub folders: Folders,
    /// Where the keeper's pid is written.
    pub pid_file: PathBuf,
    /// The watch on the configuration.
    pub follow_file: FollowFile,
    /// How many launches may be in flight at once.
    pub start_concurrency: StartConcurrency,
    /// How long a shutdown may take, the time in which something drains not counted.
    pub shutdown_timeout: Duration,
    /// The control socket.
    pub api: ApiSettings,
}

/// The three folders, absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Socket, pid file, locks: gone with the boot.
    pub runtime_dir: PathBuf,
    /// What outlives a reboot.
    pub state_dir: PathBuf,
    /// Logs.
    pub log_dir: PathBuf,
}

/// The watch on the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowFile {
    /// Whether an edit applies by itself.
    pub enabled: bool,
    /// How long the file must be quiet before it is read.
    pub debounce: Duration,
}

/// Who may use the control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// Mode of the socket file.
    pub mode: Mode,
    /// A group whose members may do everything; name or gid.
    pub group: Option<String>,
}

impl Plan {
    /// A program by name.
    pub fn program(&self, name: &ProgramName) -> Option<&Arc<Program>> {
        self.programs.get(name)
    }

    /// Every account that some program names, each once.
    pub fn accounts(&self) -> Vec<&Account> {
        let mut accounts: Vec<&Account> = Vec::new();
        for account in self.programs.values().filter_map(|program| program.user.as_ref()) {
            if !accounts.contains(&account) {
                accounts.push(account);
            }
        }
        accounts
    }
}
