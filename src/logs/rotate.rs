//! When a log file is rotated, and the renames that do it: `x.log` → `x.log.1` → `x.log.2` …
//!
//! The arithmetic is pure; the renames leave a state that a repetition mends: an interrupted shift leaves a hole, and
//! the next shift stops at the first hole, so nothing is overwritten that need not be. Never add here: compression,
//! or deletion by anything but the number.

use memchr::{memchr, memrchr};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// How far past `max_size` a line without an end may go before it is cut, in bytes.
pub(super) const OVERSHOOT: u64 = 64 * 1024;

/// What to do next with the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write so many of them (at least one).
    Write(usize),
    /// Begin a new file first.
    Rotate,
}

/// Decides for a file of `size` bytes that ends with a newline or not. `bytes` is not empty; `max` 0 = no limit.
pub(super) fn next_step(size: u64, max: u64, at_line_end: bool, bytes: &[u8]) -> Step {
    let len = bytes.len() as u64;
    if max == 0 || size.saturating_add(len) <= max {
        return Step::Write(bytes.len());
    }
    let fits = max.saturating_sub(size).min(len) as usize;
    if let Some(end) = memrchr(b'\n', &bytes[..fits]) {
        return Step::Write(end + 1);
    }
    if at_line_end && size > 0 {
        return Step::Rotate;
    }
    let bearable = max.saturating_add(OVERSHOOT).saturating_sub(size).min(len) as usize;
    if bearable == 0 {
        return Step::Rotate;
    }
    Step::Write(memchr(b'\n', &bytes[..bearable]).map_or(bearable, |end| end + 1))
}

/// `x.log.3` for `x.log` and 3.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Makes `path` free by renaming, keeping `max_files` (at least 2) files, the coming one included.
///
/// # Errors
/// A rename failed (rename(2)); what was renamed before stays so, nothing is lost.
pub(super) fn shift(path: &Path, max_files: u32) -> io::Result<()> {
    let last = max_files.saturating_sub(1).max(1);
    let hole = (1..=last).find(|&number| !exists(&numbered(path, number))).unwrap_or(last);
    for number in (1..hole).rev() {
        std::fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    std::fs::rename(path, numbered(path, 1))
}

/// Undoes the last rename of [`shift`], where the new file could not be made.
pub(super) fn take_back(path: &Path) -> io::Result<()> {
    std::fs::rename(numbered(path, 1), path)
}

/// Removes files beyond `max_files`: a reload may have lowered it. Stops at the first missing number; a file that
/// cannot be removed stays.
pub(super) fn remove_surplus(path: &Path, max_files: u32) {
    for number in max_files.max(1).. {
        if std::fs::remove_file(numbered(path, number)).is_err() {
            return;
        }
    }
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn files_are_cut_at_line_ends() {
        assert_eq!(next_step(0, 10, true, b"0123456789"), Step::Write(10), "fits exactly");
        assert_eq!(
            next_step(90, 100, true, b"abc\ndef\nghijkl\n"),
            Step::Write(8),
            "up to the last line that fits"
        );
        assert_eq!(
            next_step(95, 100, true, b"abcdefgh\n"),
            Step::Rotate,
            "the line goes into the next file whole"
        );
        assert_eq!(
            next_step(95, 100, false, b"abcdefgh\nxyz\n"),
            Step::Write(9),
            "a begun line is ended first"
        );
        assert_eq!(next_step(0, 4, true, b"abcdefgh\nx\n"), Step::Write(9), "a line longer than a file");
        assert_eq!(next_step(1 << 40, 0, true, b"x\n"), Step::Write(2), "no limit");
        assert_eq!(next_step(500, 100, true, b"x\n"), Step::Rotate, "the limit was lowered");
    }

    #[test]
    fn a_line_without_end_is_cut_in_the_end() {
        let endless = vec![b'x'; 200_000];
        let Step::Write(first) = next_step(0, 100, true, &endless) else { panic!("must write") };
        assert_eq!(first as u64, 100 + OVERSHOOT);
        assert_eq!(next_step(first as u64, 100, false, &endless), Step::Rotate);
    }

    #[test]
    fn shifting_keeps_the_number_and_stops_at_a_hole() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        let content = |number: u32| std::fs::read_to_string(numbered(&log, number)).ok();
        for turn in 1..=5 {
            std::fs::write(&log, turn.to_string()).unwrap();
            shift(&log, 4).unwrap();
        }
        assert_eq!([content(1), content(2), content(3)].map(Option::unwrap), ["5", "4", "3"]);
        assert_eq!(content(4), None);
        std::fs::remove_file(numbered(&log, 2)).unwrap();
        std::fs::write(&log, "6").unwrap();
        shift(&log, 4).unwrap();
        assert_eq!([content(1), content(2), content(3)].map(Option::unwrap), ["6", "5", "3"]);
        remove_surplus(&log, 2);
        assert_eq!([content(1), content(2), content(3)], [Some("6".into()), None, None]);
    }
}
