//! Telling a client what its upstream answers: as one JSON message when nothing came before the
//! answer, as events when something did, in the form that the client takes.

use std::sync::Arc;
use std::time::Duration;

use audit::Outcome;
use mcp::{Era, Kind, Message, Method, code, meta};

use super::parting::depart;
use super::refusal::{cut, refuse};
use super::reply::{Door, Extra, Gone};
use crate::answer::{Answer, First};
use crate::call::Call;
use crate::failure::Failure;
use crate::generation::Generation;

/// A sign of life on an open stream.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// Tells the client what the upstream answers, in the form it takes.
pub(crate) async fn tell(
    current: &Arc<Generation>,
    door: &mut Door<'_>,
    mut call: Call,
    mut answer: Box<Answer>,
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
            return cut(door, call.entry, call.message.id()).await;
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
            return refuse(door, call.entry, &failure, id.as_ref()).await;
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
    mut answer: Box<Answer>,
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
    let bearer = current.bearers.bearer(&call.visit.principal);
    let mut gone = Box::pin(bearer.departs());
    while told.is_ok() {
        let next = tokio::select! {
            biased;
            next = step(door, &mut answer) => next,
            () = current.health.drained(), if lasting => Ok(Ok(subscription_end(&call.message))),
            () = &mut gone, if lasting => Ok(Ok(subscription_end(&call.message))),
            () = current.health.is_cut() => {
                return cut(door, call.entry, call.message.id()).await;
            }
        };
        let message = match next {
            Ok(Ok(message)) => message,
            Ok(Err(failure)) => {
                let id = call.message.id().cloned();
                return refuse(door, call.entry, &failure, id.as_ref()).await;
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

/// The HTTP status of an answer: what the upstream gave, and for an unknown method what the
/// client's era expects (`protocol.md` D-35).
fn status(message: &Message, era: Era, given: u16) -> u16 {
    match (message.error_code(), era) {
        (Some(code::METHOD_NOT_FOUND), Era::Modern) => 404,
        (Some(code::MISSING_CAPABILITY), Era::Modern) => 400,
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
