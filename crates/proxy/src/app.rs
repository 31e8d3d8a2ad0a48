//! pingora's side of the house: one HTTP exchange in, one out.
//!
//! Everything that every request must pass stands here in its order: its head, health, host and
//! origin, route, method (`protocol.md` D-02). What a request means begins in [`crate::downstream`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use mcp::Era;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use policy::authn::{Expected, Presented};
use policy::rules::Selection;
use policy::{Principal, Unidentified};

use crate::account::Entry;
use crate::aggregate::Aggregate;
use crate::call::{Accepts, Visit};
use crate::destination::Destination;
use crate::downstream::body;
use crate::downstream::held::Held;
use crate::downstream::listen::listen;
use crate::downstream::refusal::{refuse, refuse_post, turn_away};
use crate::downstream::reply::{Door, Extra, Gone};
use crate::downstream::resumable::get as resumable;
use crate::downstream::sse;
use crate::downstream::streamable_http::{named_session, post};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::protected::{Fault, challenge};
use crate::route::{Found, Parameters, Place, Route, SessionRule, split_token};
use crate::tls::Proven;
use crate::trace::Trace;

/// What an endpoint takes.
const METHODS: &str = "POST, GET, DELETE, OPTIONS";

/// What it takes of who can have no session: 2026-07-28 has none, and a route may keep none.
const SESSIONLESS: &str = "POST, OPTIONS";

/// What is left of a body after its answer must arrive within this for the connection to be kept.
const REST_WITHIN: Duration = Duration::from_secs(5);

/// Headers that a page may send, beside every `Mcp-Param-*` it asks for.
const ALLOWED_HEADERS: &str = "authorization, content-type, accept, mcp-session-id, mcp-protocol-version, last-event-id, \
     mcp-method, mcp-name, idempotency-key, traceparent, tracestate, baggage, x-api-key";

/// Requests that a connection of HTTP/2 may have open at once. Its client opens another connection for more.
const REQUESTS_AT_ONCE: u32 = 128;

/// Bytes of bodies that may be on their way on one connection of HTTP/2: sixteen requests that are slow to be read
/// do not hold up the next.
const WINDOW: u32 = 1 << 20;

/// Bytes of one answer that may wait for the client of HTTP/2. They still do when the engine takes the connection for
/// idle, so it must be little enough to be sent by then.
const UNSENT: usize = 64 << 10;

/// The front, for the requests of one connection.
pub(crate) struct App {
    current: Arc<ArcSwap<Generation>>,
    began: Instant,
    options: HttpServerOptions,
    /// What the other end has proved to be.
    proven: Option<Proven>,
    was_asked: AtomicBool,
}

impl App {
    /// `began`: when the connection did, whose first request is waited for since then.
    pub(crate) fn new(
        current: Arc<ArcSwap<Generation>>,
        began: Instant,
        speaks_h2: bool,
        proven: Option<Proven>,
    ) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = speaks_h2;
        // Counted while nothing is open on a connection.
        options.h2_idle_timeout = Some(current.load().bounds.idle);
        Self {
            current,
            began,
            options,
            proven,
            was_asked: AtomicBool::new(false),
        }
    }

    /// Waits for this long, and for ever when there was a request by then.
    pub(crate) async fn was_never_asked(&self, patience: Duration) {
        tokio::time::sleep(patience).await;
        if self.was_asked.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    }
}

#[async_trait]
impl HttpServerApp for App {
    async fn process_new_http(
        self: &Arc<Self>,
        mut http: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let patience = self.current.load().patience();
        let patience = match self.was_asked.swap(true, Ordering::Relaxed) {
            true => patience,
            false => patience.saturating_sub(self.began.elapsed()),
        };
        // From the first wait for a request to the end of its head: the engine bounds only each read.
        match tokio::time::timeout(patience, http.read_request()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return None,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a request could not be read");
                let _ = http.respond_error(StatusCode::BAD_REQUEST.as_u16()).await;
                return None;
            }
        }
        let current = self.current.load_full();
        let idle = current.bounds.idle;
        let parts = current.health.is_draining() || current.health.is_short();
        http.set_keepalive(if parts { None } else { Some(idle.as_secs()) });
        http.set_write_timeout(Some(current.bounds.stalled));
        http.set_total_drain_timeout(Some(REST_WITHIN));
        // Else the first byte of the next request would be taken for a client that leaves this one.
        http.set_pipelining_enabled(true);
        match exchange(&current, &mut http, self.proven.as_ref()).await {
            Ok(Then::Reuse) => {}
            Ok(Then::Close) => {
                body::read_on(&mut http, current.bounds.body).await;
                return None;
            }
            Ok(Then::Hold(held)) => {
                let (tracker, stalled) = (current.held.clone(), current.bounds.stalled);
                // A stream of hours must not keep the configuration that it began with.
                drop(current);
                let is_h2 = http.is_http2();
                let held = tracker.track_future(held.run(http, stalled));
                match is_h2 {
                    // Here the engine has set a task aside already, and takes its end for the end of the stream.
                    true => Box::pin(held).await,
                    false => drop(tokio::spawn(held)),
                }
                return None;
            }
            Err(Gone) => return None,
        }
        let settings = HttpPersistentSettings::for_session(&http);
        let reusable = http.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    fn h2_options(&self) -> Option<H2Options> {
        // A head that is somewhat too long is refused by us, in words; only beyond that by the engine.
        let headers = self.current.load().bounds.headers.saturating_mul(2);
        let mut options = default_h2_options();
        options
            .max_header_list_size(u32::try_from(headers).unwrap_or(u32::MAX))
            .max_concurrent_streams(REQUESTS_AT_ONCE)
            .initial_connection_window_size(WINDOW)
            .max_send_buffer_size(UNSENT);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// What becomes of the connection after an exchange.
enum Then {
    /// It may carry another.
    Reuse,
    /// It ends.
    Close,
    /// It stays open, and is told what comes.
    Hold(Held),
}

/// Serves one exchange.
async fn exchange(
    current: &Arc<Generation>,
    http: &mut ServerSession,
    proven: Option<&Proven>,
) -> Result<Then, Gone> {
    let began = Instant::now();
    let head = body::check_head(http, current.bounds.headers);
    let request = http.req_header();
    let (method, uri, headers) = (
        request.method.clone(),
        request.uri.clone(),
        request.headers.clone(),
    );
    let peer = http.client_addr().and_then(|address| address.as_inet());
    let source = peer.map(|peer| current.proxies.source(peer.ip(), &headers));
    let origin = headers.get(header::ORIGIN).cloned();
    let mut door = Door::new(http, None);

    if let Err(failure) = head {
        door.close();
        let entry = current.account.open_unrouted(began, source, None);
        turn_away(&mut door, entry, &failure).await?;
        return Ok(Then::Close);
    }
    // Whoever asks for health does so by an address we cannot know, so this precedes the gate.
    if method == Method::GET
        && let Some((status, answer)) = current.health.answer(uri.path())
    {
        door.json(status, Bytes::from(answer), Extra::default()).await?;
        return Ok(then(&door));
    }
    let host = single(&headers, header::HOST).or(uri.authority().map(|authority| authority.as_str()));
    if let Err(denied) = current.gate.judge(host, page(&headers)) {
        door.close();
        let entry = current.account.open_unrouted(began, source, None);
        turn_away(&mut door, entry, &Failure::Denied(denied)).await?;
        return Ok(Then::Close);
    }
    door.open_to(origin);
    if method == Method::GET
        && let Some(metadata) = metadata(current, host, uri.path())
    {
        door.open_to_all();
        door.json(200, Bytes::from(metadata), Extra::default()).await?;
        return Ok(then(&door));
    }
    let Some((route, parameters, place)) = current.routes.find(host, uri.path(), uri.query()) else {
        let entry = current.account.open_unrouted(began, source, None);
        let failure = Failure::NoRoute("no route has this path".into());
        turn_away(&mut door, entry, &failure).await?;
        return Ok(then(&door));
    };
    if method == Method::OPTIONS {
        preflight(&mut door, &headers).await?;
        return Ok(then(&door));
    }
    let token = uri.query().and_then(split_token).map(|(_, token, _)| token);
    if place == Place::Messages && (method != Method::POST || token.is_none()) {
        let entry = current.account.open_unrouted(began, source, Some(route));
        let failure = match method {
            Method::POST => Failure::NoStream(sse::base_of(uri.path()).to_owned()),
            _ => Failure::HttpMethod("POST"),
        };
        turn_away(&mut door, entry, &failure).await?;
        return Ok(then(&door));
    }
    // Before it is told what there is, and before a byte of its body is read.
    let protected = current.protected.as_ref();
    let resource = protected.map(|protected| protected.resource(uri.path(), place));
    let principal = match identify(current, (uri.query(), &headers), proven, resource.as_deref()).await {
        Ok(principal) => principal,
        Err(failure) => {
            let entry = current.account.open_unrouted(began, source, Some(route));
            turn_away(&mut door, entry, &failure).await?;
            return Ok(then(&door));
        }
    };
    let rules = current.selections.as_ref();
    let rules = rules.map(|rules| rules.of(&principal, &route, &parameters));
    let visit = match arrive(current, &route, parameters, &principal, rules.as_ref()) {
        Ok((to, parameters, bound_parameters)) => Visit {
            began,
            time: SystemTime::now(),
            source,
            route,
            parameters,
            to,
            accepts: Accepts::of(&headers),
            trace: Trace::of(&headers),
            headers,
            principal,
            rules,
            resource,
            bound_parameters,
        },
        Err(failure) => {
            let entry = current.account.open_unrouted(began, source, Some(route));
            if method == Method::POST {
                refuse_post(current, &mut door, entry, &failure).await?;
            } else {
                turn_away(&mut door, entry, &failure).await?;
            }
            return Ok(then(&door));
        }
    };
    // Opened before the look at a drain: from here on the drain waits for this exchange, so that
    // none slips through between the two.
    let entry = current.account.open(&visit);
    match (method, place, token) {
        (Method::POST | Method::GET, _, _) if let Some(failure) = too_much(current) => {
            door.close();
            turn_away(&mut door, entry, &failure).await?;
        }
        (Method::POST, Place::Messages, Some(token)) => {
            sse::message(current, visit, token, &mut door, entry).await?;
        }
        (Method::POST, _, _) => post(current, visit, &mut door, entry).await?,
        (Method::GET, _, _) => {
            if let Some(held) = open_stream(current, visit, (&uri, place), &mut door, entry).await? {
                return Ok(Then::Hold(held));
            }
        }
        (Method::DELETE, _, _) => delete(current, visit, &mut door, entry).await?,
        _ => turn_away(&mut door, entry, &Failure::HttpMethod(METHODS)).await?,
    }
    Ok(then(&door))
}

/// Where clients get tokens for an endpoint, when that is what is asked (RFC 9728). Of the whole origin only where it
/// has one endpoint.
fn metadata(current: &Generation, host: Option<&str>, path: &str) -> Option<String> {
    let protected = current.protected.as_ref()?;
    let asked = protected.asked(path)?;
    let only = current.routes.only().map(|route| route.path.as_str());
    let endpoint = match asked {
        "" => only.unwrap_or("/"),
        endpoint => endpoint,
    };
    let (_, _, place) = current.routes.find(host, endpoint, None)?;
    (place == Place::Endpoint).then(|| protected.metadata(&protected.resource(endpoint, place)))
}

/// Finds out who makes a request.
async fn identify(
    current: &Generation,
    (query, headers): (Option<&str>, &HeaderMap),
    proven: Option<&Proven>,
    resource: Option<&str>,
) -> Result<Principal, Failure> {
    let Some(authn) = &current.authn else {
        return Ok(Principal::Anonymous);
    };
    let audiences = resource.map(str::to_owned);
    let presented = Presented {
        headers,
        query,
        certificate: proven.and_then(|proven| proven.before(current.tls.as_ref())),
        expected: Expected {
            audiences: audiences.as_slice(),
        },
        now: SystemTime::now(),
    };
    authn.identify(&presented).await.map_err(|why| {
        let unidentified = &current.account.metrics().unidentified;
        unidentified.with_label_values(&[why.cause()]).inc();
        let fault = match why {
            Unidentified::Missing => Fault::Missing,
            Unidentified::Refused(_) => Fault::Invalid,
            Unidentified::Unavailable => return Failure::Unverifiable,
        };
        Failure::Unidentified(challenge(resource, fault))
    })
}

fn then(door: &Door<'_>) -> Then {
    match door.is_reusable() {
        true => Then::Reuse,
        false => Then::Close,
    }
}

/// Opens a stream of events: for the session that is named, or for a client of the 2024-11-05
/// transport, which names none (`protocol.md` §1.0 E6, E7).
async fn open_stream(
    current: &Arc<Generation>,
    visit: Visit,
    at: (&http::Uri, Place),
    door: &mut Door<'_>,
    mut entry: Entry,
) -> Result<Option<Held>, Gone> {
    let names_session = visit.headers.contains_key("mcp-session-id");
    let offered = !is_modern(&visit.headers)
        && visit.route.sessions != SessionRule::Off
        && (names_session || visit.route.doors.sse);
    let failure = if asks_for_another_protocol(&visit.headers) {
        door.close();
        Failure::Framing("no other protocol is spoken here than HTTP")
    } else if !offered {
        let sessions = !is_modern(&visit.headers) && visit.route.sessions != SessionRule::Off;
        Failure::HttpMethod(if sessions {
            "POST, DELETE, OPTIONS"
        } else {
            SESSIONLESS
        })
    } else if let Some(failure) = draining(current) {
        door.close();
        failure
    } else if !visit.accepts.events {
        Failure::NotAcceptable
    } else {
        match named_session(current, &visit) {
            Ok(Some(session)) if let Some(resume) = current.sessions.resume() => {
                return resumable::open(current, &visit, door, entry, (&session, resume)).await;
            }
            Ok(Some(session)) => return listen(current, &visit, door, entry, &session).await,
            // Browsers, probes and crawlers take everything, and would each hold a session open.
            Ok(None) if at.1 == Place::Endpoint && !visit.accepts.names_events => Failure::StreamUnasked,
            Ok(None) => {
                entry.by_sse();
                return sse::connect(current, &visit, at, door, entry).await;
            }
            Err(failure) => {
                current.account.metrics().sessions_unknown.inc();
                failure
            }
        }
    };
    turn_away(door, entry, &failure).await.map(|()| None)
}

/// Whether a stream is asked for that would be no stream of events. An offer of HTTP/2 means nothing:
/// Java's client makes it with each first request.
fn asks_for_another_protocol(headers: &HeaderMap) -> bool {
    let mut offers = headers.get_all(header::UPGRADE).iter();
    offers.any(|offer| !offer.as_bytes().eq_ignore_ascii_case(b"h2c"))
}

/// Whether a request without a body says that it is of 2026-07-28.
fn is_modern(headers: &HeaderMap) -> bool {
    single(headers, "mcp-protocol-version")
        .and_then(mcp::Revision::parse)
        .is_some_and(|revision| revision.era() == Era::Modern)
}

/// Where a request leads, the parameters of its URL, and which of the query's it is bound to.
type Arrival = (Destination, Parameters, Arc<[String]>);

/// Finds where a request leads.
fn arrive(
    current: &Generation,
    route: &Route,
    parameters: Parameters,
    principal: &Principal,
    rules: Option<&Arc<Selection>>,
) -> Result<Arrival, Failure> {
    if !is_of_tenant(principal, &parameters) {
        return Err(Failure::UnknownServer);
    }
    let found = match route.choose(&parameters) {
        Found::One(name) if route.face.from_catalog => Found::Several(vec![name]),
        found => found,
    };
    let (to, mut bound) = match found {
        Found::One(name) => {
            let upstream = current.upstreams.get(&name).cloned();
            let bound = current.injection(&name).map(|injection| injection.parameters());
            (
                Destination::One(upstream.ok_or(Failure::UnknownServer)?),
                bound.unwrap_or_default(),
            )
        }
        Found::Several(names) => {
            let aggregate = Aggregate::of(current, route, &names, rules).ok_or(Failure::UnknownServer)?;
            let parameters = names.iter().filter_map(|name| current.injection(name));
            let parameters = parameters.flat_map(|injection| injection.parameters());
            // Which servers a client sees is part of what it talks to.
            let bound = parameters.chain(["server".to_owned()]).collect();
            (Destination::Many(Arc::new(aggregate)), bound)
        }
        // People look for the event stream under a path of its own.
        Found::Unknown if parameters.get("server") == Some("notifications") => return Err(no_such_stream()),
        Found::Unknown => return Err(Failure::UnknownServer),
    };
    bound.sort_unstable();
    bound.dedup();
    Ok((to, parameters, bound.into()))
}

/// Whether a caller is of the tenant that a URL names. Who is of none is of no other either.
fn is_of_tenant(principal: &Principal, parameters: &Parameters) -> bool {
    match (principal.identity(), parameters.get("tenant")) {
        (Some(identity), Some(tenant)) => identity.is_of_tenant(tenant),
        (None, _) | (_, None) => true,
    }
}

/// Ends a session at its client's word.
async fn delete(
    current: &Arc<Generation>,
    visit: Visit,
    door: &mut Door<'_>,
    entry: Entry,
) -> Result<(), Gone> {
    if is_modern(&visit.headers) {
        return refuse(door, entry, &Failure::HttpMethod(SESSIONLESS), None).await;
    }
    if visit.route.sessions == SessionRule::Off {
        return turn_away(door, entry, &Failure::HttpMethod(SESSIONLESS)).await;
    }
    let Some(id) = single(&visit.headers, "mcp-session-id") else {
        return turn_away(door, entry, &Failure::SessionMissing).await;
    };
    let Some(session) = current.sessions.recognize(&visit, id) else {
        current.account.metrics().sessions_unknown.inc();
        return turn_away(door, entry, &Failure::SessionUnknown).await;
    };
    current.sessions.end(&session);
    current.account.metrics().sessions_ended.inc();
    if let Destination::Many(aggregate) = &visit.to {
        aggregate.end(&session);
    }
    if let Some(upstream) = visit.to.only() {
        let injected = match current.injection(&upstream.name) {
            Some(injection) => injection.render(&visit).unwrap_or_default(),
            None => Vec::new(),
        };
        let headers = upstream::Headers {
            injected,
            passed: Vec::new(),
        };
        upstream.end(&session.with_upstream(), &headers).await;
    }
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

/// Why no request is begun any more, if so. What ends a running one, or answers its questions, still
/// comes through.
pub(crate) fn draining(current: &Generation) -> Option<Failure> {
    current
        .health
        .is_draining()
        .then_some(Failure::Busy("the gateway is stopping"))
}

/// Why an exchange that was just opened is one too many, if it is.
fn too_much(current: &Generation) -> Option<Failure> {
    if current.health.is_short() {
        return Some(Failure::Busy("the gateway is short of file descriptors"));
    }
    let metrics = current.account.metrics();
    let held: i64 = metrics.held.iter().map(prometheus::IntGauge::get).sum();
    let open = usize::try_from(metrics.running.get() + held).unwrap_or(0);
    (open > current.bounds.streams).then_some(Failure::Busy(
        "more requests and streams are open than `bounds.streams` allows",
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

/// The value of a header that stands once and is text.
pub(crate) fn single<K: header::AsHeaderName>(headers: &HeaderMap, name: K) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}
