//! pingora's side of the house: one HTTP exchange in, one out.
//!
//! Everything that every request must pass stands here in its order: its head, health, host and
//! origin, route, method (`protocol.md` D-02). What a request means begins in [`crate::downstream`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use mcp::Era;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use crate::account::Entry;
use crate::call::{Accepts, Visit, identify};
use crate::downstream::body;
use crate::downstream::refusal::{refuse, refuse_post, turn_away};
use crate::downstream::reply::{Door, Extra, Gone};
use crate::downstream::streamable_http::post;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::route::{Found, Parameters, Route, SessionRule};
use crate::trace::TraceId;

/// From the first wait for a request to the end of its head: the engine bounds only each read.
const HEAD_WITHIN: Duration = Duration::from_secs(75);

/// An idle connection is kept this long, in seconds.
const KEPT_ALIVE: u64 = 60;

/// What is left of a body after its answer must arrive within this for the connection to be kept.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// Headers that a page may send, beside every `Mcp-Param-*` it asks for.
const ALLOWED_HEADERS: &str = "authorization, content-type, accept, mcp-session-id, mcp-protocol-version, last-event-id, \
     mcp-method, mcp-name, traceparent, tracestate, baggage, x-api-key";

/// The front.
pub(crate) struct App {
    pub(crate) current: Arc<ArcSwap<Generation>>,
}

#[async_trait]
impl HttpServerApp for App {
    async fn process_new_http(
        self: &Arc<Self>,
        mut http: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        match tokio::time::timeout(HEAD_WITHIN, http.read_request()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a request could not be read");
                let _ = http.respond_error(StatusCode::BAD_REQUEST.as_u16()).await;
                return None;
            }
        }
        let current = self.current.load_full();
        let draining = current.health.is_draining();
        http.set_keepalive(if draining { None } else { Some(KEPT_ALIVE) });
        http.set_write_timeout(Some(current.bounds.write_within));
        http.set_total_drain_timeout(Some(REST_WITHIN));
        // Else the first byte of the next request would be taken for a client that leaves this one.
        http.set_pipelining_enabled(true);
        match exchange(&current, &mut http).await {
            Ok(true) => {}
            Ok(false) => {
                body::read_on(&mut http, current.bounds.body).await;
                return None;
            }
            Err(Gone) => return None,
        }
        let settings = HttpPersistentSettings::for_session(&http);
        let reusable = http.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

/// Serves one exchange; tells whether its connection may carry another.
async fn exchange(current: &Arc<Generation>, http: &mut ServerSession) -> Result<bool, Gone> {
    let began = Instant::now();
    let head = body::check_head(http, current.bounds.headers);
    let request = http.req_header();
    let (method, uri, headers) = (
        request.method.clone(),
        request.uri.clone(),
        request.headers.clone(),
    );
    let source = http.client_addr().and_then(|address| address.as_inet()).copied();
    let origin = headers.get(header::ORIGIN).cloned();
    let mut door = Door::new(http, None);

    if let Err(failure) = head {
        door.close();
        let entry = current.account.open_unrouted(began, source, None);
        turn_away(&mut door, entry, &failure).await?;
        return Ok(false);
    }
    // Whoever asks for health does so by an address we cannot know, so this precedes the gate.
    if method == Method::GET
        && let Some((status, answer)) = current.health.answer(uri.path())
    {
        door.json(status, Bytes::from(answer), Extra::default()).await?;
        return Ok(door.is_reusable());
    }
    let host = single(&headers, header::HOST).or(uri.authority().map(|authority| authority.as_str()));
    if let Err(denied) = current.gate.judge(host, page(&headers)) {
        door.close();
        let entry = current.account.open_unrouted(began, source, None);
        turn_away(&mut door, entry, &Failure::Denied(denied)).await?;
        return Ok(false);
    }
    door.open_to(origin);
    let Some((route, parameters)) = current.routes.find(host, uri.path(), uri.query()) else {
        let entry = current.account.open_unrouted(began, source, None);
        let failure = Failure::NoRoute("no route has this path".into());
        turn_away(&mut door, entry, &failure).await?;
        return Ok(door.is_reusable());
    };
    if method == Method::OPTIONS {
        preflight(&mut door, &headers).await?;
        return Ok(door.is_reusable());
    }
    let visit = match arrive(current, route.clone(), parameters, &headers) {
        Ok((upstream, parameters, bound_parameters)) => Visit {
            began,
            time: SystemTime::now(),
            source,
            route,
            parameters,
            upstream,
            accepts: Accepts::of(&headers),
            trace: trace(&headers),
            headers,
            bound_parameters,
        },
        Err(failure) => {
            let entry = current.account.open_unrouted(began, source, Some(route));
            if method == Method::POST {
                refuse_post(current, &mut door, entry, &failure).await?;
            } else {
                turn_away(&mut door, entry, &failure).await?;
            }
            return Ok(door.is_reusable());
        }
    };
    // Opened before the look at a drain: from here on the drain waits for this exchange, so that
    // none slips through between the two.
    let entry = current.account.open(&visit);
    match method {
        Method::POST => match too_much(current) {
            Some(failure) => {
                door.close();
                turn_away(&mut door, entry, &failure).await?;
            }
            None => post(current, visit, &mut door, entry).await?,
        },
        Method::DELETE => delete(current, visit, &mut door, entry).await?,
        _ => turn_away(&mut door, entry, &Failure::HttpMethod("POST, DELETE, OPTIONS")).await?,
    }
    Ok(door.is_reusable())
}

/// The upstream of a request, the parameters of its URL, and which of the query's it is bound to.
type Arrival = (Arc<upstream::Upstream>, Parameters, Arc<[String]>);

/// Finds the upstream of a request.
fn arrive(
    current: &Generation,
    route: Arc<Route>,
    parameters: Parameters,
    headers: &HeaderMap,
) -> Result<Arrival, Failure> {
    let name = match route.choose(&parameters) {
        Found::One(name) => name,
        // People look for the event stream under a path of its own.
        Found::Unknown if parameters.get("server") == Some("notifications") => return Err(no_such_stream()),
        Found::Unknown => return Err(Failure::UnknownServer),
        Found::Several(names) => {
            let base = current.public_url.clone().unwrap_or_else(|| {
                format!("http://{}", single(headers, header::HOST).unwrap_or("localhost"))
            });
            return Err(Failure::Several(
                names.iter().map(|name| format!("{base}/mcp/{name}")).collect(),
            ));
        }
    };
    let upstream = current
        .upstreams
        .get(&name)
        .cloned()
        .ok_or(Failure::UnknownServer)?;
    let bound = current
        .injection(&name)
        .map_or_else(Vec::new, |injection| injection.parameters());
    Ok((upstream, parameters, bound.into()))
}

/// Ends a session at its client's word.
async fn delete(
    current: &Arc<Generation>,
    visit: Visit,
    door: &mut Door<'_>,
    mut entry: Entry,
) -> Result<(), Gone> {
    let principal = identify(&visit);
    entry.comes_from(&principal);
    let modern = single(&visit.headers, "mcp-protocol-version")
        .and_then(mcp::Revision::parse)
        .is_some_and(|revision| revision.era() == Era::Modern);
    if modern {
        return refuse(door, entry, &Failure::HttpMethod("POST"), Era::Modern, None).await;
    }
    if visit.route.sessions == SessionRule::Off {
        return turn_away(door, entry, &Failure::HttpMethod("POST")).await;
    }
    let Some(id) = single(&visit.headers, "mcp-session-id") else {
        return turn_away(door, entry, &Failure::SessionMissing).await;
    };
    let Some(session) = current.sessions.recognize(&visit, &principal, id) else {
        current.account.metrics().sessions_unknown.inc();
        return turn_away(door, entry, &Failure::SessionUnknown).await;
    };
    current.sessions.end(&session);
    current.account.metrics().sessions_ended.inc();
    let injected = match current.injection(&visit.upstream.name) {
        Some(injection) => injection.render(&visit).unwrap_or_default(),
        None => Vec::new(),
    };
    let headers = upstream::Headers {
        injected,
        passed: Vec::new(),
    };
    visit.upstream.end(&session.with_upstream(), &headers).await;
    entry.finish(audit::Outcome::Ok, Some(204), None);
    door.empty(204, Extra::default(), &[]).await
}

/// What a page may do: everything that the protocol needs.
async fn preflight(door: &mut Door<'_>, headers: &HeaderMap) -> Result<(), Gone> {
    let mut allowed = ALLOWED_HEADERS.to_owned();
    let asked = single(headers, header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    for name in asked.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        // An open set: every parameter header that is asked for is echoed.
        if name.starts_with("mcp-param-") && http::HeaderName::try_from(&*name).is_ok() {
            allowed.push_str(", ");
            allowed.push_str(&name);
        }
    }
    let more = [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST, GET, DELETE, OPTIONS"),
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::try_from(allowed).map_err(|_| Gone)?,
        ),
        (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
    ];
    door.empty(204, Extra::default(), &more).await
}

fn no_such_stream() -> Failure {
    let hint = "messages of the server come on `GET` of the endpoint itself, for instance `GET /mcp`";
    Failure::NoRoute(format!("there is no such path; {hint}"))
}

/// Why an exchange that was just opened is one too many, if it is.
fn too_much(current: &Generation) -> Option<Failure> {
    if current.health.is_draining() {
        return Some(Failure::Busy("the gateway is stopping"));
    }
    let running = usize::try_from(current.account.metrics().running.get()).unwrap_or(0);
    (running > current.bounds.streams).then_some(Failure::Busy(
        "more requests are running than `bounds.streams` allows",
    ))
}

/// The page a request comes from; two of them are none of ours.
pub(crate) fn page(headers: &HeaderMap) -> Option<&str> {
    match headers.get_all(header::ORIGIN).iter().count() {
        0 => None,
        1 => Some(single(headers, header::ORIGIN).unwrap_or_default()),
        _ => Some(""),
    }
}

fn trace(headers: &HeaderMap) -> TraceId {
    single(headers, "traceparent")
        .and_then(TraceId::from_traceparent)
        .unwrap_or_else(TraceId::new)
}

/// The value of a header that stands once and is text.
pub(crate) fn single<K: header::AsHeaderName>(headers: &HeaderMap, name: K) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}
