//! From a bounded queue of log items to a stream of server-sent events.

use crate::control::wire::LogItem;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A feed of log lines as server-sent events, one JSON object each. It holds its slot until its end.
struct Lines {
    items: mpsc::Receiver<LogItem>,
    _slot: OwnedSemaphorePermit,
}

impl Stream for Lines {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.items.poll_recv(context).map(|item| {
            // serde_json escapes control characters, so the text has no line end that would break the event.
            item.map(|item| Ok(Event::default().data(serde_json::to_string(&item).unwrap_or_default())))
        })
    }
}

/// The response that carries a feed.
pub(super) fn response(items: mpsc::Receiver<LogItem>, slot: OwnedSemaphorePermit) -> Response {
    Sse::new(Lines { items, _slot: slot }).keep_alive(KeepAlive::default()).into_response()
}
