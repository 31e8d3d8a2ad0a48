//! Which arguments the tools of an upstream want repeated in headers, as it listed them last
//! (2026-07-28 basic/transports/streamable-http §Custom Headers; `protocol.md` D-23).
//!
//! A tool that was never listed is looked up before its first call. The whole list is read once for all who
//! wait, and kept per set of credentials, since a server may show each of them other tools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use mcp::header::Parameters;
use mcp::{Id, Message, Object, Revision, meta};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::error::{Error, Fault};
use crate::flight::Flight;
use crate::handshake;
use crate::registry::Upstream;
use crate::transport::{Conversation, Headers, Pooled};

/// Sets of credentials remembered at once; beyond it the one unused longest is forgotten.
const REMEMBERED: usize = 256;

/// Pages of a list that are read …
const PAGES: usize = 200;

/// … the tools in them …
const TOOLS: usize = 10_000;

/// … their bytes …
const BYTES: usize = 10 * 1024 * 1024;

/// … and how long that may take (`protocol.md` §3.6). What lies beyond was not listed.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// A tool that a list did not hold is looked for in another one after this long.
const LISTED_AGAIN: Duration = Duration::from_secs(60);

/// Bytes of a cursor.
const LONGEST_CURSOR: usize = 64 * 1024;

type Credentials = Vec<(HeaderName, HeaderValue)>;

/// The tools of a list, each with what its calls repeat.
type Tools = HashMap<Box<str>, Arc<Parameters>>;

/// What is known of an upstream's lists of tools.
#[derive(Default)]
pub(crate) struct Lists {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_credentials: HashMap<Credentials, Arc<List>>,
    clock: u64,
}

#[derive(Default)]
struct List {
    known: Mutex<Known>,
    reading: Flight<()>,
}

#[derive(Default)]
struct Known {
    tools: Tools,
    /// When it was last read, or could not be.
    read: Option<Instant>,
    used: u64,
}

impl Upstream {
    /// Which arguments of this tool are repeated in headers, as it was last listed to who presents these
    /// credentials; `None` for a tool that is not listed. The list is read first if it holds no such tool
    /// and was not read just now.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub async fn parameters(
        self: &Arc<Self>,
        tool: &str,
        headers: &Headers,
    ) -> Result<Option<Arc<Parameters>>, Error> {
        let list = self.lists.of(&headers.injected);
        if let Some(known) = list.known().tools.get(tool) {
            return Ok(Some(Arc::clone(known)));
        }
        let just_read = list
            .known()
            .read
            .is_some_and(|read| read.elapsed() < LISTED_AGAIN);
        if !just_read {
            self.read_list(&list, headers).await?;
        }
        Ok(list.known().tools.get(tool).cloned())
    }

    /// The same from a list that is read now: the upstream refused what the one before said.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub async fn parameters_anew(
        self: &Arc<Self>,
        tool: &str,
        headers: &Headers,
    ) -> Result<Option<Arc<Parameters>>, Error> {
        let list = self.lists.of(&headers.injected);
        self.read_list(&list, headers).await?;
        Ok(list.known().tools.get(tool).cloned())
    }

    /// Reads the list, once for all who wait for it.
    async fn read_list(self: &Arc<Self>, list: &Arc<List>, headers: &Headers) -> Result<(), Error> {
        let ask = || {
            let (upstream, list) = (Arc::clone(self), Arc::clone(list));
            let headers = Headers {
                injected: headers.injected.clone(),
                passed: Vec::new(),
            };
            async move {
                let read = tokio::time::timeout(READ_WITHIN, upstream.list_tools(&headers)).await;
                let read = read.unwrap_or_else(|_| Err(Fault::Silent(READ_WITHIN).of(&upstream.name)));
                let mut known = list.known();
                known.read = Some(Instant::now());
                known.tools = read?;
                Ok(())
            }
        };
        list.reading.join(ask).await
    }

    async fn list_tools(&self, headers: &Headers) -> Result<Tools, Error> {
        let modern = self.learn(headers).await?.modern.is_some();
        let conversation = match modern {
            true => Conversation::Bridged,
            false => Conversation::Pooled(Pooled::default()),
        };
        let mut tools = Tools::new();
        let (mut bytes, mut cursor) = (0, None::<Box<RawValue>>);
        for page in 0..PAGES {
            let question = list_request(page, modern, cursor.as_deref().map(RawValue::get));
            let reply = self.ask_ourselves(&conversation, headers, &question).await?;
            let answer = reply.messages.answer().await?;
            let result = answer.as_ref().and_then(Message::result);
            let Some(result) = result.and_then(|result| Object::parse(result).ok()) else {
                // A server without tools answers with an error; that is not a fault.
                break;
            };
            bytes += answer.as_ref().map_or(0, |answer| answer.bytes().len());
            let listed: Vec<&RawValue> = result
                .get("tools")
                .and_then(|listed| serde_json::from_slice(listed).ok())
                .unwrap_or_default();
            for tool in listed.into_iter().take(TOOLS - tools.len()) {
                self.note_tool(&mut tools, tool);
            }
            let next = result
                .get("nextCursor")
                .filter(|next| next.len() <= LONGEST_CURSOR);
            let next: Option<Box<RawValue>> = next.and_then(|next| serde_json::from_slice(next).ok());
            let repeated = next.as_ref().map(|next| next.get()) == cursor.as_ref().map(|before| before.get());
            let over = bytes >= BYTES || tools.len() >= TOOLS;
            match next {
                // An empty one is as good as any.
                Some(next) if next.get().starts_with('"') && !repeated && !over => cursor = Some(next),
                Some(_) | None => break,
            }
        }
        Ok(tools)
    }

    /// Notes one tool of a list. One whose annotations are invalid is one that repeats nothing.
    fn note_tool(&self, tools: &mut Tools, tool: &RawValue) {
        let Ok(tool) = Object::parse(tool.get().as_bytes()) else {
            return;
        };
        let Some(name) = tool.get_text("name") else { return };
        let schema = tool.get("inputSchema").unwrap_or_default();
        let parameters = Parameters::of_schema(schema).unwrap_or_else(|why| {
            tracing::warn!(upstream = %self.name, tool = ?name, %why, "a tool is called without `Mcp-Param-*`");
            Parameters::default()
        });
        // Of two with the same name the first counts.
        tools.entry(name.into()).or_insert_with(|| Arc::new(parameters));
    }
}

impl Lists {
    /// Another server may answer there now.
    pub(crate) fn forget(&self) {
        self.locked().by_credentials.clear();
    }

    fn of(&self, credentials: &Credentials) -> Arc<List> {
        let mut table = self.locked();
        table.clock += 1;
        let now = table.clock;
        if let Some(list) = table.by_credentials.get(credentials) {
            list.known().used = now;
            return Arc::clone(list);
        }
        if table.by_credentials.len() >= REMEMBERED {
            let oldest = table
                .by_credentials
                .iter()
                .min_by_key(|(_, list)| list.known().used);
            let oldest = oldest.map(|(credentials, _)| credentials.clone());
            oldest.and_then(|oldest| table.by_credentials.remove(&oldest));
        }
        let list = Arc::new(List::default());
        list.known().used = now;
        table
            .by_credentials
            .insert(credentials.clone(), Arc::clone(&list));
        list
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl List {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One page of `tools/list`, asked as the gateway itself; a cursor is JSON text.
pub(crate) fn list_request(page: usize, modern: bool, cursor: Option<&str>) -> Message {
    let meta = format!(
        r#""_meta":{{"{}":"{}","{}":{{}},"{}":{}}}"#,
        meta::PROTOCOL_VERSION,
        Revision::V2026_07_28.as_str(),
        meta::CLIENT_CAPABILITIES,
        meta::CLIENT_INFO,
        handshake::implementation()
    );
    let cursor = cursor.map(|cursor| format!(r#""cursor":{cursor}"#));
    let members: Vec<String> = modern.then_some(meta).into_iter().chain(cursor).collect();
    let params = (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")));
    Message::request(&Id::number(page as u64 + 1), "tools/list", params.as_deref())
}

#[cfg(test)]
mod tests;
