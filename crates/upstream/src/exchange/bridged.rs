//! 2026-07-28 requests that the gateway makes: what their headers repeat is read off the message, and off
//! the schema of the tool that they call.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use mcp::header::Parameters;
use mcp::{Message, Method, code, header};

use super::Exchange;
use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::{Conversation, Headers, Messages, Reply};

impl Exchange {
    /// Sends a message with headers of our own. One that is refused for those that repeat arguments goes
    /// once more if the tool's schema, looked up anew, asks for others: it was not carried out.
    pub(super) async fn send_bridged(&mut self, message: &Message) -> Result<Reply, Error> {
        let tool = self.upstream.tool_with_headers(message);
        let known = match &tool {
            Some(tool) => match self.upstream.known_parameters(tool, &self.headers) {
                Some(known) => Some(known),
                // One whose list cannot be read may still be called: it refuses what lacks a header.
                // On the heap: what has to be asked first is no part of every other exchange.
                None => {
                    let listed = Box::pin(self.upstream.parameters(tool, &self.headers));
                    listed.await.ok().flatten()
                }
            },
            None => None,
        };
        self.repeat(message, known.as_deref()).await?;
        match (self.send_as_assumed(message).await, tool) {
            (Ok(refused), Some(tool)) if is_mismatch(&refused) => {
                Box::pin(self.send_with_others(message, &tool, known, refused)).await
            }
            (outcome, _) => outcome,
        }
    }

    /// Sends once more what was refused for its headers, if the tool's schema asks for others by now.
    async fn send_with_others(
        &mut self,
        message: &Message,
        tool: &str,
        known: Option<Arc<Parameters>>,
        refused: Reply,
    ) -> Result<Reply, Error> {
        let upstream = Arc::clone(&self.upstream);
        let Ok(Some(anew)) = upstream.parameters_anew(tool, &self.headers).await else {
            return Ok(refused);
        };
        let unchanged = known.map_or(anew.is_empty(), |known| *known == *anew);
        if unchanged {
            return Ok(refused);
        }
        self.repeat(message, Some(&anew)).await?;
        self.send_as_assumed(message).await
    }

    /// Makes a link that carries these headers.
    async fn repeat(&mut self, message: &Message, parameters: Option<&Parameters>) -> Result<(), Error> {
        self.headers = Arc::new(mirrored(&self.headers, message, parameters));
        self.link = Some(self.upstream.link(&self.conversation, &self.headers).await?);
        Ok(())
    }
}

/// Whether the headers were refused, and the request with them.
fn is_mismatch(reply: &Reply) -> bool {
    matches!(&reply.messages, Messages::One(answer) if answer.error_code() == Some(code::HEADER_MISMATCH))
}

/// The headers for this message. What a client wrote of `Mcp-*` repeats another message, and is left out.
fn mirrored(headers: &Headers, message: &Message, parameters: Option<&Parameters>) -> Headers {
    let mut passed = headers.passed.clone();
    passed.retain(|(name, _)| !name.as_str().starts_with("mcp-"));
    let standard = header::mirror(message).into_iter();
    passed.extend(standard.filter_map(|(name, value)| Some((standard_name(name)?, value.try_into().ok()?))));
    let arguments = parameters
        .map(|parameters| parameters.mirror(message))
        .unwrap_or_default();
    passed.extend(arguments.iter().filter_map(|(name, value)| line(name, value)));
    Headers {
        injected: headers.injected.clone(),
        passed,
    }
}

/// A line of a header. None for what no header can carry, which an encoded value never is.
fn line(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(name).ok()?;
    Some((name, HeaderValue::try_from(value).ok()?))
}

/// Those that every request has are not read anew for each.
fn standard_name(name: &'static str) -> Option<HeaderName> {
    const VERSION: HeaderName = HeaderName::from_static(header::MCP_PROTOCOL_VERSION);
    const METHOD: HeaderName = HeaderName::from_static(header::MCP_METHOD);
    const NAME: HeaderName = HeaderName::from_static(header::MCP_NAME);
    [VERSION, METHOD, NAME]
        .into_iter()
        .find(|standard| standard.as_str() == name)
}

impl Upstream {
    /// The tool whose call this is, if it goes where headers repeat arguments.
    fn tool_with_headers(&self, message: &Message) -> Option<String> {
        let over_http = self.kind() == "http" && message.method() == Some(&Method::ToolsCall);
        let tool = over_http.then(|| message.subject()).flatten()?;
        Some(tool.into_owned())
    }

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
            Conversation::Bridged => mirrored(headers, question, None),
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

#[cfg(test)]
mod tests;
