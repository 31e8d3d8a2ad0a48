//! Which era an upstream speaks: found by asking, once for all who wait, remembered, and asked
//! again when the assumption fails (`protocol.md` §1.6 D-20, D-21).

mod discovery;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use mcp::{Era, Id, Message, Revision, meta};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Fault};
use crate::flight::Flight;
use crate::memory::Row;
use crate::seldom::Seldom;
use crate::transport::{Discovery, Headers, Pooled, Transport};

pub(crate) use discovery::{judge_discovery, supports_modern};

/// The revision we ask for in a handshake of our own.
const ASKED: Revision = Revision::V2025_11_25;

/// What is known of a legacy upstream is asked for again after about this long (`protocol.md` D-21).
const ASKED_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);

/// An upstream that refused a client for its era is asked again at most this often.
const RECONSIDERED_AFTER: Duration = Duration::from_secs(60);

/// What a client's call made doubtful is asked for at most this often: whatever clients send, and whatever
/// a server says to it, the others go on meanwhile.
const DOUBTED_AFTER: Duration = Duration::from_secs(60);

/// What is known of an upstream's eras.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eras {
    /// The 2026-07-28 revision it speaks, if any.
    pub modern: Option<Revision>,
    /// Whether it answers `initialize`.
    pub legacy: Legacy,
}

/// Whether an upstream answers `initialize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legacy {
    /// It does, with this revision when asked for our newest.
    Spoken(Revision),
    /// It does not.
    NotSpoken,
    /// It speaks 2026-07-28 and nobody needed to know yet.
    Unasked,
}

impl Eras {
    /// What a pinned `revision:` says; nobody is asked then.
    pub fn pinned(revision: Revision) -> Self {
        match revision.era() {
            Era::Modern => Self {
                modern: Some(revision),
                legacy: Legacy::NotSpoken,
            },
            Era::Legacy => Self {
                modern: None,
                legacy: Legacy::Spoken(revision),
            },
        }
    }

    /// Whether a conversation of this era may be tried.
    pub fn may_speak(&self, era: Era) -> bool {
        match era {
            Era::Modern => self.modern.is_some(),
            Era::Legacy => self.legacy != Legacy::NotSpoken,
        }
    }

    /// The newest revision known to be spoken.
    pub fn newest(&self) -> Option<Revision> {
        match (self.modern, self.legacy) {
            (Some(revision), _) | (None, Legacy::Spoken(revision)) => Some(revision),
            (None, Legacy::NotSpoken | Legacy::Unasked) => None,
        }
    }
}

/// The memory of one upstream's eras.
pub struct Knowledge {
    state: Arc<State>,
    asking: Flight<Arc<Eras>>,
    doubting: Flight<Option<Arc<Eras>>>,
    /// Ends what is asked in the background.
    stopping: CancellationToken,
}

struct State {
    known: ArcSwapOption<Known>,
    pinned: bool,
    /// When what it speaks was doubted, …
    doubted: Seldom,
    /// … and when whether it answers `initialize` was.
    legacy_doubted: Seldom,
    /// Where it is kept across restarts.
    row: Option<Row>,
}

struct Known {
    eras: Arc<Eras>,
    asked: Asked,
}

/// Where knowledge comes from, which decides when it is asked for again.
#[derive(Clone, Copy)]
enum Asked {
    /// From the file.
    Pinned,
    /// From an earlier run of the gateway; to be asked for again at that time.
    Before(Instant),
    /// From the upstream, at the first time; to be asked for again at the second.
    Now(Instant, Instant),
}

impl Knowledge {
    /// Nothing known, or all there is to know when the revision is pinned.
    pub fn new(pinned: Option<Revision>) -> Self {
        let known = pinned.map(|revision| Known {
            eras: Arc::new(Eras::pinned(revision)),
            asked: Asked::Pinned,
        });
        Self {
            state: Arc::new(State {
                known: ArcSwapOption::new(known.map(Arc::new)),
                pinned: pinned.is_some(),
                doubted: Seldom::once_in(DOUBTED_AFTER),
                legacy_doubted: Seldom::once_in(DOUBTED_AFTER),
                row: None,
            }),
            asking: Flight::default(),
            doubting: Flight::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// The same, kept in this row across restarts. What is pinned is not kept.
    pub fn kept_in(pinned: Option<Revision>, row: Row) -> Self {
        if pinned.is_some() {
            return Self::new(pinned);
        }
        let known = row.recall().map(|remembered| Known {
            asked: Asked::Before(Instant::now() + again_in().saturating_sub(remembered.age)),
            eras: Arc::new(remembered.eras),
        });
        Self {
            state: Arc::new(State {
                known: ArcSwapOption::new(known.map(Arc::new)),
                pinned: false,
                doubted: Seldom::once_in(DOUBTED_AFTER),
                legacy_doubted: Seldom::once_in(DOUBTED_AFTER),
                row: Some(row),
            }),
            ..Self::new(None)
        }
    }

    /// What is known, without asking.
    pub fn known(&self) -> Option<Arc<Eras>> {
        self.state
            .known
            .load()
            .as_ref()
            .map(|known| Arc::clone(&known.eras))
    }

    /// What is known; if nothing is, the upstream is asked, once for all who wait. What is known of a
    /// legacy upstream is asked for again in the background when it is old.
    ///
    /// # Errors
    /// When asking fails in a way that says nothing about eras. That is not remembered.
    pub async fn learn(&self, transport: &Arc<dyn Transport>, headers: &Headers) -> Result<Arc<Eras>, Error> {
        let known = self.state.known.load_full();
        let Some(known) = known else {
            return self
                .asking
                .join(|| Arc::clone(&self.state).ask(Arc::clone(transport), headers.clone()))
                .await;
        };
        let due = match known.asked {
            Asked::Pinned => false,
            Asked::Before(due) | Asked::Now(_, due) => known.eras.modern.is_none() && Instant::now() >= due,
        };
        if due && transport.may_change() {
            self.ask_again(transport, headers, &known);
        }
        Ok(Arc::clone(&known.eras))
    }

    /// What is known does not let a client in. It may be old: then the upstream is asked again, at once
    /// where it was not asked by this process yet, otherwise in the background for those who come later.
    ///
    /// # Errors
    /// As [`Knowledge::learn`].
    pub async fn reconsider(
        &self,
        transport: &Arc<dyn Transport>,
        headers: &Headers,
    ) -> Result<Option<Arc<Eras>>, Error> {
        let Some(known) = self.state.known.load_full() else {
            return self.learn(transport, headers).await.map(Some);
        };
        match known.asked {
            Asked::Before(_) => {
                self.forget();
                self.learn(transport, headers).await.map(Some)
            }
            Asked::Now(when, _) if transport.may_change() && when.elapsed() >= RECONSIDERED_AFTER => {
                self.ask_again(transport, headers, &known);
                Ok(None)
            }
            Asked::Now(..) | Asked::Pinned => Ok(None),
        }
    }

    /// A call made doubtful what is known: the upstream is asked anew, once for all who doubt and not again
    /// for a while. None when it is not asked, or does not answer: what is known stays until then.
    pub(crate) async fn doubt(&self, transport: &Arc<dyn Transport>, headers: &Headers) -> Option<Arc<Eras>> {
        if self.state.pinned {
            return None;
        }
        let ask = || {
            let state = Arc::clone(&self.state);
            let (transport, headers) = (Arc::clone(transport), headers.clone());
            async move {
                if !state.doubted.may() {
                    return Ok(None);
                }
                // What was agreed with another server answers nothing.
                transport.forget(&headers);
                state.ask(transport, headers).await.map(Some)
            }
        };
        match self.doubting.join(ask).await {
            Ok(eras) => eras,
            Err(error) => {
                tracing::debug!(%error, "an upstream that was asked anew did not answer");
                None
            }
        }
    }

    /// It speaks 2026-07-28 and has refused a client's `initialize`, which may be that client's fault: the
    /// next who needs to know asks with one of ours. False if that was done just now.
    pub(crate) fn doubt_legacy(&self) -> bool {
        let may = !self.state.pinned && self.state.legacy_doubted.may();
        may && self.note_as(Legacy::Unasked)
    }

    /// Asks in the background, with the credentials of a call that is under way.
    fn ask_again(&self, transport: &Arc<dyn Transport>, headers: &Headers, known: &Known) {
        // The next to look does not ask too; if this fails, it is asked again as late as otherwise.
        self.state.known.store(Some(Arc::new(Known {
            eras: Arc::clone(&known.eras),
            asked: Asked::Now(Instant::now(), Instant::now() + again_in()),
        })));
        let asking = Arc::clone(&self.state).ask(Arc::clone(transport), headers.clone());
        let stopping = self.stopping.clone();
        tokio::spawn(async move {
            tokio::select! {
                outcome = asking => {
                    if let Err(error) = outcome {
                        tracing::debug!(%error, "an upstream that was asked again did not answer");
                    }
                }
                () = stopping.cancelled() => {}
            }
        });
    }

    /// Notes how an `initialize` went with an upstream that had not been asked one before.
    pub fn note_legacy(&self, legacy: Legacy) {
        if let Some(known) = self.state.known.load_full()
            && known.eras.legacy == Legacy::Unasked
        {
            self.state.known.store(Some(Arc::new(Known {
                eras: Arc::new(Eras {
                    legacy,
                    ..(*known.eras).clone()
                }),
                asked: known.asked,
            })));
        }
    }

    /// It speaks 2026-07-28 and has refused an `initialize`, whatever it said before. False when it does not speak
    /// that, so that nothing is left which it would.
    pub fn note_refused(&self) -> bool {
        self.note_as(Legacy::NotSpoken)
    }

    /// Notes whether a server of 2026-07-28 also answers `initialize`. False when it does not speak that.
    fn note_as(&self, legacy: Legacy) -> bool {
        let known = self.state.known.load_full();
        let Some(known) = known.filter(|known| known.eras.modern.is_some()) else {
            return false;
        };
        self.state.known.store(Some(Arc::new(Known {
            eras: Arc::new(Eras {
                legacy,
                ..(*known.eras).clone()
            }),
            asked: known.asked,
        })));
        true
    }

    /// The assumption failed: the next call asks again. What is pinned stays.
    pub fn forget(&self) {
        if !self.state.pinned {
            self.state.known.store(None);
            if let Some(row) = &self.state.row {
                row.forget();
            }
        }
    }

    /// Ends what is asked in the background.
    pub fn stop(&self) {
        self.stopping.cancel();
    }
}

impl State {
    async fn ask(
        self: Arc<Self>,
        transport: Arc<dyn Transport>,
        headers: Headers,
    ) -> Result<Arc<Eras>, Error> {
        let eras = match transport.discover(&headers).await? {
            Discovery::Modern {
                revision,
                also_legacy,
            } => Eras {
                modern: Some(revision),
                legacy: if also_legacy {
                    Legacy::Spoken(ASKED)
                } else {
                    Legacy::Unasked
                },
            },
            Discovery::Legacy => Eras {
                modern: None,
                legacy: {
                    let agreement = transport.share(&Pooled::default(), &headers).await?;
                    Legacy::Spoken(agreement.session.revision)
                },
            },
        };
        let eras = Arc::new(eras);
        self.known.store(Some(Arc::new(Known {
            eras: Arc::clone(&eras),
            asked: Asked::Now(Instant::now(), Instant::now() + again_in()),
        })));
        if let Some(row) = &self.row {
            row.note(&eras, transport.kind());
        }
        Ok(eras)
    }
}

/// When legacy knowledge is asked for again: servers are upgraded. Spread, so that many gateways that
/// were started together do not ask together.
fn again_in() -> Duration {
    ASKED_AGAIN.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// The gateway's own name in handshakes.
pub(crate) fn implementation() -> String {
    format!(
        r#"{{"name":"causeway","version":"{}"}}"#,
        env!("CARGO_PKG_VERSION")
    )
}

/// `server/discover` as the gateway asks it.
pub(crate) fn discover_request(id: &Id) -> Message {
    let params = format!(
        r#"{{"_meta":{{"{}":"{}","{}":{{}},"{}":{}}}}}"#,
        meta::PROTOCOL_VERSION,
        Revision::V2026_07_28.as_str(),
        meta::CLIENT_CAPABILITIES,
        meta::CLIENT_INFO,
        implementation()
    );
    Message::request(id, "server/discover", Some(&params))
}

/// `initialize` as the gateway asks it, with the capabilities of those who will use the session.
pub(crate) fn initialize_request(id: &Id, pooled: &Pooled) -> Message {
    let params = format!(
        r#"{{"protocolVersion":"{}","capabilities":{},"clientInfo":{}}}"#,
        ASKED.as_str(),
        pooled.capabilities.as_deref().unwrap_or("{}"),
        implementation()
    );
    Message::request(id, "initialize", Some(&params))
}

/// `notifications/initialized`.
pub(crate) fn initialized_notification() -> Message {
    Message::notification("notifications/initialized", None)
}

/// `notifications/cancelled` of a request that the server knows by this id.
pub(crate) fn cancelled_notification(id: &Id, reason: &str) -> Message {
    let reason = serde_json::Value::from(reason);
    let params = format!(r#"{{"requestId":{},"reason":{reason}}}"#, id.raw());
    Message::notification("notifications/cancelled", Some(&params))
}

/// The revision that an answer to `initialize` agrees on; `None` when it is no such answer.
pub fn agreed_revision(answer: &Message) -> Option<Revision> {
    let result = mcp::Object::parse(answer.result()?).ok()?;
    let version: String = serde_json::from_slice(result.get("protocolVersion")?).ok()?;
    Revision::parse(&version).filter(|revision| revision.era() == Era::Legacy)
}

/// The revision that a legacy server agrees on in its answer to our `initialize`.
///
/// # Errors
/// [`Fault::NotSpoken`] when it says that it has no such method or revision, [`Fault::NotAgreed`] when
/// what it says is neither.
pub(crate) fn agreement(upstream: &Arc<str>, answer: &Message) -> Result<Revision, Error> {
    if let Some(revision) = agreed_revision(answer) {
        return Ok(revision);
    }
    let fault = if refuses_legacy(answer) {
        Fault::NotSpoken { wanted: Era::Legacy }
    } else {
        Fault::NotAgreed
    };
    Err(fault.of(upstream))
}

/// Whether an answer to `initialize` says that legacy clients are not understood. Any other error
/// may be about that one request.
pub(crate) fn refuses_legacy(answer: &Message) -> bool {
    matches!(
        answer.error_code(),
        Some(mcp::code::METHOD_NOT_FOUND | mcp::code::UNSUPPORTED_VERSION)
    )
}
