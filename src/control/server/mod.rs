//! HTTP/1.1 over the control socket, on a thread of its own.
//!
//! In: the listening socket, who may ask, and the door to the supervisor. Out: [`Call`]s through the door.
//! Never add here: an answer of its own about programs, or anything that blocks this thread.

mod access;
mod address;
mod conversation;
mod feed;
mod lane;
mod orders;
mod patient;
mod room;
mod routes;
mod talk;
mod who;

pub use access::Access;
pub use address::{Address, Bind};

use super::request::{Call, Full, Peer};
use crate::linux::memory::Thrift;
use crate::linux::{clock, peer};
use crate::model::Moment;
use address::Guard;
use room::{Room, Shares};
use std::io;
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{UnixListener as AsyncListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Takes a call to the supervisor, at once or not at all.
pub type Door = Arc<dyn Fn(Call) -> Result<(), Full> + Send + Sync>;

/// So many connections at once, where there are descriptors enough.
const CONNECTIONS: usize = 256;
/// What the connections share. Fewer streams and fewer waits than seats: a room full of them must not lock `stop` out.
const SHARES: Shares = Shares { seats: CONNECTIONS, following: 48, waiting: 128, owed: 16 * 1024 * 1024 };
/// So many more descriptors than seats: of connections that were told to leave and are just leaving.
const LEAVING: usize = 64;
/// So many conversations go on by a step before new ones are let in: writing one answer may take milliseconds, and turning
/// somebody away takes none.
const BETWEEN_ACCEPTS: u32 = 4;
/// The pause after a failed accept, such as EMFILE: it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections there can be at once with so many descriptors (RLIMIT_NOFILE; `None` = no limit): never so many
/// that programs lack them.
pub fn connections(descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(usize::MAX, |limit| usize::try_from(limit / 4).unwrap_or(usize::MAX));
    share.clamp(8, CONNECTIONS)
}

/// A server that runs. Dropped, it goes on; [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<Duration>,
    thread: JoinHandle<()>,
}

/// Starts the server on a thread named `control`. With an address the socket stays where clients look for it, whoever
/// takes it away.
///
/// # Errors
/// When the thread, the runtime or the socket's registration cannot be had.
pub fn serve(
    listener: UnixListener,
    address: Option<Address>,
    access: Access,
    door: Door,
) -> io::Result<Server> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().enable_time().event_interval(BETWEEN_ACCEPTS).build()?;
    let (listener, guard) = {
        let _inside = runtime.enter();
        (register(listener)?, address.map(Guard::new))
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        // Those who ask come after those who run.
        crate::linux::proc::be_modest();
        let seats = connections(crate::linux::limits::open_files());
        let reception = Reception {
            listener,
            guard,
            access,
            room: Room::new(Shares { seats, ..SHARES }),
            doors: Arc::new(Semaphore::new(seats + LEAVING)),
            refused: false,
            thrift: Thrift::default(),
        };
        runtime.block_on(reception.run(routes::router(door), stopped));
        // A group look-up that hangs in NSS must not keep the process from ending.
        runtime.shutdown_background();
    })?;
    Ok(Server { stop, thread })
}

fn register(listener: UnixListener) -> io::Result<AsyncListener> {
    listener.set_nonblocking(true)?;
    AsyncListener::from_std(listener)
}

impl Server {
    /// Takes no new connections, lets the answers that are on their way go out for at most `grace`, and ends.
    pub fn stop(self, grace: Duration) {
        let _ended_already = self.stop.send(grace);
        let _panicked = self.thread.join();
    }
}

/// Where clients come in.
struct Reception {
    listener: AsyncListener,
    guard: Option<Guard>,
    access: Access,
    room: Room,
    /// A permit for each connection that is open, however little is left of it.
    doors: Arc<Semaphore>,
    /// The last accept failed; said once.
    refused: bool,
    /// Gives the memory of a burst back.
    thrift: Thrift,
}

impl Reception {
    /// Accepts until told to stop. A dropped `stopped` is no order to stop.
    async fn run(mut self, router: axum::Router, stopped: oneshot::Receiver<Duration>) {
        let (leave, leaving) = watch::channel(false);
        let mut stopped = pin!(async move {
            match stopped.await {
                Ok(grace) => grace,
                Err(_dropped) => std::future::pending().await,
            }
        });
        let grace = loop {
            let accepted = tokio::select! {
                grace = stopped.as_mut() => break grace,
                () = hint(self.guard.as_ref()) => {
                    self.mend();
                    continue;
                }
                () = until(self.thrift.deadline()) => {
                    self.thrift.tick(clock::now());
                    continue;
                }
                accepted = next(&self.listener, &self.doors) => accepted,
            };
            match accepted {
                Ok((stream, door)) => {
                    self.refused = false;
                    self.thrift.worked(clock::now(), 1);
                    self.welcome(stream, door, &router, &leaving);
                }
                Err(error) => self.refuse(&error).await,
            }
        };
        drop(self.listener);
        leave.send_replace(true);
        let _some_are_cut_off = tokio::time::timeout(grace, self.room.empty()).await;
    }

    fn welcome(
        &self,
        stream: UnixStream,
        door: OwnedSemaphorePermit,
        router: &axum::Router,
        leaving: &watch::Receiver<bool>,
    ) {
        // Killed clients may stand in the queue by the hundred.
        if peer::has_left(&stream) {
            return;
        }
        // A peer that cannot be asked who it is has vanished or is none: no answer.
        let Ok(credentials) = stream.peer_cred() else { return };
        let peer = Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() };
        let Some(seat) = self.room.enter(peer.into()).map(Arc::new) else { return };
        let (access, router, leaving) = (self.access, router.clone(), leaving.clone());
        tokio::spawn(async move {
            let _door = door;
            conversation::converse(stream, peer, (access, seat), router, leaving).await;
        });
    }

    /// Where descriptors are short, a connection that there is makes room; at once again would only spin.
    async fn refuse(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.refused, true) {
            tracing::warn!(%error, "cannot accept a connection on the control socket");
        }
        self.room.make_space();
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    /// Somebody may have taken the path away: connections that there are stay, new ones come by the new socket.
    fn mend(&mut self) {
        let Some(listener) = self.guard.as_mut().and_then(Guard::look) else { return };
        match register(listener) {
            Ok(listener) => self.listener = listener,
            Err(error) => tracing::error!(%error, "the control socket cannot be used"),
        }
    }
}

/// The next connection, as soon as there can be one.
async fn next(
    listener: &AsyncListener,
    doors: &Arc<Semaphore>,
) -> io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let door = Arc::clone(doors).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, door))
}

/// Without a deadline it never comes.
async fn until(deadline: Option<Moment>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock::now())).await,
        None => std::future::pending().await,
    }
}

/// Without a guard there is never a hint.
async fn hint(guard: Option<&Guard>) {
    match guard {
        Some(guard) => guard.hint().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
