//! A client's `initialize`: what its session is, once its server has agreed (2025-11-25 basic/lifecycle).

use mcp::translate::Between;
use mcp::{Kind, Message, Object, Revision};
use upstream::handshake::agreed_revision;
use upstream::{Fault, Session};

use crate::answer::{Answer, First};
use crate::bridge::{Crossing, greeting};
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
    (crossing, hop): (Crossing, Between),
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
    let (theirs, between) = match crossing {
        Crossing::Up => (
            Session {
                id: None,
                revision: Revision::V2026_07_28,
                greeting: call
                    .message
                    .params()
                    .and_then(|params| greeting::kept(params, GREETING)),
            },
            hop,
        ),
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
        return end_unused(current, call, &theirs).await;
    }
    let sessions = &current.sessions;
    if let Some(sse) = &call.sse {
        let claims = sessions.claims(sse.id().clone(), &call.principal, between.client, &theirs);
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
    let Some(id) = sessions.begin(&call.visit, &call.principal, between.client, &theirs) else {
        end_unused(current, call, &theirs).await?;
        let fault = Fault::Broken("its session id is too long".into());
        return Err(fault.of(&call.visit.upstream.name).into());
    };
    answer.session = Some(id);
    current.account.metrics().sessions_begun.inc();
    Ok(())
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
async fn end_unused(current: &Generation, call: &Call, session: &Session) -> Result<(), Failure> {
    if session.id.is_some() {
        let headers = admit(current, &call.visit)?;
        call.visit.upstream.end(session, &headers).await;
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
