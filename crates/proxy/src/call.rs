//! All we know of one request, and of one message in it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use config::Lookup;
use http::HeaderMap;
use mcp::{Era, Message, Revision, header};
use policy::Principal;
use policy::rules::Selection;

use crate::account::Entry;
use crate::destination::Destination;
use crate::idempotency::{self, Promise};
use crate::route::{Parameters, Route, SessionRule};
use crate::session::{Claims, SseSession};
use crate::trace::Trace;

/// One HTTP request that found its route.
pub(crate) struct Visit {
    pub(crate) began: Instant,
    pub(crate) time: SystemTime,
    pub(crate) source: Option<IpAddr>,
    pub(crate) route: Arc<Route>,
    pub(crate) parameters: Parameters,
    pub(crate) to: Destination,
    pub(crate) headers: HeaderMap,
    pub(crate) principal: Principal,
    /// The rules that speak of it here; none where there are no rules.
    pub(crate) rules: Option<Arc<Selection>>,
    /// The URL that tokens for it name, where issuers make such.
    pub(crate) resource: Option<String>,
    pub(crate) accepts: Accepts,
    pub(crate) trace: Trace,
    /// Parameters of the query that injected headers are made of.
    pub(crate) bound_parameters: Arc<[String]>,
}

impl Visit {
    /// All lines of a header.
    pub(crate) fn lines(&self, name: &str) -> header::Values<'_> {
        let lines = self.headers.get_all(name).iter();
        lines.map(http::HeaderValue::as_bytes).collect()
    }
}

/// One message of it.
pub(crate) struct Call {
    pub(crate) visit: Arc<Visit>,
    pub(crate) message: Message,
    /// What its client said, where its server is told something else: headers repeat it.
    pub(crate) said: Option<Box<Message>>,
    pub(crate) era: Era,
    /// The revision its client speaks; for a handshake the one it is to be given.
    pub(crate) revision: Revision,
    /// Whether it is a legacy `initialize`.
    pub(crate) handshake: bool,
    /// The session it belongs to.
    pub(crate) session: Option<Arc<Claims>>,
    /// The stream it came by, when its client is one of the 2024-11-05 transport.
    pub(crate) sse: Option<Arc<SseSession>>,
    /// Whether its client takes events on which it could be asked something before its answer.
    pub(crate) askable: bool,
    /// Leaves word of its end, when it is made once.
    pub(crate) promise: Option<Promise>,
    /// Its place in the record; whatever becomes of the call, this is closed.
    pub(crate) entry: Entry,
}

impl Call {
    /// Whether it goes on when its client goes away. A 2026-07-28 client takes its call back by leaving; a legacy one may only
    /// have lost its connection, and one that names an idempotency key will ask what became of it.
    pub(crate) fn goes_on(&self) -> bool {
        self.era == Era::Legacy || idempotency::wants_once(self)
    }

    /// Whether its route serves nothing without a session, and it has none.
    pub(crate) fn lacks_session(&self) -> bool {
        self.era == Era::Legacy
            && !self.handshake
            && self.session.is_none()
            && self.visit.route.sessions == SessionRule::Required
    }
}

impl Call {
    /// Its server is told this instead.
    pub(crate) fn tells(&mut self, edited: Message) {
        if edited.bytes() != self.message.bytes() {
            let said = std::mem::replace(&mut self.message, edited);
            self.said.get_or_insert(Box::new(said));
        }
    }
}

/// Which content types a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) json: bool,
    pub(crate) events: bool,
    /// Whether events are asked for by name, and not only along with everything else.
    pub(crate) names_events: bool,
}

impl Accepts {
    /// What the `Accept` lines say; none at all accept everything (`protocol.md` D-06).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut accepts = Self {
            json: false,
            events: false,
            names_events: false,
        };
        let mut said_nothing = true;
        for line in headers.get_all(http::header::ACCEPT) {
            said_nothing = false;
            let line = line.to_str().unwrap_or_default();
            for range in line.split(',') {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
                let refused = parts.any(|part| {
                    part.strip_prefix("q=")
                        .and_then(|quality| quality.parse::<f32>().ok())
                        == Some(0.0)
                });
                if refused {
                    continue;
                }
                accepts.json |= matches!(kind.as_str(), "*/*" | "application/*" | "application/json");
                accepts.names_events |= kind == "text/event-stream";
                accepts.events |= matches!(kind.as_str(), "*/*" | "text/*" | "text/event-stream");
            }
        }
        if said_nothing {
            Self {
                json: true,
                events: true,
                names_events: false,
            }
        } else {
            accepts
        }
    }
}

impl Lookup for Visit {
    fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parameters.get(name).map(Cow::Borrowed)
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        // Of two lines, which one would be meant?
        let mut lines = self.headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.to_str().ok().map(Cow::Borrowed),
            _ => None,
        }
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.principal.identity()?.claim_text(name)
    }

    fn principal(&self, name: &str) -> Option<Cow<'_, str>> {
        self.principal.identity()?.property(name)
    }

    fn user(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_accepts_is_read_leniently() {
        for (lines, json, events, names_events) in [
            (&[][..], true, true, false),
            (&["*/*"], true, true, false),
            (&["text/html, */*;q=0.8"], true, true, false),
            (&["application/json, text/event-stream"], true, true, true),
            (&["application/json", "text/event-stream"], true, true, true),
            (&["application/json"], true, false, false),
            (&["Text/Event-Stream"], false, true, true),
            (
                &["application/json;q=0.9, text/event-stream;q=0"],
                true,
                false,
                false,
            ),
            (&["text/html"], false, false, false),
            (&["application/*"], true, false, false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(http::header::ACCEPT, line.parse().unwrap());
            }
            let accepts = Accepts {
                json,
                events,
                names_events,
            };
            assert_eq!(Accepts::of(&headers), accepts, "{lines:?}");
        }
    }
}
