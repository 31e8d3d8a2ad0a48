//! A call whose client can come back for the rest of its answer.

use std::sync::Arc;
use std::time::Duration;

use audit::Outcome;
use mcp::{Era, Id, Kind, Message};

use super::following::{Following, knows_empty_events};
use crate::answer::{Answer, First};
use crate::call::Call;
use crate::downstream::parting::leave;
use crate::downstream::refusal::{cut_dropped, refuse};
use crate::downstream::reply::{Door, Gone};
use crate::downstream::streamable_http::HEAD_WITHIN;
use crate::downstream::telling::tell;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::serve::{Served, carry};
use crate::session::Claims;
use crate::session::parked::Counted;
use crate::session::replay::Teller;

/// An answer that is there within this needs no stream. Behind it the head is written, with an id to come back with;
/// a status that the upstream has for the call can then not be told any more.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// The session that a call's client can come back in; none where it cannot.
pub(crate) fn session_of(current: &Generation, call: &Call) -> Option<Arc<Claims>> {
    let resumes = current.sessions.resume().is_some()
        && call.era == Era::Legacy
        && call.message.kind() == Kind::Request
        && !call.handshake
        && call.visit.accepts.events;
    call.session.as_ref().filter(|_| resumes).map(Arc::clone)
}

/// Serves a call. What is answered at once is answered as ever: there is nothing to come back for.
pub(crate) async fn serve(
    current: &Arc<Generation>,
    door: &mut Door<'_>,
    call: Call,
    session: &Arc<Claims>,
) -> Result<(), Gone> {
    let (goes_on, id, takes_json) = (
        call.goes_on(),
        call.message.id().cloned(),
        call.visit.accepts.json,
    );
    let patience = match knows_empty_events(session.revision()) {
        true => ANSWERED_WITHIN,
        // It would be told no id before the first message.
        false => HEAD_WITHIN,
    };
    let mut work = Box::pin(carry(Arc::clone(current), call));
    let served = tokio::select! {
        biased;
        served = &mut work => Some(served),
        () = door.gone() => {
            leave(current, goes_on, work);
            return Err(Gone);
        }
        () = current.health.is_cut() => {
            drop(work);
            return cut_dropped(door, id.as_ref()).await;
        }
        () = tokio::time::sleep(patience) => None,
    };
    let following = match served {
        Some(Served {
            call,
            outcome: Err(failure),
        }) => return refuse(door, call.entry, &failure, id.as_ref()).await,
        Some(Served {
            call,
            outcome: Ok(answer),
        }) if is_whole(&answer, takes_json) => return tell(current, door, call, answer).await,
        Some(served) => spawn(current, session, id, std::future::ready(served)),
        None => spawn(current, session, id, work),
    };
    let _open = Counted::in_gauge(&current.account.metrics().streams);
    following.tell_at(door).await
}

fn is_whole(answer: &Answer, takes_json: bool) -> bool {
    match answer.first {
        First::Accepted => true,
        First::Answer(_) => takes_json,
        First::Begun(_) | First::Told => false,
    }
}

/// Carries a call to its end in a task of its own, which ends with the call, or with the grace of a stop.
fn spawn(
    current: &Arc<Generation>,
    session: &Arc<Claims>,
    id: Option<Id>,
    work: impl Future<Output = Served> + Send + 'static,
) -> Following {
    let (teller, reader, stamp) = current.sessions.replay_call(session);
    let current = Arc::clone(current);
    let held = current.held.clone();
    held.spawn(async move {
        let failure = tokio::select! {
            biased;
            () = carry_on(work, &teller) => return,
            () = current.health.is_cut() => Failure::Stopping,
            () = crowded(&current, &teller) => {
                Failure::Busy("more calls run without their clients than may; this one was given up")
            }
        };
        // The call was dropped with its entry, which says that it was cancelled.
        teller.tell_at_once(&failure.verdict().message(id.as_ref()).one_line());
    });
    Following::call(reader, stamp, session)
}

/// Tells what comes as it comes, up to the answer.
async fn carry_on(work: impl Future<Output = Served>, teller: &Teller) {
    let Served { mut call, outcome } = work.await;
    let mut answer = match outcome {
        Ok(answer) => answer,
        Err(failure) => return fail(call, teller, &failure).await,
    };
    loop {
        let next = match std::mem::replace(&mut answer.first, First::Told) {
            First::Accepted => return call.entry.finish(Outcome::Ok, Some(200), None),
            First::Answer(message) | First::Begun(message) => Ok(message),
            First::Told => answer.next().await,
        };
        let message = match next {
            Ok(message) => message,
            Err(failure) => return fail(call, teller, &failure).await,
        };
        say(&mut call, teller, &message).await;
        if matches!(message.kind(), Kind::Result | Kind::Error) {
            return call.entry.answered(&message, Some(200));
        }
    }
}

async fn say(call: &mut Call, teller: &Teller, message: &Message) {
    call.entry.told(message.bytes().len());
    teller.tell(&message.one_line()).await;
}

/// Ends a call with a failure; one that its client took back ends without a word.
async fn fail(mut call: Call, teller: &Teller, failure: &Failure) {
    let verdict = failure.verdict();
    if !failure.is_taken_back() {
        let message = verdict.message(call.message.id());
        say(&mut call, teller, &message).await;
    }
    call.entry.failed(&verdict, Some(200));
}

/// Counts a call for as long as nobody reads; ends when more of them run than may.
async fn crowded(current: &Generation, teller: &Teller) {
    loop {
        teller.deserted(Duration::ZERO).await;
        let Some(_alone) = current.alone() else { return };
        teller.attended().await;
    }
}
