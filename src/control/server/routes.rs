//! From HTTP requests to [`ApiRequest`]s and from [`Answer`]s to HTTP: limits, spelling, status codes. Never add
//! here: an answer that the supervisor did not give.

use super::access::Admission;
use super::lane::{Lane, in_turn};
use super::room::{NoSeat, Seat};
use super::who::who;
use super::{Door, feed, orders, talk};
use crate::control::request::{Answer, ApiRequest, Call, Peer, Reply, Response as Sent};
use crate::control::wire::{Detail, ErrorDto, ErrorKind};
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::{StatusCode, header, request::Parts};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// So many requests at once that are answered from memory: an answer about thousands of programs is megabytes long.
const QUICK: usize = 4;
/// So many at once that take a disk.
const SLOW: usize = 2;
/// The most names in a request, and the most of them that are patterns: each is held against every program.
const NAMES: (usize, usize) = (4096, 64);

/// What every handler needs.
#[derive(Clone)]
pub(super) struct Shared {
    door: Door,
    pub(super) quick: Lane,
    pub(super) slow: Lane,
}

/// All routes.
pub(super) fn router(door: Door) -> Router {
    let shared = Shared { door, quick: Lane::new(QUICK), slow: Lane::new(SLOW) };
    let quick = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/programs/{name}", get(program))
        .route("/v1/logs", get(logs))
        .route("/v1/events", get(events))
        .route("/v1/messages", get(talk::messages))
        .route("/v1/kv", get(talk::keys))
        .route("/v1/kv/{*key}", get(talk::key).delete(talk::delete))
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
        .route("/v1/reload", post(orders::reload))
        .route("/v1/start", post(orders::start))
        .route("/v1/stop", post(orders::stop))
        .route("/v1/restart", post(orders::restart))
        .route("/v1/signal", post(orders::signal))
        .route("/v1/scale", post(orders::scale))
        .route("/v1/shutdown", post(orders::shutdown))
        .route("/v1/messages", post(talk::publish))
        .route("/v1/kv/{*key}", put(talk::set))
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

pub(super) fn stranger() -> Response {
    let error = ErrorDto::new(ErrorKind::NotPermitted, "you may not talk to this supervisor");
    failure(error.with_help("root, the user it runs as and members of supervisor.api.group may"))
}

pub(super) fn failure(error: ErrorDto) -> Response {
    let status = StatusCode::from_u16(error.error.kind.http_status());
    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(error)).into_response()
}

pub(super) fn usage(message: impl Into<String>) -> Response {
    failure(ErrorDto::new(ErrorKind::Usage, message))
}

impl Shared {
    /// Hands a request to the supervisor and waits for what it says.
    pub(super) async fn call(&self, peer: Peer, request: ApiRequest) -> Result<Sent, Response> {
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

    pub(super) async fn ask(&self, peer: Peer, request: ApiRequest) -> Response {
        match self.call(peer, request).await {
            Ok(Sent::Answer(answer)) => render(answer),
            Ok(Sent::Feed(_) | Sent::Events(_) | Sent::Messages(_)) => unexpected(),
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

/// To a process that asks and asks, and takes nothing.
pub(super) fn too_much() -> Response {
    let error = ErrorDto::new(ErrorKind::Busy, "this process has too many answers that it has not taken");
    failure(error.with_help("read them first"))
}

pub(super) fn unexpected() -> Response {
    failure(ErrorDto::new(ErrorKind::Failed, "the supervisor answered another question"))
}

pub(super) fn render(answer: Answer) -> Response {
    match answer {
        Answer::Status(status) => written(StatusCode::OK, status.into_json()),
        Answer::Diff(diff) => json(StatusCode::OK, &diff),
        Answer::Accepted(accepted) => json(StatusCode::ACCEPTED, &accepted),
        Answer::Settled(settled) => json(StatusCode::OK, &settled),
        Answer::History(entries) => json(StatusCode::OK, &entries),
        Answer::Why(why) => json(StatusCode::OK, &why),
        Answer::Published(published) => json(StatusCode::OK, &published),
        Answer::Key(key) => json(StatusCode::OK, &key),
        Answer::Keys(keys) => json(StatusCode::OK, &keys),
        Answer::Error(error) => failure(error),
    }
}

/// Into a vector: axum's own `Json` writes byte by byte through an interface, which takes twice as long.
fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => written(status, bytes),
        Err(error) => {
            failure(ErrorDto::new(ErrorKind::Failed, format!("the answer cannot be written: {error}")))
        }
    }
}

fn written(status: StatusCode, json: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}

pub(super) type Pairs = Query<Vec<(String, String)>>;

/// The parameters of a query; a word that nobody knows is an error, not silence.
struct Parameters {
    names: Vec<String>,
    wait: Option<String>,
    lines: Option<String>,
    follow: Option<String>,
    after: Option<String>,
    brief: Option<String>,
}

impl Parameters {
    fn of(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Self, String> {
        let mut found =
            Self { names: Vec::new(), wait: None, lines: None, follow: None, after: None, brief: None };
        for (key, value) in pairs {
            match key.as_str() {
                other if !known.contains(&other) => {
                    return Err(format!("`{}` is not a parameter here", key.escape_debug()));
                }
                "wait_ms" => found.wait = Some(value),
                "lines" => found.lines = Some(value),
                "follow" => found.follow = Some(value),
                "after" => found.after = Some(value),
                "brief" => found.brief = Some(value),
                _name => found.names.push(value),
            }
        }
        Ok(found)
    }
}

/// What stands for true and false; `None`: something else.
fn switch(text: Option<&str>) -> Option<bool> {
    match text {
        None | Some("false" | "0") => Some(false),
        Some("" | "true" | "1") => Some(true),
        Some(_) => None,
    }
}

async fn status(State(shared): State<Shared>, peer: Peer, Query(pairs): Pairs) -> Response {
    let found = match Parameters::of(pairs, &["name", "brief"]) {
        Ok(found) => found,
        Err(message) => return usage(message),
    };
    let detail = match switch(found.brief.as_deref()) {
        Some(true) => Detail::Brief,
        Some(false) => Detail::Full,
        None => return usage("`brief` is true or false"),
    };
    shared.ask(peer, ApiRequest::Status { names: found.names, detail }).await
}

async fn program(State(shared): State<Shared>, peer: Peer, Path(name): Path<String>) -> Response {
    match shared.call(peer, ApiRequest::Status { names: vec![name.clone()], detail: Detail::Full }).await {
        Ok(Sent::Answer(Answer::Status(status))) => match status.into_only_program() {
            Some(json) => written(StatusCode::OK, json),
            None => {
                let name = name.escape_debug();
                failure(ErrorDto::new(ErrorKind::UnknownName, format!("`{name}` is not one program")))
            }
        },
        Ok(Sent::Answer(other)) => render(other),
        Ok(Sent::Feed(_) | Sent::Events(_) | Sent::Messages(_)) => unexpected(),
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
    let Some(follow) = switch(found.follow.as_deref()) else { return usage("`follow` is true or false") };
    if let Err(NoSeat) = seat.follow() {
        return failure(ErrorDto::new(ErrorKind::Busy, "as many readers follow as there can be"));
    }
    match shared.call(peer, ApiRequest::Logs { names: found.names, lines, follow }).await {
        Ok(Sent::Feed(items)) => feed::lines(items),
        Ok(Sent::Events(_) | Sent::Messages(_)) => unexpected(),
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
        Ok(Sent::Events(items)) => feed::events(items),
        Ok(Sent::Feed(_) | Sent::Messages(_)) => unexpected(),
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
