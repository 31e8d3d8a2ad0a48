//! Batches, which only 2025-03-26 has: each message on its own, all at once.

use std::sync::Arc;

use audit::Outcome;
use bytes::{BufMut, Bytes, BytesMut};
use mcp::{Era, Id, Message, ParseError, Refusal, code, era, header};

use super::refusal::refuse;
use super::reply::{Door, Extra, Gone};
use super::streamable_http::{begin, lines};
use crate::account::Entry;
use crate::call::Visit;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::{Served, carry};

/// Serves a batch, which only 2025-03-26 has: each message on its own, all at once.
pub(crate) async fn batch(
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
