//! Every way to fail, and what it is to the client: an HTTP status, a JSON-RPC error, an outcome in
//! the record. The only exit for what goes wrong.

use audit::Outcome;
use mcp::{Id, Message, Refusal, code};
use policy::Limited;
use upstream::{Error, Fault};

use crate::call::Accepts;

/// Why a request is not answered by an upstream.
#[derive(Debug)]
pub(crate) enum Failure {
    /// From a host or a page that is not ours.
    Denied(policy::Denied),
    /// It is not known who calls; what asks them to say so.
    Unidentified(String),
    /// Whoever could tell who calls cannot be asked.
    Unverifiable,
    /// Its token was granted too little; what asks for one with more.
    Scopes(String),
    /// The rules allow no such call.
    NotAllowed(String),
    /// Its caller has used up what they may do.
    Limited(Limited),
    /// No route has this path.
    NoRoute(String),
    /// The route does not know that server or that parameter.
    UnknownServer,
    /// A method of HTTP that this address does not take; these it does.
    HttpMethod(&'static str),
    /// `Content-Length`, `Transfer-Encoding` and their like contradict each other.
    Framing(&'static str),
    /// The head is longer than `bounds.headers`.
    HeadTooLong(usize),
    /// The body is longer than `bounds.body`.
    BodyTooLong(usize),
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The body is not JSON by its content type, or encoded.
    ContentType,
    /// The client takes neither JSON nor events.
    NotAcceptable,
    /// What is asked is answered by events alone, which the client does not take.
    EventsOnly,
    /// A GET that may not mean a stream.
    StreamUnasked,
    /// More is going on than `bounds.streams`, or the gateway is stopping.
    Busy(&'static str),
    /// The gateway is stopping, and the call did not finish in time.
    Stopping,
    /// The body is no message.
    Unreadable(mcp::ParseError),
    /// The protocol refuses it.
    Refused(Refusal),
    /// There is no such session.
    SessionUnknown,
    /// A `Last-Event-ID` that is not ours or not of this session, or behind which not everything is kept. Which of
    /// these is nobody's business.
    EventUnknown,
    /// The route serves nothing without a session.
    SessionMissing,
    /// There is no open stream of the 2024-11-05 transport that this message belongs to.
    StreamGone,
    /// A message to the twin of that transport, without the token that its stream tells. Where to
    /// connect instead.
    NoStream(String),
    /// The request does not bring what an injected header needs.
    Header(policy::Refused),
    /// The call cannot be given the arguments that the file gives it.
    Arguments(policy::Unfilled),
    /// A `requestState` that is not ours, of another principal, place or request, used, or expired. Which of these
    /// is nobody's business.
    StateUnknown,
    /// The process that kept the call which waited for its user is gone.
    Interrupted,
    /// As many calls wait for their users as may.
    Crowded,
    /// The call is over, and something more was wanted of it.
    Ended,
    /// The upstream failed.
    Upstream(Error),
}

/// What a client is told.
pub(crate) struct Verdict {
    pub(crate) status: u16,
    pub(crate) code: i64,
    pub(crate) words: String,
    pub(crate) data: Option<String>,
    pub(crate) outcome: Outcome,
    /// Seconds to wait before another try.
    pub(crate) retry_after: Option<u64>,
    /// For 405.
    pub(crate) allow: Option<&'static str>,
    /// For 401: what is to be presented.
    pub(crate) challenge: Option<String>,
}

impl Failure {
    /// What to tell its client.
    pub(crate) fn verdict(&self) -> Verdict {
        let refused = |status: u16, words: String| Verdict {
            status,
            code: code::INVALID_REQUEST,
            words,
            data: None,
            outcome: Outcome::RpcError,
            retry_after: None,
            allow: None,
            challenge: None,
        };
        match self {
            Self::Denied(denied) => Verdict {
                outcome: Outcome::Denied,
                ..refused(403, denied.to_string())
            },
            // It may be as good as any, so this is no 401.
            Self::Unverifiable => Verdict {
                outcome: Outcome::Denied,
                retry_after: Some(5),
                ..refused(
                    503,
                    "who calls cannot be verified at the moment; try again later".into(),
                )
            },
            // Whatever was wrong, they hear the same.
            Self::Unidentified(challenge) => Verdict {
                outcome: Outcome::Denied,
                challenge: Some(challenge.clone()),
                ..refused(
                    401,
                    "it is not known who calls: send a key or a token that this gateway knows, as \
                     `Authorization: Bearer …`"
                        .into(),
                )
            },
            Self::Scopes(challenge) => Verdict {
                outcome: Outcome::Denied,
                challenge: Some(challenge.clone()),
                ..refused(403, "this call needs a token that was granted more".into())
            },
            Self::NotAllowed(words) => Verdict {
                code: code::NOT_ALLOWED,
                outcome: Outcome::Denied,
                ..refused(200, words.clone())
            },
            Self::Limited(limited) => Verdict {
                code: code::OVER_QUOTA,
                outcome: Outcome::Denied,
                retry_after: Some(limited.seconds()),
                ..refused(429, limited.to_string())
            },
            Self::NoRoute(hint) => refused(404, hint.clone()),
            Self::UnknownServer => refused(404, "no such server on this route".into()),
            Self::HttpMethod(allow) => Verdict {
                allow: Some(allow),
                ..refused(405, format!("this address takes {allow}"))
            },
            Self::Framing(what) => refused(400, (*what).into()),
            Self::HeadTooLong(bound) => refused(
                431,
                format!(
                    "the request's head is longer than {bound} bytes (`bounds.headers`) or has too many fields"
                ),
            ),
            Self::BodyTooLong(bound) => refused(
                413,
                format!("the body is longer than {bound} bytes (`bounds.body`)"),
            ),
            Self::BodyTooSlow => refused(408, "the body did not arrive in time".into()),
            Self::ContentType => refused(
                415,
                "the body must be `Content-Type: application/json`, not encoded".into(),
            ),
            Self::NotAcceptable => refused(
                406,
                "answers are `application/json` or `text/event-stream`; `Accept` takes neither".into(),
            ),
            Self::EventsOnly => refused(
                406,
                "this method is answered as it goes on; `Accept` must take `text/event-stream`".into(),
            ),
            Self::StreamUnasked => refused(
                406,
                "messages are POSTed here; a stream is opened by `Accept: text/event-stream`".into(),
            ),
            Self::Busy(why) => Verdict {
                retry_after: Some(1),
                ..refused(503, (*why).into())
            },
            Self::Stopping => Verdict {
                code: code::INTERNAL_ERROR,
                outcome: Outcome::Cancelled,
                ..refused(
                    503,
                    "the gateway stopped before the call was finished; its effects may have happened".into(),
                )
            },
            Self::Unreadable(error) => Verdict {
                code: error.code(),
                ..refused(400, error.to_string())
            },
            Self::Refused(refusal) => Verdict {
                code: refusal.code,
                data: refusal.data.clone(),
                ..refused(refusal.status, refusal.message.to_string())
            },
            // Never 401, which would send the client to its login, and never 400: 404 is what makes
            // a client begin a new session.
            Self::SessionUnknown => refused(
                404,
                "there is no such session; begin one with `initialize`".into(),
            ),
            // Not 404, which would end the session, and not 405, which would say that nothing is streamed here.
            Self::EventUnknown => refused(
                400,
                "what followed this `Last-Event-ID` is not kept; open a stream without it, and make the call anew if it \
                 may be made twice"
                    .into(),
            ),
            Self::SessionMissing => refused(
                400,
                "this route needs a session; begin one with `initialize`".into(),
            ),
            Self::StreamGone => refused(
                404,
                "the event stream of this address is gone; connect anew with GET".into(),
            ),
            Self::NoStream(base) => refused(
                400,
                format!(
                    "this address takes messages only with the token that a legacy SSE stream tells: connect with \
                     `GET {base}/sse` first and POST to where its first event says; clients of Streamable HTTP \
                     POST to `{endpoint}`",
                    endpoint = if base.is_empty() { "/mcp" } else { base }
                ),
            ),
            Self::Header(missing) => Verdict {
                outcome: Outcome::Denied,
                ..refused(200, missing.to_string())
            },
            Self::Arguments(unfilled) => Verdict {
                code: code::INVALID_PARAMS,
                ..refused(200, unfilled.to_string())
            },
            Self::StateUnknown => Verdict {
                code: code::INVALID_PARAMS,
                ..refused(
                    200,
                    "this `requestState` is unknown, used, expired, or of another request; make the call anew"
                        .into(),
                )
            },
            Self::Interrupted => Verdict {
                code: code::INTERNAL_ERROR,
                data: Some(r#"{"reason":"interrupted","retryable":false}"#.into()),
                ..refused(
                    200,
                    "the gateway was restarted while the call waited for its user; its effects may have happened"
                        .into(),
                )
            },
            Self::Crowded => Verdict {
                code: code::INTERNAL_ERROR,
                ..refused(
                    200,
                    "as many calls wait for their users as may; this one was cancelled".into(),
                )
            },
            Self::Ended => Verdict {
                code: code::INTERNAL_ERROR,
                ..refused(200, "the call is over".into())
            },
            Self::Upstream(error) => upstream_verdict(error),
        }
    }

    /// Whether the client took the call back itself, so that nothing more is said of it.
    pub(crate) fn is_taken_back(&self) -> bool {
        matches!(
            self,
            Self::Upstream(Error {
                fault: Fault::Cancelled,
                ..
            })
        )
    }

    /// The id of the request, when only the failure knows it.
    pub(crate) fn id(&self) -> Option<&Id> {
        match self {
            Self::Unreadable(error) => error.id(),
            _ => None,
        }
    }
}

fn upstream_verdict(error: &Error) -> Verdict {
    let failed = Verdict {
        status: 200,
        code: code::INTERNAL_ERROR,
        words: error.to_string(),
        data: Some(format!(
            r#"{{"upstream":{},"reason":"{}"}}"#,
            quoted(&error.upstream),
            reason(&error.fault)
        )),
        outcome: Outcome::UpstreamFailed,
        retry_after: None,
        allow: None,
        challenge: None,
    };
    match &error.fault {
        Fault::Cancelled => Verdict {
            outcome: Outcome::Cancelled,
            ..failed
        },
        Fault::Silent(_) => Verdict {
            outcome: Outcome::Timeout,
            ..failed
        },
        Fault::SessionGone => Verdict {
            status: 404,
            code: code::INVALID_REQUEST,
            words: "there is no such session; begin one with `initialize`".into(),
            data: None,
            ..failed
        },
        Fault::Unreachable(_)
        | Fault::Broken(_)
        | Fault::Status { .. }
        | Fault::Unauthorized(_)
        | Fault::Misjudged(_)
        | Fault::NotSpoken { .. }
        | Fault::NotAgreed
        | Fault::NotOffered
        | Fault::Removed
        | Fault::TooLong(_)
        | Fault::NotStarted(_)
        | Fault::Exited(_)
        | Fault::Full(_) => failed,
    }
}

fn reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unreachable(_) => "unreachable",
        Fault::Silent(_) => "timeout",
        Fault::Broken(_) | Fault::Misjudged(_) | Fault::NotAgreed => "broken",
        Fault::Status { .. } => "status",
        Fault::Unauthorized(_) => "unauthorized",
        Fault::SessionGone => "session",
        Fault::NotSpoken { .. } => "revision",
        Fault::NotOffered => "not_offered",
        Fault::Removed => "removed",
        Fault::TooLong(_) => "too_long",
        Fault::NotStarted(_) => "not_started",
        Fault::Exited(_) => "exited",
        Fault::Full(_) => "full",
        Fault::Cancelled => "cancelled",
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

impl Verdict {
    /// The JSON-RPC error of the verdict.
    pub(crate) fn message(&self, id: Option<&Id>) -> Message {
        Message::error_reply(id, self.code, &self.words, self.data.as_deref())
    }
}

impl Accepts {
    /// Whether anything we could answer is taken.
    pub(crate) fn anything(self) -> Result<(), Failure> {
        if self.json || self.events {
            Ok(())
        } else {
            Err(Failure::NotAcceptable)
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Upstream(error)
    }
}

impl From<policy::Unfilled> for Failure {
    fn from(unfilled: policy::Unfilled) -> Self {
        Self::Arguments(unfilled)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp::Era;
    use std::time::Duration;

    #[test]
    fn every_failure_has_a_status_and_a_code() {
        let upstream = |fault: Fault| Failure::Upstream(fault.of(&"docs".into()));
        let refusal = || Refusal {
            status: 400,
            code: code::HEADER_MISMATCH,
            message: "no".into(),
            data: None,
        };
        let not_spoken = |wanted| upstream(Fault::NotSpoken { wanted });
        for (failure, status, code) in [
            (Failure::Denied(policy::Denied::Host), 403, -32600),
            (Failure::Unidentified("Bearer".into()), 401, -32600),
            (Failure::Unverifiable, 503, -32600),
            (Failure::Scopes("Bearer".into()), 403, -32600),
            (Failure::NotAllowed("no".into()), 200, -31003),
            (Failure::NoRoute("no".into()), 404, -32600),
            (Failure::UnknownServer, 404, -32600),
            (Failure::HttpMethod("POST"), 405, -32600),
            (Failure::Framing("no"), 400, -32600),
            (Failure::HeadTooLong(1), 431, -32600),
            (Failure::BodyTooLong(1), 413, -32600),
            (Failure::BodyTooSlow, 408, -32600),
            (Failure::ContentType, 415, -32600),
            (Failure::NotAcceptable, 406, -32600),
            (Failure::EventsOnly, 406, -32600),
            (Failure::StreamUnasked, 406, -32600),
            (Failure::Busy("no"), 503, -32600),
            (Failure::Stopping, 503, -32603),
            (Failure::Refused(refusal()), 400, -32020),
            (Failure::SessionUnknown, 404, -32600),
            (Failure::EventUnknown, 400, -32600),
            (Failure::SessionMissing, 400, -32600),
            (upstream(Fault::Unreachable("no".into())), 200, -32603),
            (upstream(Fault::Silent(Duration::ZERO)), 200, -32603),
            (upstream(Fault::Broken("no".into())), 200, -32603),
            (upstream(Fault::Unauthorized(401)), 200, -32603),
            (upstream(Fault::TooLong(1)), 200, -32603),
            (upstream(Fault::Exited("no".into())), 200, -32603),
            (upstream(Fault::Full("no".into())), 200, -32603),
            // Only this makes a client begin a new session.
            (upstream(Fault::SessionGone), 404, -32600),
            (not_spoken(Era::Modern), 200, -32603),
            (not_spoken(Era::Legacy), 200, -32603),
            (Failure::StateUnknown, 200, -32602),
            (Failure::Interrupted, 200, -32603),
            (Failure::Crowded, 200, -32603),
            (Failure::Ended, 200, -32603),
        ] {
            let verdict = failure.verdict();
            assert_eq!((verdict.status, verdict.code), (status, code), "{failure:?}");
        }
    }

    #[test]
    fn only_what_passes_asks_to_come_again() {
        assert_eq!(Failure::Busy("no").verdict().retry_after, Some(1));
        assert_eq!(Failure::Stopping.verdict().retry_after, None);
    }
}
