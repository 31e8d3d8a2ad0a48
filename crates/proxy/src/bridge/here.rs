//! What the gateway answers itself, since the other side of the hop has no such thing (`protocol.md` §2.3).

use std::sync::Arc;

use mcp::header::Parameters;
use mcp::translate::Between;
use mcp::{Era, Id, Kind, Message, Method, code, meta};
use upstream::{Conversation, Fault, Headers, Upstream};

use super::parking::{self, Return};
use super::relay::Relay;
use super::{Bridge, Crossing, Hop, following, greeting};
use crate::answer::Answer;
use crate::call::Call;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::incoming::Incoming;
use crate::session::settings::WATCHED;

/// The answer to a call that does not reach its server; none when it is to.
///
/// # Errors
/// When there is no answer, or the server was to be asked for it and cannot be.
pub(crate) async fn answer(
    current: &Arc<Generation>,
    call: &Call,
    hop: &Hop,
    headers: &Headers,
    deadline: &mut Deadline,
) -> Result<Option<Answer>, Failure> {
    match hop.crossing {
        Crossing::None => Ok(None),
        Crossing::Up => up(current, call, hop, headers, deadline).await,
        Crossing::Down => down(current, call, hop, headers, deadline).await,
    }
}

/// Whether this is a request that a client before 2026-07-28 makes of a server of it as they are: most are, and are not
/// looked at twice.
pub(crate) fn goes_up(call: &Call) -> bool {
    call.message.kind() == Kind::Request
        && matches!(
            call.message.method(),
            Some(
                Method::ToolsCall
                    | Method::ToolsList
                    | Method::ResourcesRead
                    | Method::ResourcesList
                    | Method::ResourcesTemplatesList
                    | Method::PromptsGet
                    | Method::PromptsList
                    | Method::CompletionComplete
            )
        )
}

/// What a server of the client's era is to know before a call that came to an endpoint of many servers: log levels
/// were told to the endpoint. And nobody but the endpoint has judged what is repeated in headers.
pub(crate) async fn prepare(
    current: &Arc<Generation>,
    call: &Call,
    hop: &Hop,
    headers: &Headers,
    deadline: &mut Deadline,
) -> Result<(), Failure> {
    if call.era == Era::Modern {
        if call.message.method() == Some(&Method::ToolsCall) {
            check_repeated_arguments(call, &hop.upstream, headers, deadline).await?;
        }
        return Ok(());
    }
    let settings = call
        .session
        .as_ref()
        .and_then(|session| current.sessions.settings().of(&session.id));
    let level = settings
        .and_then(|settings| settings.level())
        .and_then(|level| meta::LOG_LEVELS.iter().position(|known| *known == level));
    if let (Some(level), Conversation::Pooled(pooled)) = (level, &hop.conversation) {
        let headers = hop.passing(headers.clone());
        current
            .sessions
            .levels()
            .lower(&hop.upstream, pooled, &headers, level)
            .await;
    }
    Ok(())
}

/// For a client before 2026-07-28.
async fn up(
    current: &Arc<Generation>,
    call: &Call,
    hop: &Hop,
    headers: &Headers,
    deadline: &mut Deadline,
) -> Result<Option<Answer>, Failure> {
    let request = &call.message;
    if request.kind() == Kind::Notification {
        return Ok(taken_up(current, call).then(Answer::accepted));
    }
    let (Some(id), Some(method)) = (request.id(), request.method()) else {
        return Ok(None);
    };
    let answer = match method {
        Method::Initialize => {
            let upstream = &hop.upstream;
            let introduction = upstream.introduction_in(Era::Modern, headers);
            let introduction = deadline.keep(introduction).await?;
            let result = greeting::of_discovery(&introduction.result, hop.between.client);
            let silent = || Fault::Broken("it does not say what it can do".into()).of(&upstream.name);
            Message::result_reply(id, &result.ok_or_else(silent)?)
        }
        Method::Ping => Message::result_reply(id, "{}"),
        Method::LoggingSetLevel => set_level(current, call, id),
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => watch(current, call, id),
        Method::ServerDiscover
        | Method::SubscriptionsListen
        | Method::TasksGet
        | Method::TasksUpdate
        | Method::TasksCancel
        | Method::TasksList
        | Method::TasksResult => unknown(id, method),
        _ => return Ok(None),
    };
    Ok(Some(Answer::said(answer)))
}

/// What a client before 2026-07-28 tells, as far as it means nothing to a server of it; whether it was that.
pub(crate) fn taken_up(current: &Generation, call: &Call) -> bool {
    match call.message.method() {
        Some(Method::NotificationsCancelled) => {
            if let (Some(session), Some(request)) = (&call.session, call.message.cancelled_request()) {
                current.sessions.running().take_back(&session.id, &request);
            }
            true
        }
        Some(
            Method::NotificationsInitialized
            | Method::NotificationsProgress
            | Method::NotificationsRootsListChanged,
        ) => true,
        _ => false,
    }
}

/// A session wants log messages from this level on.
pub(crate) fn set_level(current: &Generation, call: &Call, id: &Id) -> Message {
    let Some(level) = level(&call.message) else {
        return invalid(id, "`level` is none of the log levels");
    };
    if let Some(session) = &call.session {
        current.sessions.settings().enter(&session.id).set_level(level);
    }
    Message::result_reply(id, "{}")
}

/// A resource is watched from now on, or no longer.
pub(crate) fn watch(current: &Generation, call: &Call, id: &Id) -> Message {
    let Some(uri) = call.message.subject() else {
        return invalid(id, "`uri` must be a string");
    };
    let Some(session) = &call.session else {
        return invalid(
            id,
            "resources are watched within a session; begin one with `initialize`",
        );
    };
    let set = current.sessions.settings().enter(&session.id);
    if call.message.method() == Some(&Method::ResourcesUnsubscribe) {
        set.leave(&uri);
    } else if set.watch(&uri).is_err() {
        let words = format!("a session watches {WATCHED} resources at most");
        return Message::error_reply(Some(id), code::INTERNAL_ERROR, &words, None);
    }
    Message::result_reply(id, "{}")
}

/// For a client of 2026-07-28.
async fn down(
    current: &Arc<Generation>,
    call: &Call,
    hop: &Hop,
    headers: &Headers,
    deadline: &mut Deadline,
) -> Result<Option<Answer>, Failure> {
    let request = &call.message;
    if request.kind() == Kind::Notification {
        // The session is not its client's, and the server must not take one client's word for another's.
        return Ok(Some(Answer::accepted()));
    }
    let (Some(id), Some(method)) = (request.id(), request.method()) else {
        return Ok(None);
    };
    let upstream = &hop.upstream;
    if *method == Method::ToolsCall {
        check_repeated_arguments(call, upstream, headers, deadline).await?;
    }
    match method {
        Method::ServerDiscover => {
            let introduction = upstream.introduction_in(Era::Legacy, headers);
            let introduction = deadline.keep(introduction).await?;
            let mut between = hop.between;
            between.server = introduction.revision;
            let result = greeting::of_handshake(&introduction.result, between);
            let silent = || Fault::Broken("it does not say what it can do".into()).of(&upstream.name);
            let answer = Message::result_reply(id, &result.ok_or_else(silent)?);
            Ok(Some(Answer::said(answer)))
        }
        Method::SubscriptionsListen => {
            let stream = following::follow(upstream, &hop.pooled(), headers.clone(), request).await?;
            let deadline = Deadline::of_call(upstream);
            let incoming = Incoming::of(stream, request.clone(), deadline);
            // What it says is said in its client's words already.
            let between = Between {
                server: hop.between.client,
                ..hop.between
            };
            let bridge = Bridge::Relay(Relay::new(between, method.clone(), None, current.bounds.parked));
            Answer::begin(200, incoming, bridge).await.map(Some)
        }
        Method::Initialize
        | Method::Ping
        | Method::LoggingSetLevel
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::TasksGet
        | Method::TasksUpdate
        | Method::TasksCancel
        | Method::TasksList
        | Method::TasksResult => Ok(Some(Answer::said(unknown(id, method)))),
        _ => match parking::come_back(current, call, hop).await? {
            Return::Anew => {
                if let (Some(level), Conversation::Pooled(pooled)) =
                    (parking::wanted(request), &hop.conversation)
                {
                    let headers = hop.passing(headers.clone());
                    current
                        .sessions
                        .levels()
                        .lower(upstream, pooled, &headers, level)
                        .await;
                }
                Ok(None)
            }
            Return::Resumed(answer) => Ok(Some(*answer)),
            Return::Answered(message) => Ok(Some(Answer::said(*message))),
        },
    }
}

/// A 2026-07-28 client repeats in headers what the tool's schema says, whatever server stands behind the schema
/// (2026-07-28 basic/transports/streamable-http §Custom Headers). Where the schema cannot be had, nothing is checked.
async fn check_repeated_arguments(
    call: &Call,
    upstream: &Arc<Upstream>,
    headers: &Headers,
    deadline: &mut Deadline,
) -> Result<(), Failure> {
    let Some(tool) = call.message.subject() else {
        return Ok(());
    };
    // What the file gives the tool its client cannot have repeated.
    let said = call.said.as_deref().unwrap_or(&call.message);
    let agree = |parameters: &Parameters| parameters.agree(|name| call.visit.lines(name), said);
    let listed = deadline.keep(upstream.parameters(&tool, headers)).await;
    let Ok(Some(listed)) = listed else {
        return Ok(());
    };
    if agree(&listed).is_ok() {
        return Ok(());
    }
    // Its client may have read a newer list than we have.
    match deadline.keep(upstream.parameters_anew(&tool, headers)).await {
        Ok(Some(listed)) => Ok(agree(&listed)?),
        Ok(None) | Err(_) => Ok(()),
    }
}

fn level(request: &Message) -> Option<&'static str> {
    let level = meta::log_level(request.params_member("level")?)?;
    Some(meta::LOG_LEVELS[level])
}

pub(crate) fn unknown(id: &Id, method: &Method) -> Message {
    let words = format!("`{method}` is not known here");
    Message::error_reply(Some(id), code::METHOD_NOT_FOUND, &words, None)
}

fn invalid(id: &Id, words: &str) -> Message {
    Message::error_reply(Some(id), code::INVALID_PARAMS, words, None)
}
