//! The working lock's file with the state in it: process id, Unix time, `1` busy or `0` idle, a line each.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Replaces the file by rename, so that no reader sees half of it.
///
/// # Errors
/// Where the folder cannot be written into, or the disk is full: the old state stands.
pub(super) fn write(path: &Path, busy: bool) -> io::Result<()> {
    let pid = std::process::id();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = format!("{pid}\n{}.{:06}\n{}\n", now.as_secs(), now.subsec_micros(), u8::from(busy));
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{pid}.tmp"));
    let beside = path.with_file_name(beside);
    let written = create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may never have come to be.
        let _gone = fs::remove_file(&beside);
    }
    written
}

/// A new file in the place of one that a process with this id left behind when it was killed, or of a link.
fn create(path: &Path) -> io::Result<File> {
    let new = || File::options().write(true).create_new(true).mode(0o644).open(path);
    match new() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            new()
        }
        made => made,
    }
}
