//! The socket's place in the file system: whether it is still ours, and binding it anew where it is not.
//!
//! In: the path, the file that was bound there, a way to bind it again. Out: another listener when one was needed.
//! Notices of the folder wake it, so nothing is looked at while nothing happens. Never add here: connections.

use crate::linux::held_file::leads_to;
use crate::linux::inotify;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::time::Instant;

/// Binds the socket again.
pub type Bind = Box<dyn Fn() -> io::Result<(UnixListener, OwnedFd)> + Send>;

/// Where clients find the socket.
pub struct Address {
    /// The path.
    pub path: PathBuf,
    /// The file that was bound (O_PATH). Held, so that its inode number is nobody else's.
    pub file: OwnedFd,
    /// Removes what is there, binds the path, and gives the listener and its file.
    pub bind: Bind,
}

/// Somebody who takes the path away again and again is not raced.
const PAUSE: Duration = Duration::from_secs(1);
/// How soon is tried again what did not work, and how often is looked where there are no notices.
const SLOW: Duration = Duration::from_secs(30);

/// Watches over an address.
pub(super) struct Guard {
    address: Address,
    /// An inotify queue, which is read as a pipe is. `None`: the kernel has none for us.
    notices: Option<pipe::Receiver>,
    /// Not before.
    look_at: Instant,
    /// The path could not be bound; said once.
    lost: bool,
}

impl Guard {
    /// To be called inside of the runtime.
    pub(super) fn new(address: Address) -> Self {
        let notices = inotify::notices().and_then(pipe::Receiver::from_owned_fd_unchecked).ok();
        let mut guard = Self { address, notices, look_at: Instant::now(), lost: false };
        guard.watch();
        guard
    }

    /// Waits until there is a reason to look. May be cancelled at any time.
    pub(super) async fn hint(&self) {
        tokio::time::sleep_until(self.look_at).await;
        match &self.notices {
            Some(notices) if !self.lost => {
                let _ready = notices.readable().await;
                // Whatever they say: something has happened.
                while notices.try_read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
            }
            // `look_at` is far enough away.
            Some(_) | None => {}
        }
    }

    /// Looks. Where the path does not lead to our socket any more, another listener.
    pub(super) fn look(&mut self) -> Option<UnixListener> {
        let blind = self.notices.is_none();
        self.look_at = Instant::now() + if blind { SLOW } else { Duration::ZERO };
        if leads_to(&self.address.path, &self.address.file) {
            self.lost = false;
            return None;
        }
        match (self.address.bind)() {
            Ok((listener, file)) => {
                tracing::warn!(
                    "somebody took the control socket {} away; it is there again",
                    self.address.path.display()
                );
                self.address.file = file;
                self.lost = false;
                self.look_at = Instant::now() + if blind { SLOW } else { PAUSE };
                self.watch();
                Some(listener)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.lost, true) {
                    tracing::error!(
                        "somebody took the control socket {} away, and it cannot be bound again: {error}",
                        self.address.path.display()
                    );
                }
                self.look_at = Instant::now() + SLOW;
                None
            }
        }
    }

    /// The folder may be another one by now.
    fn watch(&mut self) {
        let folder = self.address.path.parent().unwrap_or(Path::new("/"));
        if self.notices.as_ref().is_some_and(|notices| inotify::watch_names(notices, folder).is_err()) {
            self.notices = None;
        }
    }
}
