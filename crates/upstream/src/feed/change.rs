//! One change that a server tells of: what changed, and the notification as a follower is to read it.

use std::sync::Arc;

use mcp::{Kind, Message, Method, Object, meta};

use super::interest::Interest;

/// Bytes of a notification that are kept until it is read; of a longer one only what changed is told.
const LONGEST: usize = 8 * 1024;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The resource at this URI.
    Resource(Arc<str>),
}

/// A change.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) subject: Subject,
    /// As the server told it, but for the subscription it belonged to.
    pub(super) message: Message,
}

impl Subject {
    /// Whether this is among what is wanted.
    pub(super) fn is_in(&self, interest: &Interest) -> bool {
        match self {
            Self::Tools => interest.tools,
            Self::Prompts => interest.prompts,
            Self::Resources => interest.resources,
            Self::Resource(uri) => interest.names(uri),
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Resource(_) => "notifications/resources/updated",
        }
    }
}

impl Change {
    /// The change that a notification of a server tells of; `None` for every other message.
    pub(super) fn read(message: &Message) -> Option<Self> {
        if message.kind() != Kind::Notification {
            return None;
        }
        let subject = match message.method()? {
            Method::NotificationsToolsListChanged => Subject::Tools,
            Method::NotificationsPromptsListChanged => Subject::Prompts,
            Method::NotificationsResourcesListChanged => Subject::Resources,
            Method::NotificationsResourcesUpdated => {
                let uri: String = serde_json::from_slice(message.params_member("uri")?).ok()?;
                Subject::Resource(uri.into())
            }
            _ => return None,
        };
        if message.bytes().len() > LONGEST {
            return Some(Self::told_by_us(subject));
        }
        let message = without_subscription(message);
        Some(Self { subject, message })
    }

    /// A change that is told in the server's place.
    pub(super) fn told_by_us(subject: Subject) -> Self {
        let params = match &subject {
            Subject::Tools | Subject::Prompts | Subject::Resources => None,
            Subject::Resource(uri) => Some(format!(r#"{{"uri":{}}}"#, serde_json::Value::from(&**uri))),
        };
        let message = Message::notification(subject.method(), params.as_deref());
        Self { subject, message }
    }

    /// A change of everything in this.
    pub(super) fn of_all(interest: &Interest) -> impl Iterator<Item = Self> {
        let lists = [
            (Subject::Tools, interest.tools),
            (Subject::Prompts, interest.prompts),
            (Subject::Resources, interest.resources),
        ];
        let lists = lists
            .into_iter()
            .filter_map(|(list, is_in)| is_in.then_some(list));
        let resources = interest.uris.iter().map(|uri| Subject::Resource((**uri).into()));
        lists.chain(resources).map(Self::told_by_us)
    }
}

/// The same without the subscription it belongs to, which is one of ours; everything else as it was sent.
fn without_subscription(message: &Message) -> Message {
    let params = message.params().and_then(|params| Object::parse(params).ok());
    let meta = params.as_ref().and_then(|params| params.get("_meta"));
    let (Some(params), Some(Ok(meta))) = (&params, meta.map(Object::parse)) else {
        return message.clone();
    };
    if meta.get(meta::SUBSCRIPTION_ID).is_none() {
        return message.clone();
    }
    let alone = meta
        .members()
        .iter()
        .all(|member| member.key == meta::SUBSCRIPTION_ID);
    let mut edits = params.edit();
    if alone {
        edits.remove("_meta");
    } else {
        edits.set("_meta", meta.edit().remove(meta::SUBSCRIPTION_ID).apply());
    }
    let left = edits.apply();
    let empty = alone && params.members().iter().all(|member| member.key == "_meta");
    let left = std::str::from_utf8(&left).unwrap_or("{}");
    let method = message.method().map_or("", Method::as_str);
    Message::notification(method, (!empty).then_some(left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(text: &str) -> Option<Change> {
        let text = Bytes::copy_from_slice(text.as_bytes());
        Change::read(&Message::parse(text, &mcp::Limits::default()).unwrap())
    }

    fn told(text: &str) -> String {
        String::from_utf8(read(text).unwrap().message.bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_change_keeps_all_that_was_said_but_the_subscription() {
        let id = r#""io.modelcontextprotocol/subscriptionId":7"#;
        for (said, left) in [
            (String::new(), String::new()),
            (r#","params":{}"#.into(), r#","params":{}"#.into()),
            (format!(r#","params":{{"_meta":{{{id}}}}}"#), String::new()),
            (
                format!(r#","params":{{"_meta":{{{id},"x":1.10}},"y":12345678901234567890123}}"#),
                r#","params":{"_meta":{"x":1.10},"y":12345678901234567890123}"#.into(),
            ),
            (
                format!(r#","params":{{"z":[],"_meta":{{{id}}}}}"#),
                r#","params":{"z":[]}"#.into(),
            ),
            (
                r#","params":{"_meta":7}"#.into(),
                r#","params":{"_meta":7}"#.into(),
            ),
        ] {
            let head = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed""#;
            assert_eq!(told(&format!("{head}{said}}}")), format!("{head}{left}}}"));
        }
    }

    #[test]
    fn what_changed_is_read() {
        let updated = |params: &str| {
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{params}}}"#
            );
            read(&text).map(|change| change.subject)
        };
        assert_eq!(
            updated(r#"{"uri":"a:\u0062"}"#),
            Some(Subject::Resource("a:b".into()))
        );
        for garbage in ["{}", r#"{"uri":7}"#, r#"{"uri":null}"#, r#"{"uri":["a:b"]}"#] {
            assert_eq!(updated(garbage), None, "{garbage}");
        }
        assert!(read(r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#).is_none());
        assert!(read(r#"{"jsonrpc":"2.0","id":1,"method":"notifications/tools/list_changed"}"#).is_none());
        assert!(read(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).is_none());
    }

    #[test]
    fn a_long_one_is_told_in_short() {
        let long = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"a:b","x":"{}"}}}}"#,
            "x".repeat(LONGEST)
        );
        let short = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}"#;
        assert_eq!(told(&long), short);
    }
}
