//! What is wrong with a configuration, in a form for people, for programs and for the daemon's decisions.
//!
//! In: findings with their places. Out: values that carry all that is needed to show them; no file is read
//! again. Never add here: knowledge of single keys.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably does not do what is meant.
    Warning,
}

/// What sort of problem: for decisions of the daemon and for tests, never shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A file cannot be read or must not be believed.
    Source,
    /// The text is not YAML, or not the part of YAML that is taken.
    Syntax,
    /// Larger, deeper or more intertwined than is taken.
    TooLarge,
    /// The file is empty, or has no `programs:`: perhaps it is being written. Refused always.
    NoPrograms,
    /// A key or a program is defined twice.
    Duplicate,
    /// No such key.
    UnknownKey,
    /// The key or value exists in the plan of sppm, but this version does not know it.
    NotInThisVersion,
    /// The value cannot stand there.
    Value,
    /// `${…}` cannot be resolved.
    Interpolation,
    /// Something necessary is not there.
    Missing,
    /// Each is fine, but not together.
    Conflict,
}

/// Where in a file. Line and column count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file, absolute as given.
    pub file: PathBuf,
    /// The file as shown: relative to the main file's folder where it lies below it.
    pub shown: String,
    /// The line; `None` = the file as a whole.
    pub line: Option<u32>,
    /// The column; 1 where only the line is known.
    pub column: u32,
    /// Byte range in the file; empty where only a point is known.
    pub span: Range<usize>,
    /// The line's text and the byte range in it, where it may be shown (never for env_files).
    pub excerpt: Option<Excerpt>,
}

/// A line of a file and the part of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line without its end.
    pub line: String,
    /// Bytes of `line`.
    pub marked: Range<usize>,
}

/// A second place that belongs to a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub spot: Spot,
    /// What is there ("first defined here").
    pub label: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Which sort.
    pub kind: ProblemKind,
    /// Where.
    pub spot: Spot,
    /// `programs.crawler.restart.policy`; empty for the file as a whole.
    pub key_path: String,
    /// What is wrong and what is accepted, one sentence without a full stop. May hold control characters.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The other place, where there are two.
    pub related: Option<Related>,
}

/// All that is wrong with a configuration; never empty, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// Errors and warnings.
    pub(super) list: Vec<Problem>,
    /// How many more there were than are kept.
    pub(super) more: usize,
    /// What to watch, so that a mend is noticed.
    pub watched: Watched,
}

/// The files and folders whose change may change the outcome of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Every file that was read or looked for: the main file, includes, env_files. Sorted.
    pub files: Vec<PathBuf>,
    /// Folders in which a new file may match an include pattern. Sorted.
    pub folders: Vec<PathBuf>,
}

impl Problem {
    /// Whether it stops the configuration from being used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// One line: `sppm.yaml:14:7: programs.crawler.restart.policy: …`, control characters escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", visible(&self.spot.to_string()))?;
        if !self.key_path.is_empty() {
            write!(f, ": {}", visible(&self.key_path))?;
        }
        write!(f, ": {}", visible(&self.message))
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}:{}", self.shown, self.column),
            None => f.write_str(&self.shown),
        }
    }
}

impl Problems {
    /// Every problem, errors and warnings alike.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// How many errors there are, those that are not kept included.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|problem| problem.is_error()).count() + self.more
    }

    /// Whether the file is empty or has no `programs:`, so that it is perhaps being written just now.
    pub fn perhaps_half_written(&self) -> bool {
        self.list.iter().any(|problem| problem.kind == ProblemKind::NoPrograms)
    }

    /// The first error as one line, for a status field or a log.
    pub fn first_line(&self) -> String {
        let first = self.list.iter().find(|problem| problem.is_error()).or(self.list.first());
        let text = first.map(Problem::to_string).unwrap_or_default();
        match self.errors() {
            0 | 1 => text,
            many => format!("{text} (and {} more)", many - 1),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first_line())
    }
}

impl std::error::Error for Problems {}

/// Makes what a terminal would obey or hide visible: control characters and direction marks.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        match hidden {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// A value for a message: in backquotes, shortened, control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let shown = visible(text);
    match shown.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("`{}…`", &shown[..cut]),
        None => format!("`{shown}`"),
    }
}

/// How a file is shown: relative to the main file's folder where it lies below it.
pub(super) fn shown(file: &Path, main: &Path) -> String {
    let below = main.parent().and_then(|folder| file.strip_prefix(folder).ok());
    below.unwrap_or(file).display().to_string()
}
