//! Which era an upstream speaks: found by asking, once for all who wait, remembered, and asked
//! again when the assumption fails (`protocol.md` §1.6 D-20, D-21).

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use mcp::{Era, Id, Message, Revision, meta};
use tokio::sync::Mutex;

use crate::error::{Error, Fault};
use crate::transport::{Discovery, Headers, Transport};

/// The revision we ask for in a handshake of our own.
const ASKED: Revision = Revision::V2025_11_25;

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
    known: ArcSwapOption<Eras>,
    pinned: bool,
    asking: Mutex<()>,
    /// How often asking failed, and how it did last: for those who waited meanwhile.
    failed: std::sync::Mutex<(u64, Option<Error>)>,
}

impl Knowledge {
    /// Nothing known, or all there is to know when the revision is pinned.
    pub fn new(pinned: Option<Revision>) -> Self {
        Self {
            known: ArcSwapOption::new(pinned.map(|revision| Arc::new(Eras::pinned(revision)))),
            pinned: pinned.is_some(),
            asking: Mutex::new(()),
            failed: std::sync::Mutex::new((0, None)),
        }
    }

    /// What is known, without asking.
    pub fn known(&self) -> Option<Arc<Eras>> {
        self.known.load_full()
    }

    /// What is known; if nothing is, the upstream is asked, by one of all who wait.
    ///
    /// # Errors
    /// When asking fails in a way that says nothing about eras. That is not remembered.
    pub async fn learn(&self, transport: &dyn Transport, headers: &Headers) -> Result<Arc<Eras>, Error> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let failures = self.failures().0;
        let _asking = self.asking.lock().await;
        if let Some(known) = self.known() {
            return Ok(known);
        }
        // Whoever asked while we waited learned for all of us that nobody is there. How it was
        // received with its credentials says nothing about ours.
        if let (counted, Some(error)) = &*self.failures()
            && *counted > failures
            && matches!(
                error.fault,
                Fault::Unreachable(_) | Fault::Silent(_) | Fault::NotStarted(_)
            )
        {
            return Err(error.clone());
        }
        let eras = self.ask(transport, headers).await.inspect_err(|error| {
            let mut failures = self.failures();
            *failures = (failures.0 + 1, Some(error.clone()));
        })?;
        let eras = Arc::new(eras);
        self.known.store(Some(Arc::clone(&eras)));
        Ok(eras)
    }

    async fn ask(&self, transport: &dyn Transport, headers: &Headers) -> Result<Eras, Error> {
        match transport.discover(headers).await? {
            Discovery::Modern {
                revision,
                also_legacy,
            } => {
                let legacy = if also_legacy {
                    Legacy::Spoken(ASKED)
                } else {
                    Legacy::Unasked
                };
                Ok(Eras {
                    modern: Some(revision),
                    legacy,
                })
            }
            Discovery::Legacy => {
                let session = transport.share(headers).await?;
                Ok(Eras {
                    modern: None,
                    legacy: Legacy::Spoken(session.revision),
                })
            }
        }
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, (u64, Option<Error>)> {
        self.failed
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Notes how an `initialize` went with an upstream that had not been asked one before.
    pub fn note_legacy(&self, legacy: Legacy) {
        if let Some(known) = self.known()
            && known.legacy == Legacy::Unasked
        {
            self.known.store(Some(Arc::new(Eras {
                legacy,
                ..(*known).clone()
            })));
        }
    }

    /// The assumption failed: the next call asks again. What is pinned stays.
    pub fn forget(&self) {
        if !self.pinned {
            self.known.store(None);
        }
    }
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

/// `initialize` as the gateway asks it: no capability, so that the session may be shared.
pub(crate) fn initialize_request(id: &Id) -> Message {
    let params = format!(
        r#"{{"protocolVersion":"{}","capabilities":{{}},"clientInfo":{}}}"#,
        ASKED.as_str(),
        implementation()
    );
    Message::request(id, "initialize", Some(&params))
}

/// `notifications/initialized`.
pub(crate) fn initialized_notification() -> Message {
    Message::notification("notifications/initialized", None)
}

/// What an answer to `server/discover` says (§1.6 P1, the same for §1.7).
///
/// # Errors
/// When the server speaks only revisions that we do not, or says that our request is wrong.
pub(crate) fn judge_discovery(upstream: &Arc<str>, answer: &Message) -> Result<Discovery, Error> {
    if let Some(result) = answer.result() {
        let Some(versions) = string_list(result, "supportedVersions") else {
            // A catch-all server that answers anything is a legacy one.
            return Ok(Discovery::Legacy);
        };
        return match highest_modern(&versions) {
            Some(revision) => Ok(Discovery::Modern {
                revision,
                also_legacy: any_legacy(&versions),
            }),
            None => Ok(Discovery::Legacy),
        };
    }
    match answer.error_code() {
        Some(mcp::code::UNSUPPORTED_VERSION) => {
            let supported = answer
                .error()
                .and_then(|error| mcp::Object::parse(error).ok())
                .and_then(|error| error.get("data").and_then(|data| string_list(data, "supported")));
            let supported = supported.unwrap_or_default();
            match highest_modern(&supported) {
                Some(revision) => Ok(Discovery::Modern {
                    revision,
                    also_legacy: any_legacy(&supported),
                }),
                None => Ok(Discovery::Legacy),
            }
        }
        Some(code @ (mcp::code::HEADER_MISMATCH | mcp::code::MISSING_CAPABILITY)) => {
            // A modern server that finds fault with our question: falling back would hide it.
            Err(Fault::Broken(format!("it refuses `server/discover` with error {code}")).of(upstream))
        }
        Some(_) | None => Ok(Discovery::Legacy),
    }
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
/// [`Fault::NotSpoken`] when it says that it has no such method or revision, [`Fault::Broken`] when
/// what it says is neither.
pub(crate) fn agreement(upstream: &Arc<str>, answer: &Message) -> Result<Revision, Error> {
    if let Some(revision) = agreed_revision(answer) {
        return Ok(revision);
    }
    let fault = if refuses_legacy(answer) {
        Fault::NotSpoken { wanted: Era::Legacy }
    } else {
        Fault::Broken("it answers `initialize` neither with an agreement nor as a server without one".into())
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

fn string_list(object: &[u8], member: &str) -> Option<Vec<String>> {
    let object = mcp::Object::parse(object).ok()?;
    serde_json::from_slice(object.get(member)?).ok()
}

fn highest_modern(versions: &[String]) -> Option<Revision> {
    known(versions)
        .filter(|revision| revision.era() == Era::Modern)
        .max()
}

fn any_legacy(versions: &[String]) -> bool {
    known(versions).any(|revision| revision.era() == Era::Legacy)
}

fn known(versions: &[String]) -> impl Iterator<Item = Revision> {
    versions.iter().filter_map(|version| Revision::parse(version))
}
