//! A message: an envelope over the bytes that were received.
//!
//! Reading finds where the members lie that a gateway must know; everything else is only proved to be JSON, in
//! the same pass. Nothing is ever written anew: an edit replaces the bytes of one member. So what we do not
//! understand arrives as it was sent, and what policy judged is what is forwarded.
//!
//! For the latter, a message in which another parser could see another value than we do is refused: members that
//! stand twice, or whose names differ only in case, in the envelope and in what decides over a call.

mod body;
mod compose;
mod edit;
mod parse;
mod shape;

pub use body::Body;
pub use parse::ParseError;

use crate::id::Id;
use crate::json;
use crate::meta;
use crate::method::Method;
use crate::span::Span;
use bytes::Bytes;
use parse::Places;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What a message is (JSON-RPC 2.0; MCP basic §Messages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Asks something and has an id.
    Request,
    /// Tells something and is never answered.
    Notification,
    /// Answers a request.
    Result,
    /// Says why a request was not carried out.
    Error,
}

/// One JSON-RPC message, its bytes untouched. Cloning shares them.
#[derive(Clone)]
pub struct Message {
    bytes: Bytes,
    kind: Kind,
    id: Option<Id>,
    method: Option<Method>,
    places: Places,
    left_out: Option<Arc<[Box<str>]>>,
    is_ours: bool,
}

impl Message {
    /// The whole text, as it was received.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it was made here and not received: it has the shape that it must have.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id of the request it is or answers. A notification has none, and an error may be without.
    pub fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// The method of a request or a notification.
    pub fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// The parameters of a request or a notification: the text of an object.
    pub fn params(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::Request | Kind::Notification => self.raw(self.places.payload),
            Kind::Result | Kind::Error => None,
        }
    }

    /// The result of an answer: the text of any value, even of `null`.
    pub fn result(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::Result => self.raw(self.places.payload),
            Kind::Request | Kind::Notification | Kind::Error => None,
        }
    }

    /// The error of an answer: the text of an object.
    pub fn error(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::Error => self.raw(self.places.payload),
            Kind::Request | Kind::Notification | Kind::Result => None,
        }
    }

    /// What a list named that is no part of this message any more, since it was nested deeper than
    /// [`Limits::depth`](crate::Limits::depth): the name, URI or template of each such item, empty where it has none.
    pub fn left_out(&self) -> &[Box<str>] {
        self.left_out.as_deref().unwrap_or_default()
    }

    /// The code of an error, if it is an integer.
    pub fn error_code(&self) -> Option<i64> {
        self.places.error_code
    }

    /// What the request is about: the tool or prompt it names, the resource or the task; what `Mcp-Name` repeats.
    ///
    /// `None` if its method names nothing, or if the member is missing or no string.
    pub fn subject(&self) -> Option<Cow<'_, str>> {
        self.text(self.places.subject)
    }

    /// The object `params._meta` of a request or a notification.
    pub fn meta(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::Request | Kind::Notification => self.raw(self.places.meta),
            Kind::Result | Kind::Error => None,
        }
    }

    /// The value of one member of [`Message::meta`].
    pub fn meta_member(&self, key: &str) -> Option<&[u8]> {
        json::member(self.meta()?, key)
    }

    /// The revision that a request says it is made under, in `_meta`; not necessarily one we know.
    pub fn protocol_version(&self) -> Option<Cow<'_, str>> {
        self.text(self.places.version)
    }

    /// The token under which progress is reported: a request's `_meta.progressToken`, or what
    /// `notifications/progress` repeats of it. JSON text of any value.
    pub fn progress_token(&self) -> Option<&[u8]> {
        self.raw(self.places.progress_token)
    }

    /// Which request `notifications/cancelled` is about.
    pub fn cancelled_request(&self) -> Option<Id> {
        Id::parse(self.raw(self.places.cancelled)?)
    }

    /// The id of the `subscriptions/listen` that a notification or a result belongs to, from its `_meta`
    /// (2026-07-28 subscriptions).
    pub fn subscription(&self) -> Option<Id> {
        Id::parse(self.raw(self.places.subscription)?)
    }

    /// The member `resultType` of a result, as JSON text of any value; of several the last. Found when the message
    /// was read, so that asking for it costs nothing, however long the result.
    pub(crate) fn result_type(&self) -> Option<&[u8]> {
        self.raw(self.places.result_type)
    }

    /// Whether this is a tool's own failure: a result with `"isError": true`.
    pub fn is_tool_error(&self) -> bool {
        self.places.tool_error
    }

    /// The value of one member of `params`. Reads them again: for what is asked rarely.
    pub fn params_member(&self, key: &str) -> Option<&[u8]> {
        json::member(self.params()?, key)
    }

    /// The value of one member of `result`. Reads it again: for what is asked rarely.
    pub fn result_member(&self, key: &str) -> Option<&[u8]> {
        json::member(self.result()?, key)
    }

    /// Whether `_meta` has the member that names a protocol version, be it a string or not.
    pub(crate) fn claims_version(&self) -> bool {
        self.places.version.is_some()
    }

    /// Whether `params._meta` has any member whose name is reserved to the protocol.
    pub(crate) fn has_reserved_meta(&self) -> bool {
        self.places.reserved_meta
    }

    /// The client capabilities that a request of 2026-07-28 declares, if they are an object.
    pub fn client_capabilities(&self) -> Option<&[u8]> {
        self.raw(self.places.capabilities)
            .filter(|text| text.starts_with(b"{"))
    }

    /// The log level that was asked for, be it one or not.
    pub fn log_level(&self) -> Option<&[u8]> {
        self.meta_member(meta::LOG_LEVEL)
    }

    /// Where [`Message::params`] lie.
    pub(crate) fn params_place(&self) -> Option<Span> {
        self.params().and(self.places.payload)
    }

    /// Where [`Message::result`] lies.
    pub(crate) fn result_place(&self) -> Option<Span> {
        self.result().and(self.places.payload)
    }

    /// Where [`Message::error`] lies.
    pub(crate) fn error_place(&self) -> Option<Span> {
        self.error().and(self.places.payload)
    }

    fn raw(&self, place: Option<Span>) -> Option<&[u8]> {
        place.map(|span| span.of(&self.bytes))
    }

    fn text(&self, place: Option<Span>) -> Option<Cow<'_, str>> {
        json::decode_bytes(self.raw(place)?)
    }
}

impl fmt::Debug for Message {
    /// Says what it is, never what it carries: arguments and results do not belong in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("method", &self.method)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
