//! From a bounded queue of items to a stream of server-sent events.

use crate::control::request::EventItem;
use crate::control::wire::LogItem;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A feed as server-sent events, one JSON object each. It holds its slot until its end.
struct Items<T> {
    items: mpsc::Receiver<T>,
    render: fn(T) -> Event,
    _slot: OwnedSemaphorePermit,
}

impl<T: Send + 'static> Stream for Items<T> {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let render = self.render;
        self.items.poll_recv(context).map(|item| item.map(|item| Ok(render(item))))
    }
}

/// serde_json escapes control characters, so the text has no line end that would break the event.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The response that carries log lines.
pub(super) fn lines(items: mpsc::Receiver<LogItem>, slot: OwnedSemaphorePermit) -> Response {
    respond(items, |item| Event::default().data(json(&item)), slot)
}

/// The response that carries events, numbered so that a reader can go on where it was cut off.
pub(super) fn events(items: mpsc::Receiver<EventItem>, slot: OwnedSemaphorePermit) -> Response {
    let render = |item: EventItem| match item {
        EventItem::Entry(entry) => Event::default().id(entry.seq.to_string()).data(json(&entry)),
        EventItem::Missed(count) => {
            Event::default().event("missed").data(json(&serde_json::json!({ "missed": count })))
        }
    };
    respond(items, render, slot)
}

fn respond<T: Send + 'static>(
    items: mpsc::Receiver<T>,
    render: fn(T) -> Event,
    slot: OwnedSemaphorePermit,
) -> Response {
    Sse::new(Items { items, render, _slot: slot }).keep_alive(KeepAlive::default()).into_response()
}
