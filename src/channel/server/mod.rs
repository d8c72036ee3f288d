//! The socket of programs: who may connect, and one thread that serves them all.
//!
//! In: connections, and orders about runs. Out: what programs say, by callbacks on the thread. Reading order: `hall` (the
//! loop), `connection` (bytes), `talk` (requests), `seats` (who gives way). Never add here: a thread per connection, or
//! anything that waits for one program.

mod address;
mod connection;
mod hall;
mod orders;
mod seats;
mod talk;

pub(super) use crate::model::StopKind;
pub use seats::seats;

use super::Hub;
use crate::linux::limits;
use crate::model::{InstanceLabel, RunId, Saying};
use address::Address;
use hall::Hall;
use orders::{Order, Post};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Is told what a run says of itself on a connection (a number that is never used again while this server lives); that it is
/// idle when it has said hello. Called on
/// the server's thread; while it waits, so do all programs that talk, and nobody else.
pub type Said = Box<dyn Fn(RunId, u64, Saying) + Send>;
/// Is told that a connection is gone on which its run said that it is busy.
pub type Closed = Box<dyn Fn(RunId, u64) + Send>;

/// So long [`Server::drain`] waits at most.
const DRAIN: Duration = Duration::from_secs(1);

/// The server of `SPPM_SOCKET`. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    post: Arc<Post>,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds `path`, in place of whatever is there, and serves it on a thread named `channel`; again where somebody takes the
    /// file away. Everybody may connect, but talks only as a run that was admitted.
    ///
    /// # Errors
    /// The path cannot be bound; no descriptor or thread can be had.
    pub fn start(path: &Path, hub: Hub, said: Said, closed: Closed) -> io::Result<Self> {
        Self::with(path, hub, said, closed, seats(limits::open_files()))
    }

    fn with(path: &Path, hub: Hub, said: Said, closed: Closed, seats: usize) -> io::Result<Self> {
        let (listener, address) = Address::bind(path)?;
        let post = Arc::new(Post::new()?);
        let hall = Hall::new(listener, address, hub, (said, closed), seats, Arc::clone(&post))?;
        let thread = std::thread::Builder::new().name("channel".to_owned()).spawn(move || {
            // Those who talk come after those who run.
            crate::linux::proc::be_modest();
            hall.run();
        })?;
        Ok(Self { post, path: path.to_owned(), thread: Some(thread) })
    }

    /// From now on this run may connect: processes of this user, or of root.
    pub fn admit(&self, run: RunId, label: InstanceLabel, uid: u32) {
        self.post.send(Order::Admit { run, label, uid });
    }

    /// The run is over: its connections are closed, and it may not connect any more.
    pub fn dismiss(&self, run: RunId) {
        self.post.send(Order::Dismiss { run });
    }

    /// A stop of this run is wanted, of this kind and for this reason; `None`: it is not wanted any more. Who waits for one is
    /// told, and whoever asks later.
    pub fn stop_wanted(&self, run: RunId, stop: Option<(StopKind, String)>) {
        self.post.send(Order::StopWanted { run, stop });
    }

    /// Waits until every request was handled whose bytes have arrived by now on connections of this run, also on such as wait to
    /// be accepted; at most a second. Requests of one who does not take its answers are left out: it does not know of
    /// any effect yet. Not to be called by the callbacks.
    pub fn drain(&self, run: RunId) {
        let (done, drained) = mpsc::channel();
        self.post.send(Order::Drain { run, done });
        let _late_or_ended = drained.recv_timeout(DRAIN);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.post.send(Order::Leave);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
        // A supervisor that starts would take it away as well.
        let _gone = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
