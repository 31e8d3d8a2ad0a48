//! Getting to know an upstream before anybody calls it: what it speaks and how many tools it has.

use std::sync::Arc;

use mcp::{Object, Revision};

use crate::catalog::{Listing, list_request};
use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::{Conversation, Headers, Pooled};

/// Pages of a tool list that are read for counting.
const PAGES: usize = 50;

/// What an upstream turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The newest revision it speaks.
    pub revision: Option<Revision>,
    /// How many tools it lists; `None` when it has no list of tools.
    pub tools: Option<usize>,
}

/// Asks an upstream what it speaks, and counts its tools.
///
/// # Errors
/// When it cannot be reached or does not speak MCP.
pub async fn summarize(upstream: &Arc<Upstream>, headers: &Headers) -> Result<Summary, Error> {
    let eras = upstream.learn(headers).await?;
    let modern = eras.modern.is_some();
    let mut tools = 0;
    let mut cursor = None::<String>;
    for page in 0..PAGES {
        let question = list_request(Listing::Tools, page, modern, cursor.as_deref());
        let conversation = if modern {
            Conversation::Bridged
        } else {
            Conversation::Pooled(Pooled::default())
        };
        let reply = upstream
            .open(conversation, headers.clone())
            .await?
            .send(&question)
            .await?;
        let silent = || Fault::Broken("it took `tools/list` without answering".into()).of(&upstream.name);
        let answer = reply.messages.answer().await?.ok_or_else(silent)?;
        let Some(result) = answer.result().and_then(|result| Object::parse(result).ok()) else {
            // A server without tools answers with an error; that is not a fault.
            return Ok(Summary {
                revision: eras.newest(),
                tools: None,
            });
        };
        let listed: Vec<Box<serde_json::value::RawValue>> = result
            .get("tools")
            .and_then(|tools| serde_json::from_slice(tools).ok())
            .unwrap_or_default();
        tools += listed.len();
        match result.get("nextCursor") {
            Some(next) if next != b"null" && cursor.as_deref().map(str::as_bytes) != Some(next) => {
                cursor = Some(String::from_utf8_lossy(next).into_owned());
            }
            Some(_) | None => break,
        }
    }
    Ok(Summary {
        revision: eras.newest(),
        tools: Some(tools),
    })
}
