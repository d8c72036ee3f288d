//! Where configurations come from: the disk, or what was read from it before a crash.

use crate::config::{SourceError, SourceErrorKind, Sources};
use crate::files::read::{ReadError, TrustPolicy, read_config};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The disk, read with distrust.
#[derive(Debug)]
pub struct DiskSources {
    trust: TrustPolicy,
}

impl DiskSources {
    /// With the distrust that fits this process's rights. `api_group`: a group that may write the files.
    pub fn new(api_group: Option<u32>) -> Self {
        Self { trust: TrustPolicy::for_this_process(api_group) }
    }
}

impl Sources for DiskSources {
    fn read(&self, path: &Path) -> Result<String, SourceError> {
        read_config(path, &self.trust).map_err(|error| {
            let kind = match &error {
                ReadError::NotFound { .. } => SourceErrorKind::NotFound,
                other => SourceErrorKind::Unreadable(other.to_string()),
            };
            SourceError { path: path.to_owned(), kind }
        })
    }

    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, SourceError> {
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..Default::default()
        };
        let text = pattern.to_str().ok_or_else(|| SourceError::unreadable(pattern, "is not UTF-8"))?;
        let paths =
            glob::glob_with(text, options).map_err(|error| SourceError::unreadable(pattern, error.msg))?;
        let mut found = Vec::new();
        for path in paths {
            match path {
                Ok(path) => found.push(path),
                Err(error) => return Err(SourceError::unreadable(error.path(), error.error().to_string())),
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Everything that a load asked for and got. The accepted plan is kept in this form: reading it again gives the
/// same plan, whatever has happened to the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recording {
    files: BTreeMap<PathBuf, Result<String, Refusal>>,
    globs: BTreeMap<PathBuf, Vec<PathBuf>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Refusal {
    NotFound,
    Other(String),
}

impl Recording {
    /// By which it is known again.
    pub(super) fn print(&self) -> Print {
        let asked = self.files.keys().cloned().collect();
        Print { files: asked, globs: self.globs.keys().cloned().collect(), hash: self.hash() }
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.files, &self.globs).hash(&mut hasher);
        hasher.finish()
    }
}

/// What a load asked for, and a hash of what it got.
#[derive(Debug)]
pub(super) struct Print {
    files: Vec<PathBuf>,
    globs: Vec<PathBuf>,
    hash: u64,
}

impl Print {
    /// Whether the same load would get the same from these sources: it would ask for nothing else then.
    pub(super) fn fits(&self, sources: &dyn Sources) -> bool {
        let recorder = Recorder::new(sources);
        // The answers are compared, errors among them.
        self.files.iter().for_each(|path| drop(recorder.read(path)));
        self.globs.iter().for_each(|pattern| drop(recorder.glob(pattern)));
        recorder.finish().hash() == self.hash
    }
}

#[cfg(test)]
impl Recording {
    /// One file.
    pub(super) fn of(path: &Path, text: &str) -> Self {
        Self { files: BTreeMap::from([(path.to_owned(), Ok(text.to_owned()))]), globs: BTreeMap::new() }
    }
}

/// Sources that note down what they give.
pub(super) struct Recorder<'a> {
    inner: &'a dyn Sources,
    recording: RefCell<Recording>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(inner: &'a dyn Sources) -> Self {
        Self { inner, recording: RefCell::default() }
    }

    pub(super) fn finish(self) -> Recording {
        self.recording.into_inner()
    }
}

impl Sources for Recorder<'_> {
    fn read(&self, path: &Path) -> Result<String, SourceError> {
        let result = self.inner.read(path);
        let noted = result.clone().map_err(|error| match error.kind {
            SourceErrorKind::NotFound => Refusal::NotFound,
            SourceErrorKind::Unreadable(why) | SourceErrorKind::Refused(why) => Refusal::Other(why),
        });
        self.recording.borrow_mut().files.insert(path.to_owned(), noted);
        result
    }

    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, SourceError> {
        let result = self.inner.glob(pattern);
        if let Ok(paths) = &result {
            self.recording.borrow_mut().globs.insert(pattern.to_owned(), paths.clone());
        }
        result
    }
}

impl Sources for Recording {
    fn read(&self, path: &Path) -> Result<String, SourceError> {
        match self.files.get(path) {
            Some(Ok(text)) => Ok(text.clone()),
            Some(Err(Refusal::Other(why))) => Err(SourceError::unreadable(path, why.clone())),
            Some(Err(Refusal::NotFound)) | None => Err(SourceError::not_found(path)),
        }
    }

    fn glob(&self, pattern: &Path) -> Result<Vec<PathBuf>, SourceError> {
        Ok(self.globs.get(pattern).cloned().unwrap_or_default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Files by their names alone.
    struct Shelf(BTreeMap<&'static str, &'static str>);

    impl Sources for Shelf {
        fn read(&self, path: &Path) -> Result<String, SourceError> {
            let text = path.to_str().and_then(|name| self.0.get(name));
            text.map(|text| (*text).to_owned()).ok_or_else(|| SourceError::not_found(path))
        }

        fn glob(&self, _pattern: &Path) -> Result<Vec<PathBuf>, SourceError> {
            Ok(self.0.keys().filter(|name| name.starts_with("d/")).map(PathBuf::from).collect())
        }
    }

    #[test]
    fn a_print_fits_what_reads_the_same_and_nothing_else() {
        let first = BTreeMap::from([("main", "x"), ("d/a", "y")]);
        let shelf = Shelf(first.clone());
        let recorder = Recorder::new(&shelf);
        let pattern = Path::new("d/*");
        recorder.read(Path::new("main")).unwrap();
        recorder.glob(pattern).unwrap();
        recorder.read(Path::new("d/a")).unwrap();
        recorder.read(Path::new("maybe")).unwrap_err();
        let print = recorder.finish().print();
        assert!(print.fits(&shelf));
        for (name, text) in [("main", "z"), ("d/a", ""), ("d/b", "y"), ("maybe", "")] {
            let mut other = first.clone();
            other.insert(name, text);
            assert!(!print.fits(&Shelf(other)), "{name}");
        }
        assert!(!print.fits(&Shelf(BTreeMap::from([("main", "x")]))));
    }
}
