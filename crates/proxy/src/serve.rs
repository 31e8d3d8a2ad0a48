//! The story: how one message reaches a server, and how its answer begins.

use std::sync::Arc;

use mcp::{Era, Kind, Method};
use upstream::{Conversation, Fault, Headers, Upstream};

use crate::admission::{NEEDS_USER, judge, needs_user};
use crate::aggregate;
use crate::answer::Answer;
use crate::bridge::{self, Crossing, Hop};
use crate::call::{Call, Visit};
use crate::curated;
use crate::deadline::Deadline;
use crate::destination::Destination;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::handshake::begin_session;
use crate::idempotency;
use crate::incoming::Incoming;
use crate::results;
use crate::session::questions::Asked;
use crate::shown::Shown;

/// Header lines.
type Injected = Vec<(http::HeaderName, http::HeaderValue)>;

/// A call and what became of it so far. It owns all it needs, so that it can go on without its client.
pub(crate) struct Served {
    pub(crate) call: Call,
    /// On the heap, since it goes through many hands.
    pub(crate) outcome: Result<Box<Answer>, Failure>,
}

/// Carries a call as far as the beginning of its answer.
pub(crate) async fn carry(current: Arc<Generation>, mut call: Call) -> Served {
    let outcome = serve(&current, &mut call).await.map(Box::new);
    Served { call, outcome }
}

/// Carries one message from the client's door to a server, up to the first thing that comes back.
async fn serve(current: &Arc<Generation>, call: &mut Call) -> Result<Answer, Failure> {
    if matches!(call.message.kind(), Kind::Result | Kind::Error) {
        return answer_question(current, call).await;
    }
    if means_nothing(call) {
        return Ok(Answer::accepted());
    }
    if let (Some(session), Some(request)) = (&call.session, call.message.cancelled_request()) {
        // What waits here for another call is known to no server.
        current.sessions.running().take_back(&session.id, &request);
    }
    match call.visit.to.clone() {
        Destination::One(upstream) => {
            let shown = Shown::to(current, &call.visit, &upstream.name);
            match shown.is_all() {
                true => transparent(current, call, &upstream).await,
                false => curated::serve(current, call, &upstream, shown).await,
            }
        }
        Destination::Many(aggregate) => aggregate::serve(current, call, &aggregate).await,
    }
}

/// Carries a message to this server.
pub(crate) async fn transparent(
    current: &Arc<Generation>,
    call: &mut Call,
    upstream: &Arc<Upstream>,
) -> Result<Answer, Failure> {
    if let Some(answer) = judge(current, call, upstream).await? {
        return Ok(answer);
    }
    // Both are rare, and large.
    if idempotency::wants_once(call) {
        return Box::pin(idempotency::once(current, call, upstream)).await;
    }
    match current.caching.rule(call, &upstream.name) {
        Some(rule) => Box::pin(results::serve(current, call, upstream, rule)).await,
        None => reach(current, call, upstream, Deadline::of_call(upstream)).await,
    }
}

/// Carries a message to this server within this time.
pub(crate) async fn reach(
    current: &Arc<Generation>,
    call: &mut Call,
    upstream: &Arc<Upstream>,
    deadline: Deadline,
) -> Result<Answer, Failure> {
    match forward(current, call, upstream, deadline.clone()).await {
        // It turned out to be another than was known, and took nothing of the call: the hop leads elsewhere now.
        Err(Failure::Upstream(upstream::Error {
            fault: Fault::NotSpoken { .. },
            ..
        })) => match (
            Box::pin(forward(current, call, upstream, deadline)).await,
            &call.session,
        ) {
            // What was agreed in its session is not spoken there any more: its client is to begin another.
            (Err(Failure::Upstream(error)), Some(_))
                if matches!(error.fault, Fault::NotSpoken { .. }) && call.visit.to.only().is_some() =>
            {
                Err(Fault::SessionGone.of(&error.upstream).into())
            }
            (outcome, _) => outcome,
        },
        outcome => outcome,
    }
}

async fn forward(
    current: &Arc<Generation>,
    call: &mut Call,
    upstream: &Arc<Upstream>,
    mut deadline: Deadline,
) -> Result<Answer, Failure> {
    // Admission comes before any connection, so that a call that may not pass costs nothing.
    let headers = admit(current, &call.visit, upstream)?;
    let hop = Hop::find(call, upstream, &headers, &mut deadline).await?;
    // What lies beyond an era is rare and large.
    let here = match hop.crossing {
        Crossing::None if call.visit.to.only().is_some() && call.said.is_none() => None,
        Crossing::None => {
            Box::pin(bridge::here::prepare(
                current,
                call,
                &hop,
                &headers,
                &mut deadline,
            ))
            .await?;
            None
        }
        Crossing::Up if bridge::here::goes_up(call) => None,
        Crossing::Up | Crossing::Down => {
            Box::pin(bridge::here::answer(current, call, &hop, &headers, &mut deadline)).await?
        }
    };
    if let Some(mut answer) = here {
        if call.handshake {
            begin_session(current, call, &hop, &mut answer, None).await?;
        }
        return Ok(answer);
    }
    let headers = Arc::new(hop.passing(headers));
    let (request, bridge) = hop.cross(current, call, &headers)?;
    let of_endpoint = hop.is_of_an_endpoint(call);
    let promise = &mut call.promise;
    let sending = async {
        let exchange = deadline
            .keep(upstream.open(hop.conversation.clone(), headers))
            .await?;
        let mut incoming = Incoming::new(exchange, request, deadline);
        if hop.crossing == Crossing::Down || of_endpoint {
            incoming = incoming.told_if_given_up(current);
        }
        if let Some(promise) = promise {
            // As long as it waits in line, nothing was sent.
            Box::pin(incoming.take_place()).await?;
            promise.sent();
        }
        let sent = incoming.send().await?;
        Ok::<_, Failure>((incoming, sent))
    };
    let (incoming, sent) = match bridge.taken_back() {
        None => sending.await?,
        Some(taken_back) => tokio::select! {
            biased;
            // Its server hears of it by the end of the exchange, if it has begun.
            () = taken_back.cancelled() => return Err(Fault::Cancelled.of(&upstream.name).into()),
            sent = sending => sent?,
        },
    };
    call.entry.heard();
    if !sent.answers {
        return Ok(Answer::accepted());
    }
    let mut answer = Answer::begin(sent.status, incoming, bridge).await?;
    if call.handshake {
        begin_session(current, call, &hop, &mut answer, sent.session).await?;
    }
    Ok(answer)
}

/// An answer of the client goes to who asked: the server, under the id that it asked by, or a call of ours. One to
/// nothing goes nowhere.
async fn answer_question(current: &Generation, call: &mut Call) -> Result<Answer, Failure> {
    let session = call.session.as_ref();
    let asked = session
        .zip(call.message.id())
        .and_then(|(session, id)| current.sessions.answered(session, id));
    let (Some(asked), Some(session)) = (asked, session) else {
        current.account.metrics().answers_to_nothing.inc();
        return Ok(Answer::accepted());
    };
    let (id, method) = match asked {
        Asked::ByServer(id, method) => (id, method),
        Asked::ByCall(number, answers) => {
            // There is a place for each question; a call that has ended wants no answer.
            let _ = answers.try_send((number, call.message.clone()));
            return Ok(Answer::accepted());
        }
    };
    let Some(upstream) = call.visit.to.only() else {
        return Ok(Answer::accepted());
    };
    let headers = admit(current, &call.visit, upstream)?;
    let answer = bridge::relay::reply(session.between(), method.as_ref(), &call.message.with_id(&id));
    let mut deadline = Deadline::of_call(upstream);
    let conversation = Conversation::Session(session.with_upstream());
    let mut exchange = deadline.keep(upstream.open(conversation, headers)).await?;
    deadline.keep(exchange.send(&answer)).await?;
    call.entry.heard();
    Ok(Answer::accepted())
}

/// What is taken and goes nowhere. Without a session of the client's own there is no handshake to
/// finish, no call of an earlier request to cancel, and no question that an answer could answer. A
/// 2026-07-28 client cancels by closing its stream; over HTTP the notification has no function.
fn means_nothing(call: &Call) -> bool {
    let of_session = call.session.is_some() && call.era == Era::Legacy;
    if call.message.kind() != Kind::Notification || of_session {
        return false;
    }
    matches!(
        (call.era, call.message.method()),
        (_, Some(Method::NotificationsCancelled))
            | (
                Era::Legacy,
                Some(Method::NotificationsInitialized | Method::NotificationsRootsListChanged)
            )
    )
}

/// The headers that go to an upstream with this call.
pub(crate) fn admit(current: &Generation, visit: &Visit, upstream: &Upstream) -> Result<Headers, Failure> {
    Ok(Headers {
        injected: injected(current, visit, upstream)?,
        passed: policy::headers::passed_on(&visit.headers),
    })
}

/// Those of them that are ours.
pub(crate) fn injected(
    current: &Generation,
    visit: &Visit,
    upstream: &Upstream,
) -> Result<Injected, Failure> {
    match current.injection(&upstream.name) {
        Some(injection) => injection
            .render(visit)
            .map_err(|refused| match needs_user(visit) {
                true => Failure::NotAllowed(NEEDS_USER.into()),
                false => Failure::Header(refused),
            }),
        None => Ok(Vec::new()),
    }
}
