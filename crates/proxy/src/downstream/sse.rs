//! Clients of HTTP+SSE (2024-11-05 basic/transports): a stream is opened by GET, its first event says
//! where to POST, and everything that a server says comes on the stream.

use std::sync::Arc;
use std::time::Duration;

use audit::Outcome;
use bytes::Bytes;
use http::Uri;
use mcp::{Body, Era, Kind, Message, Method, Refusal, code, era, header};
use upstream::Error;

use super::body;
use super::hearing::{Hearing, Source};
use super::held::{Ends, Held, HeldBy};
use super::refusal::{refuse, turn_away};
use super::reply::{Door, Extra, Gone};
use crate::account::Entry;
use crate::answer::{Answer, First};
use crate::app::draining;
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::idempotency;
use crate::route::{Place, messages_of};
use crate::serve::{Served, carry};
use crate::session::settings::Settings;
use crate::session::sse::{NotBegun, Running};
use crate::session::{Claims, SseSession, Stream};

/// What has no answer is taken once its server has it, so that what a client sends in a row arrives in
/// that row; a server that is slower than this has it later.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// What a client is told on its stream.
pub(crate) struct Sse {
    stream: Stream,
    hearing: Option<Hearing>,
    /// The server can say nothing outside of calls any more: its session is lost for good.
    deaf: bool,
    asker: crate::session::questions::Asker,
    settings: Arc<Settings>,
    source: Source,
    ends: Ends,
}

/// Opens a stream, and tells where to POST.
pub(crate) async fn connect(
    current: &Arc<Generation>,
    visit: &Visit,
    at: (&Uri, Place),
    door: &mut Door<'_>,
    entry: Entry,
) -> Result<Option<Held>, Gone> {
    let source = match Source::of(current, visit) {
        Ok(source) => source,
        Err(failure) => return turn_away(door, entry, &failure).await.map(|()| None),
    };
    let (stream, token) = current.sessions.open_sse(visit);
    let address = address(current.public_url.as_deref(), at, &token);
    door.begin_events(Extra::default()).await?;
    door.named_event("endpoint", address.as_bytes()).await?;
    entry.finish(Outcome::Ok, Some(200), None);
    let metrics = current.account.metrics();
    metrics.sse_sessions.with_label_values(&[&visit.route.path]).inc();
    let sse = Sse {
        asker: current.sessions.asker_in(&stream.session),
        settings: Arc::clone(current.sessions.settings()),
        stream,
        hearing: None,
        deaf: false,
        source,
        ends: Ends {
            health: Arc::clone(&current.health),
            to: visit.to.clone(),
        },
    };
    let bearer = current.bearers.bearer(&visit.principal);
    Ok(Some(Held::sse(sse, bearer, &metrics.held[HeldBy::Sse as usize])))
}

/// The address that a client POSTs to, relative to the origin it came to: clients refuse any other, and
/// what `Host` says is nobody's word but the client's (`protocol.md` D-04).
fn address(public_url: Option<&str>, (uri, place): (&Uri, Place), token: &str) -> String {
    let prefix = public_url
        .and_then(|url| url.split_once("://")?.1.split_once('/'))
        .map_or(String::new(), |(_, path)| format!("/{path}"));
    let path = messages_of(uri.path(), place);
    // What the stream's own query said of routes and headers holds for what is POSTed too.
    let query: String = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| format!("{pair}&"))
        .collect();
    format!("{prefix}{path}?{query}s={token}")
}

impl Sse {
    /// The next message as one line; none when the stream ends by us.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let session = Arc::clone(&self.stream.session);
        loop {
            let (ends, source, deaf) = (&self.ends, &self.source, self.deaf);
            let over = async {
                if !deaf {
                    ends.over().await;
                }
                // Running calls are answered on this stream, so it waits for them.
                session.idle().await;
            };
            tokio::select! {
                biased;
                line = self.stream.outbox.recv() => return line,
                heard = hear(&session, &mut self.hearing, |claims| {
                    let watched = || self.settings.enter(&claims.id).watched();
                    Hearing::begin(source, claims, self.asker.asking(), watched, None)
                }), if !deaf => match heard {
                    Ok(message) => return Some(message.one_line()),
                    // Its session is with the endpoint, whatever servers that has now.
                    Err(_) if matches!(source, Source::Endpoint(..)) => self.hearing = Some(Hearing::Nothing),
                    Err(_) => self.deaf = true,
                },
                // The last answer may have come between the look at the outbox and this one.
                () = over => return self.stream.outbox.try_recv().ok(),
            }
        }
    }

    /// The stream is over, and so is everything that hung on it: this transport resumes nothing.
    pub(super) async fn end(self) {
        let session = Arc::clone(&self.stream.session);
        // Running calls hear of it first, and let go of what the upstream's session carries.
        drop((self.stream, self.hearing));
        // Looked at only then: a handshake may have been done until now.
        if let Some(claims) = session.begun() {
            self.settings.forget(&claims.id);
            // Calls that are made once go on in it, all others have ended.
            session.idle().await;
            self.source.end(&claims).await;
        }
    }
}

/// What the server says outside of calls, from when the client is ready.
async fn hear(
    session: &SseSession,
    hearing: &mut Option<Hearing>,
    begin: impl Fn(&Claims) -> Hearing,
) -> Result<Message, Error> {
    let hearing = match hearing {
        Some(hearing) => hearing,
        None => {
            session.ready().await;
            let Some(claims) = session.begun() else {
                return std::future::pending().await;
            };
            hearing.insert(begin(&claims))
        }
    };
    hearing.next().await
}

/// Takes a message of a client that holds a stream.
pub(crate) async fn message(
    current: &Arc<Generation>,
    visit: Visit,
    token: &str,
    door: &mut Door<'_>,
    mut entry: Entry,
) -> Result<(), Gone> {
    entry.by_sse();
    let Some(session) = current.sessions.find_sse(&visit, token) else {
        current.account.metrics().sessions_unknown.inc();
        door.close();
        return turn_away(door, entry, &Failure::StreamGone).await;
    };
    let bounds = &current.bounds;
    let read = match body::check_length(&visit.headers, bounds.body)
        .and_then(|()| body::check_type(&visit.headers))
    {
        Ok(()) => body::read(door.http(), bounds.body, bounds.arrival).await,
        Err(failure) => Err(failure),
    };
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Gone),
        Err(failure) => {
            door.close();
            return turn_away(door, entry, &failure).await;
        }
    };
    let message = match Body::parse(bytes, &bounds.limits) {
        Ok(Body::One(message)) => message,
        Ok(Body::Batch(_)) => {
            let failure = Refusal::new(code::INVALID_REQUEST, "this transport has no batches").into();
            return turn_away(door, entry, &failure).await;
        }
        Err(error) => return turn_away(door, entry, &Failure::Unreadable(error)).await,
    };
    entry.carries(&message);
    let id = message.id().cloned();
    let (call, running) = match begin(current, visit, &session, message, entry) {
        Ok(begun) => begun,
        Err(refused) => {
            let (entry, failure) = *refused;
            return refuse(door, entry, &failure, id.as_ref()).await;
        }
    };
    match running {
        Some(running) => {
            let work = answer(Arc::clone(current), session, call, running);
            current.held.spawn(work);
        }
        None => {
            let work = take(Arc::clone(current), session, call);
            let mut work = current.held.spawn(work);
            let _ = tokio::time::timeout(TAKEN_WITHIN, &mut work).await;
        }
    }
    door.empty(202, Extra::default(), &[]).await
}

/// A call, and its place among the running ones if it is a request.
type Begun = (Call, Option<Running>);

/// From a message to a call, and its place among the running ones if it is a request.
fn begin(
    current: &Generation,
    visit: Visit,
    session: &Arc<SseSession>,
    message: Message,
    mut entry: Entry,
) -> Result<Begun, Box<(Entry, Failure)>> {
    let begun = session.begun();
    let mirrored = header::Mirrored {
        version: visit.lines(header::MCP_PROTOCOL_VERSION),
        method: visit.lines(header::MCP_METHOD),
        name: visit.lines(header::MCP_NAME),
    };
    let agreed = begun.as_ref().map(|claims| claims.revision());
    let decision = match era::decide(&mirrored, agreed, &message) {
        Ok(decision) if decision.era == Era::Legacy => decision,
        Ok(_) => {
            let words = "2026-07-28 is not spoken over a legacy SSE stream; POST it to the endpoint itself";
            let failure = Refusal::new(code::INVALID_REQUEST, words).into();
            return Err(Box::new((entry, failure)));
        }
        Err(refusal) => return Err(Box::new((entry, refusal.into()))),
    };
    entry.speaks(decision.era, decision.revision);
    let running = match message.kind() {
        Kind::Request => {
            if let Some(failure) = draining(current) {
                return Err(Box::new((entry, failure)));
            }
            let begin = |id| match decision.handshake {
                true => session.greet(id),
                false => session.run(id),
            };
            match message.id().map(begin).transpose() {
                Ok(running) => running,
                Err(NotBegun::Duplicate) => {
                    let words = "a request with this id is running";
                    let failure = Refusal::new(code::INVALID_REQUEST, words).into();
                    return Err(Box::new((entry, failure)));
                }
                Err(NotBegun::Greeted) => {
                    let words = "this stream has had its `initialize`; another session is another stream";
                    let failure = Refusal::new(code::INVALID_REQUEST, words).into();
                    return Err(Box::new((entry, failure)));
                }
                Err(NotBegun::TooMany) => {
                    let failure = Failure::Busy("this session has as many requests running as it may have");
                    return Err(Box::new((entry, failure)));
                }
            }
        }
        Kind::Notification | Kind::Result | Kind::Error => None,
    };
    let call = Call {
        visit: Arc::new(visit),
        message,
        said: None,
        era: decision.era,
        revision: decision.revision,
        handshake: decision.handshake,
        session: if decision.handshake { None } else { begun },
        sse: Some(Arc::clone(session)),
        askable: true,
        promise: None,
        entry,
    };
    Ok((call, running))
}

/// Carries what has no answer.
async fn take(current: Arc<Generation>, session: Arc<SseSession>, call: Call) {
    let method = call.message.method();
    let ready = method == Some(&Method::NotificationsInitialized);
    let mut taken_back = match method {
        Some(Method::NotificationsCancelled) => call.message.cancelled_request(),
        Some(_) | None => None,
    };
    let mut carried = Box::pin(carry(current, call));
    let served = loop {
        tokio::select! {
            served = &mut carried => break served,
            () = session.ended() => return,
            // The server is to hear of it first, but is not waited for.
            () = tokio::time::sleep(TAKEN_WITHIN), if taken_back.is_some() => {
                taken_back.take().inspect(|id| session.take_back(id));
            }
        }
    };
    if let Some(id) = taken_back {
        session.take_back(&id);
    }
    if ready {
        session.note_ready();
    }
    let Served { call, outcome } = served;
    match outcome {
        Ok(_) => call.entry.finish(Outcome::Ok, Some(202), None),
        Err(failure) => call.entry.failed(&failure.verdict(), Some(202)),
    }
}

/// Carries a request, and tells on the stream what comes back, until nobody wants it any more.
async fn answer(current: Arc<Generation>, session: Arc<SseSession>, call: Call, running: Running) {
    let id = call.message.id().cloned();
    let health = Arc::clone(&current.health);
    let made_once = idempotency::wants_once(&call);
    let mut told = Box::pin(tell(Arc::clone(&current), Arc::clone(&session), call));
    tokio::select! {
        biased;
        // What is dropped here tells the upstream, and its entry that it was cancelled. It comes first: a
        // server that ends a call because it was told to has not failed.
        () = running.unwanted() => {
            if made_once && !running.is_taken_back() {
                // Its client will ask, over another stream. Its session with the server lasts as long.
                current.detach(async move {
                    told.await;
                    drop(running);
                });
            }
        }
        () = &mut told => {}
        () = health.is_cut() => {
            let verdict = Failure::Stopping.verdict();
            session.tell(&verdict.message(id.as_ref())).await;
        }
    }
}

async fn tell(current: Arc<Generation>, session: Arc<SseSession>, call: Call) {
    let Served { mut call, outcome } = carry(current, call).await;
    let id = call.message.id().cloned();
    let failure = match outcome {
        Ok(answer) => match tell_all(&session, &mut call, answer).await {
            Ok(Some(last)) => {
                call.entry.answered(&last, Some(202));
                session.tell(&last).await;
                return;
            }
            // Its client is gone, or there was nothing to tell.
            Ok(None) => return,
            Err(failure) => failure,
        },
        Err(failure) => failure,
    };
    let verdict = failure.verdict();
    let taken_back = failure.is_taken_back();
    call.entry.failed(&verdict, Some(202));
    if !taken_back {
        session.tell(&verdict.message(id.as_ref().or(failure.id()))).await;
    }
}

/// Tells everything before the answer, and returns the answer.
async fn tell_all(
    session: &SseSession,
    call: &mut Call,
    mut answer: Box<Answer>,
) -> Result<Option<Message>, Failure> {
    let mut message = match std::mem::replace(&mut answer.first, First::Told) {
        First::Accepted => return Ok(None),
        First::Answer(message) | First::Begun(message) => message,
        First::Told => answer.next().await?,
    };
    loop {
        call.entry.told(message.bytes().len());
        if matches!(message.kind(), Kind::Result | Kind::Error) {
            return Ok(Some(message));
        }
        if !session.tell(&message).await && !idempotency::wants_once(call) {
            return Ok(None);
        }
        message = answer.next().await?;
    }
}

/// What an address for messages stands beside.
pub(crate) fn base_of(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.rsplit_once('/').map_or("", |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_where_the_client_came_from() {
        for (public, uri, place, expected) in [
            (None, "/mcp/docs", Place::Endpoint, "/mcp/docs/messages?s=T"),
            (None, "/mcp/docs/sse", Place::Stream, "/mcp/docs/messages?s=T"),
            (None, "/sse", Place::Stream, "/messages?s=T"),
            (
                None,
                "/sse?server=docs&s=own",
                Place::Stream,
                "/messages?server=docs&s=own&s=T",
            ),
            (
                Some("https://example.com"),
                "/sse",
                Place::Stream,
                "/messages?s=T",
            ),
            (
                Some("https://example.com/tools"),
                "/mcp/docs/sse",
                Place::Stream,
                "/tools/mcp/docs/messages?s=T",
            ),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(address(public, (&uri, place), "T"), expected);
        }
    }
}
