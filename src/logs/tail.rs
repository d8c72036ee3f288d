//! The last lines of a log, looked for from its end backwards and on into its rotated files.
//!
//! In: a path and how many lines. Out: bytes as they stand, a block at a time. Safe beside a running pump: a rotation
//! between two opens is seen by the file's identity. Never add here: decoding, or a file whole in memory.

use super::logfile::{FileId, id_at};
use super::rotate::numbered;
use memchr::memrchr_iter;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const BLOCK: usize = 64 * 1024;

/// How often a file is looked for that a rotation moved meanwhile.
const TRIES: usize = 20;

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
    let mut text = Vec::new();
    if let Some(end) = end(path)? {
        stretch(path, &end, count, max_bytes)?.read(&mut |bytes| {
            text.extend_from_slice(bytes);
            ControlFlow::Continue(())
        })?;
    }
    let mut lines: Vec<Vec<u8>> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let unfinished = lines.pop().unwrap_or_default();
    Ok(Tail { lines, unfinished })
}

/// Where a log ends at some moment: what is written later stands behind it, whatever the file is called by then.
#[derive(Debug)]
pub(super) struct End {
    id: FileId,
    size: u64,
    /// The file, held, so that its inode number is nobody else's.
    held: Option<OwnedFd>,
}

impl End {
    /// Keeps the file's identity for as long as this is there. Costs a descriptor.
    pub(super) fn hold(mut self, path: &Path) -> Self {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.held = rustix::fs::open(path, flags, Mode::empty()).ok();
        self
    }
}

/// The end of a log now; `None` where there is none.
///
/// # Errors
/// As [`last_lines`].
pub(super) fn end(path: &Path) -> io::Result<Option<End>> {
    // A rotation may be between its rename and its create: the log ends with `.1`.
    for name in [path.to_owned(), numbered(path, 1)] {
        match rustix::fs::lstat(&name) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                return Ok(Some(End { id: FileId::of(&stat), size, held: None }));
            }
            Ok(_) => return Err(Errno::INVAL.into()),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(None)
}

/// The part of a log that holds its last lines before an end, found and not yet read. Its files are held open.
#[derive(Debug, Default)]
pub(super) struct Stretch(Vec<Piece>);

#[derive(Debug)]
struct Piece {
    file: OwnedFd,
    from: u64,
    to: u64,
}

/// Finds the last `count` lines before `end`, going back `max_bytes` at most.
///
/// # Errors
/// As [`last_lines`].
pub(super) fn stretch(path: &Path, end: &End, count: usize, max_bytes: u64) -> io::Result<Stretch> {
    let mut search = Search { pieces: Vec::new(), newlines: 0, left: max_bytes, count };
    // One that was emptied meanwhile holds nothing from before.
    let mut next = ending(path, end.id)?.filter(|found| found.size >= end.size);
    let mut to = end.size;
    while let Some(Found { file, id, number, .. }) = next {
        if !search.back_through(file, to)? {
            break;
        }
        next = older(path, id, number);
        to = next.as_ref().map_or(0, |found| found.size);
    }
    search.pieces.reverse();
    Ok(Stretch(search.pieces))
}

impl Stretch {
    /// Reads it from its beginning, in blocks, until `each` has had enough.
    pub(super) fn read(&self, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        for piece in &self.0 {
            let mut from = piece.from;
            while from < piece.to {
                let most = (piece.to - from).min(BLOCK as u64) as usize;
                let got = read_at(&piece.file, &mut block[..most], from)?;
                if got == 0 {
                    break;
                }
                if each(&block[..got]).is_break() {
                    return Ok(());
                }
                from += got as u64;
            }
        }
        Ok(())
    }
}

/// A log's file, held open, so that its inode number is nobody else's.
struct Found {
    file: OwnedFd,
    id: FileId,
    size: u64,
    /// What it was called when it was opened.
    number: u32,
}

/// The file in which a log ended, wherever rotations have moved it; `None` where it is gone.
fn ending(path: &Path, id: FileId) -> io::Result<Option<Found>> {
    for _ in 0..TRIES {
        let Some(number) = place(path, id, 0) else { continue };
        match open(path, number) {
            Ok(found) if found.id == id => return Ok(Some(found)),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(None)
}

/// The file before the one with `id`, which is held open and was called `number` a while ago.
///
/// A rotation moves the oldest file first. So while the one at hand keeps its name, the one before it has the next
/// number, or the next but one where a rotation stands between the two: nothing else can get there.
fn older(path: &Path, id: FileId, number: u32) -> Option<Found> {
    let mut from = number;
    for _ in 0..TRIES {
        // Later from the beginning: a rotation that failed takes its last step back.
        let place = place(path, id, std::mem::take(&mut from));
        let Some(number) = place else { continue };
        let found = match open(path, number + 1) {
            Err(Errno::NOENT) => open(path, number + 2),
            answer => answer,
        };
        if id_at(&name(path, number)) == Some(id) {
            return found.ok();
        }
    }
    None
}

/// The number of a log's file, looked for from a number upwards, as rotations move it: it cannot slip past.
fn place(path: &Path, id: FileId, from: u32) -> Option<u32> {
    let mut missing = 0;
    for number in from.. {
        match id_at(&name(path, number)) {
            Some(found) if found == id => return Some(number),
            Some(_) => missing = 0,
            // A single one is missing in the midst of a rotation.
            None if missing == 0 => missing = 1,
            None => return None,
        }
    }
    None
}

fn name(path: &Path, number: u32) -> PathBuf {
    if number == 0 { path.to_owned() } else { numbered(path, number) }
}

fn open(path: &Path, number: u32) -> Result<Found, Errno> {
    let path = name(path, number);
    // Looked at first: opening a FIFO would make us its reader for a moment, and a device may do anything.
    if FileType::from_raw_mode(rustix::fs::lstat(&path)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    Ok(Found { file, id: FileId::of(&stat), size: u64::try_from(stat.st_size).unwrap_or(0), number })
}

/// What was looked through so far, the last of the log first.
struct Search {
    pieces: Vec<Piece>,
    newlines: usize,
    left: u64,
    count: usize,
}

impl Search {
    /// Goes back through a file from `to`; false = far enough.
    fn back_through(&mut self, file: OwnedFd, to: u64) -> io::Result<bool> {
        let mut block = vec![0; to.min(BLOCK as u64) as usize];
        let (mut from, mut found) = (to, false);
        while from > 0 && self.left > 0 && !found {
            let most = from.min(BLOCK as u64).min(self.left);
            let got = read_at(&file, &mut block[..most as usize], from - most)?;
            from -= most;
            self.left -= most;
            // One newline more than lines: the one that ends the line before the first.
            for at in memrchr_iter(b'\n', &block[..got]) {
                self.newlines += 1;
                if self.newlines > self.count {
                    from += at as u64 + 1;
                    found = true;
                    break;
                }
            }
        }
        self.pieces.push(Piece { file, from, to });
        Ok(!found && self.left > 0)
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

    use super::super::rotate::shift;
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

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

    #[test]
    fn rotations_beside_it_lose_and_double_nothing() {
        const KEPT: u32 = 60;
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        let written = AtomicU32::new(0);
        // A line in each file, and none is ever removed.
        let rotate = || {
            let number = written.load(Ordering::SeqCst);
            if number > 0 {
                shift(&log, 1000).unwrap();
            }
            std::fs::write(&log, format!("{number}\n")).unwrap();
            written.store(number + 1, Ordering::SeqCst);
        };
        (0..KEPT).for_each(|_| rotate());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..300).for_each(|_| rotate()));
            while !writer.is_finished() {
                let least = written.load(Ordering::SeqCst);
                let tail = last_lines(&log, KEPT as usize - 10, MUCH).unwrap();
                let seen: Vec<u32> = texts(&tail).iter().map(|text| text.parse().unwrap()).collect();
                let next = seen.last().unwrap() + 1;
                assert!(next >= least, "{next} is from before {least}");
                assert_eq!(seen, (next - (KEPT - 10)..next).collect::<Vec<_>>());
            }
        });
    }
}
