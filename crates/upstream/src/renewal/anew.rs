//! Beginning a session anew: its client's own greeting once more, and what it had set.

use std::sync::Arc;
use std::time::Duration;

use mcp::{Id, Kind, Message, Object, Revision};

use super::settings::Settings;
use crate::error::{Error, Fault};
use crate::handshake;
use crate::registry::Upstream;
use crate::transport::{Conversation, Headers, Session};

/// A handshake, the cold start of a platform or a download by `npx` included.
const BEGUN_WITHIN: Duration = Duration::from_secs(120);

/// Setting again what was set; a server that is slow with it does not hold up the call behind it.
const SET_WITHIN: Duration = Duration::from_secs(5);

/// A session that was begun.
pub(super) struct Begun {
    pub(super) session: Session,
    pub(super) declared: Declared,
}

/// The lists whose changes a server says it will tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    tools: bool,
    prompts: bool,
    resources: bool,
}

/// Begins a session with the greeting that began `session`.
///
/// # Errors
/// [`Fault::SessionGone`] when it has none, or when the upstream does not agree to the same any more.
pub(super) async fn begin(
    upstream: &Arc<Upstream>,
    session: &Session,
    headers: &Headers,
) -> Result<Begun, Error> {
    let gone = || Fault::SessionGone.of(&upstream.name);
    let params = session.greeting.as_deref().ok_or_else(gone)?;
    let params = greeting(params, session.revision).ok_or_else(gone)?;
    let begun = async {
        let headers = Arc::new(injected_only(headers));
        let greeting = Message::request(&Id::number(0), "initialize", Some(&params));
        let mut link = upstream.link(&Conversation::Greeting, &headers).await?;
        let reply = link.send(&greeting).await?;
        let id = reply.session;
        let answer = reply.messages.answer().await?;
        let agreed = answer.as_ref().and_then(handshake::agreed_revision);
        let begun = Begun {
            session: Session {
                id,
                revision: agreed.unwrap_or(session.revision),
                greeting: None,
            },
            declared: answer.as_ref().map(Declared::by).unwrap_or_default(),
        };
        if agreed == Some(session.revision) {
            return Ok(begun);
        }
        // The client speaks what it agreed to once: with anything else it has to begin itself.
        if begun.session.id.is_some() {
            upstream.end_behind(&begun.session, &headers).await;
        }
        Err(gone())
    };
    let outcome = match tokio::time::timeout(BEGUN_WITHIN, begun).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Fault::Silent(BEGUN_WITHIN).of(&upstream.name)),
    };
    outcome.map_err(|error| match error.fault {
        // It refuses this greeting, which the client may have to word otherwise.
        Fault::Status {
            status: 400 | 404 | 405 | 406 | 415 | 422,
            ..
        }
        | Fault::NotSpoken { .. }
        | Fault::Misjudged(_) => gone(),
        _ => error,
    })
}

/// Finishes the handshake, and sets again what was set. A server that does not take the latter is left
/// with it: the client is served without.
pub(super) async fn make_ready(
    upstream: &Arc<Upstream>,
    begun: &Begun,
    settings: &Settings,
    headers: &Headers,
) -> Result<(), Error> {
    let headers = Arc::new(injected_only(headers));
    let conversation = Conversation::Session(begun.session.clone());
    let ready = async {
        let mut link = upstream.link(&conversation, &headers).await?;
        link.send(&handshake::initialized_notification()).await
    };
    match tokio::time::timeout(BEGUN_WITHIN, ready).await {
        Ok(outcome) => drop(outcome?),
        Err(_) => return Err(Fault::Silent(BEGUN_WITHIN).of(&upstream.name)),
    }
    let set = async {
        for (number, (method, params)) in settings.requests().enumerate() {
            // Ids of a session are its client's; none would choose this one.
            let id = Id::parse(format!(r#""causeway/renewal/{number}""#).as_bytes());
            let Some(id) = id else { continue };
            let request = Message::request(&id, method, Some(params));
            let mut link = upstream.link(&conversation, &headers).await?;
            let answer = link.send(&request).await?.messages.answer().await?;
            if answer.is_none_or(|answer| answer.kind() != Kind::Result) {
                tracing::debug!(upstream = %upstream.name, method, "it was not set again");
            }
        }
        Ok::<(), Error>(())
    };
    match tokio::time::timeout(SET_WITHIN, set).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(upstream = %upstream.name, %error, "what a session had set is lost")
        }
        Err(_) => {
            tracing::debug!(upstream = %upstream.name, "what a session had set is lost: it takes too long")
        }
    }
    Ok(())
}

/// The client's greeting, asking for what was agreed.
fn greeting(params: &str, agreed: Revision) -> Option<String> {
    let object = Object::parse(params.as_bytes()).ok()?;
    let mut edits = object.edit();
    edits.set("protocolVersion", format!(r#""{}""#, agreed.as_str()));
    String::from_utf8(edits.apply().to_vec()).ok()
}

/// Those of the client speak of the call that found the session gone.
fn injected_only(headers: &Headers) -> Headers {
    Headers {
        injected: headers.injected.clone(),
        passed: Vec::new(),
    }
}

impl Declared {
    /// What an answer to `initialize` declares.
    fn by(answer: &Message) -> Self {
        let capabilities = answer.result_member("capabilities").unwrap_or_default();
        let Ok(capabilities) = Object::parse(capabilities) else {
            return Self::default();
        };
        let tells = |list: &str| {
            let list = capabilities.get(list).and_then(|list| Object::parse(list).ok());
            list.is_some_and(|list| list.get("listChanged") == Some(b"true"))
        };
        Self {
            tools: tells("tools"),
            prompts: tells("prompts"),
            resources: tells("resources"),
        }
    }

    /// The notifications that say: any of these may have changed.
    pub(crate) fn changes(self) -> impl Iterator<Item = Message> {
        let told = [
            (self.tools, "notifications/tools/list_changed"),
            (self.prompts, "notifications/prompts/list_changed"),
            (self.resources, "notifications/resources/list_changed"),
        ];
        let told = told.into_iter().filter(|(declared, _)| *declared);
        told.map(|(_, method)| Message::notification(method, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_asks_for_what_was_agreed_and_says_the_rest_as_the_client_did() {
        let said = r#"{ "protocolVersion":"2025-11-25", "capabilities":{"roots":{}},"x":1.0 }"#;
        assert_eq!(
            greeting(said, Revision::V2025_06_18).as_deref(),
            Some(r#"{ "protocolVersion":"2025-06-18", "capabilities":{"roots":{}},"x":1.0 }"#)
        );
        assert_eq!(greeting("[]", Revision::V2025_06_18), None);
    }

    #[test]
    fn only_declared_changes_are_told() {
        let answer = Message::result_reply(
            &Id::number(0),
            r#"{"capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"listChanged":false}}}"#,
        );
        let told: Vec<_> = Declared::by(&answer)
            .changes()
            .filter_map(|message| message.method().map(ToString::to_string))
            .collect();
        assert_eq!(told, ["notifications/tools/list_changed"]);
    }
}
