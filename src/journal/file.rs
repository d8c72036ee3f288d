//! The journal on the disk: JSON lines in two files, the older one dropped whole when the newer is full.

use super::Entry;
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that has grown past this becomes the older one: at most twice as much is kept.
pub(super) const MAX_SIZE: u64 = 2 * 1024 * 1024;

/// Both files.
#[derive(Debug)]
pub(super) struct Files {
    path: PathBuf,
    file: Option<File>,
    size: u64,
}

impl Files {
    /// Opens the journal. A last line that was torn by a crash is cut off.
    pub(super) fn open(path: PathBuf) -> Self {
        let mut files = Self { path, file: None, size: 0 };
        files.reopen();
        files
    }

    fn reopen(&mut self) {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR);
        self.file = opened.ok().map(File::from);
        self.size = 0;
        let (Some(file), Ok(text)) = (&self.file, fs::read(&self.path)) else { return };
        let whole = memchr::memrchr(b'\n', &text).map_or(0, |at| at + 1) as u64;
        if whole < text.len() as u64 {
            // Where this fails the torn line stays, and readers skip it.
            let _ = file.set_len(whole);
        }
        self.size = whole;
    }

    fn older(&self) -> PathBuf {
        self.path.with_extension("1.jsonl")
    }

    /// Appends lines in one write.
    ///
    /// # Errors
    /// As write(2); nothing of a half-written line is believed later.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.size > MAX_SIZE {
            fs::rename(&self.path, self.older())?;
            self.reopen();
        }
        if self.file.is_none() {
            self.reopen();
        }
        let file = self.file.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Everything that is kept, the oldest first; lines that are no entries are skipped.
    pub(super) fn read(&self) -> Vec<Entry> {
        let mut entries = read_file(&self.older());
        entries.extend(read_file(&self.path));
        entries
    }
}

fn read_file(path: &Path) -> Vec<Entry> {
    let text = fs::read(path).unwrap_or_default();
    text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
