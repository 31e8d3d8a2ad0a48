//! The one pass over a message: where its members lie, and which of them stand where they must not.

mod names;

use crate::id::Id;
use crate::json::{self, Scanner, Syntax};
use crate::limit::Limits;
use crate::meta;
use crate::method::Method;
use crate::span::Span;
use names::{Named, Once};
use std::borrow::Cow;

/// Where in a message the members lie that have an accessor, and the two values cheaper kept than found again.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::message) struct Places {
    pub(in crate::message) id: Option<Span>,
    pub(in crate::message) payload: Option<Span>,
    pub(in crate::message) subject: Option<Span>,
    pub(in crate::message) meta: Option<Span>,
    pub(in crate::message) version: Option<Span>,
    pub(in crate::message) capabilities: Option<Span>,
    pub(in crate::message) progress_token: Option<Span>,
    pub(in crate::message) cancelled: Option<Span>,
    pub(in crate::message) subscription: Option<Span>,
    pub(in crate::message) result_type: Option<Span>,
    pub(in crate::message) reserved_meta: bool,
    pub(in crate::message) error_code: Option<i64>,
    pub(in crate::message) tool_error: bool,
}

/// Why the JSON is not a message, in words.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) Cow<'static, str>);

impl Refused {
    pub(super) fn because(words: &'static str) -> Refused {
        Refused(Cow::Borrowed(words))
    }
}

/// Which members the envelope has, whatever their values.
#[derive(Clone, Copy, Default)]
pub(super) struct Has {
    pub(super) jsonrpc: bool,
    pub(super) id: bool,
    pub(super) method: bool,
    pub(super) params: bool,
    pub(super) result: bool,
    pub(super) error: bool,
}

/// What the pass has found.
#[derive(Default)]
pub(super) struct Envelope {
    pub(super) has: Has,
    /// `None` too if it is null or cannot be an id.
    pub(super) id: Option<Id>,
    pub(super) method: Option<Method>,
    /// The first thing found wrong.
    pub(super) refused: Option<Refused>,
    pub(super) is_too_deep: bool,
    several_ids: bool,
    name: Option<Span>,
    uri: Option<Span>,
    task: Option<Span>,
    /// `params.requestId` and `params.progressToken`: what they mean depends on the method, which may come later.
    request: Option<Span>,
    reported_token: Option<Span>,
    /// Other spellings of these two, which are refused only where the member has a meaning.
    request_respelled: bool,
    reported_token_respelled: bool,
    places: Places,
}

const ENVELOPE: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const ERROR: [&str; 3] = ["code", "message", "data"];
const PARAMS: [&str; 8] = [
    "name",
    "uri",
    "ref",
    "taskId",
    "arguments",
    "_meta",
    "requestId",
    "progressToken",
];

impl Envelope {
    pub(super) fn read(text: &str, limits: &Limits) -> Result<Envelope, Syntax> {
        let mut envelope = Envelope::default();
        let mut scanner = Scanner::new(text, limits.depth);
        if scanner.peek() == Some(b'{') {
            envelope.members(&mut scanner)?;
        } else {
            scanner.value()?;
            envelope.refuse(|| "a message is a JSON object".into());
        }
        scanner.end()?;
        if let Some(at) = scanner.too_deep() {
            envelope.is_too_deep = true;
            envelope.refuse(|| format!("nested deeper than {} levels at byte {at}", limits.depth).into());
        }
        if envelope.request_respelled && envelope.method == Some(Method::NotificationsCancelled) {
            envelope.refuse(|| "`params` has another spelling of `requestId`".into());
        }
        if envelope.reported_token_respelled && envelope.method == Some(Method::NotificationsProgress) {
            envelope.refuse(|| "`params` has another spelling of `progressToken`".into());
        }
        Ok(envelope)
    }

    /// The places, once the method that gives some of them their meaning is known.
    pub(super) fn places(&self, method: Option<&Method>) -> Places {
        let mut places = self.places;
        places.subject = match method.and_then(Method::subject_member) {
            Some("name") => self.name,
            Some("uri") => self.uri,
            Some("taskId") => self.task,
            _ => None,
        };
        match (method, self.has.id) {
            (Some(_), true) => {
                // Only what a server sends on a stream belongs to a subscription.
                places.subscription = None;
            }
            (Some(Method::NotificationsCancelled), false) => {
                places.cancelled = self.request;
                places.progress_token = None;
            }
            (Some(Method::NotificationsProgress), false) => places.progress_token = self.reported_token,
            // A token in the `_meta` of another notification reports on nothing.
            (Some(_), false) => places.progress_token = None,
            (None, _) => {
                // What the `_meta` of a result says beside its subscription is no statement about a request.
                places.progress_token = None;
                places.version = None;
                places.capabilities = None;
                places.reserved_meta = false;
            }
        }
        places
    }

    /// The id for an answer: there must be one and only one.
    pub(super) fn readable_id(&self) -> Option<Id> {
        if self.several_ids { None } else { self.id.clone() }
    }

    fn members(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        let mut once = Once::new("the message", &ENVELOPE);
        scanner.object(|scanner, key| {
            let at = scanner.at();
            let named = once.see(&key);
            match named {
                Named::First("jsonrpc") => self.jsonrpc(scanner)?,
                Named::First("id") => self.id(scanner)?,
                Named::First("method") => self.method(scanner)?,
                Named::First("params") => self.params(scanner)?,
                Named::First("result") => self.result(scanner)?,
                Named::First("error") => self.error(scanner)?,
                Named::First(_) | Named::Unknown => _ = scanner.value()?,
                Named::Again(name) | Named::Respelled(name) => {
                    self.several_ids |= name == "id";
                    scanner.value()?;
                }
                Named::Crowded => _ = scanner.value()?,
            }
            self.check(&once, named, at);
            Ok(())
        })?;
        Ok(())
    }

    fn jsonrpc(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        let span = scanner.value()?;
        self.has.jsonrpc = true;
        if json::decode(scanner.text(span)).as_deref() != Some("2.0") {
            self.refuse(|| "`jsonrpc` is not \"2.0\"".into());
        }
        Ok(())
    }

    fn id(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        let span = scanner.value()?;
        self.has.id = true;
        self.places.id = Some(span);
        match scanner.text(span) {
            // Where null is allowed is decided once the kind of the message is known.
            "null" => {}
            text => match Id::read(text) {
                Ok(id) => self.id = Some(id),
                Err(words) => self.refuse(|| format!("`id` {words}").into()),
            },
        }
        Ok(())
    }

    fn method(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        let span = scanner.value()?;
        self.has.method = true;
        match json::decode(scanner.text(span)) {
            Some(name) => self.method = Some(Method::parse(&name)),
            None => self.refuse(|| "`method` is not a string".into()),
        }
        Ok(())
    }

    fn params(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        self.has.params = true;
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            self.refuse(|| "`params` is not an object".into());
            return Ok(());
        }
        let mut once = Once::new("`params`", &PARAMS);
        let span = scanner.object(|scanner, key| {
            let at = scanner.at();
            let named = once.see(&key);
            match named {
                Named::First("_meta") => self.meta(scanner)?,
                Named::First("name") => self.name = Some(scanner.value()?),
                Named::First("uri") => self.uri = Some(scanner.value()?),
                Named::First("taskId") => self.task = Some(scanner.value()?),
                Named::First("requestId") => self.request = Some(scanner.value()?),
                Named::First("progressToken") => self.reported_token = Some(scanner.value()?),
                Named::First(_) | Named::Unknown | Named::Again(_) | Named::Respelled(_) | Named::Crowded => {
                    scanner.value()?;
                }
            }
            match named {
                Named::Respelled("requestId") => self.request_respelled = true,
                Named::Respelled("progressToken") => self.reported_token_respelled = true,
                _ => self.check(&once, named, at),
            }
            Ok(())
        })?;
        self.places.payload = Some(span);
        Ok(())
    }

    fn result(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        self.has.result = true;
        if scanner.peek() != Some(b'{') {
            self.places.payload = Some(scanner.value()?);
            return Ok(());
        }
        let mut metas = 0_usize;
        let span = scanner.object(|scanner, key| {
            match key.as_ref() {
                "_meta" => {
                    metas += 1;
                    self.meta(scanner)?;
                }
                "isError" => {
                    let value = scanner.value()?;
                    self.places.tool_error = scanner.text(value) == "true";
                }
                "resultType" => self.places.result_type = Some(scanner.value()?),
                _ => _ = scanner.value()?,
            }
            Ok(())
        })?;
        if metas > 1 {
            self.refuse(|| "`_meta` stands twice in `result`".into());
        }
        self.places.payload = Some(span);
        Ok(())
    }

    fn error(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        self.has.error = true;
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            self.refuse(|| "`error` is not an object".into());
            return Ok(());
        }
        let mut once = Once::new("`error`", &ERROR);
        let span = scanner.object(|scanner, key| {
            let named = once.see(&key);
            let value = scanner.value()?;
            match named {
                Named::First("code") => self.places.error_code = scanner.text(value).parse().ok(),
                // Another spelling is a member of the server's own.
                Named::Respelled(_) => return Ok(()),
                Named::First(_) | Named::Unknown | Named::Again(_) | Named::Crowded => {}
            }
            self.check(&once, named, value.start as usize);
            Ok(())
        })?;
        self.places.payload = Some(span);
        Ok(())
    }

    fn meta(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Syntax> {
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            return Ok(());
        }
        let mut once = Once::new("`_meta`", &names::META).and_reserved();
        let span = scanner.object(|scanner, key| {
            let named = once.see(&key);
            let value = scanner.value()?;
            match named {
                Named::First(meta::PROTOCOL_VERSION) => self.places.version = Some(value),
                Named::First(meta::CLIENT_CAPABILITIES) => self.places.capabilities = Some(value),
                Named::First(meta::SUBSCRIPTION_ID) => self.places.subscription = Some(value),
                Named::First(meta::PROGRESS_TOKEN) => self.places.progress_token = Some(value),
                Named::First(_) | Named::Unknown | Named::Again(_) | Named::Respelled(_) | Named::Crowded => {
                }
            }
            self.check(&once, named, value.start as usize);
            Ok(())
        })?;
        self.places.meta = Some(span);
        self.places.reserved_meta = once.has_reserved();
        Ok(())
    }

    fn check(&mut self, once: &Once<'_>, named: Named, at: usize) {
        match named {
            Named::First(_) | Named::Unknown => {}
            Named::Again(name) => {
                self.refuse(|| format!("{} has `{name}` twice, at byte {at}", once.place()).into());
            }
            Named::Respelled(name) => {
                let place = once.place();
                self.refuse(|| format!("{place} has another spelling of `{name}` at byte {at}").into());
            }
            Named::Crowded => {
                let most = names::MOST_RESERVED;
                self.refuse(|| format!("{} has more than {most} reserved members", once.place()).into());
            }
        }
    }

    fn refuse(&mut self, words: impl FnOnce() -> Cow<'static, str>) {
        self.refused.get_or_insert_with(|| Refused(words()));
    }
}
