//! HTTP/1.1 over the control socket, on a thread of its own.
//!
//! In: the listening socket, who may ask, and the door to the supervisor. Out: [`Call`]s through the door.
//! Never add here: an answer of its own about programs, or anything that blocks this thread.

use super::request::{Call, Full};
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

/// Who may use the socket, besides root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The supervisor's own user.
    pub own_uid: u32,
    /// `supervisor.api.group` as a gid.
    pub group: Option<u32>,
}

/// Takes a call to the supervisor, at once or not at all.
pub type Door = Arc<dyn Fn(Call) -> Result<(), Full> + Send + Sync>;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    stop: Option<tokio::sync::oneshot::Sender<Duration>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Starts the server on a thread named `control`.
///
/// # Errors
/// When the thread, the runtime or the socket's registration cannot be had.
pub fn serve(listener: UnixListener, access: Access, door: Door) -> io::Result<Server> {
    let _ = (listener, access, door);
    Err(io::ErrorKind::Unsupported.into())
}

impl Server {
    /// Takes no new connections, lets the answers that are on their way go out for at most `grace`, and ends.
    pub fn stop(mut self, grace: Duration) {
        if let Some(stop) = self.stop.take() {
            let _ended_already = stop.send(grace);
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
