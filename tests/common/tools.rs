//! Finds the programs of the machine that tests use; skips loudly, or fails where everything must be there.

use std::path::{Path, PathBuf};

/// The PATH that tests run with: Debian's own programs, readable by every user.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program by one of its names, looked for in [`PATH`].
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let folders = PATH.split(':').map(Path::new);
    let mut places = names.iter().flat_map(|name| folders.clone().map(move |folder| folder.join(name)));
    places.find(|path| path.is_file())
}

/// The same, with a word to people: the test that calls this goes on without the program, or ends.
pub fn find_or_skip(names: &[&str]) -> Option<PathBuf> {
    let found = find(names);
    if found.is_none() {
        skipped(&format!("no {} here (tests/run installs it)", names.join(" or ")));
    }
    found
}

/// Says that something is not tested; fails where SPPM_TESTS_REQUIRE_ALL asks for everything.
#[track_caller]
pub fn skipped(why: &str) {
    assert!(std::env::var_os("SPPM_TESTS_REQUIRE_ALL").is_none(), "cannot be tested: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Says that this machine cannot do something that no package would add.
pub fn cannot(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Debian's Python, not one that another user cannot read.
pub fn python() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/bin/python3");
    if path.is_file() {
        return Some(path);
    }
    skipped("no /usr/bin/python3 here (tests/run installs it)");
    None
}
