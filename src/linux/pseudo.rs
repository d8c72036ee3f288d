//! Files that the kernel makes up as they are read (proc(5), cgroups(7)): they have no size, and each read makes it work anew.
//!
//! Never add here: what is in them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Enough for most of them: one read for the text, one for its end.
const ROOM: usize = 4096;

/// All of its text.
///
/// # Errors
/// As open(2) and read(2); `InvalidData`: not UTF-8.
pub(super) fn text(path: impl AsRef<Path>) -> io::Result<String> {
    // std's own begins with reads of 32 bytes where a file has no size.
    let mut text = String::with_capacity(ROOM);
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_comes_whatever_its_length() {
        let status = text("/proc/self/status").unwrap();
        assert!(status.starts_with("Name:") && status.ends_with('\n'), "{status}");
        let long = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(long.path(), "x".repeat(3 * ROOM)).unwrap();
        assert_eq!(text(long.path()).unwrap().len(), 3 * ROOM);
        assert_eq!(text("/proc/self/none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
