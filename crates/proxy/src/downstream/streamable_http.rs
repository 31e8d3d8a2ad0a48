//! Clients of Streamable HTTP, from 2025-03-26 to 2026-07-28: POST a message, get an answer.

use std::sync::Arc;
use std::time::Duration;

use audit::Outcome;
use bytes::{BufMut, Bytes, BytesMut};
use mcp::{
    Body, Decision, Era, Id, Kind, Message, Method, ParseError, Refusal, Revision, code, era, header, meta,
};
use tokio::time::Instant;

use super::body;
use super::reply::{Door, Extra, Gone};
use crate::account::Entry;
use crate::answer::{Answer, First};
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::{Served, carry};

/// A client that takes events gets the head of its stream after this long, so that nothing between
/// it and us takes the silence for a dead connection (`protocol.md` D-12).
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// A sign of life on an open stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Serves a POST.
pub(crate) async fn post(current: &Arc<Generation>, visit: Visit, door: &mut Door<'_>) -> Result<(), Gone> {
    let visit = Arc::new(visit);
    let bounds = &current.bounds;
    let entry = current.account.open(&visit);
    let read = match body::check_length(&visit.headers, bounds.body)
        .and_then(|()| body::check_type(&visit.headers))
    {
        Ok(()) => match visit.accepts.anything() {
            Ok(()) => body::read(door.http(), bounds.body, bounds.body_within).await,
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Gone),
        Err(failure) => {
            // What is left of the body is not worth reading.
            door.close();
            return refuse(door, entry, &failure, Era::Legacy, None).await;
        }
    };
    match Body::parse(bytes, &bounds.limits) {
        Ok(Body::One(message)) => one(current, &visit, door, entry, message).await,
        Ok(Body::Batch(messages)) => batch(current, &visit, door, entry, messages).await,
        Err(error) => refuse(door, entry, &Failure::Unreadable(error), Era::Legacy, None).await,
    }
}

/// Refuses a POST whose URL leads to no single upstream, under the id of its message.
pub(crate) async fn refuse_post(
    current: &Arc<Generation>,
    door: &mut Door<'_>,
    entry: Entry,
    failure: &Failure,
) -> Result<(), Gone> {
    let bounds = &current.bounds;
    let id = match body::read(door.http(), bounds.body, bounds.body_within).await {
        Ok(Some(bytes)) => match Body::parse(bytes, &bounds.limits) {
            Ok(Body::One(message)) => message.id().cloned(),
            Ok(Body::Batch(_)) => None,
            Err(error) => error.id().cloned(),
        },
        Ok(None) => return Err(Gone),
        Err(_) => {
            door.close();
            None
        }
    };
    refuse(door, entry, failure, Era::Legacy, id.as_ref()).await
}

/// Answers with a failure, and closes the account with it.
pub(crate) async fn refuse(
    door: &mut Door<'_>,
    entry: Entry,
    failure: &Failure,
    era: Era,
    id: Option<&Id>,
) -> Result<(), Gone> {
    let verdict = failure.verdict(era);
    let message = verdict.message(id.or(failure.id()));
    let mut entry = entry;
    entry.told(message.bytes().len());
    if door.is_streaming() {
        entry.finish(verdict.outcome, Some(200), Some(&verdict.words));
        door.event(&message).await?;
        return door.end_events().await;
    }
    entry.finish(verdict.outcome, Some(verdict.status), Some(&verdict.words));
    let extra = Extra {
        session: None,
        retry_after: verdict.retry_after,
        allow: verdict.allow,
    };
    door.json(verdict.status, message.bytes().clone(), extra).await
}

/// Tells a client that its call did not finish within the grace of a stop.
async fn cut(door: &mut Door<'_>, id: Option<&Id>) -> Result<(), Gone> {
    let verdict = Failure::Stopping.verdict(Era::Legacy);
    let message = verdict.message(id);
    if door.is_streaming() {
        door.event(&message).await?;
        return door.end_events().await;
    }
    door.close();
    door.json(verdict.status, message.bytes().clone(), Extra::default())
        .await
}

/// Serves one message.
async fn one(
    current: &Arc<Generation>,
    visit: &Arc<Visit>,
    door: &mut Door<'_>,
    mut entry: Entry,
    message: Message,
) -> Result<(), Gone> {
    entry.carries(&message);
    let call = match begin(current, visit, message.clone(), entry) {
        Ok(call) => call,
        Err(begun) => {
            let (entry, failure, era) = *begun;
            return refuse(door, entry, &failure, era, message.id()).await;
        }
    };
    let (era, takes_events) = (call.era, visit.accepts.events && message.kind() == Kind::Request);
    let mut work = Box::pin(carry(Arc::clone(current), call));
    let mut sign_of_life = Instant::now() + HEAD_WITHIN;
    let served = loop {
        tokio::select! {
            biased;
            served = &mut work => break served,
            () = door.gone() => {
                leave(current, era, work);
                return Err(Gone);
            }
            () = current.health.is_cut() => {
                // Its entry goes with the call, and says that it was cancelled.
                drop(work);
                return cut(door, message.id()).await;
            }
            () = tokio::time::sleep_until(sign_of_life), if takes_events => {
                let told = if door.is_streaming() { door.heartbeat().await } else { door.begin_events(Extra::default()).await };
                if told.is_err() {
                    leave(current, era, work);
                    return Err(Gone);
                }
                sign_of_life = Instant::now() + HEARTBEAT;
            }
        }
    };
    let Served { call, outcome } = served;
    match outcome {
        Ok(answer) => tell(current, door, call, answer).await,
        Err(failure) => refuse(door, call.entry, &failure, era, message.id()).await,
    }
}

/// From a message to a call: its session, its era, and what the protocol asks of it.
fn begin(
    current: &Generation,
    visit: &Arc<Visit>,
    message: Message,
    mut entry: Entry,
) -> Result<Call, Box<(Entry, Failure, Era)>> {
    let principal = policy::Principal::Anonymous;
    entry.comes_from(&principal);
    let mirrored = header::Mirrored {
        version: lines(visit, header::MCP_PROTOCOL_VERSION),
        method: lines(visit, header::MCP_METHOD),
        name: lines(visit, header::MCP_NAME),
    };
    let mut lines = visit.headers.get_all(header::MCP_SESSION_ID).iter();
    let named = (lines.next(), lines.next());
    let session = match named {
        (Some(id), None) => id
            .to_str()
            .ok()
            .and_then(|id| current.sessions.recognize(visit, &principal, id)),
        _ => None,
    };
    let agreed = session.as_ref().map(|session| session.revision());
    let Decision {
        era,
        revision,
        handshake,
    } = match era::decide(&mirrored, agreed, &message) {
        Ok(decision) => decision,
        Err(refusal) => {
            let era = if message.protocol_version().is_some() {
                Era::Modern
            } else {
                Era::Legacy
            };
            return Err(Box::new((entry, refusal.into(), era)));
        }
    };
    entry.speaks(era, revision);
    let belongs = era == Era::Legacy && !handshake;
    if belongs && named.0.is_some() && session.is_none() {
        current.account.metrics().sessions_unknown.inc();
        return Err(Box::new((entry, Failure::SessionUnknown, era)));
    }
    if belongs && agreed.is_some_and(|agreed| names_another(mirrored.version, agreed)) {
        current.account.metrics().revision_differs.inc();
    }
    let session = if belongs { session } else { None };
    Ok(Call {
        visit: Arc::clone(visit),
        message,
        era,
        handshake,
        session,
        principal,
        entry,
    })
}

/// All lines of a header.
fn lines<'a>(visit: &'a Visit, name: &str) -> header::Values<'a> {
    visit
        .headers
        .get_all(name)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect()
}

/// Whether the version header says something else than what the session agreed on.
fn names_another(version: header::Values<'_>, agreed: Revision) -> bool {
    match version {
        header::Values::One(version) => version != agreed.as_str().as_bytes(),
        header::Values::Absent | header::Values::Several(_) => false,
    }
}

/// The client left. A 2026-07-28 client takes its call back by leaving; a legacy client may only
/// have lost its connection, so its call runs to its end (`protocol.md` §2.4).
fn leave(current: &Arc<Generation>, era: Era, work: impl Future<Output = Served> + Send + 'static) {
    if era == Era::Legacy {
        current.detach(async move {
            let Served { call, outcome } = work.await;
            match outcome {
                Ok(answer) => finish_alone(call, answer).await,
                Err(failure) => {
                    let verdict = failure.verdict(Era::Legacy);
                    call.entry.finish(verdict.outcome, None, Some(&verdict.words));
                }
            }
        });
    }
}

/// Waits for an answer that nobody will read, and closes the account with it.
async fn finish_alone(call: Call, mut answer: Answer) {
    match answer.last().await {
        Ok(Some(message)) => call.entry.answered(&message, None),
        Ok(None) => call.entry.finish(Outcome::Ok, None, None),
        Err(failure) => {
            let verdict = failure.verdict(call.era);
            call.entry.finish(verdict.outcome, None, Some(&verdict.words));
        }
    }
}

/// Tells the client what the upstream answers, in the form it takes.
async fn tell(
    current: &Arc<Generation>,
    door: &mut Door<'_>,
    mut call: Call,
    mut answer: Answer,
) -> Result<(), Gone> {
    let session = answer.session.take();
    match &answer.first {
        First::Accepted => {
            call.entry.finish(Outcome::Ok, Some(202), None);
            return door
                .empty(
                    202,
                    Extra {
                        session,
                        ..Extra::default()
                    },
                    &[],
                )
                .await;
        }
        First::Begun(_) if call.visit.accepts.events => return stream(current, door, call, answer).await,
        First::Answer(_) | First::Begun(_) | First::Told => {}
    }
    let last = tokio::select! {
        biased;
        last = answer.last() => Some(last),
        () = door.gone() => None,
        () = current.health.is_cut() => {
            drop(call.entry);
            return cut(door, call.message.id()).await;
        }
    };
    let message = match last {
        Some(Ok(Some(message))) => message,
        Some(Ok(None)) => {
            call.entry.finish(Outcome::Ok, Some(202), None);
            return door.empty(202, Extra::default(), &[]).await;
        }
        Some(Err(failure)) => {
            let id = call.message.id().cloned();
            return refuse(door, call.entry, &failure, call.era, id.as_ref()).await;
        }
        None => {
            depart(current, call, answer);
            return Err(Gone);
        }
    };
    call.entry.told(message.bytes().len());
    if door.is_streaming() || !call.visit.accepts.json {
        call.entry.answered(&message, Some(200));
        if !door.is_streaming() {
            door.begin_events(Extra {
                session,
                ..Extra::default()
            })
            .await?;
        }
        door.event(&message).await?;
        return door.end_events().await;
    }
    let status = status(&message, call.era, answer.status);
    call.entry.answered(&message, Some(status));
    door.json(
        status,
        message.bytes().clone(),
        Extra {
            session,
            ..Extra::default()
        },
    )
    .await
}

/// Tells the client what comes as it comes.
async fn stream(
    current: &Arc<Generation>,
    door: &mut Door<'_>,
    mut call: Call,
    mut answer: Answer,
) -> Result<(), Gone> {
    let streams = &current.account.metrics().streams;
    streams.inc();
    let _open = Open(streams);
    let mut told = match door.is_streaming() {
        true => Ok(()),
        false => door.begin_events(Extra::default()).await,
    };
    if let First::Begun(message) = std::mem::replace(&mut answer.first, First::Told)
        && told.is_ok()
    {
        call.entry.told(message.bytes().len());
        told = door.event(&message).await;
    }
    // A subscription has no end of its own; at a drain it is ended in its own words.
    let lasting = call.message.method() == Some(&Method::SubscriptionsListen);
    while told.is_ok() {
        let next = tokio::select! {
            biased;
            next = step(door, &mut answer) => next,
            () = current.health.drained(), if lasting => Ok(Ok(subscription_end(&call.message))),
            () = current.health.is_cut() => {
                drop(call.entry);
                return cut(door, call.message.id()).await;
            }
        };
        let message = match next {
            Ok(Ok(message)) => message,
            Ok(Err(failure)) => {
                let id = call.message.id().cloned();
                return refuse(door, call.entry, &failure, call.era, id.as_ref()).await;
            }
            Err(Gone) => break,
        };
        call.entry.told(message.bytes().len());
        told = door.event(&message).await;
        if matches!(message.kind(), Kind::Result | Kind::Error) {
            call.entry.answered(&message, Some(200));
            told?;
            return door.end_events().await;
        }
    }
    depart(current, call, answer);
    Err(Gone)
}

/// The result that ends a subscription (2026-07-28 basic/utilities/subscriptions).
fn subscription_end(request: &Message) -> Message {
    let Some(id) = request.id() else {
        return request.clone();
    };
    let result = format!(
        r#"{{"resultType":"complete","_meta":{{"{}":{}}}}}"#,
        meta::SUBSCRIPTION_ID,
        id.raw()
    );
    Message::result_reply(id, &result)
}

/// The next message, while the client is kept company.
async fn step(door: &mut Door<'_>, answer: &mut Answer) -> Result<Result<Message, Failure>, Gone> {
    let mut next = Box::pin(answer.next());
    loop {
        tokio::select! {
            biased;
            message = &mut next => return Ok(message),
            () = door.gone() => return Err(Gone),
            () = tokio::time::sleep(HEARTBEAT) => door.heartbeat().await?,
        }
    }
}

/// The client left while its answer was coming: see [`leave`].
fn depart(current: &Arc<Generation>, call: Call, answer: Answer) {
    if call.era == Era::Legacy {
        current.detach(finish_alone(call, answer));
    }
}

/// Serves a batch, which only 2025-03-26 has: each message on its own, all at once.
async fn batch(
    current: &Arc<Generation>,
    visit: &Arc<Visit>,
    door: &mut Door<'_>,
    entry: Entry,
    messages: Vec<Result<Message, ParseError>>,
) -> Result<(), Gone> {
    let principal = policy::Principal::Anonymous;
    let named = visit.headers.get(header::MCP_SESSION_ID);
    let session = named
        .and_then(|id| id.to_str().ok())
        .and_then(|id| current.sessions.recognize(visit, &principal, id));
    if named.is_some() && session.is_none() {
        return refuse(door, entry, &Failure::SessionUnknown, Era::Legacy, None).await;
    }
    let version = lines(visit, header::MCP_PROTOCOL_VERSION);
    if let Err(refusal) = era::decide_batch(version, session.as_ref().map(|session| session.revision())) {
        return refuse(door, entry, &refusal.into(), Era::Legacy, None).await;
    }
    let work = messages
        .into_iter()
        .map(|message| batched(current, visit, message));
    let answers = futures_util::future::join_all(work);
    let answers: Vec<Message> = tokio::select! {
        answers = answers => answers.into_iter().flatten().collect(),
        () = door.gone() => return Err(Gone),
    };
    let mut entry = entry;
    entry.told(answers.iter().map(|answer| answer.bytes().len()).sum());
    entry.finish(
        Outcome::Ok,
        Some(if answers.is_empty() { 202 } else { 200 }),
        None,
    );
    if answers.is_empty() {
        return door.empty(202, Extra::default(), &[]).await;
    }
    if visit.accepts.json {
        return door.json(200, array(&answers), Extra::default()).await;
    }
    door.begin_events(Extra::default()).await?;
    for answer in &answers {
        door.event(answer).await?;
    }
    door.end_events().await
}

/// One message of a batch, to its answer.
async fn batched(
    current: &Arc<Generation>,
    visit: &Arc<Visit>,
    message: Result<Message, ParseError>,
) -> Option<Message> {
    let mut entry = current.account.open(visit);
    let message = match message {
        Ok(message) => message,
        Err(error) => return Some(told(entry, &Failure::Unreadable(error), None)),
    };
    entry.carries(&message);
    let id = message.id().cloned();
    let call = match begin(current, visit, message, entry) {
        Ok(call) if call.handshake => {
            let words = "`initialize` cannot be part of a batch";
            let refusal = Refusal {
                status: 400,
                code: code::INVALID_REQUEST,
                message: words.into(),
                data: None,
            };
            return Some(told(call.entry, &refusal.into(), id.as_ref()));
        }
        Ok(call) => call,
        Err(begun) => return Some(told(begun.0, &begun.1, id.as_ref())),
    };
    let Served { mut call, outcome } = carry(Arc::clone(current), call).await;
    let last = match outcome {
        Ok(mut answer) => answer.last().await,
        Err(failure) => Err(failure),
    };
    match last {
        Ok(Some(answer)) => {
            call.entry.told(answer.bytes().len());
            call.entry.answered(&answer, Some(200));
            Some(answer)
        }
        Ok(None) => {
            call.entry.finish(Outcome::Ok, Some(202), None);
            None
        }
        Err(failure) => Some(told(call.entry, &failure, id.as_ref())),
    }
}

fn told(entry: Entry, failure: &Failure, id: Option<&Id>) -> Message {
    let verdict = failure.verdict(Era::Legacy);
    entry.finish(verdict.outcome, Some(200), Some(&verdict.words));
    verdict.message(id.or(failure.id()))
}

fn array(messages: &[Message]) -> Bytes {
    let length: usize = messages.iter().map(|message| message.bytes().len() + 1).sum();
    let mut array = BytesMut::with_capacity(length + 1);
    for (index, message) in messages.iter().enumerate() {
        array.put_u8(if index == 0 { b'[' } else { b',' });
        array.put_slice(message.bytes());
    }
    array.put_u8(b']');
    array.freeze()
}

/// The HTTP status of an answer: what the upstream gave, and for an unknown method what the
/// client's era expects (`protocol.md` D-35).
fn status(message: &Message, era: Era, given: u16) -> u16 {
    match (message.error_code(), era) {
        (Some(code::METHOD_NOT_FOUND), Era::Modern) => 404,
        // 404 would mean that the session is gone.
        (Some(code::METHOD_NOT_FOUND), Era::Legacy) => 200,
        _ if given == 404 && era == Era::Legacy => 200,
        _ => given,
    }
}

/// Counts an open stream for as long as it is.
struct Open<'a>(&'a prometheus::IntGauge);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
