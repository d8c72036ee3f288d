//! The socket's place in the file system: whether it is still ours, and binding it anew where it is not.
//!
//! Notices of the folder say when to look; nothing is looked at while nothing happens. Never add here: connections.

use crate::linux::held_file::{hold_file, leads_to};
use crate::linux::{clock, inotify};
use crate::model::Moment;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Somebody who takes the path away again and again is not raced.
const PAUSE: Duration = Duration::from_secs(1);
/// How soon is tried again what did not work, and how often is looked where there are no notices.
const SLOW: Duration = Duration::from_secs(30);

/// Watches over the path.
#[derive(Debug)]
pub(super) struct Address {
    path: PathBuf,
    /// The file that was bound there. `None`: it was gone at once, or there was no descriptor for it.
    file: Option<OwnedFd>,
    /// An inotify queue. `None`: the kernel has none for us.
    notices: Option<OwnedFd>,
    /// When to look, though nothing happens.
    look_at: Option<Moment>,
    /// Not before.
    rests_until: Moment,
    /// The path could not be bound; said once.
    lost: bool,
}

impl Address {
    /// Binds `path`, in place of whatever is there.
    ///
    /// # Errors
    /// As bind(2): the folder is missing or not ours, the path too long.
    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let listener = bind(path)?;
        let mut address = Self {
            path: path.to_owned(),
            file: hold_file(path).ok(),
            notices: inotify::notices().ok(),
            look_at: None,
            rests_until: Moment::default(),
            lost: false,
        };
        address.watch();
        // Whatever happened between the two.
        address.look_at = Some(clock::now());
        Ok((listener, address))
    }

    /// Readable when there is a reason to look.
    pub(super) fn notices(&self) -> Option<&OwnedFd> {
        self.notices.as_ref()
    }

    /// When to look, though nothing happens.
    pub(super) fn due(&self) -> Option<Moment> {
        self.look_at
    }

    /// Something has happened in the folder.
    pub(super) fn noticed(&mut self) {
        if let Some(notices) = &self.notices {
            // Whatever they say: there is a reason to look. What does not fit into one reading comes with the next.
            let _ = inotify::read_notices(notices);
        }
        let soon = self.rests_until.max(clock::now());
        self.look_at = Some(self.look_at.map_or(soon, |at| at.min(soon)));
    }

    /// Looks, when it is time. Where the path does not lead to our socket any more, another listener.
    pub(super) fn look(&mut self, now: Moment) -> Option<UnixListener> {
        self.look_at.filter(|at| *at <= now)?;
        self.look_at = self.notices.is_none().then(|| now + SLOW);
        if self.file.as_ref().is_some_and(|file| leads_to(&self.path, file)) {
            self.lost = false;
            return None;
        }
        match bind(&self.path) {
            Ok(listener) => {
                tracing::warn!(
                    "somebody took the socket of programs {} away; it is there again",
                    self.path.display()
                );
                self.file = hold_file(&self.path).ok();
                self.lost = false;
                self.rests_until = now + PAUSE;
                self.watch();
                // Whatever happened meanwhile.
                self.look_at = Some(self.rests_until);
                Some(listener)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.lost, true) {
                    tracing::error!(
                        "somebody took the socket of programs {} away, and it cannot be bound again: {error}",
                        self.path.display()
                    );
                }
                self.rests_until = now + SLOW;
                self.look_at = Some(self.rests_until);
                None
            }
        }
    }

    /// The folder may be another one by now.
    fn watch(&mut self) {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        if self.notices.as_ref().is_some_and(|notices| inotify::watch_names(notices, folder).is_err()) {
            self.notices = None;
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    // Programs of any user talk; what counts is who connects.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}
