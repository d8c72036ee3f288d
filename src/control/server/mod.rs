//! HTTP/1.1 over the control socket, on a thread of its own.
//!
//! In: the listening socket, who may ask, and the door to the supervisor. Out: [`Call`]s through the door.
//! Never add here: an answer of its own about programs, or anything that blocks this thread.

mod access;
mod feed;
mod routes;
mod who;

pub use access::Access;

use super::request::{Call, Full, Peer};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{UnixListener as AsyncListener, UnixStream};
use tokio::sync::{Semaphore, oneshot, watch};

/// Takes a call to the supervisor, at once or not at all.
pub type Door = Arc<dyn Fn(Call) -> Result<(), Full> + Send + Sync>;

/// So many connections at once; further ones wait in the listener's queue.
const CONNECTIONS: u32 = 256;
/// A request's head must be complete after so long; an idle connection is closed after it too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest head, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The pause after a failed accept, such as EMFILE: it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that runs. Dropped, it goes on; [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<Duration>,
    thread: JoinHandle<()>,
}

/// Starts the server on a thread named `control`.
///
/// # Errors
/// When the thread, the runtime or the socket's registration cannot be had.
pub fn serve(listener: UnixListener, access: Access, door: Door) -> io::Result<Server> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _inside = runtime.enter();
        AsyncListener::from_std(listener)?
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        runtime.block_on(run(listener, access, door, stopped));
        // A group look-up that hangs in NSS must not keep the process from ending.
        runtime.shutdown_background();
    })?;
    Ok(Server { stop, thread })
}

impl Server {
    /// Takes no new connections, lets the answers that are on their way go out for at most `grace`, and ends.
    pub fn stop(self, grace: Duration) {
        let _ended_already = self.stop.send(grace);
        let _panicked = self.thread.join();
    }
}

/// Accepts until told to stop. A dropped `stopped` is no order to stop.
async fn run(listener: AsyncListener, access: Access, door: Door, stopped: oneshot::Receiver<Duration>) {
    let router = routes::router(door);
    let slots = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let (leave, leaving) = watch::channel(false);
    let mut stopped = pin!(async move {
        match stopped.await {
            Ok(grace) => grace,
            Err(_dropped) => std::future::pending().await,
        }
    });
    let mut failing = false;
    let grace = loop {
        let accepted = tokio::select! {
            grace = stopped.as_mut() => break grace,
            accepted = next(&listener, &slots, &mut failing) => accepted,
        };
        if let Some((stream, slot)) = accepted {
            let (router, mut leaving) = (router.clone(), leaving.clone());
            tokio::spawn(async move {
                let _slot = slot;
                converse(stream, access, router, &mut leaving).await;
            });
        }
    };
    drop(listener);
    leave.send_replace(true);
    let _some_are_cut_off = tokio::time::timeout(grace, slots.acquire_many(CONNECTIONS)).await;
}

/// The next connection with a slot for it. `failing`: the last one could not be had, and that was said.
async fn next(
    listener: &AsyncListener,
    slots: &Arc<Semaphore>,
    failing: &mut bool,
) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            *failing = false;
            Some((stream, slot))
        }
        Err(error) => {
            if !std::mem::replace(failing, true) {
                tracing::warn!(%error, "cannot accept connections on the control socket for now");
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Speaks HTTP with one client until it leaves, breaks the rules, or the server ends.
async fn converse(
    stream: UnixStream,
    access: Access,
    router: axum::Router,
    leaving: &mut watch::Receiver<bool>,
) {
    // A peer that cannot be asked who it is has vanished or is none: no answer.
    let Ok(credentials) = stream.peer_cred() else { return };
    let peer = Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() };
    let admission = access.admit(peer).await;
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(admission);
        inner.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How a conversation ends is the client's affair: a cut or broken one is not worth a log line.
    tokio::select! {
        _ended = connection.as_mut() => {}
        _leave = leaving.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        }
    }
}

#[cfg(test)]
mod tests;
