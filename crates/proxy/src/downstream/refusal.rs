//! Answering with a failure.

use std::sync::Arc;

use mcp::{Body, Id};

use super::body;
use super::reply::{Door, Extra, Gone};
use crate::account::Entry;
use crate::failure::Failure;
use crate::generation::Generation;

/// Answers with a failure, and closes the account with it.
pub(crate) async fn refuse(
    door: &mut Door<'_>,
    entry: Entry,
    failure: &Failure,
    id: Option<&Id>,
) -> Result<(), Gone> {
    let verdict = failure.verdict();
    if failure.is_taken_back() {
        entry.failed(&verdict, Some(if door.is_streaming() { 200 } else { 202 }));
        return match door.is_streaming() {
            true => door.end_events().await,
            false => door.empty(202, Extra::default(), &[]).await,
        };
    }
    let message = verdict.message(id.or(failure.id()));
    let mut entry = entry;
    entry.told(message.bytes().len());
    if door.is_streaming() {
        entry.failed(&verdict, Some(200));
        door.event(&message).await?;
        return door.end_events().await;
    }
    entry.failed(&verdict, Some(verdict.status));
    let extra = Extra {
        session: None,
        retry_after: verdict.retry_after,
        allow: verdict.allow,
        challenge: verdict.challenge,
    };
    door.json(verdict.status, message.bytes().clone(), extra).await
}

/// Refuses a request before it is known what it says: under no id, in the words of every era.
pub(crate) async fn turn_away(door: &mut Door<'_>, entry: Entry, failure: &Failure) -> Result<(), Gone> {
    refuse(door, entry, failure, None).await
}

/// Refuses a POST whose URL leads to no single upstream, under the id of its message.
pub(crate) async fn refuse_post(
    current: &Arc<Generation>,
    door: &mut Door<'_>,
    entry: Entry,
    failure: &Failure,
) -> Result<(), Gone> {
    let bounds = &current.bounds;
    let id = match body::read(door.http(), bounds.body, bounds.arrival).await {
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
    refuse(door, entry, failure, id.as_ref()).await
}

/// Tells a client that its call did not finish within the grace of a stop.
pub(crate) async fn cut(door: &mut Door<'_>, entry: Entry, id: Option<&Id>) -> Result<(), Gone> {
    door.close();
    refuse(door, entry, &Failure::Stopping, id).await
}

/// The same for work that was dropped with its entry, which says that it was cancelled.
pub(crate) async fn cut_dropped(door: &mut Door<'_>, id: Option<&Id>) -> Result<(), Gone> {
    let verdict = Failure::Stopping.verdict();
    let message = verdict.message(id);
    if door.is_streaming() {
        door.event(&message).await?;
        return door.end_events().await;
    }
    door.close();
    door.json(verdict.status, message.bytes().clone(), Extra::default())
        .await
}
