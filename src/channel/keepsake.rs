//! What a successor finds of the store: its changes, a line each, in a memory file that the keeper holds too.
//!
//! In: changes. Out: the same, read back. A change is one write into memory; a kill in the middle of it leaves a line without
//! its end, which is as if it had not been. Never add here: disks.

use super::store::{Change, Store};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

/// From this size on it is written anew, with what is there and nothing else: four times the longest of that.
const GROWN: u64 = 8 * 1024 * 1024;

/// Leaves a memory file with whoever outlives us, in place of the one before.
pub type Hold = Box<dyn Fn(OwnedFd) + Send>;

pub(super) struct Keepsake {
    file: File,
    size: u64,
    hold: Hold,
}

impl fmt::Debug for Keepsake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keepsake").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Reads what a predecessor left. Lines that are none are skipped.
pub(super) fn read(file: OwnedFd) -> io::Result<Store> {
    let mut file = File::from(file);
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(2 * GROWN).read_to_end(&mut bytes)?;
    let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
    let text = String::from_utf8_lossy(&bytes[..whole]);
    let mut store = Store::default();
    for change in text.lines().filter_map(Change::parse) {
        store.apply(&change);
    }
    Ok(store)
}

impl Keepsake {
    /// A new one with everything that is in `store`.
    pub(super) fn new(store: &Store, hold: Hold) -> io::Result<Self> {
        let (file, size) = write(store)?;
        hold(file.try_clone()?.into());
        Ok(Self { file, size, hold })
    }

    /// Notes a change that was made.
    pub(super) fn note(&mut self, change: &Change<'_>, store: &Store) -> io::Result<()> {
        let line = format!("{change}\n");
        self.file.write_all(line.as_bytes())?;
        self.size += line.len() as u64;
        if self.size > GROWN {
            (self.file, self.size) = write(store)?;
            (self.hold)(self.file.try_clone()?.into());
        }
        Ok(())
    }
}

fn write(store: &Store) -> io::Result<(File, u64)> {
    let mut file = File::from(memfd_create("sppm-store", MemfdFlags::CLOEXEC)?);
    let text: String = store.changes().map(|change| format!("{change}\n")).collect();
    file.write_all(text.as_bytes())?;
    Ok((file, text.len() as u64))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::Hub;
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_successor_finds_values_and_versions_and_never_half_a_change() {
        let held: Arc<Mutex<Vec<OwnedFd>>> = Arc::default();
        let hold = || -> Hold {
            let held = Arc::clone(&held);
            Box::new(move |fd| *held.lock().unwrap() = vec![fd])
        };
        let last = || held.lock().unwrap()[0].try_clone().unwrap();
        let hub = Hub::kept(None, hold()).unwrap();
        hub.set("a", "one  two ä", None).unwrap();
        hub.set("gone", "x", None).unwrap();
        hub.set("gone", "y", None).unwrap();
        hub.delete("gone", None).unwrap();
        hub.set("empty", "", None).unwrap();
        for _ in 0..300 {
            hub.set("big", &"x".repeat(60_000), None).unwrap();
        }
        let size = File::from(last()).metadata().unwrap().len();
        assert!(size < 2 * GROWN, "{size}");
        hub.set("late", "z", None).unwrap();
        File::from(last()).write_all(b"set half 1 ha").unwrap();
        drop(hub);
        let hub = Hub::kept(Some(last()), hold()).unwrap();
        let text = |key: &str| hub.get(key).map(|value| (value.version, value.data.to_string()));
        assert_eq!(text("a"), Some((1, "one  two ä".into())));
        assert_eq!((text("gone"), text("half"), text("empty")), (None, None, Some((1, String::new()))));
        assert_eq!((text("late"), hub.get("big").unwrap().version), (Some((1, "z".into())), 300));
        assert_eq!(hub.set("gone", "again", Some(0)), Ok(3));
        let hub = Hub::kept(Some(last()), hold()).unwrap();
        assert_eq!(hub.get("gone").unwrap().version, 3);
    }
}
