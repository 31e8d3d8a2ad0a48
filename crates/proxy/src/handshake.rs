//! A client's `initialize`: what its session is, once its server has agreed (2025-11-25 basic/lifecycle).

use mcp::translate::Between;
use mcp::{Kind, Message, Object, Revision};
use upstream::handshake::agreed_revision;
use upstream::{Fault, Session, Upstream};

use crate::answer::{Answer, First};
use crate::bridge::{Crossing, Hop, greeting};
use crate::call::Call;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::route::SessionRule;
use crate::serve::admit;

/// Bytes of a greeting that a session's id can carry besides what else is in it.
const GREETING: usize = 1024;

/// After a client's `initialize`: its session begins with what was agreed. A client that asked for a revision gets
/// that one, whatever its server agreed to.
pub(crate) async fn begin_session(
    current: &Generation,
    call: &Call,
    hop: &Hop,
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
    let server = agreed.unwrap_or(Revision::LATEST_LEGACY);
    let crossing = hop.crossing;
    let (theirs, between) = match crossing {
        Crossing::Up => (without_server(call), hop.between),
        Crossing::None | Crossing::Down => (
            Session {
                id: upstream_session,
                revision: server,
                greeting: whole_greeting(&call.message),
            },
            Between {
                client: asked(&call.message).unwrap_or(server),
                server,
            },
        ),
    };
    if agreed.is_some() && crossing == Crossing::None && !between.is_same() {
        answer.first = First::Answer(agreeing(agreement, between));
    }
    if agreed.is_none() || call.visit.route.sessions == SessionRule::Off {
        return end_unused(current, call, &hop.upstream, &theirs).await;
    }
    match begin(current, call, between.client, &theirs, answer) {
        Begun::Yes => Ok(()),
        Begun::Before => end_unused(current, call, &hop.upstream, &theirs).await,
        Begun::TooLong => {
            end_unused(current, call, &hop.upstream, &theirs).await?;
            let fault = Fault::Broken("its session id is too long".into());
            Err(fault.of(&hop.upstream.name).into())
        }
    }
}

/// After a client's `initialize` at an endpoint of many servers: its session holds no session of any of them.
pub(crate) fn begin_session_here(current: &Generation, call: &Call, answer: &mut Answer) {
    if call.visit.route.sessions != SessionRule::Off {
        // What it says is short, and an SSE client that greets twice has its session already.
        begin(current, call, call.revision, &without_server(call), answer);
    }
}

/// Whether a session has begun.
enum Begun {
    Yes,
    /// It had before.
    Before,
    /// Its id would be longer than what we take for one of ours.
    TooLong,
}

fn begin(
    current: &Generation,
    call: &Call,
    agreed: Revision,
    theirs: &Session,
    answer: &mut Answer,
) -> Begun {
    let sessions = &current.sessions;
    if let Some(sse) = &call.sse {
        let claims = sessions.claims(sse.id().clone(), &call.visit.principal, agreed, theirs);
        if !sse.begin(claims) {
            return Begun::Before;
        }
        let (route, to) = (&call.visit.route.path, call.visit.to.name());
        current.account.note_legacy(route, to, &client(&call.message));
    } else {
        let Some(id) = sessions.begin(&call.visit, agreed, theirs) else {
            return Begun::TooLong;
        };
        answer.session = Some(id);
    }
    current.account.metrics().sessions_begun.inc();
    Begun::Yes
}

/// A session that its server, or its servers, know nothing of.
fn without_server(call: &Call) -> Session {
    let params = call.message.params();
    Session {
        id: None,
        revision: Revision::V2026_07_28,
        greeting: params.and_then(|params| greeting::kept(params, GREETING)),
    }
}

/// The legacy revision that a client asks for, if we know it.
fn asked(initialize: &Message) -> Option<Revision> {
    let version: String = serde_json::from_slice(initialize.params_member("protocolVersion")?).ok()?;
    Revision::parse(&version).filter(|revision| *revision <= Revision::LATEST_LEGACY)
}

/// The agreement of a server of another revision, as its client is to read it.
fn agreeing(agreement: &Message, between: Between) -> Message {
    let edited = || {
        let result = Object::parse(agreement.result()?).ok()?;
        let capabilities = result.get("capabilities");
        let mut edits = result.edit();
        edits.set("protocolVersion", format!(r#""{}""#, between.client));
        if let Some(capabilities) = capabilities.filter(|text| text.starts_with(b"{")) {
            edits.set("capabilities", between.server_capabilities(capabilities));
        }
        let result = edits.apply();
        Some(Message::result_reply(
            agreement.id()?,
            &String::from_utf8_lossy(&result),
        ))
    };
    edited().unwrap_or_else(|| agreement.clone())
}

/// Ends a session with an upstream that no client will ever name.
async fn end_unused(
    current: &Generation,
    call: &Call,
    upstream: &Upstream,
    session: &Session,
) -> Result<(), Failure> {
    if session.id.is_some() {
        let headers = admit(current, &call.visit, upstream)?;
        upstream.end(session, &headers).await;
    }
    Ok(())
}

/// What of a client's `initialize` begins its session anew, if the upstream loses it.
fn whole_greeting(initialize: &Message) -> Option<Box<str>> {
    let params = std::str::from_utf8(initialize.params()?).ok()?;
    (params.len() <= GREETING).then(|| params.into())
}

/// What a client calls itself in its `initialize`: name and version, cut where nobody reads on.
fn client(initialize: &Message) -> String {
    /// Characters of either.
    const ENOUGH: usize = 64;
    let info = initialize
        .params_member("clientInfo")
        .and_then(|info| Object::parse(info).ok());
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
