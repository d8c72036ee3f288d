//! Operators' wishes that outlive a reboot: `overrides.json` in the state folder. Flushing it to a disk can take seconds, so a
//! thread of its own does that, from the first wish on.

use super::dto::OverrideDto;
use crate::files::write_atomic;
use crate::model::ProgramName;
use crate::supervisor::{Override, Started};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// The file, and whoever writes it.
#[derive(Debug)]
pub(in crate::daemon) struct Wishes {
    path: PathBuf,
    wishes: BTreeMap<ProgramName, Override>,
    /// They differ from what the writer was given last.
    unwritten: bool,
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    contents: Sender<Vec<u8>>,
    thread: JoinHandle<()>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    programs: BTreeMap<String, OverrideDto>,
}

impl Wishes {
    /// Holds nothing, and will write into this file.
    pub(in crate::daemon) fn none(path: PathBuf) -> Self {
        Self { path, wishes: BTreeMap::new(), unwritten: false, writer: None }
    }

    /// Reads the file; one that is missing holds nothing, a damaged one is set aside and reported.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(in crate::daemon) fn read(path: PathBuf) -> io::Result<Self> {
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::none(path)),
            read => read?,
        };
        let wishes = match serde_json::from_slice::<File>(&bytes) {
            Ok(file) => file.programs.into_iter().filter_map(restore).collect(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "set aside: not a file of overrides");
                let _ = fs::rename(&path, path.with_extension("json.damaged"));
                BTreeMap::new()
            }
        };
        Ok(Self { path, wishes, unwritten: false, writer: None })
    }

    pub(in crate::daemon) fn all(&self) -> Vec<(ProgramName, Override)> {
        self.wishes.iter().map(|(name, wish)| (name.clone(), wish.clone())).collect()
    }

    /// Keeps the lasting part of a wish, from the next [`Wishes::flush`] on.
    pub(in crate::daemon) fn keep(&mut self, program: &ProgramName, wish: Option<&Override>) {
        let lasting = wish.map(lasting).filter(|wish| !wish.is_empty());
        if self.wishes.get(program) == lasting.as_ref() {
            return;
        }
        match lasting {
            Some(wish) => self.wishes.insert(program.clone(), wish),
            None => self.wishes.remove(program),
        };
        self.unwritten = true;
    }

    /// Hands what was kept to the thread that writes it. Returns at once: until the file is written the ledger has it.
    pub(in crate::daemon) fn flush(&mut self) {
        if std::mem::take(&mut self.unwritten) {
            self.write();
        }
    }

    /// The ledger's wishes: our predecessor may have died before they were in the file.
    pub(in crate::daemon) fn keep_all(&mut self, wishes: &[(ProgramName, Override)]) {
        let lasting = wishes.iter().map(|(name, wish)| (name.clone(), lasting(wish)));
        let lasting = lasting.filter(|(_, wish)| !wish.is_empty()).collect();
        if self.wishes != lasting {
            self.wishes = lasting;
            self.write();
        }
    }

    /// Waits until everything is in the file.
    pub(in crate::daemon) fn finish(&mut self) {
        self.flush();
        if let Some(Writer { contents, thread }) = self.writer.take() {
            drop(contents);
            let _panicked = thread.join();
        }
    }

    fn write(&mut self) {
        let programs =
            self.wishes.iter().map(|(name, wish)| (name.to_string(), OverrideDto::of(wish))).collect();
        let sent = serde_json::to_vec_pretty(&File { version: 1, programs })
            .map_err(io::Error::other)
            .and_then(|bytes| self.writer()?.contents.send(bytes).map_err(io::Error::other));
        if let Err(error) = sent {
            lost(&self.path, &error);
        }
    }

    fn writer(&mut self) -> io::Result<&Writer> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let (contents, waiting) = mpsc::channel();
                let path = self.path.clone();
                let thread = std::thread::Builder::new().name("wishes".to_owned());
                Writer { contents, thread: thread.spawn(move || write_each(&waiting, &path))? }
            }
        };
        Ok(self.writer.insert(writer))
    }
}

/// Each content is whole, so only the last that waits is written.
fn write_each(contents: &Receiver<Vec<u8>>, path: &Path) {
    while let Ok(first) = contents.recv() {
        let newest = contents.try_iter().last().unwrap_or(first);
        if let Err(error) = write_atomic(path, &newest, 0o600) {
            lost(path, &error);
        }
    }
}

fn lost(path: &Path, error: &io::Error) {
    tracing::error!(path = %path.display(), %error, "cannot keep the overrides: they will not outlive a reboot");
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::supervisor::{Author, StopWish};

    fn stopped(runtime: bool) -> Override {
        let by = Author { who: "me".to_owned(), at: "now".to_owned() };
        Override { stopped: Some(StopWish { by, runtime }), ..Override::default() }
    }

    #[test]
    fn what_lasts_is_in_the_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overrides.json");
        let name = |text: &str| ProgramName::new(text).unwrap();
        let mut wishes = Wishes::read(path.clone()).unwrap();
        wishes.keep(&name("a"), Some(&stopped(false)));
        wishes.keep(&name("b"), Some(&stopped(false)));
        wishes.keep(&name("b"), None);
        wishes.keep(&name("c"), Some(&stopped(true)));
        wishes.finish();
        let read = || Wishes::read(path.clone()).unwrap();
        assert_eq!(read().all(), [(name("a"), stopped(false))]);
        let mut successor = read();
        successor.keep_all(&[(name("d"), stopped(false)), (name("e"), stopped(true))]);
        successor.finish();
        assert_eq!(read().all(), [(name("d"), stopped(false))]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Wishes::read(folder.path().to_owned()).is_err());
        let damaged = folder.path().join("overrides.json");
        fs::write(&damaged, "{").unwrap();
        assert!(Wishes::read(damaged.clone()).unwrap().all().is_empty());
        assert!(damaged.with_extension("json.damaged").exists());
    }
}
