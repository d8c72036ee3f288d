//! The accepted configurations, as they were read: `plans/N.json` in the runtime folder, one for each plan that
//! a live run is from.

use crate::daemon::sources::Recording;
use crate::files::write_unflushed;
use crate::model::Generation;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The folder.
#[derive(Debug)]
pub(in crate::daemon) struct Plans {
    folder: PathBuf,
}

impl Plans {
    pub(in crate::daemon) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a configuration. Environment files may hold secrets: readable by us alone.
    ///
    /// # Errors
    /// As writing a file fails.
    pub(in crate::daemon) fn keep(&self, generation: Generation, recording: &Recording) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let bytes = serde_json::to_vec(recording).map_err(io::Error::other)?;
        write_unflushed(&self.path(generation), &bytes, 0o600)
    }

    /// A configuration that was kept; `None` where it is missing or damaged.
    pub(in crate::daemon) fn read(&self, generation: Generation) -> Option<Recording> {
        let bytes = fs::read(self.path(generation)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Removes all but these.
    pub(in crate::daemon) fn keep_only(&self, generations: &BTreeSet<Generation>) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            if number.is_none_or(|number| !generations.contains(&Generation(number))) {
                // One that stays costs a few kilobytes until the next edit.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Removes everything, the folder included.
    pub(in crate::daemon) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    fn path(&self, generation: Generation) -> PathBuf {
        self.folder.join(format!("{generation}.json"))
    }
}
