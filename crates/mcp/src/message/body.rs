//! What one HTTP body, event or line may hold: a message, or a batch of them.

use super::parse::utf8;
use super::{Message, ParseError};
use crate::json::Scanner;
use crate::limit::Limits;
use bytes::Bytes;

/// A message, or the batch that 2025-03-26 allows in its place (basic §Batching).
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every body is one message, and taken apart at once"
)]
pub enum Body {
    /// A message.
    One(Message),
    /// Several, each judged on its own.
    Batch(Vec<Result<Message, ParseError>>),
}

impl Body {
    /// Reads a body.
    ///
    /// # Errors
    /// Those of [`Message::parse`] for a message. A batch as a whole is refused if it is not JSON (`-32700`), is
    /// empty or has more than [`Limits::batch`] elements (`-32600`).
    pub fn parse(bytes: Bytes, limits: &Limits) -> Result<Body, ParseError> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'[') {
            return Message::parse(bytes, limits).map(Body::One);
        }
        let mut elements = Vec::new();
        let mut count = 0_usize;
        // Depth is judged per element, so that one deep message does not cost the others their answers.
        let mut scanner = Scanner::new(utf8(&bytes)?, u8::MAX);
        scanner.array(|scanner| {
            let span = scanner.value()?;
            count += 1;
            if count <= limits.batch {
                elements.push(span);
            }
            Ok(())
        })?;
        scanner.end()?;
        if count == 0 {
            return Err(ParseError::invalid("the batch is empty"));
        }
        if count > limits.batch {
            let words = format!("the batch has {count} messages, more than {}", limits.batch);
            return Err(ParseError::invalid(words));
        }
        let messages = elements
            .into_iter()
            .map(|span| Message::parse(bytes.slice(span.range()), limits));
        Ok(Body::Batch(messages.collect()))
    }
}
