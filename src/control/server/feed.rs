//! From a bounded queue of items to a stream of server-sent events.

use crate::control::lines::FeedReader;
use crate::control::request::{EventItem, MessageItem, Messages};
use crate::control::wire::LogItem;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Where items come from.
trait Source: Send + Unpin + 'static {
    type Item;

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>>;
}

impl Source for mpsc::Receiver<EventItem> {
    type Item = EventItem;

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<EventItem>> {
        self.poll_recv(context)
    }
}

impl Source for FeedReader {
    type Item = LogItem;

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<LogItem>> {
        self.poll_next(context)
    }
}

impl Source for Box<dyn Messages> {
    type Item = MessageItem;

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<MessageItem>> {
        self.as_mut().poll_next(context)
    }
}

/// A feed as server-sent events, one JSON object each.
struct Items<S: Source> {
    source: S,
    render: fn(S::Item) -> Event,
}

impl<S: Source> Stream for Items<S> {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let render = self.render;
        self.source.poll_item(context).map(|item| item.map(|item| Ok(render(item))))
    }
}

/// serde_json escapes control characters, so the text has no line end that would break the event.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The response that carries log lines.
pub(super) fn lines(items: FeedReader) -> Response {
    respond(items, |item| Event::default().data(json(&item)))
}

/// The response that carries events, numbered so that a reader can go on where it was cut off.
pub(super) fn events(items: mpsc::Receiver<EventItem>) -> Response {
    let render = |item: EventItem| match item {
        EventItem::Entry(entry) => Event::default().id(entry.seq.to_string()).data(json(&entry)),
        EventItem::Missed(count) => missed(count),
    };
    respond(items, render)
}

/// The response that carries messages.
pub(super) fn messages(items: Box<dyn Messages>) -> Response {
    let render = |item: MessageItem| match item {
        MessageItem::Message(message) => Event::default().data(json(&message)),
        MessageItem::Missed(count) => missed(count),
    };
    respond(items, render)
}

fn missed(count: u64) -> Event {
    Event::default().event("missed").data(json(&serde_json::json!({ "missed": count })))
}

fn respond<S: Source>(source: S, render: fn(S::Item) -> Event) -> Response {
    Sse::new(Items { source, render }).keep_alive(KeepAlive::default()).into_response()
}
