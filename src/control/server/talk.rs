//! Topics and the small store, for operators: bodies, parameters, limits. Never add here: what is in them.

use super::feed;
use super::orders::{Orderer, body};
use super::room::{NoSeat, Seat};
use super::routes::{Pairs, Shared, failure, render, too_much, unexpected, usage};
use crate::control::request::{ApiRequest, ChannelRequest, Peer, Response as Sent};
use crate::control::wire::{ErrorDto, ErrorKind};
use axum::Extension;
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// The longest body, in bytes: the longest data, also where JSON writes two bytes for one.
const MAX_BODY: usize = 160 * 1024;
/// The most patterns of one reader.
const PATTERNS: usize = 64;

/// The body of `POST /v1/messages`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    topic: String,
    data: Value,
}

/// The body of `PUT /v1/kv/KEY`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    data: Value,
    if_version: Option<u64>,
}

/// A string stands for its text, any other value for its JSON on one line.
fn line(data: Value) -> String {
    match data {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The parameters of this name; any other is an error, not silence.
fn only(pairs: Vec<(String, String)>, known: &str) -> Result<Vec<String>, String> {
    match pairs.iter().find(|(key, _)| key != known) {
        Some((other, _)) => Err(format!("`{}` is not a parameter here", other.escape_debug())),
        None => Ok(pairs.into_iter().map(|(_, value)| value).collect()),
    }
}

fn asks(request: ChannelRequest) -> ApiRequest {
    ApiRequest::Channel(request)
}

pub(super) async fn messages(
    State(shared): State<Shared>,
    peer: Peer,
    Extension(seat): Extension<Arc<Seat>>,
    Query(pairs): Pairs,
) -> Response {
    let topics = match only(pairs, "topic") {
        Ok(topics) if topics.len() > PATTERNS => return usage(format!("more than {PATTERNS} topics")),
        Ok(topics) => topics,
        Err(message) => return usage(message),
    };
    if let Err(NoSeat) = seat.follow() {
        return failure(ErrorDto::new(ErrorKind::Busy, "as many readers follow as there can be"));
    }
    match shared.call(peer, asks(ChannelRequest::Messages { topics })).await {
        Ok(Sent::Messages(items)) => feed::messages(items),
        Ok(Sent::Feed(_) | Sent::Events(_)) => unexpected(),
        Ok(Sent::Answer(answer)) => render(answer),
        Err(refused) => refused,
    }
}

pub(super) async fn keys(State(shared): State<Shared>, peer: Peer, Query(pairs): Pairs) -> Response {
    match only(pairs, "prefix") {
        Ok(mut prefixes) if prefixes.len() < 2 => {
            let prefix = prefixes.pop().unwrap_or_default();
            shared.ask(peer, asks(ChannelRequest::Keys { prefix })).await
        }
        Ok(_) => usage("`prefix` is given once"),
        Err(message) => usage(message),
    }
}

pub(super) async fn key(State(shared): State<Shared>, peer: Peer, Path(key): Path<String>) -> Response {
    shared.ask(peer, asks(ChannelRequest::Get { key })).await
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    peer: Peer,
    Path(key): Path<String>,
    Query(pairs): Pairs,
) -> Response {
    let expected = match only(pairs, "if_version").map(|mut values| (values.pop(), values.is_empty())) {
        Ok((None, _)) => None,
        Ok((Some(text), true)) => match text.parse() {
            Ok(version) => Some(version),
            Err(_) => return usage("`if_version` is a number"),
        },
        Ok((Some(_), false)) => return usage("`if_version` is given once"),
        Err(message) => return usage(message),
    };
    shared.ask(peer, asks(ChannelRequest::Delete { key, expected })).await
}

pub(super) async fn publish(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |Publish { topic, data }| ChannelRequest::Publish { topic, data: line(data) }).await
}

pub(super) async fn set(Path(key): Path<String>, orderer: Orderer, request: Request) -> Response {
    let make = |Set { data, if_version }| ChannelRequest::Set { key, data: line(data), expected: if_version };
    act(orderer, request, make).await
}

/// Until its turn comes a request is nothing but bytes.
async fn act<T: for<'a> Deserialize<'a>>(
    Orderer { shared, peer, seat }: Orderer,
    request: Request,
    make: impl FnOnce(T) -> ChannelRequest,
) -> Response {
    let bytes = match body(request, MAX_BODY).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    let Some(_service) = shared.quick.turn(&seat).await else { return too_much() };
    match serde_json::from_slice(&bytes) {
        Ok(words) => shared.ask(peer, asks(make(words))).await,
        Err(error) => usage(format!("the body is not what is expected: {error}")),
    }
}
