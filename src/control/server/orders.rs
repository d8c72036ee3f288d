//! Requests that change something: their bodies, limits, and what they mean. Never add here: an answer that the supervisor
//! did not give.

use super::lane::Lane;
use super::room::Seat;
use super::routes::{Shared, failure, stranger, too_much, usage};
use crate::control::request::{ApiRequest, Peer};
use crate::control::wire::{ErrorDto, ErrorKind, ScaleTo};
use crate::model::Signal;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::{StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// A body must be complete after so long.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a POST may say. No body at all says nothing; unknown words are errors.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Order {
    names: Vec<String>,
    name: Option<String>,
    force: bool,
    runtime: bool,
    signal: Option<String>,
    to: Option<String>,
}

impl Order {
    /// All that is named. `{"name": "web"}` must not mean everything.
    fn named(&mut self) -> Vec<String> {
        self.names.extend(self.name.take());
        std::mem::take(&mut self.names)
    }
}

/// A body of at most so many bytes.
pub(super) async fn body(request: Request, most: usize) -> Result<Bytes, Response> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|text| text.parse::<usize>().ok()).is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    let body: Body = request.into_body();
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large(most)),
        Err(_) => Err(failure(ErrorDto::new(ErrorKind::TimedOut, "the body did not come in time"))),
    }
}

/// The body as JSON, whatever its content type says: `curl -d '{"names": ["web"]}'` works.
fn order(bytes: &[u8]) -> Result<Order, String> {
    match bytes.is_empty() {
        true => Ok(Order::default()),
        false => serde_json::from_slice(bytes)
            .map_err(|error| format!("the body is not what is expected: {error}")),
    }
}

fn too_large(most: usize) -> Response {
    let error = ErrorDto::new(ErrorKind::Usage, format!("the body is cut off or longer than {most} bytes"));
    (StatusCode::PAYLOAD_TOO_LARGE, Json(error)).into_response()
}

/// Whoever orders something, and the queue where they stand.
pub(super) struct Orderer {
    pub(super) shared: Shared,
    pub(super) peer: Peer,
    pub(super) seat: Arc<Seat>,
}

impl FromRequestParts<Shared> for Orderer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let peer = Peer::from_request_parts(parts, shared).await?;
        let seat = parts.extensions.get::<Arc<Seat>>().cloned().ok_or_else(stranger)?;
        Ok(Self { shared: shared.clone(), peer, seat })
    }
}

/// Reads an order, makes a request of it, asks.
async fn act(
    orderer: Orderer,
    request: Request,
    make: impl FnOnce(Order) -> Result<ApiRequest, &'static str>,
) -> Response {
    let lane = orderer.shared.quick.clone();
    act_in(lane, orderer, request, make).await
}

/// Until its turn comes an order is nothing but bytes.
async fn act_in(
    lane: Lane,
    Orderer { shared, peer, seat }: Orderer,
    request: Request,
    make: impl FnOnce(Order) -> Result<ApiRequest, &'static str>,
) -> Response {
    let bytes = match body(request, MAX_BODY).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    let Some(_service) = lane.turn(&seat).await else { return too_much() };
    match order(&bytes).map(make) {
        Ok(Ok(request)) => shared.ask(peer, request).await,
        Ok(Err(message)) => usage(message),
        Err(message) => usage(message),
    }
}

/// It takes a disk.
pub(super) async fn reload(orderer: Orderer, request: Request) -> Response {
    let lane = orderer.shared.slow.clone();
    act_in(lane, orderer, request, |_| Ok(ApiRequest::Reload)).await
}

pub(super) async fn start(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| Ok(ApiRequest::Start { names: order.named() })).await
}

pub(super) async fn stop(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| {
        Ok(ApiRequest::Stop { names: order.named(), force: order.force, runtime: order.runtime })
    })
    .await
}

pub(super) async fn restart(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| match order.named() {
        names if names.is_empty() => Err("`names` is missing; [\"all\"] means every program"),
        names => Ok(ApiRequest::Restart { names, force: order.force }),
    })
    .await
}

pub(super) async fn signal(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| {
        let signal = order.signal.as_deref().ok_or("`signal` is missing")?;
        let signal: Signal =
            signal.parse().map_err(|_| "`signal` is not a signal: TERM, SIGHUP, RTMIN+1, 10")?;
        match order.named() {
            names if names.is_empty() => Err("`names` is missing; [\"all\"] means every program"),
            names => Ok(ApiRequest::Signal { names, signal }),
        }
    })
    .await
}

pub(super) async fn scale(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |order| {
        let name = order.name.ok_or("`name` is missing")?;
        let to: ScaleTo = order
            .to
            .as_deref()
            .ok_or("`to` is missing")?
            .parse()
            .map_err(|_| "`to` is not a number of instances: \"3\", \"+1\" or \"-1\"")?;
        Ok(ApiRequest::Scale { name, to })
    })
    .await
}

pub(super) async fn shutdown(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| match order.named().is_empty() {
        true => Ok(ApiRequest::Shutdown { force: order.force }),
        false => Err("a shutdown ends everything and takes no names; /v1/stop does"),
    })
    .await
}
