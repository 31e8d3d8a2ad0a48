//! What a session has set at its server, as far as it can be set again.

use std::collections::VecDeque;

use mcp::{Kind, Message, Method};

/// Resources that one session may have subscribed to and find subscribed again.
const SUBSCRIPTIONS: usize = 64;

/// Bytes of what one session has set.
const BYTES: usize = 16 * 1024;

/// The latest log level and the resources subscribed to, each as `params` of the request that set it.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    level: Option<Box<str>>,
    subscribed: VecDeque<(Box<str>, Box<str>)>,
}

/// Whether a message sets something.
pub(super) fn concerns(message: &Message) -> bool {
    message.kind() == Kind::Request
        && matches!(
            message.method(),
            Some(Method::LoggingSetLevel | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe)
        )
}

impl Settings {
    /// A request was carried out that may have set something. What finds no room is not remembered.
    pub(super) fn note(&mut self, message: &Message, room: usize) {
        let Some(params) = message
            .params()
            .and_then(|params| std::str::from_utf8(params).ok())
        else {
            return;
        };
        let fits = |held: usize| held + params.len() <= BYTES && params.len() <= room;
        match message.method() {
            Some(Method::LoggingSetLevel) => {
                self.level = None;
                self.level = fits(self.bytes()).then(|| params.into());
            }
            Some(Method::ResourcesSubscribe) => {
                let Some(uri) = message.subject() else { return };
                self.forget(&uri);
                if self.subscribed.len() < SUBSCRIPTIONS && fits(self.bytes() + uri.len()) {
                    self.subscribed.push_back((uri.into(), params.into()));
                }
            }
            Some(Method::ResourcesUnsubscribe) => {
                if let Some(uri) = message.subject() {
                    self.forget(&uri);
                }
            }
            _ => {}
        }
    }

    /// The requests that set it all again: method and `params`.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let level = self.level.iter().map(|params| ("logging/setLevel", &**params));
        level.chain(self.subscriptions().map(|params| ("resources/subscribe", params)))
    }

    /// The `params` of each subscription.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.subscribed.iter().map(|(_, params)| &**params)
    }

    pub(super) fn bytes(&self) -> usize {
        let subscribed: usize = self
            .subscribed
            .iter()
            .map(|(uri, params)| uri.len() + params.len())
            .sum();
        subscribed + self.level.as_ref().map_or(0, |params| params.len())
    }

    fn forget(&mut self, uri: &str) {
        self.subscribed.retain(|(subscribed, _)| **subscribed != *uri);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp::Id;

    fn request(method: &str, params: &str) -> Message {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{params}}}"#,
            Id::number(1)
        );
        Message::parse(text.into(), &mcp::Limits::default()).unwrap()
    }

    fn note(settings: &mut Settings, method: &str, params: &str) {
        let message = request(method, params);
        assert!(concerns(&message));
        settings.note(&message, usize::MAX);
    }

    #[test]
    fn the_last_level_and_the_subscriptions_that_remain_are_set_again() {
        let mut settings = Settings::default();
        note(&mut settings, "logging/setLevel", r#"{"level":"info"}"#);
        note(&mut settings, "resources/subscribe", r#"{"uri":"a://1"}"#);
        note(
            &mut settings,
            "resources/subscribe",
            r#"{"uri":"a://2","_meta":{}}"#,
        );
        note(&mut settings, "resources/subscribe", r#"{"uri":"a://2"}"#);
        note(&mut settings, "resources/unsubscribe", r#"{"uri":"a://1"}"#);
        note(&mut settings, "logging/setLevel", r#"{"level":"debug"}"#);

        let requests: Vec<_> = settings.requests().collect();

        assert_eq!(
            requests,
            [
                ("logging/setLevel", r#"{"level":"debug"}"#),
                ("resources/subscribe", r#"{"uri":"a://2"}"#)
            ]
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut settings = Settings::default();
        for number in 0..1000 {
            note(
                &mut settings,
                "resources/subscribe",
                &format!(r#"{{"uri":"a://{number}"}}"#),
            );
        }
        assert_eq!(settings.subscriptions().count(), SUBSCRIPTIONS);

        let long = format!(r#"{{"level":"{}"}}"#, "x".repeat(BYTES));
        note(&mut settings, "logging/setLevel", &long);
        assert!(settings.bytes() <= BYTES);

        let mut settings = Settings::default();
        settings.note(&request("logging/setLevel", r#"{"level":"info"}"#), 3);
        assert_eq!(settings.bytes(), 0);
    }
}
