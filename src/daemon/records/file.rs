//! The ledger: `ledger` in the runtime folder, one JSON line per change, compacted when it has grown to twice
//! what it needs. A torn last line, another boot or another form is seen and not believed.

use super::dto::{FindSpec, InstanceDto, Line, OverrideDto, VERSION};
use crate::files::write_unflushed;
use crate::model::{Generation, ProgramName, Slot};
use crate::supervisor::{Instance, Override, ShutdownRecord, Supervisor};
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Below this size compaction is not worth a thought.
const SMALL: u64 = 256 * 1024;
/// Lines that wait are written when they are so many bytes, at the latest: a larger buffer would be moved as it grows.
const FULL: usize = 32 * 1024;
/// The longest ledger that is read; a longer one is not ours.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The ledger that is being written.
#[derive(Debug)]
pub(in crate::daemon) struct Records {
    path: PathBuf,
    boot: String,
    file: File,
    /// Lines for the next write.
    unwritten: Vec<u8>,
    written: u64,
    /// Size after the last compaction.
    compact: u64,
    /// A write failed; the next compaction makes the file whole again.
    torn: bool,
}

/// What a ledger says.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Found {
    slots: BTreeMap<(ProgramName, u32), InstanceDto>,
    wishes: BTreeMap<ProgramName, Override>,
    shutdown: Option<ShutdownRecord>,
    generation: Option<Generation>,
}

impl Found {
    /// Reads the ledger of this boot. `None`: there is none.
    pub(in crate::daemon) fn read(path: &Path, boot: &str) -> Option<Self> {
        let size = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?.len();
        if size > MAX_BYTES {
            tracing::warn!(path = %path.display(), size, "ignored: too large to be a ledger");
            return None;
        }
        let text = fs::read(path).ok()?;
        let mut lines = text.split(|&byte| byte == b'\n');
        let header = lines.next().and_then(|line| serde_json::from_slice::<Line>(line).ok());
        match header {
            Some(Line::Header { version: VERSION, boot: of }) if of == boot && !boot.is_empty() => {}
            _ => return None,
        }
        let mut found = Self::default();
        for line in lines.filter(|line| !line.is_empty()) {
            // Only the last line can be torn by a death; whatever follows a damaged one is not believed.
            let Ok(line) = serde_json::from_slice::<Line>(line) else { break };
            found.take(line);
        }
        Some(found)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Header { .. } => {}
            Line::Slot { program, index, state } => {
                let Ok(program) = ProgramName::new(&program) else { return };
                match state {
                    Some(state) => self.slots.insert((program, index), *state),
                    None => self.slots.remove(&(program, index)),
                };
            }
            Line::Wish { program, wish } => {
                let Ok(program) = ProgramName::new(&program) else { return };
                match wish {
                    Some(wish) => self.wishes.insert(program, wish.restore()),
                    None => self.wishes.remove(&program),
                };
            }
            Line::Shutdown { why, code, force } => self.shutdown = Some(ShutdownRecord { why, code, force }),
            Line::Plan { generation, stale } => {
                self.generation = Some(Generation(generation));
                let stale: BTreeSet<String> = stale.into_iter().collect();
                for state in self.slots.values_mut() {
                    state.accept(generation, &stale);
                }
            }
        }
    }

    /// The plan that was accepted last.
    pub(in crate::daemon) fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// Every plan that is still needed.
    pub(in crate::daemon) fn generations(&self) -> BTreeSet<Generation> {
        self.slots.values().filter_map(InstanceDto::generation).chain(self.generation).collect()
    }

    pub(in crate::daemon) fn shutdown(&self) -> Option<ShutdownRecord> {
        self.shutdown.clone()
    }

    pub(in crate::daemon) fn wishes(&self) -> Vec<(ProgramName, Override)> {
        self.wishes.iter().map(|(name, wish)| (name.clone(), wish.clone())).collect()
    }

    /// The slots. One whose run's spec cannot be found any more is left out: the keeper's table still knows it.
    pub(in crate::daemon) fn into_instances(self, find: &FindSpec<'_>) -> Vec<(Slot, Instance)> {
        let restore = |((program, index), dto): ((ProgramName, u32), InstanceDto)| {
            let instance = dto.restore(&program, find)?;
            Some((Slot::new(program, index), instance))
        };
        self.slots.into_iter().filter_map(restore).collect()
    }
}

impl Records {
    /// Begins a new ledger with what the core knows now.
    ///
    /// # Errors
    /// As writing a file fails.
    pub(in crate::daemon) fn begin(path: PathBuf, boot: String, core: &Supervisor) -> io::Result<Self> {
        let bytes = snapshot(&boot, core);
        write_unflushed(&path, &bytes, 0o600)?;
        let file = open(&path)?;
        let size = bytes.len() as u64;
        Ok(Self { path, boot, file, unwritten: Vec::new(), written: size, compact: size, torn: false })
    }

    /// Writes down an action that is a record.
    pub(in crate::daemon) fn slot(&mut self, slot: &Slot, record: Option<&Instance>) {
        let state = record.map(|instance| Box::new(InstanceDto::of(instance)));
        self.append(&Line::Slot { program: slot.program.to_string(), index: slot.index, state });
    }

    pub(in crate::daemon) fn wish(&mut self, program: &ProgramName, wish: Option<&Override>) {
        self.append(&Line::Wish { program: program.to_string(), wish: wish.map(OverrideDto::of) });
    }

    pub(in crate::daemon) fn shutdown(&mut self, record: &ShutdownRecord) {
        self.append(&Line::shutdown(record));
    }

    pub(in crate::daemon) fn plan(&mut self, generation: Generation, stale: &[crate::model::RunId]) {
        let stale = stale.iter().map(ToString::to_string).collect();
        self.append(&Line::Plan { generation: generation.0, stale });
    }

    fn append(&mut self, line: &Line) {
        // Plain data with text keys: there is nothing in it that JSON could refuse.
        if serde_json::to_writer(&mut self.unwritten, line).is_ok() {
            self.unwritten.push(b'\n');
        }
        if self.unwritten.len() >= FULL {
            self.flush();
        }
    }

    /// Everything that was recorded is on disk afterwards. Where the process dies in a write(2), the last line alone is torn.
    pub(in crate::daemon) fn flush(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.unwritten);
        match self.file.write_all(&bytes) {
            Ok(()) => self.written += bytes.len() as u64,
            Err(error) if self.torn => tracing::debug!(%error, "the ledger still cannot be written"),
            Err(error) => {
                tracing::error!(%error, path = %self.path.display(), "cannot write the ledger: a crash now would lose state");
                self.torn = true;
            }
        }
    }

    /// Writes the ledger anew when it has grown. Only between turns, when the core and the records agree.
    pub(in crate::daemon) fn compact_if_grown(&mut self, core: &Supervisor) {
        let grown = self.written > SMALL && self.written > 2 * self.compact;
        if !grown && !self.torn {
            return;
        }
        let bytes = snapshot(&self.boot, core);
        let renewed = write_unflushed(&self.path, &bytes, 0o600).and_then(|()| open(&self.path));
        if let Ok(file) = renewed {
            self.file = file;
            self.torn = false;
        }
        self.written = bytes.len() as u64;
        self.compact = self.written;
    }

    /// The supervisor has ended in order: nothing is to be remembered.
    pub(in crate::daemon) fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn snapshot(boot: &str, core: &Supervisor) -> Vec<u8> {
    let mut lines = vec![Line::Header { version: VERSION, boot: boot.to_owned() }];
    // The plan first: it says of what generation later lines' runs are not.
    if let Some((generation, _)) = core.plan() {
        lines.push(Line::Plan { generation: generation.0, stale: Vec::new() });
    }
    lines.extend(core.instances().map(|(slot, instance)| Line::Slot {
        program: slot.program.to_string(),
        index: slot.index,
        state: Some(Box::new(InstanceDto::of(instance))),
    }));
    lines.extend(core.overrides().map(|(program, wish)| Line::Wish {
        program: program.to_string(),
        wish: Some(OverrideDto::of(wish)),
    }));
    lines.extend(core.shutdown_record().map(Line::shutdown));
    let mut bytes = Vec::new();
    for line in &lines {
        // Plain data with text keys: there is nothing in it that JSON could refuse.
        if serde_json::to_writer(&mut bytes, line).is_ok() {
            bytes.push(b'\n');
        }
    }
    bytes
}
