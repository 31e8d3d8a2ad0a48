//! What a question is the same question by: everything that its answer may depend on.

use mcp::{Era, Object, header, meta};
use sha2::{Digest as _, Sha256};
use upstream::Headers;

use crate::call::Call;
use crate::canonical::{add, digest, digest_object};
use crate::idempotency;

/// A digest of all that. Two that are equal are one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key([u8; 32]);

/// Members of `_meta` that do not count, or are counted by what they mean: whose software asks is for display, progress
/// and log messages come before an answer that is then not kept, and traces are nobody's answer.
const NOT_ASKED: [&str; 8] = [
    meta::PROTOCOL_VERSION,
    meta::CLIENT_CAPABILITIES,
    meta::CLIENT_INFO,
    meta::LOG_LEVEL,
    "progressToken",
    "traceparent",
    "tracestate",
    idempotency::META,
];

impl Key {
    /// Of a call that goes with these headers, while the server's catalog has this stamp, which is that of no other
    /// upstream. None where the answer is never to be kept: the call is made again with answers, starts a task, or says
    /// something that we do not know.
    pub(super) fn of(
        call: &Call,
        upstream: &str,
        headers: &Headers,
        stamp: u64,
        shared: bool,
    ) -> Option<Self> {
        let request = &call.message;
        let session = call.session.as_ref().filter(|_| call.era == Era::Legacy);
        if call.lacks_session() {
            // It is going to be refused.
            return None;
        }
        let params = Object::parse(request.params()?).ok()?;
        let known = |name: &str| matches!(name, "name" | "arguments" | "_meta");
        if params.members().iter().any(|member| !known(&member.key)) {
            return None;
        }
        let mut hash = Sha256::new();
        add(&mut hash, b'u', upstream.as_bytes());
        hash.update(stamp.to_le_bytes());
        add_headers(&mut hash, headers);
        match shared {
            true => hash.update(b"s"),
            false => add(&mut hash, b'p', call.visit.principal.binding()),
        }
        // In whose words the answer is, and what its server may have asked before it.
        let revision = session.map_or(call.revision, |session| session.revision());
        add(&mut hash, b'r', revision.as_str().as_bytes());
        // Without a session, a client that names no revision is spoken to in its server's.
        let said = session.is_some()
            || call.visit.to.only().is_none()
            || call.visit.headers.contains_key(header::MCP_PROTOCOL_VERSION);
        hash.update([
            u8::from(session.is_some()),
            u8::from(said),
            u8::from(call.askable),
        ]);
        let declared = add_capabilities(&mut hash, call);
        // What it is asked on the stream of its session is not seen here, and the answer may have been made of it.
        if let Some(session) = session.filter(|_| call.visit.to.only().is_some() && declared.can_be_asked) {
            add(&mut hash, b'S', &session.scope());
        }
        if let Some(asked) = request.meta() {
            let asked = Object::parse(asked).ok()?;
            digest_object(&mut hash, &asked, |name| !NOT_ASKED.contains(&name));
        } else {
            hash.update(b"{}");
        }
        // What is not there may be something else to a server than what is empty.
        digest_object(&mut hash, &params, |name| name != "_meta");
        Some(Self(hash.finalize().into()))
    }
}

#[cfg(test)]
impl Key {
    /// One of many.
    pub(super) fn number(number: u8) -> Self {
        Self([number; 32])
    }
}

/// The credentials, and what of the client's own headers says more than the message does.
fn add_headers(hash: &mut Sha256, headers: &Headers) {
    // All that is passed on, less traces and what the message says itself.
    let says_more = |name: &str| {
        !["traceparent", "tracestate"].contains(&name)
            && ![header::MCP_PROTOCOL_VERSION, header::MCP_METHOD, header::MCP_NAME]
                .iter()
                .any(|said| said.eq_ignore_ascii_case(name))
    };
    let mut passed: Vec<_> = headers
        .passed
        .iter()
        .filter(|(name, _)| says_more(name.as_str()))
        .collect();
    passed.sort_by_key(|(name, _)| name.as_str());
    for (kind, lines) in [(b'i', headers.injected.iter().collect()), (b'h', passed)] {
        for (name, value) in lines {
            add(hash, kind, name.as_str().as_bytes());
            add(hash, b'v', value.as_bytes());
        }
    }
}

/// What a client has declared.
struct Declared {
    can_be_asked: bool,
}

/// What its client can be asked, as far as that is known here.
fn add_capabilities(hash: &mut Sha256, call: &Call) -> Declared {
    let greeting = call
        .session
        .as_ref()
        .and_then(|session| session.greeting.as_deref());
    let greeting = greeting.and_then(|greeting| Object::parse(greeting.as_bytes()).ok());
    let declared = match call.era {
        Era::Modern => call.message.client_capabilities(),
        Era::Legacy => greeting
            .as_ref()
            .and_then(|greeting| greeting.get("capabilities")),
    };
    let declared = declared.unwrap_or(b"{}");
    digest(hash, declared);
    let declared = Object::parse(declared);
    let can = |what: &str| {
        declared
            .as_ref()
            .is_ok_and(|declared| declared.get(what).is_some())
    };
    Declared {
        can_be_asked: ["elicitation", "sampling", "roots"].into_iter().any(can),
    }
}
