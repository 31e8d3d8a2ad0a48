//! Which era a request belongs to: the first question an endpoint must answer that serves both.
//!
//! A legacy client opens with `initialize` and then relies on a session; a modern one says everything in each
//! request. What decides is, in this order: `_meta`, the method `initialize`, the version header. `_meta` comes
//! first because a modern `initialize` must be answered as what it is, an unknown method (the conformance suite
//! demands it).

use crate::code;
use crate::header::{Mirrored, Values, agree};
use crate::json;
use crate::message::{Kind, Message};
use crate::meta;
use crate::method::Method;
use crate::refusal::Refusal;
use crate::revision::Revision;
use std::borrow::Cow;

/// How a revision holds a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: a handshake, then a session.
    Legacy,
    /// Since 2026-07-28: each request stands on its own.
    Modern,
}

/// How a message is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The era.
    pub era: Era,
    /// The revision; for a handshake the one to answer with.
    pub revision: Revision,
    /// Whether this is a legacy `initialize`.
    pub handshake: bool,
}

/// Decides how a message that was POSTed is to be served.
///
/// `session` is the revision of the session it belongs to, if it belongs to one. What is modern has passed, on
/// return, the checks on the required `_meta`, on the headers and on the version, in this order.
///
/// # Errors
/// Always with status 400: `-32022` for a version that is not implemented, `-32602` for a modern request without
/// the required `_meta`, `-32020` if its headers do not repeat it, `-32600` for a modern answer.
pub fn decide(
    headers: &Mirrored<'_>,
    session: Option<Revision>,
    message: &Message,
) -> Result<Decision, Refusal> {
    let header = Named::by(headers.version);
    let body = message.protocol_version().as_deref().and_then(Revision::parse);

    if message.claims_version() {
        let both_legacy = body.is_some_and(is_legacy) && matches!(header, Named::Nothing | Named::Legacy(_));
        if !both_legacy {
            return modern(headers, header, message);
        }
    }
    if message.kind() == Kind::Request && message.method() == Some(&Method::Initialize) {
        return Ok(Decision {
            era: Era::Legacy,
            revision: negotiated(message),
            handshake: true,
        });
    }
    match header {
        Named::Modern(_) => modern(headers, header, message),
        Named::Legacy(revision) => Ok(legacy(session.unwrap_or(revision))),
        Named::Nothing => Ok(legacy(session.unwrap_or(Revision::ASSUMED))),
        Named::Unknown(_) if headers.method.is_present() || message.has_reserved_meta() => {
            modern(headers, header, message)
        }
        Named::Unknown(version) => Err(Refusal::unsupported_version(&version)),
    }
}

/// Decides under which revision a batch that was POSTed is to be served.
///
/// # Errors
/// 400 and `-32600` unless it belongs to a session of 2025-03-26, or to none while its version header says this
/// revision or nothing at all.
pub fn decide_batch(version: Values<'_>, session: Option<Revision>) -> Result<Revision, Refusal> {
    let revision = match (session, Named::by(version)) {
        (Some(revision), _) => Some(revision),
        (None, Named::Nothing) => Some(Revision::ASSUMED),
        (None, Named::Legacy(revision)) => Some(revision),
        (None, Named::Modern(_) | Named::Unknown(_)) => None,
    };
    revision
        .filter(|revision| revision.has_batches())
        .ok_or_else(|| Refusal::new(code::INVALID_REQUEST, "only 2025-03-26 has batches"))
}

/// What the version header names.
enum Named<'a> {
    Nothing,
    Legacy(Revision),
    Modern(Revision),
    Unknown(Cow<'a, str>),
}

impl<'a> Named<'a> {
    fn by(version: Values<'a>) -> Named<'a> {
        let (value, single) = match version {
            Values::Absent => return Named::Nothing,
            Values::One(value) => (value, true),
            Values::Several(first) => (first, false),
        };
        let text = String::from_utf8_lossy(value.trim_ascii());
        match Revision::parse(&text) {
            Some(revision) if single && is_legacy(revision) => Named::Legacy(revision),
            Some(revision) if single => Named::Modern(revision),
            Some(_) | None => Named::Unknown(text),
        }
    }
}

fn is_legacy(revision: Revision) -> bool {
    revision.era() == Era::Legacy
}

fn legacy(revision: Revision) -> Decision {
    Decision {
        era: Era::Legacy,
        revision,
        handshake: false,
    }
}

/// What `initialize` agrees on: the version asked for, or the latest that has a handshake at all.
fn negotiated(message: &Message) -> Revision {
    message
        .params_member("protocolVersion")
        .and_then(json::decode_bytes)
        .and_then(|version| Revision::parse(&version))
        .filter(|revision| is_legacy(*revision))
        .unwrap_or(Revision::LATEST_LEGACY)
}

fn modern(headers: &Mirrored<'_>, header: Named<'_>, message: &Message) -> Result<Decision, Refusal> {
    let requested = match message.kind() {
        Kind::Result | Kind::Error => {
            return Err(Refusal::new(
                code::INVALID_REQUEST,
                "a client of 2026-07-28 sends no answers",
            ));
        }
        Kind::Notification => requested_by_notification(header, message),
        Kind::Request => {
            let version = required_meta(message)?;
            agree(headers, message)?;
            version
        }
    };
    match Revision::parse(&requested) {
        Some(revision) if !is_legacy(revision) => Ok(Decision {
            era: Era::Modern,
            revision,
            handshake: false,
        }),
        Some(_) | None => Err(Refusal::unsupported_version(&requested)),
    }
}

/// A notification needs neither `_meta` nor headers; any version that it does name will do.
fn requested_by_notification<'a>(header: Named<'a>, message: &'a Message) -> Cow<'a, str> {
    match header {
        Named::Modern(revision) => revision.as_str().into(),
        Named::Nothing | Named::Legacy(_) => message.protocol_version().unwrap_or_default(),
        Named::Unknown(version) => message.protocol_version().unwrap_or(version),
    }
}

/// The version, once all that `_meta` must have is there (2026-07-28 basic §Request metadata).
fn required_meta(message: &Message) -> Result<Cow<'_, str>, Refusal> {
    let missing = |key: &str, what: &str| {
        Refusal::new(
            code::INVALID_PARAMS,
            format!("`params._meta` needs `{key}`, {what}"),
        )
    };
    let version = message.protocol_version();
    let version = version.ok_or_else(|| missing(meta::PROTOCOL_VERSION, "a string"))?;
    if message.client_capabilities().is_none() {
        return Err(missing(meta::CLIENT_CAPABILITIES, "an object"));
    }
    if let Some(level) = message.log_level()
        && meta::log_level(level).is_none()
    {
        let words = format!("`params._meta` has a `{}` that is no log level", meta::LOG_LEVEL);
        return Err(Refusal::new(code::INVALID_PARAMS, words));
    }
    Ok(version)
}
