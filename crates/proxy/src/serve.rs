//! The story: how one message reaches a server, and how its answer begins.

use std::sync::Arc;

use mcp::{Era, Kind, Method, Revision};
use upstream::handshake::agreed_revision;
use upstream::{Conversation, Fault, Headers, Pooled, Session};

use crate::answer::{Answer, Deadline, First};
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::route::SessionRule;

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
    if !finds_its_question(current, call) || means_nothing(call, &conversation) {
        return Ok(Answer::accepted(call));
    }
    // Admission comes before any connection, so that a call that may not pass costs nothing.
    let headers = admit(current, &call.visit)?;
    let upstream = &call.visit.upstream;
    let mut deadline = Deadline::begin(&upstream.name, upstream.timeouts);
    let mut exchange = deadline.keep(upstream.open(conversation, headers)).await?;
    let sent = deadline.keep(exchange.send(&call.message)).await;
    let reply = match sent {
        Ok(reply) => reply,
        Err(failure) => {
            if deadline.has_passed() {
                exchange.overdue(&call.message).await;
            }
            return Err(failure);
        }
    };
    call.entry.heard();
    let session = reply.session.clone();
    let asking = call
        .session
        .as_ref()
        .map(|session| current.sessions.asker(session).asking());
    let mut answer = Answer::begin(exchange, reply, deadline, call, asking).await?;
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
        (Era::Legacy, None) if call.visit.route.sessions == SessionRule::Required => {
            Err(Failure::SessionMissing)
        }
        (Era::Legacy, None) => Ok(Conversation::Pooled(Pooled::default())),
    }
}

/// What is taken and goes nowhere. Without a session of the client's own there is no handshake to
/// finish, no call of an earlier request to cancel, and no question that an answer could answer. A
/// 2026-07-28 client cancels by closing its stream; over HTTP the notification has no function.
fn means_nothing(call: &Call, conversation: &Conversation) -> bool {
    let (kind, method) = (call.message.kind(), call.message.method());
    match conversation {
        Conversation::Pooled(_) => {
            kind == Kind::Notification
                && method.is_some_and(|method| {
                    matches!(
                        method,
                        Method::NotificationsInitialized
                            | Method::NotificationsCancelled
                            | Method::NotificationsRootsListChanged
                    )
                })
        }
        Conversation::Modern | Conversation::Bridged => {
            kind == Kind::Notification && method == Some(&Method::NotificationsCancelled)
        }
        Conversation::Greeting | Conversation::Session(_) => false,
    }
}

/// An answer of the client goes to the server under the id that the server asked by. One to nothing
/// goes nowhere.
fn finds_its_question(current: &Generation, call: &mut Call) -> bool {
    let (Kind::Result | Kind::Error) = call.message.kind() else {
        return true;
    };
    let session = call.session.as_ref();
    let asked = session
        .zip(call.message.id())
        .and_then(|(session, id)| current.sessions.answered(session, id));
    match asked {
        Some(asked) => {
            call.message = call.message.with_id(&asked);
            true
        }
        None => {
            current.account.metrics().answers_to_nothing.inc();
            false
        }
    }
}

/// The headers that go to the upstream with this call.
pub(crate) fn admit(current: &Generation, visit: &Visit) -> Result<Headers, Failure> {
    let injected = match current.injection(&visit.upstream.name) {
        Some(injection) => injection.render(visit).map_err(Failure::Header)?,
        None => Vec::new(),
    };
    Ok(Headers {
        injected,
        passed: policy::headers::passed_on(&visit.headers),
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
    let agreed = agreed_revision(agreement);
    let theirs = Session {
        id: upstream_session,
        revision: agreed.unwrap_or(Revision::LATEST_LEGACY),
        greeting: greeting(&call.message),
    };
    if agreed.is_none() || call.visit.route.sessions == SessionRule::Off {
        return end_unused(current, call, &theirs).await;
    }
    if let Some(sse) = &call.sse {
        let claims = current
            .sessions
            .claims(sse.id().clone(), &call.principal, &theirs);
        if !sse.begin(claims) {
            return end_unused(current, call, &theirs).await;
        }
        let (route, upstream) = (&call.visit.route.path, &call.visit.upstream.name);
        current
            .account
            .note_legacy(route, upstream, &client(&call.message));
        current.account.metrics().sessions_begun.inc();
        return Ok(());
    }
    let Some(id) = current.sessions.begin(&call.visit, &call.principal, &theirs) else {
        end_unused(current, call, &theirs).await?;
        let fault = Fault::Broken("its session id is too long".into());
        return Err(fault.of(&call.visit.upstream.name).into());
    };
    answer.session = Some(id);
    current.account.metrics().sessions_begun.inc();
    Ok(())
}

/// Ends a session with an upstream that no client will ever name.
async fn end_unused(current: &Generation, call: &Call, session: &Session) -> Result<(), Failure> {
    if session.id.is_some() {
        let headers = admit(current, &call.visit)?;
        call.visit.upstream.end(session, &headers).await;
    }
    Ok(())
}

/// Bytes of a greeting that a session's id can carry besides what else is in it.
const GREETING: usize = 1024;

/// What of a client's `initialize` begins its session anew, if the upstream loses it.
fn greeting(initialize: &mcp::Message) -> Option<Box<str>> {
    let params = std::str::from_utf8(initialize.params()?).ok()?;
    (params.len() <= GREETING).then(|| params.into())
}

/// What a client calls itself in its `initialize`: name and version, cut where nobody reads on.
fn client(initialize: &mcp::Message) -> String {
    /// Characters of either.
    const ENOUGH: usize = 64;
    let info = initialize
        .params_member("clientInfo")
        .and_then(|info| mcp::Object::parse(info).ok());
    let text = |member| -> Option<String> {
        let text: String = serde_json::from_slice(info.as_ref()?.get(member)?).ok()?;
        let shown = text.chars().filter(|character| !character.is_control());
        Some(shown.take(ENOUGH).collect())
    };
    match (text("name"), text("version")) {
        (Some(name), Some(version)) => format!("{name} {version}"),
        (Some(name), None) => name,
        (None, _) => "unnamed".into(),
    }
}
