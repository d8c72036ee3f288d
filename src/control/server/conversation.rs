//! One connection: HTTP with one client, until it leaves, breaks the rules, is needed for somebody else, or the server
//! ends.

use super::access::Access;
use super::patient::Patient;
use super::room::{Seat, Turn};
use crate::control::request::Peer;
use axum::body::HttpBody;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// A request's head must be complete after so long; an idle connection is closed after it too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest head, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Speaks with whoever sits on this seat, until it is needed.
pub(super) async fn converse(
    stream: UnixStream,
    peer: Peer,
    (access, seat): (Access, Arc<Seat>),
    router: axum::Router,
    leaving: watch::Receiver<bool>,
) {
    tokio::select! {
        () = speak(stream, peer, access, Arc::clone(&seat), router, leaving) => {}
        () = seat.leave() => {}
    }
}

async fn speak(
    stream: UnixStream,
    peer: Peer,
    access: Access,
    seat: Arc<Seat>,
    router: axum::Router,
    mut leaving: watch::Receiver<bool>,
) {
    let admission = access.admit(peer).await;
    let inner = TowerToHyperService::new(router);
    let stream = Patient::new(stream, Arc::clone(&seat));
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(admission);
        request.extensions_mut().insert(Arc::clone(&seat));
        let (answer, seat) = (inner.call(request), Arc::clone(&seat));
        async move {
            let answer = answer.await;
            // What has no length is a stream, and its seat knows.
            if let Ok(answer) = &answer
                && let Some(bytes) = answer.body().size_hint().exact()
            {
                seat.turn(Turn::Client);
                seat.owe(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            answer
        }
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
