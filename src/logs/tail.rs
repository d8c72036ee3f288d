//! The last lines of a log, read from its end backwards and on into its rotated files.
//!
//! In: a path and how many lines. Out: bytes as they stand. Safe beside a running pump: a rotation between two opens
//! is seen by the file's identity. Never add here: decoding, or a reading of whole files.

use super::logfile::FileId;
use super::rotate::numbered;
use memchr::memchr_iter;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

const BLOCK: usize = 64 * 1024;

/// What a log ends with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// The last complete lines, oldest first, without their newlines.
    pub lines: Vec<Vec<u8>>,
    /// What stands after the last newline: a line that is not ended yet. Empty where there is none.
    pub unfinished: Vec<u8>,
}

/// The last `count` complete lines of `path` and, where it has fewer, of `path.1`, `path.2` …, and what follows them.
///
/// At most `max_bytes` are looked at; where they do not hold so many lines there are fewer, the first perhaps cut.
/// A log that does not exist is empty.
///
/// # Errors
/// The file cannot be opened or read (open(2), pread(2)), or is not a regular file; links are not followed, since
/// the pump does not write through them either.
pub fn last_lines(path: &Path, count: usize, max_bytes: u64) -> io::Result<Tail> {
    let mut wanted = Backwards { blocks: Vec::new(), newlines: 0, left: max_bytes, count };
    let mut previous = None;
    for number in 0.. {
        let name = if number == 0 { path.to_owned() } else { numbered(path, number) };
        let (file, id) = match open(&name) {
            Ok(opened) => opened,
            // A rotation is between its rename and its create: the log goes on in `.1`.
            Err(Errno::NOENT) if number == 0 => continue,
            Err(_) if number > 0 => break,
            Err(errno) => return Err(errno.into()),
        };
        if previous.replace(id) == Some(id) {
            continue;
        }
        if !wanted.read(&file)? {
            break;
        }
    }
    Ok(wanted.into_tail())
}

fn open(path: &Path) -> Result<(OwnedFd, FileId), Errno> {
    // Looked at first: opening a FIFO would make us its reader for a moment, and a device may do anything.
    if FileType::from_raw_mode(rustix::fs::lstat(path)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok((file, FileId::of(&stat))),
        _ => Err(Errno::INVAL),
    }
}

/// Blocks read so far, the last of the log first.
struct Backwards {
    blocks: Vec<Vec<u8>>,
    newlines: usize,
    left: u64,
    count: usize,
}

impl Backwards {
    /// Reads a file from its end; false = enough.
    fn read(&mut self, file: &OwnedFd) -> io::Result<bool> {
        let mut end = u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0);
        while end > 0 {
            // One newline more than lines: the one that ends the line before the first.
            if self.newlines > self.count || self.left == 0 {
                return Ok(false);
            }
            let len = end.min(BLOCK as u64).min(self.left);
            let mut block = vec![0; len as usize];
            let got = read_at(file, &mut block, end - len)?;
            block.truncate(got);
            end -= len;
            self.left -= len;
            self.newlines += memchr_iter(b'\n', &block).count();
            self.blocks.push(block);
        }
        Ok(self.newlines <= self.count && self.left > 0)
    }

    fn into_tail(self) -> Tail {
        let text: Vec<u8> = self.blocks.into_iter().rev().flatten().collect();
        let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        let unfinished = lines.pop().unwrap_or_default().to_vec();
        let skip = lines.len().saturating_sub(self.count);
        Tail { lines: lines[skip..].iter().map(|line| line.to_vec()).collect(), unfinished }
    }
}

/// Fills `block` as far as the file goes: it may have been cut meanwhile.
fn read_at(file: &OwnedFd, block: &mut [u8], from: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < block.len() {
        match rustix::io::pread(file, &mut block[done..], from + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const MUCH: u64 = 16 << 20;

    fn texts(tail: &Tail) -> Vec<String> {
        tail.lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn reads_over_rotated_files_and_joins_a_cut_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        std::fs::write(numbered(&log, 2), "a\nb\n").unwrap();
        std::fs::write(numbered(&log, 1), "c\nlong li").unwrap();
        std::fs::write(&log, "ne\nd\nopen").unwrap();
        let tail = last_lines(&log, 4, MUCH).unwrap();
        assert_eq!(texts(&tail), ["b", "c", "long line", "d"]);
        assert_eq!(tail.unfinished, b"open");
        assert_eq!(texts(&last_lines(&log, 100, MUCH).unwrap()), ["a", "b", "c", "long line", "d"]);
        assert_eq!(texts(&last_lines(&log, 1, MUCH).unwrap()), ["d"]);
        assert_eq!(last_lines(&log, 0, MUCH).unwrap().unfinished, b"open");
        std::fs::remove_file(&log).unwrap();
        assert_eq!(texts(&last_lines(&log, 2, MUCH).unwrap()), ["b", "c"], "between rename and create");
    }

    #[test]
    fn only_the_end_of_a_large_log_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        let text: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, &text).unwrap();
        let tail = last_lines(&log, 20_000, MUCH).unwrap();
        assert_eq!(tail.lines.len(), 20_000);
        assert_eq!((texts(&tail)[0].as_str(), tail.unfinished.len()), ("line 180000", 0));
        assert!(last_lines(&log, 20_000, 1000).unwrap().lines.len() < 100, "bounded by bytes");
        assert_eq!(last_lines(&folder.path().join("none"), 5, MUCH).unwrap(), Tail::default());
        assert!(last_lines(folder.path(), 5, MUCH).is_err(), "a folder is no log");
    }
}
