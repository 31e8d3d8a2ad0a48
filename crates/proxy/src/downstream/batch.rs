//! Batches, which only 2025-03-26 has: each message on its own, all at once.

use std::sync::Arc;

use audit::Outcome;
use bytes::{BufMut, Bytes, BytesMut};
use mcp::{Id, Message, ParseError, Refusal, code, era, header};

use super::refusal::{cut_dropped, turn_away};
use super::reply::{Door, Extra, Gone};
use super::streamable_http::{begin, named_session};
use crate::account::Entry;
use crate::call::{Call, Visit};
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
    let session = match named_session(current, visit) {
        Ok(session) => session,
        Err(failure) => {
            current.account.metrics().sessions_unknown.inc();
            return turn_away(door, entry, &failure).await;
        }
    };
    let version = visit.lines(header::MCP_PROTOCOL_VERSION);
    if let Err(refusal) = era::decide_batch(version, session.as_ref().map(|session| session.revision())) {
        return turn_away(door, entry, &refusal.into()).await;
    }
    let work: Vec<_> = messages
        .into_iter()
        .map(|message| {
            let entry = current.account.open(visit);
            batched(Arc::clone(current), Arc::clone(visit), entry, message)
        })
        .collect();
    // Each message is on record; the batch would be there twice.
    entry.divided();
    let mut work = Box::pin(futures_util::future::join_all(work));
    let answers: Vec<Message> = tokio::select! {
        biased;
        answers = &mut work => answers.into_iter().flatten().collect(),
        () = door.gone() => {
            // Its client may only have lost the connection, as with any legacy call.
            current.detach(async move {
                work.await;
            });
            return Err(Gone);
        }
        () = current.health.is_cut() => {
            drop(work);
            return cut_dropped(door, None).await;
        }
    };
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
    current: Arc<Generation>,
    visit: Arc<Visit>,
    mut entry: Entry,
    message: Result<Message, ParseError>,
) -> Option<Message> {
    let message = match message {
        Ok(message) => message,
        Err(error) => return Some(told(entry, &Failure::Unreadable(error), None)),
    };
    entry.carries(&message);
    let id = message.id().cloned();
    let call = match begin(&current, &visit, message, entry) {
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
    // Its answer is one of an array, and nothing can be told before that.
    let call = Call {
        askable: false,
        ..call
    };
    let Served { mut call, outcome } = carry(current, call).await;
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
    let verdict = failure.verdict();
    entry.failed(&verdict, Some(200));
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
