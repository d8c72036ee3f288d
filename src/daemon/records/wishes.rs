//! Operators' wishes that outlive a reboot: `overrides.json` in the state folder.

use super::dto::OverrideDto;
use crate::files::write_atomic;
use crate::model::ProgramName;
use crate::supervisor::{Override, Started};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The file.
#[derive(Debug)]
pub(in crate::daemon) struct Wishes {
    path: PathBuf,
    wishes: BTreeMap<ProgramName, Override>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    programs: BTreeMap<String, OverrideDto>,
}

impl Wishes {
    /// Reads the file; one that is missing holds nothing, a damaged one is set aside and reported.
    pub(in crate::daemon) fn read(path: PathBuf) -> Self {
        let wishes = match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice::<File>(&bytes) {
                Ok(file) => file.programs.into_iter().filter_map(restore).collect(),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "set aside: not a file of overrides");
                    let _ = fs::rename(&path, path.with_extension("json.damaged"));
                    BTreeMap::new()
                }
            },
            Err(_) => BTreeMap::new(),
        };
        Self { path, wishes }
    }

    pub(in crate::daemon) fn all(&self) -> Vec<(ProgramName, Override)> {
        self.wishes.iter().map(|(name, wish)| (name.clone(), wish.clone())).collect()
    }

    /// Keeps the lasting part of a wish.
    ///
    /// # Errors
    /// As writing a file fails; the wish holds all the same until the supervisor ends.
    pub(in crate::daemon) fn keep(
        &mut self,
        program: &ProgramName,
        wish: Option<&Override>,
    ) -> io::Result<()> {
        let lasting = wish.map(lasting).filter(|wish| !wish.is_empty());
        if self.wishes.get(program) == lasting.as_ref() {
            return Ok(());
        }
        match lasting {
            Some(wish) => self.wishes.insert(program.clone(), wish),
            None => self.wishes.remove(program),
        };
        let programs =
            self.wishes.iter().map(|(name, wish)| (name.to_string(), OverrideDto::of(wish))).collect();
        let bytes = serde_json::to_vec_pretty(&File { version: 1, programs }).map_err(io::Error::other)?;
        write_atomic(&self.path, &bytes, 0o600)
    }
}

fn restore((name, dto): (String, OverrideDto)) -> Option<(ProgramName, Override)> {
    Some((ProgramName::new(&name).ok()?, dto.restore()))
}

fn lasting(wish: &Override) -> Override {
    Override {
        stopped: wish.stopped.clone().filter(|stop| !stop.runtime),
        stopped_instances: wish.stopped_instances.iter().filter(|(_, stop)| !stop.runtime).cloned().collect(),
        scale: wish.scale.clone(),
        started: Started::No,
    }
}
