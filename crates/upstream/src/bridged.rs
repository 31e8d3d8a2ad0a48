//! 2026-07-28 requests that the gateway makes: what their headers repeat is read off the message.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use mcp::{Message, header};

use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::{Conversation, Headers, Reply};

/// The headers for this message. What a client wrote of `Mcp-*` repeats another message, and is left out.
pub(crate) fn mirrored(headers: &Headers, message: &Message) -> Headers {
    let mut passed = headers.passed.clone();
    passed.retain(|(name, _)| !name.as_str().starts_with("mcp-"));
    passed.extend(
        header::mirror(message)
            .into_iter()
            .filter_map(|(name, value)| line(name, &value)),
    );
    Headers {
        injected: headers.injected.clone(),
        passed,
    }
}

/// A line of a header. None for what no header can carry, which an encoded value never is.
pub(crate) fn line(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((
        HeaderName::try_from(name).ok()?,
        HeaderValue::try_from(value).ok()?,
    ))
}

impl Upstream {
    /// Sends a request of the gateway's own that no client waits for alone: it takes no place among the
    /// calls, since one of those may be waiting for it. An upstream that speaks otherwise than assumed is
    /// asked anew what it speaks, and the request goes there again.
    pub(crate) async fn ask_ourselves(
        &self,
        conversation: &Conversation,
        headers: &Headers,
        question: &Message,
    ) -> Result<Reply, Error> {
        let headers = match conversation {
            Conversation::Bridged => mirrored(headers, question),
            Conversation::Modern
            | Conversation::Greeting
            | Conversation::Session(_)
            | Conversation::Pooled(_) => headers.clone(),
        };
        let headers = Arc::new(headers);
        let mut link = self.link(conversation, &headers).await?;
        match link.send(question).await {
            Err(Error {
                fault: Fault::Misjudged(_),
                ..
            }) => {
                self.forget_eras();
                let mut link = self.link(conversation, &headers).await?;
                link.send(question).await
            }
            outcome => outcome,
        }
    }
}
