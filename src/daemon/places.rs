//! The supervisor's own files: where they are, making them, and removing them at an orderly end.

use crate::config::folders;
use crate::files::{TrustPolicy, check_folder, make_folder};
use crate::model::{Folders, Plan};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where everything is, fixed for this supervisor's life: an edit of these keys needs a restart of sppm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The configuration, absolute as given.
    pub(super) config: PathBuf,
    pub(super) folders: Folders,
    pub(super) pid_file: PathBuf,
}

impl Places {
    pub(super) fn of(config: &Path, plan: &Plan) -> Self {
        Self {
            config: config.to_owned(),
            folders: plan.supervisor.folders.clone(),
            pid_file: plan.supervisor.pid_file.clone(),
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folders.runtime_dir.join(folders::SOCKET)
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.folders.runtime_dir.join("ledger")
    }

    pub(super) fn plans(&self) -> PathBuf {
        self.folders.runtime_dir.join("plans")
    }

    pub(super) fn overrides(&self) -> PathBuf {
        self.folders.state_dir.join("overrides.json")
    }

    pub(super) fn history(&self) -> PathBuf {
        self.folders.state_dir.join("history.jsonl")
    }

    pub(super) fn own_log(&self) -> PathBuf {
        self.folders.log_dir.join("sppm.log")
    }

    /// Makes the folders. The runtime folder can be passed through by programs of other users, not listed.
    ///
    /// # Errors
    /// Names the folder that cannot be had, or that others could write what we keep into.
    pub(super) fn make(&self) -> Result<(), String> {
        let Folders { runtime_dir, state_dir, log_dir } = &self.folders;
        have_folder(runtime_dir, 0o711)?;
        have_folder(state_dir, 0o700)?;
        have_folder(log_dir, 0o755)?;
        // Whoever could write there could hand us another plan, another socket, other wishes.
        let trust = TrustPolicy::for_this_process(None);
        for (key, folder) in [("runtime_dir", runtime_dir), ("state_dir", state_dir)] {
            check_folder(folder, &trust).map_err(|error| format!("supervisor.{key}: {error}"))?;
        }
        if let Some(parent) = self.pid_file.parent() {
            have_folder(parent, 0o755)?;
        }
        Ok(())
    }

    /// Leaves the links by which the command finds this supervisor from the configuration's path alone.
    pub(super) fn leave_links(&self, environment: &BTreeMap<String, String>) -> Result<(), String> {
        let base = folders::base(rustix::process::geteuid().is_root(), environment);
        for link in self.links(&base) {
            let folder = link.parent().unwrap_or(&base);
            have_folder(folder, 0o755)?;
            let at_link = |error: io::Error| format!("cannot make the link {}: {error}", link.display());
            if fs::read_link(&link).is_ok_and(|target| target == self.folders.runtime_dir) {
                continue;
            }
            let new = link.with_extension(format!("new-{}", std::process::id()));
            let _ = fs::remove_file(&new);
            symlink(&self.folders.runtime_dir, &new).map_err(at_link)?;
            fs::rename(&new, &link).map_err(at_link)?;
        }
        Ok(())
    }

    /// For the path as given and for the real one.
    fn links(&self, base: &Path) -> Vec<PathBuf> {
        let mut links = vec![folders::by_path(base, &self.config)];
        if let Ok(real) = self.config.canonicalize() {
            let link = folders::by_path(base, &real);
            if !links.contains(&link) {
                links.push(link);
            }
        }
        links
    }

    /// An orderly end: nothing is left but logs, state and the lock, which must never be unlinked.
    pub(super) fn clear(&self, environment: &BTreeMap<String, String>) {
        let base = folders::base(rustix::process::geteuid().is_root(), environment);
        // All that lead here: the real path of a file that was swapped by a link is another one by now.
        for entry in fs::read_dir(base.join("by-path")).into_iter().flatten().flatten() {
            let link = entry.path();
            if fs::read_link(&link).is_ok_and(|target| target == self.folders.runtime_dir) {
                let _ = fs::remove_file(&link);
            }
        }
        let _ = fs::remove_file(self.socket());
    }
}

fn have_folder(path: &Path, mode: u32) -> Result<(), String> {
    make_folder(path, mode).map_err(|error| format!("cannot make the folder {}: {error}", path.display()))
}
