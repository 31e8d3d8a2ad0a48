//! The story: how one message reaches a server, and how its answer begins.

use std::sync::Arc;

use mcp::{Era, Kind, Method};
use upstream::handshake::agreed_revision;
use upstream::{Conversation, Headers, Session};

use crate::answer::{Answer, Deadline, First};
use crate::call::Call;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::route::Sessions;

/// A call and what became of it so far. It owns all it needs, so that it can go on without its client.
pub(crate) struct Served {
    pub(crate) call: Call,
    pub(crate) outcome: Result<Answer, Failure>,
}

/// Carries a call as far as the beginning of its answer.
pub(crate) async fn carry(current: Arc<Generation>, mut call: Call) -> Served {
    let outcome = serve(&current, &mut call).await;
    Served { call, outcome }
}

/// Carries one message from the client's door to a server, up to the first thing that comes back.
async fn serve(current: &Generation, call: &mut Call) -> Result<Answer, Failure> {
    let conversation = conversation(call)?;
    if means_nothing_alone(call, &conversation) {
        return Ok(Answer::accepted(call));
    }
    // Admission comes before any connection, so that a call that may not pass costs nothing.
    let headers = admit(current, call)?;
    let upstream = &call.visit.upstream;
    let mut deadline = Deadline::begin(&upstream.name, upstream.timeouts);
    let mut exchange = deadline.keep(upstream.open(conversation, headers)).await?;
    let sent = deadline.keep(exchange.send(&call.message)).await;
    let reply = match sent {
        Ok(reply) => reply,
        Err(failure) => {
            if deadline.has_passed() {
                exchange
                    .cancel(&call.message, "it took longer than allowed")
                    .await;
            }
            return Err(failure);
        }
    };
    call.entry.heard();
    let session = reply.session.clone();
    let mut answer = Answer::begin(exchange, reply, deadline, call).await?;
    if call.handshake {
        begin_session(current, call, &mut answer, session).await?;
    }
    Ok(answer)
}

/// What the message belongs to.
fn conversation(call: &Call) -> Result<Conversation, Failure> {
    match (call.era, &call.session) {
        (Era::Modern, _) => Ok(Conversation::Modern),
        (Era::Legacy, _) if call.handshake => Ok(Conversation::Greeting),
        (Era::Legacy, Some(session)) => Ok(Conversation::Session(session.with_upstream())),
        (Era::Legacy, None) if call.visit.route.sessions == Sessions::Required => {
            Err(Failure::SessionMissing)
        }
        (Era::Legacy, None) => Ok(Conversation::Shared),
    }
}

/// Without a session of the client's own there is no handshake to finish, no call of an earlier
/// request to cancel, and no question that an answer could answer.
fn means_nothing_alone(call: &Call, conversation: &Conversation) -> bool {
    matches!(conversation, Conversation::Shared)
        && match (call.message.kind(), call.message.method()) {
            (Kind::Result | Kind::Error, _) => true,
            (Kind::Notification, Some(method)) => matches!(
                method,
                Method::NotificationsInitialized
                    | Method::NotificationsCancelled
                    | Method::NotificationsRootsListChanged
            ),
            _ => false,
        }
}

/// The headers that go to the upstream with this call.
fn admit(current: &Generation, call: &Call) -> Result<Headers, Failure> {
    let injected = match current.injection(&call.visit.upstream.name) {
        Some(injection) => injection.render(&*call.visit).map_err(Failure::Header)?,
        None => Vec::new(),
    };
    Ok(Headers {
        injected,
        passed: policy::headers::passed_on(&call.visit.headers),
    })
}

/// After a client's `initialize`: its session begins with what was agreed.
async fn begin_session(
    current: &Generation,
    call: &Call,
    answer: &mut Answer,
    upstream_session: Option<Box<str>>,
) -> Result<(), Failure> {
    // The session's id can only be told with the head, so the head waits for the agreement.
    while matches!(answer.first, First::Begun(_)) {
        let next = answer.next().await?;
        if matches!(next.kind(), Kind::Result | Kind::Error) {
            answer.first = First::Answer(next);
        }
    }
    let First::Answer(agreement) = &answer.first else {
        return Ok(());
    };
    let Some(revision) = agreed_revision(agreement) else {
        return Ok(());
    };
    if call.visit.route.sessions == Sessions::Off {
        // Nobody will ever name it again.
        let headers = admit(current, call)?;
        let session = Session {
            id: upstream_session,
            revision,
        };
        call.visit.upstream.end(&session, &headers).await;
        return Ok(());
    }
    {
        answer.session = Some(current.sessions.begin(
            &call.visit,
            &call.principal,
            upstream_session,
            revision,
        ));
        current.account.metrics().sessions_begun.inc();
    }
    Ok(())
}
