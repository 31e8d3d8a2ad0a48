//! Between two eras and revisions: how a call gets to its server, and what stands between the two on the way back
//! (decision 10).
//!
//! Each hop negotiates alone. Where both sides speak the same revision nothing here touches a byte; where they are
//! of one era only shapes change ([`mcp::translate`]); where they are not, the exchange of one becomes one of the
//! other: greetings ([`greeting`]), questions to users ([`rounds`], [`parking`]), changes ([`following`]).

pub(crate) mod here;
pub(crate) mod greeting;
mod question;
pub(crate) mod relay;
mod pooling;
pub(crate) mod rounds;
pub(crate) mod parking;
pub(crate) mod following;
pub(crate) mod levels;

use std::sync::Arc;

use mcp::translate::{Between, Said};
use mcp::{ClientCapabilities, Era, Id, Kind, Message, Method, Object, Refusal, Revision, code, header};
use tokio_util::sync::CancellationToken;
use upstream::{Conversation, Headers, Legacy, Pooled, Upstream};

use crate::call::Call;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::generation::Generation;
use crate::incoming::Incoming;

use parking::Parking;
use pooling::Pooling;
use relay::Relay;
use rounds::{Made, Rounds};

/// Bytes of the capabilities that a client may declare where a session is begun for it, which is known by them.
const DECLARED: usize = 4096;

/// How a call gets to its server.
pub(crate) struct Hop {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) conversation: Conversation,
    pub(crate) between: Between,
    pub(crate) crossing: Crossing,
}

/// Whether a hop leads into another era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// Both sides are of one era.
    None,
    /// From a client before 2026-07-28 to a server of it.
    Up,
    /// From a client of 2026-07-28 to a server before it.
    Down,
}

/// What stands between the two sides of a call on the way back.
pub(crate) enum Bridge {
    Relay(Relay),
    Rounds(Box<Rounds>),
    Parking(Box<Parking>),
    Pooling(Box<Pooling>),
}

impl Hop {
    /// The way of a call. What its server speaks is asked if nobody knows.
    ///
    /// # Errors
    /// When the server cannot be asked, or the route serves nothing without a session.
    pub(crate) async fn find(
        call: &Call,
        upstream: &Arc<Upstream>,
        headers: &Headers,
        deadline: &mut Deadline,
    ) -> Result<Self, Failure> {
        if call.visit.to.only().is_none() {
            return Self::from_endpoint(call, upstream, headers, deadline).await;
        }
        if let Some(session) = call.session.as_ref().filter(|_| call.era == Era::Legacy) {
            return Ok(match session.server() {
                Revision::V2026_07_28 => Self::up(upstream, session.revision()),
                server => Self {
                    upstream: Arc::clone(upstream),
                    conversation: Conversation::Session(session.with_upstream()),
                    between: Between {
                        client: session.revision(),
                        server,
                    },
                    crossing: Crossing::None,
                },
            });
        }
        if call.lacks_session() {
            return Err(Failure::SessionMissing);
        }
        let eras = match upstream.eras() {
            Some(eras) if call.era == Era::Modern || eras.legacy != Legacy::Unasked => eras,
            _ if call.era == Era::Modern => deadline.keep(upstream.learn(headers)).await?,
            _ => deadline.keep(upstream.learn_both(headers)).await?,
        };
        let legacy = match eras.legacy {
            Legacy::Spoken(revision) => Some(revision),
            Legacy::Unasked | Legacy::NotSpoken => None,
        };
        Ok(match (call.era, eras.modern, legacy) {
            // Its headers repeat what its client said; of something else others are made.
            (Era::Modern, Some(_), _) if call.said.is_some() => {
                Self::same(upstream, Conversation::Bridged, call.revision)
            }
            (Era::Modern, Some(_), _) => Self::same(upstream, Conversation::Modern, call.revision),
            (Era::Modern, None, legacy) => {
                Self::down(upstream, call, legacy.unwrap_or(Revision::LATEST_LEGACY))?
            }
            (Era::Legacy, _, Some(_)) if call.handshake => {
                Self::same(upstream, Conversation::Greeting, call.revision)
            }
            (Era::Legacy, _, Some(server)) => {
                // Of a request without a session only its header can say the revision.
                let said = call.visit.headers.contains_key(header::MCP_PROTOCOL_VERSION);
                let client = if said { call.revision } else { server };
                Self {
                    upstream: Arc::clone(upstream),
                    conversation: Conversation::Pooled(Pooled::default()),
                    between: Between { client, server },
                    crossing: Crossing::None,
                }
            }
            (Era::Legacy, _, None) => Self::up(upstream, call.revision),
        })
    }

    /// The way of a call from an endpoint of many servers: in the newest era that the server speaks, as its lists are
    /// read. A session of its client is with the endpoint; where the server knows nothing but sessions, that one's calls
    /// have one of their own there.
    async fn from_endpoint(
        call: &Call,
        upstream: &Arc<Upstream>,
        headers: &Headers,
        deadline: &mut Deadline,
    ) -> Result<Self, Failure> {
        let eras = match upstream.eras() {
            Some(eras) => eras,
            None => deadline.keep(upstream.learn(headers)).await?,
        };
        let client = call
            .session
            .as_ref()
            .map_or(call.revision, |session| session.revision());
        Ok(match (call.era, &eras.modern, eras.legacy) {
            (Era::Modern, Some(_), _) => Self::same(upstream, Conversation::Bridged, call.revision),
            (Era::Modern, None, Legacy::Spoken(server)) => Self::down(upstream, call, server)?,
            (Era::Modern, None, _) => Self::down(upstream, call, Revision::LATEST_LEGACY)?,
            (Era::Legacy, None, Legacy::Spoken(server)) => {
                let between = Between { client, server };
                let pooled = match &call.session {
                    Some(session) => {
                        let greeting = session.greeting.as_deref().unwrap_or("{}");
                        let greeting = Object::parse(greeting.as_bytes()).ok();
                        let said = greeting
                            .as_ref()
                            .and_then(|greeting| greeting.get("capabilities"));
                        of_those_who_can_be_asked(between, said.unwrap_or(b"{}"), &session.scope())?
                    }
                    None => Pooled::default(),
                };
                Self {
                    upstream: Arc::clone(upstream),
                    conversation: Conversation::Pooled(pooled),
                    between,
                    crossing: Crossing::None,
                }
            }
            (Era::Legacy, _, _) => Self::up(upstream, client),
        })
    }

    fn same(upstream: &Arc<Upstream>, conversation: Conversation, revision: Revision) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            conversation,
            between: Between {
                client: revision,
                server: revision,
            },
            crossing: Crossing::None,
        }
    }

    fn up(upstream: &Arc<Upstream>, client: Revision) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            conversation: Conversation::Bridged,
            between: Between {
                client,
                server: Revision::V2026_07_28,
            },
            crossing: Crossing::Up,
        }
    }

    /// Sessions are shared by those who can be asked the same, and by nobody else if they can be asked anything.
    ///
    /// # Errors
    /// When its client declares more than [`DECLARED`].
    fn down(upstream: &Arc<Upstream>, call: &Call, server: Revision) -> Result<Self, Refusal> {
        let between = Between {
            client: call.revision,
            server,
        };
        let declared = call.message.client_capabilities().unwrap_or(b"{}");
        let pooled = of_those_who_can_be_asked(between, declared, call.visit.principal.binding())?;
        Ok(Self {
            upstream: Arc::clone(upstream),
            conversation: Conversation::Pooled(pooled),
            between,
            crossing: Crossing::Down,
        })
    }

    /// The session of the gateway's own that serves it: the one that all share, where it has none of its client's.
    pub(crate) fn pooled(&self) -> Pooled {
        match &self.conversation {
            Conversation::Pooled(pooled) => pooled.clone(),
            Conversation::Modern
            | Conversation::Bridged
            | Conversation::Greeting
            | Conversation::Session(_) => Pooled::default(),
        }
    }

    /// The request as the server is to read it, and what stands between the two on the way back.
    ///
    /// # Errors
    /// When its session has a request with this id running already.
    pub(crate) fn cross(
        &self,
        current: &Arc<Generation>,
        call: &Call,
        headers: &Arc<Headers>,
    ) -> Result<(Message, Bridge), Failure> {
        let message = &call.message;
        let asked = message.method().cloned().unwrap_or(Method::Other("".into()));
        let nothing = Said {
            capabilities: b"{}",
            client_info: None,
            log_level: None,
        };
        let session = call.session.as_ref();
        let asking = || session.map(|session| current.sessions.asker(session).asking());
        let running = || match (session, message.id()) {
            (Some(session), Some(id)) => {
                let running = current.sessions.running().run(&session.id, id);
                let words = "a request with this id is running";
                running
                    .map(Some)
                    .ok_or_else(|| Refusal::new(code::INVALID_REQUEST, words))
            }
            _ => Ok(None),
        };
        Ok(match self.crossing {
            Crossing::None if self.is_of_an_endpoint(call) => {
                let asking = asking().filter(|_| call.askable);
                let name = &self.upstream.name;
                let asking = (asking, current.bounds.parked);
                let pooling = Pooling::new(name, self.between, asked, asking, running()?);
                (
                    self.between.request(message, &nothing),
                    Bridge::Pooling(Box::new(pooling)),
                )
            }
            Crossing::None => (
                self.between.request(message, &nothing),
                Bridge::Relay(Relay::new(self.between, asked, asking(), current.bounds.parked)),
            ),
            Crossing::Down => (
                self.between.request(message, &nothing),
                Bridge::Parking(Box::new(Parking::new(current, call, self))),
            ),
            Crossing::Up => {
                if let Some(missing) = missing_subject(message) {
                    return Err(missing.into());
                }
                let asking = asking().filter(|_| call.askable);
                let greeting = session.and_then(|session| session.greeting.as_deref());
                let greeting = greeting.and_then(|greeting| Object::parse(greeting.as_bytes()).ok());
                let said = |member| greeting.as_ref().and_then(|greeting| greeting.get(member));
                let capabilities = match &asking {
                    Some(_) => self
                        .between
                        .client_capabilities(said("capabilities").unwrap_or(b"{}")),
                    None => b"{}".to_vec(),
                };
                let settings = session.and_then(|session| current.sessions.settings().of(&session.id));
                let request = self.between.request(
                    message,
                    &Said {
                        capabilities: &capabilities,
                        client_info: said("clientInfo"),
                        log_level: settings.and_then(|settings| settings.level()),
                    },
                );
                let id = message.id().cloned().unwrap_or_else(|| Id::number(0));
                let rounds = Rounds::new(Made {
                    upstream: Arc::clone(&self.upstream),
                    headers: Arc::clone(headers),
                    between: self.between,
                    request: request.clone(),
                    id,
                    capabilities,
                    asking,
                    running: running()?,
                    patience: current.bounds.parked,
                });
                (request, Bridge::Rounds(Box::new(rounds)))
            }
        })
    }

    /// Whether it carries the call of a session that is with an endpoint of many servers, and goes in another with the
    /// server.
    pub(crate) fn is_of_an_endpoint(&self, call: &Call) -> bool {
        call.visit.to.only().is_none() && matches!(self.conversation, Conversation::Pooled(_))
    }

    /// Headers that speak of the client's own side of the gateway are not for a server of another.
    pub(crate) fn passing(&self, mut headers: Headers) -> Headers {
        if !self.between.is_same() || matches!(self.conversation, Conversation::Bridged) {
            headers
                .passed
                .retain(|(name, _)| !name.as_str().starts_with("mcp-"));
        }
        headers
    }
}

/// Why a request cannot become one of 2026-07-28, whose headers repeat what it is about (`protocol.md` §1.5-2).
fn missing_subject(request: &Message) -> Option<Refusal> {
    let member = request.method().and_then(Method::subject_member)?;
    if request.kind() != Kind::Request || request.subject().is_some() {
        return None;
    }
    let words = format!("`params.{member}` must be a string");
    Some(Refusal {
        status: 200,
        ..Refusal::new(code::INVALID_PARAMS, words)
    })
}

/// The session with a server of those who declare these capabilities: shared by those who can be asked the same, and
/// by nobody outside of `scope` if they can be asked anything.
///
/// # Errors
/// When they declare more than [`DECLARED`].
fn of_those_who_can_be_asked(between: Between, declared: &[u8], scope: &[u8]) -> Result<Pooled, Refusal> {
    if declared.len() > DECLARED {
        let words = format!("the client capabilities are longer than {DECLARED} bytes");
        return Err(Refusal::new(code::INVALID_PARAMS, words));
    }
    let declared = between.client_capabilities(declared);
    let declared = ClientCapabilities::new(&declared);
    let asks =
        declared.sampling() || declared.roots() || declared.elicitation_form() || declared.elicitation_url();
    Ok(match asks {
        true => Pooled {
            capabilities: Some(declared.canonical().into()),
            scope: scope.into(),
        },
        false => Pooled::default(),
    })
}

impl Bridge {
    /// The next message for the client. After the answer there is none to ask for.
    ///
    /// # Errors
    /// When none can come.
    pub(crate) async fn next(&mut self, incoming: &mut Option<Incoming>) -> Result<Message, Failure> {
        match self {
            Self::Relay(relay) => relay.next(incoming).await,
            Self::Rounds(rounds) => rounds.next(incoming).await,
            Self::Parking(parking) => parking.next(incoming).await,
            Self::Pooling(pooling) => pooling.next(incoming).await,
        }
    }

    /// Told when its client takes the call back in words that are for the gateway, since the server knows none.
    pub(crate) fn taken_back(&self) -> Option<CancellationToken> {
        match self {
            Self::Rounds(rounds) => Some(rounds.taken_back()),
            Self::Pooling(pooling) => Some(pooling.taken_back()),
            Self::Relay(_) | Self::Parking(_) => None,
        }
    }

    /// The HTTP status of the answer, when the server gave it this one: between eras it says nothing.
    pub(crate) fn status(&self, given: u16) -> u16 {
        match self {
            Self::Relay(_) => given,
            Self::Rounds(_) | Self::Parking(_) | Self::Pooling(_) => 200,
        }
    }

    /// Its client cannot be asked anything any more, or never could be. What was asked last and not told it is
    /// taken back.
    pub(crate) async fn asks_no_more(&mut self, untold: Option<&Message>, incoming: &mut Option<Incoming>) {
        match self {
            Self::Relay(relay) => relay.asks_no_more(untold, incoming).await,
            Self::Rounds(rounds) => rounds.asks_no_more(),
            Self::Parking(_) => {}
            Self::Pooling(pooling) => pooling.asks_no_more(),
        }
    }
}

/// The upstream's half of a call that is over: there is none.
pub(crate) fn over(incoming: &mut Option<Incoming>) -> Result<&mut Incoming, Failure> {
    incoming.as_mut().ok_or(Failure::Ended)
}
