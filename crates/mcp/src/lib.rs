//! The Model Context Protocol as data: five revisions, no I/O, no async.
//!
//! A [`Message`] is an envelope over the bytes that were received. Reading one finds where its members lie;
//! editing one splices those places and leaves every other byte as it was sent. Around it stand the things a
//! gateway must know about the protocol: which [`Method`]s there are, which [`Revision`] has what, which
//! [`Era`] a request belongs to, what the `Mcp-*` headers must repeat, how a message reads [`Between`] two
//! revisions, what a server asks in the middle of a call ([`input`]), how the names and URIs of many servers are told
//! apart at one endpoint ([`expose`]), and how messages are framed on a wire.
//!
//! Nothing here panics on what a peer sent, recurses over it, or holds more of it than [`Limits`] allows.

pub mod message;

pub mod id;
pub mod method;
pub mod object;

pub mod era;
pub mod header;
pub mod refusal;
pub mod revision;

pub mod input;
pub mod translate;

pub mod expose;

pub mod capability;
pub mod code;
pub mod limit;
pub mod meta;

pub mod frame;

mod json;
mod patch;
mod span;

pub use capability::ClientCapabilities;
pub use era::{Decision, Era};
pub use frame::FrameError;
pub use frame::line::LineReader;
pub use frame::sse::SseReader;
pub use header::Mirrored;
pub use id::Id;
pub use limit::Limits;
pub use message::{Body, Kind, Message, ParseError};
pub use method::Method;
pub use object::{Edits, Object};
pub use refusal::Refusal;
pub use revision::Revision;
pub use span::Span;
pub use translate::Between;
