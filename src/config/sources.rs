//! The door through which files come in: the shell implements it, tests keep files in memory.
//!
//! Never add here: an implementation.

use std::path::{Path, PathBuf};

/// The world as configuration sees it: the shell passes it in, `config` itself never touches a file.
pub trait Sources {
    /// The whole text of a file.
    ///
    /// # Errors
    /// Says for people why the file cannot be had.
    fn read(&self, path: &Path) -> Result<String, SourceError>;

    /// All paths that match a pattern with `*`, `?` and `[…]`, sorted; none is no error.
    ///
    /// # Errors
    /// The pattern is malformed, or a folder on the way cannot be read.
    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, SourceError>;
}

/// A file or pattern that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct SourceError {
    /// Which one, as it was asked for.
    pub path: PathBuf,
    /// Why not.
    pub kind: SourceErrorKind,
}

/// Why a source could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceErrorKind {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// It exists, but cannot be read: a sentence fragment ("permission denied", "is a folder").
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It could be read, but must not be believed: too large, not UTF-8, writable by others.
    #[error("refused: {0}")]
    Refused(String),
}

impl SourceError {
    /// `path` does not exist.
    pub fn not_found(path: &Path) -> Self {
        Self { path: path.to_owned(), kind: SourceErrorKind::NotFound }
    }

    /// `path` cannot be read, for this reason.
    pub fn unreadable(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), kind: SourceErrorKind::Unreadable(reason.into()) }
    }

    /// `path` must not be believed, for this reason.
    pub fn refused(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), kind: SourceErrorKind::Refused(reason.into()) }
    }
}
