//! The protocol as data, from outside: what is read, what is refused, what stays as it was.

mod batch;
mod edit;
mod era;
mod examples;
mod expose;
mod header;
mod id;
mod input;
mod line;
mod message;
mod object;
mod parameters;
mod properties;
mod refused;
mod shape;
mod small;
mod speed;
mod sse;
mod translate;

use bytes::Bytes;
use mcp::{Limits, Message};

/// A message that must be readable.
fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
        .unwrap_or_else(|error| panic!("{error}: {text}"))
}
