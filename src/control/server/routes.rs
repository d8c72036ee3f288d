//! From HTTP requests to [`ApiRequest`]s and from [`Answer`]s to HTTP: limits, spelling, status codes. Never add
//! here: an answer that the supervisor did not give.

use super::access::Admission;
use super::lane::{Lane, in_turn};
use super::room::{NoSeat, Seat};
use super::who::who;
use super::{Door, feed};
use crate::control::request::{Answer, ApiRequest, Call, Peer, Reply, Response as Sent};
use crate::control::wire::{ErrorDto, ErrorKind, ScaleTo};
use crate::model::Signal;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::{StatusCode, header, request::Parts};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// A body must be complete after so long.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// So many requests at once that are answered from memory: an answer about thousands of programs is megabytes long.
const QUICK: usize = 4;
/// So many at once that take a disk.
const SLOW: usize = 2;
/// The most names in a request, and the most of them that are patterns: each is held against every program.
const NAMES: (usize, usize) = (4096, 64);

/// What every handler needs.
#[derive(Clone)]
struct Shared {
    door: Door,
    quick: Lane,
    slow: Lane,
}

/// All routes.
pub(super) fn router(door: Door) -> Router {
    let shared = Shared { door, quick: Lane::new(QUICK), slow: Lane::new(SLOW) };
    let quick = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/programs/{name}", get(program))
        .route("/v1/logs", get(logs))
        .route("/v1/events", get(events))
        .route_layer(from_fn_with_state(shared.quick.clone(), in_turn));
    let slow = Router::new()
        .route("/v1/diff", get(diff))
        .route("/v1/history", get(history))
        .route("/v1/why/{name}", get(why))
        .route_layer(from_fn_with_state(shared.slow.clone(), in_turn));
    Router::new()
        .merge(quick)
        .merge(slow)
        .route("/v1/settle", get(settle))
        .route("/v1/reload", post(reload))
        .route("/v1/start", post(start))
        .route("/v1/stop", post(stop))
        .route("/v1/restart", post(restart))
        .route("/v1/signal", post(signal))
        .route("/v1/scale", post(scale))
        .route("/v1/shutdown", post(shutdown))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || {
            let error = ErrorDto::new(ErrorKind::Usage, "there is nothing at this path");
            (StatusCode::NOT_FOUND, Json(error.with_help("GET /v1/status")))
        })
        .method_not_allowed_fallback(async || {
            let error = ErrorDto::new(ErrorKind::Usage, "this path does not take this method");
            (StatusCode::METHOD_NOT_ALLOWED, Json(error))
        })
        .layer(from_fn(refuse_strangers))
        .with_state(shared)
}

/// Root, the supervisor's own user and the api group may do all; others nothing.
async fn refuse_strangers(request: Request, next: Next) -> Response {
    match request.extensions().get::<Admission>() {
        Some(Admission::Allowed(_)) => next.run(request).await,
        Some(Admission::Stranger) | None => stranger(),
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        match parts.extensions.get::<Admission>() {
            Some(Admission::Allowed(peer)) => Ok(*peer),
            Some(Admission::Stranger) | None => Err(stranger()),
        }
    }
}

fn stranger() -> Response {
    let error = ErrorDto::new(ErrorKind::NotPermitted, "you may not talk to this supervisor");
    failure(error.with_help("root, the user it runs as and members of supervisor.api.group may"))
}

fn failure(error: ErrorDto) -> Response {
    let status = StatusCode::from_u16(error.error.kind.http_status());
    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(error)).into_response()
}

fn usage(message: impl Into<String>) -> Response {
    failure(ErrorDto::new(ErrorKind::Usage, message))
}

impl Shared {
    /// Hands a request to the supervisor and waits for what it says.
    async fn call(&self, peer: Peer, request: ApiRequest) -> Result<Sent, Response> {
        check_names(request.names()).map_err(usage)?;
        let (reply, answer) = Reply::channel();
        let who = who(peer, &request).await;
        if (self.door)(Call { who, request, reply }).is_err() {
            let error = ErrorDto::new(ErrorKind::Busy, "the supervisor has too many requests waiting");
            return Err(failure(error.with_help("ask again in a moment")));
        }
        answer.await.map_err(|_dropped| {
            failure(ErrorDto::new(ErrorKind::ShuttingDown, "the supervisor is ending and takes no requests"))
        })
    }

    async fn ask(&self, peer: Peer, request: ApiRequest) -> Response {
        match self.call(peer, request).await {
            Ok(Sent::Answer(answer)) => render(answer),
            Ok(Sent::Feed(_) | Sent::Events(_)) => unexpected(),
            Err(refused) => refused,
        }
    }
}

fn check_names(names: &[String]) -> Result<(), String> {
    let pattern = |name: &&String| name.contains(['*', '?', '[', '@']);
    if names.len() > NAMES.0 {
        return Err(format!("more than {} names in one request", NAMES.0));
    }
    match names.iter().filter(pattern).count() > NAMES.1 {
        true => Err(format!("more than {} patterns in one request", NAMES.1)),
        false => Ok(()),
    }
}

fn unexpected() -> Response {
    failure(ErrorDto::new(ErrorKind::Failed, "the supervisor answered another question"))
}

fn render(answer: Answer) -> Response {
    match answer {
        Answer::Status(status) => Json(status).into_response(),
        Answer::Diff(diff) => Json(diff).into_response(),
        Answer::Accepted(accepted) => (StatusCode::ACCEPTED, Json(accepted)).into_response(),
        Answer::Settled(settled) => Json(settled).into_response(),
        Answer::History(entries) => Json(entries).into_response(),
        Answer::Why(why) => Json(why).into_response(),
        Answer::Error(error) => failure(error),
    }
}

type Pairs = Query<Vec<(String, String)>>;

/// The parameters of a query; a word that nobody knows is an error, not silence.
struct Parameters {
    names: Vec<String>,
    wait: Option<String>,
    lines: Option<String>,
    follow: Option<String>,
    after: Option<String>,
}

impl Parameters {
    fn of(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Self, String> {
        let mut found = Self { names: Vec::new(), wait: None, lines: None, follow: None, after: None };
        for (key, value) in pairs {
            match key.as_str() {
                other if !known.contains(&other) => {
                    return Err(format!("`{}` is not a parameter here", key.escape_debug()));
                }
                "wait_ms" => found.wait = Some(value),
                "lines" => found.lines = Some(value),
                "follow" => found.follow = Some(value),
                "after" => found.after = Some(value),
                _name => found.names.push(value),
            }
        }
        Ok(found)
    }
}

async fn status(State(shared): State<Shared>, peer: Peer, Query(pairs): Pairs) -> Response {
    match Parameters::of(pairs, &["name"]) {
        Ok(found) => shared.ask(peer, ApiRequest::Status { names: found.names }).await,
        Err(message) => usage(message),
    }
}

async fn program(State(shared): State<Shared>, peer: Peer, Path(name): Path<String>) -> Response {
    match shared.call(peer, ApiRequest::Status { names: vec![name.clone()] }).await {
        Ok(Sent::Answer(Answer::Status(mut status))) => {
            match (status.programs.pop(), status.programs.len()) {
                (Some(program), 0) => Json(program).into_response(),
                _ => {
                    let name = name.escape_debug();
                    failure(ErrorDto::new(ErrorKind::UnknownName, format!("`{name}` is not one program")))
                }
            }
        }
        Ok(Sent::Answer(other)) => render(other),
        Ok(Sent::Feed(_) | Sent::Events(_)) => unexpected(),
        Err(refused) => refused,
    }
}

async fn diff(State(shared): State<Shared>, peer: Peer) -> Response {
    shared.ask(peer, ApiRequest::Diff).await
}

async fn settle(
    State(shared): State<Shared>,
    peer: Peer,
    Extension(seat): Extension<Arc<Seat>>,
    Query(pairs): Pairs,
) -> Response {
    let found = match Parameters::of(pairs, &["name", "wait_ms"]) {
        Ok(found) => found,
        Err(message) => return usage(message),
    };
    let wait = match found.wait.as_deref().map(str::parse::<u64>) {
        None => ApiRequest::MAX_WAIT,
        Some(Ok(millis)) => Duration::from_millis(millis).min(ApiRequest::MAX_WAIT),
        Some(Err(_)) => return usage("`wait_ms` is a number of milliseconds"),
    };
    seat.wait();
    shared.ask(peer, ApiRequest::Settle { names: found.names, wait }).await
}

async fn logs(
    State(shared): State<Shared>,
    peer: Peer,
    Extension(seat): Extension<Arc<Seat>>,
    Query(pairs): Pairs,
) -> Response {
    let found = match Parameters::of(pairs, &["name", "lines", "follow"]) {
        Ok(found) => found,
        Err(message) => return usage(message),
    };
    let lines = match found.lines.as_deref() {
        None => Some(100),
        Some("all") => None,
        Some(number) => match number.parse() {
            Ok(number) => Some(number),
            Err(_) => return usage("`lines` is a number or `all`"),
        },
    };
    let follow = match found.follow.as_deref() {
        None | Some("false" | "0") => false,
        Some("" | "true" | "1") => true,
        Some(_) => return usage("`follow` is true or false"),
    };
    if let Err(NoSeat) = seat.follow() {
        return failure(ErrorDto::new(ErrorKind::Busy, "as many readers follow as there can be"));
    }
    match shared.call(peer, ApiRequest::Logs { names: found.names, lines, follow }).await {
        Ok(Sent::Feed(items)) => feed::lines(items, seat),
        Ok(Sent::Events(_)) => unexpected(),
        Ok(Sent::Answer(answer)) => render(answer),
        Err(refused) => refused,
    }
}

/// Events as they happen. `after=N`, or the header `Last-Event-ID`, begins behind event N.
async fn events(
    State(shared): State<Shared>,
    peer: Peer,
    Extension(seat): Extension<Arc<Seat>>,
    headers: header::HeaderMap,
    Query(pairs): Pairs,
) -> Response {
    let found = match Parameters::of(pairs, &["name", "after"]) {
        Ok(found) => found,
        Err(message) => return usage(message),
    };
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let after = match found.after.or(resumed).map(|text| text.parse()) {
        None => None,
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => return usage("`after` is the number of an event"),
    };
    if let Err(NoSeat) = seat.follow() {
        return failure(ErrorDto::new(ErrorKind::Busy, "as many readers follow as there can be"));
    }
    match shared.call(peer, ApiRequest::Events { names: found.names, after }).await {
        Ok(Sent::Events(items)) => feed::events(items, seat),
        Ok(Sent::Feed(_)) => unexpected(),
        Ok(Sent::Answer(answer)) => render(answer),
        Err(refused) => refused,
    }
}

async fn history(State(shared): State<Shared>, peer: Peer, Query(pairs): Pairs) -> Response {
    let found = match Parameters::of(pairs, &["name", "lines"]) {
        Ok(found) => found,
        Err(message) => return usage(message),
    };
    let last = match found.lines.as_deref() {
        None => 100,
        Some("all") => u32::MAX,
        Some(number) => match number.parse() {
            Ok(number) => number,
            Err(_) => return usage("`lines` is a number or `all`"),
        },
    };
    shared.ask(peer, ApiRequest::History { names: found.names, last }).await
}

async fn why(State(shared): State<Shared>, peer: Peer, Path(name): Path<String>) -> Response {
    shared.ask(peer, ApiRequest::Why { name }).await
}

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

async fn body(request: Request) -> Result<Bytes, Response> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|text| text.parse::<usize>().ok()).is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    let body: Body = request.into_body();
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
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

fn too_large() -> Response {
    let error =
        ErrorDto::new(ErrorKind::Usage, format!("the body is cut off or longer than {MAX_BODY} bytes"));
    (StatusCode::PAYLOAD_TOO_LARGE, Json(error)).into_response()
}

/// Whoever orders something, and the queue where they stand.
struct Orderer {
    shared: Shared,
    peer: Peer,
    seat: Arc<Seat>,
}

impl FromRequestParts<Shared> for Orderer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Response> {
        let peer = Peer::from_request_parts(parts, shared).await?;
        let seat = parts.extensions.get::<Arc<Seat>>().cloned().ok_or_else(stranger)?;
        Ok(Self { shared: shared.clone(), peer, seat })
    }
}

/// Reads an order, makes a request of it, asks. Until its turn comes it is nothing but bytes.
async fn act(
    Orderer { shared, peer, seat }: Orderer,
    request: Request,
    make: impl FnOnce(Order) -> Result<ApiRequest, &'static str>,
) -> Response {
    let bytes = match body(request).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    let _turn = shared.quick.turn(&seat).await;
    match order(&bytes).map(make) {
        Ok(Ok(request)) => shared.ask(peer, request).await,
        Ok(Err(message)) => usage(message),
        Err(message) => usage(message),
    }
}

async fn reload(Orderer { shared, peer, seat }: Orderer, request: Request) -> Response {
    let bytes = match body(request).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    let _turn = shared.slow.turn(&seat).await;
    match order(&bytes) {
        Ok(_) => shared.ask(peer, ApiRequest::Reload).await,
        Err(message) => usage(message),
    }
}

async fn start(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| Ok(ApiRequest::Start { names: order.named() })).await
}

async fn stop(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| {
        Ok(ApiRequest::Stop { names: order.named(), force: order.force, runtime: order.runtime })
    })
    .await
}

async fn restart(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| match order.named() {
        names if names.is_empty() => Err("`names` is missing; [\"all\"] means every program"),
        names => Ok(ApiRequest::Restart { names, force: order.force }),
    })
    .await
}

async fn signal(orderer: Orderer, request: Request) -> Response {
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

async fn scale(orderer: Orderer, request: Request) -> Response {
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

async fn shutdown(orderer: Orderer, request: Request) -> Response {
    act(orderer, request, |mut order| match order.named().is_empty() {
        true => Ok(ApiRequest::Shutdown { force: order.force }),
        false => Err("a shutdown ends everything and takes no names; /v1/stop does"),
    })
    .await
}
