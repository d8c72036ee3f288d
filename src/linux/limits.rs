//! Resource limits of this process (getrlimit(2)).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Raises the soft limit of open files to the hard one. Returns the soft limit as it was (`None` = unlimited), which
/// programs get back: some break with a large one (select(2)) or close every possible descriptor one by one.
///
/// # Errors
/// As setrlimit(2); the limit stays.
pub fn raise_open_files() -> io::Result<Option<u64>> {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum })?;
    }
    Ok(now.current)
}

/// The soft limit of open files; `None` = unlimited.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn raising_twice_gives_the_raised_limit() {
        raise_open_files().unwrap();
        assert_eq!(raise_open_files().unwrap(), open_files());
        assert_eq!(open_files(), getrlimit(Resource::Nofile).maximum);
    }
}
