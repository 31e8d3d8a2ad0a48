//! What every kind of upstream can do: a [`Transport`] opens a [`Link`], and a link carries messages.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use mcp::{Kind, Message, Revision};

use crate::error::Error;

/// Headers for one request to an upstream.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// Those the operator injects. They also tell credentials apart: a session is shared only by
    /// requests that carry the same.
    pub injected: Vec<(HeaderName, HeaderValue)>,
    /// Those of the client that the protocol lets through.
    pub passed: Vec<(HeaderName, HeaderValue)>,
}

impl Headers {
    /// The same, to be kept: a header of a client is a piece of all that was read with it, 4 KiB or more,
    /// and would keep it in memory.
    pub fn into_kept(mut self) -> Arc<Self> {
        for (_, value) in self.injected.iter_mut().chain(&mut self.passed) {
            let mut copy = HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
            copy.set_sensitive(value.is_sensitive());
            *value = copy;
        }
        self.injected.shrink_to_fit();
        self.passed.shrink_to_fit();
        Arc::new(self)
    }
}

/// What a message belongs to, which decides what may be shared to carry it.
#[derive(Debug, Clone)]
pub enum Conversation {
    /// A 2026-07-28 request of a client: it stands alone, and its headers come with it.
    Modern,
    /// A 2026-07-28 request that the gateway made of another, or of its own: what its headers repeat is
    /// read off the message.
    Bridged,
    /// The client's own `initialize`: it begins a session.
    Greeting,
    /// A session that a client began.
    Session(Session),
    /// A legacy request without a session of its client's, served on one that the gateway began.
    Pooled(Pooled),
}

/// Which of the gateway's own sessions serves a request. With the injected headers, which are the
/// credentials, this tells them apart (`protocol.md` D-40); the default is the one that clients share who
/// can be asked nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pooled {
    /// The client capabilities to declare in its `initialize`: the text of an object. With none of them it
    /// may be shared by everybody who presents the same credentials.
    pub capabilities: Option<Arc<str>>,
    /// Whose it is: a principal's, or a session's with an endpoint of many servers. Empty where no capabilities are
    /// declared.
    pub scope: Arc<[u8]>,
}

impl Pooled {
    /// Whether only one principal uses it, whose clients may be asked something.
    pub(crate) fn is_private(&self) -> bool {
        self.capabilities.is_some()
    }
}

/// A session of the gateway's own, and how the server introduced itself in it.
#[derive(Debug, Clone)]
pub struct Agreement {
    /// The session.
    pub session: Session,
    /// The server's answer to `initialize`, as it was received.
    pub result: Message,
}

impl Agreement {
    /// On a wire that is the session itself.
    pub(crate) fn on_wire(revision: Revision, result: Message) -> Self {
        let session = Session {
            id: None,
            revision,
            greeting: None,
        };
        Self { session, result }
    }
}

/// A legacy session with an upstream.
#[derive(Debug, Clone)]
pub struct Session {
    /// What the upstream knows it by; absent when it keeps no sessions.
    pub id: Option<Box<str>>,
    /// What was agreed in its handshake.
    pub revision: Revision,
    /// The `params` of the client's `initialize`, with which it can be begun anew when the upstream has
    /// lost it; absent when it cannot.
    pub greeting: Option<Box<str>>,
}

/// What a server says of the eras it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// It answered `server/discover`: the revision we share, and whether it also listed earlier ones.
    Modern {
        /// The highest revision both sides speak.
        revision: Revision,
        /// Whether it listed a revision before 2026-07-28 besides.
        also_legacy: bool,
    },
    /// Anything else: it is asked `initialize` next.
    Legacy,
}

/// One kind of upstream.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Asks `server/discover` (`protocol.md` §1.6 P1, §1.7).
    ///
    /// # Errors
    /// Only when nothing was learned: unreachable, unauthorized, told to wait.
    async fn discover(&self, headers: &Headers) -> Result<Discovery, Error>;

    /// Finds or begins a session of the gateway's own, and tells what was agreed in it (P2).
    ///
    /// # Errors
    /// When the server does not answer `initialize` as a legacy server does, or there are as many sessions
    /// as there may be.
    async fn share(&self, pooled: &Pooled, headers: &Headers) -> Result<Agreement, Error>;

    /// Something else may answer there now: the next session of the gateway's own with these credentials is
    /// begun anew. Where the wire is the session, it ends with what answered.
    fn forget(&self, _headers: &Headers) {}

    /// Opens what carries the messages of a conversation.
    ///
    /// # Errors
    /// When nothing can carry them: a session that is gone, a process that does not start.
    async fn open(&self, conversation: &Conversation, headers: Arc<Headers>) -> Result<Box<dyn Link>, Error>;

    /// Opens what the server says in a session outside of any call. It has no answer and no end of its
    /// own: an error says that it broke, and it may be opened again.
    ///
    /// # Errors
    /// [`Fault::NotOffered`](crate::Fault::NotOffered) when this server says nothing outside of calls,
    /// [`Fault::SessionGone`](crate::Fault::SessionGone) when it has lost the session.
    async fn listen(&self, session: &Session, headers: Arc<Headers>)
    -> Result<Box<dyn MessageStream>, Error>;

    /// Finds or begins this session of the gateway's own, and opens what the server says in it outside of any
    /// call. One reader at a time hears it.
    ///
    /// # Errors
    /// As [`Transport::share`] and [`Transport::listen`].
    async fn overhear(&self, pooled: &Pooled, headers: &Arc<Headers>) -> Result<Overheard, Error> {
        let agreement = self.share(pooled, headers).await?;
        let stream = self.listen(&agreement.session, Arc::clone(headers)).await?;
        Ok(Overheard { agreement, stream })
    }

    /// Whether injected headers reach the server, so that what it says may depend on them.
    fn tells_credentials_apart(&self) -> bool {
        true
    }

    /// Ends a session that a client began. A session that is unknown has ended already.
    async fn end(&self, session: &Session, headers: &Headers);

    /// Ends the sessions of the gateway's own that are of nobody outside of this [`Pooled::scope`]: whose they were is
    /// gone.
    fn release(&self, _scope: &[u8]) {}

    /// Ends everything this transport keeps running: processes and their tasks.
    async fn stop(&self);

    /// `http`, `sse` or `stdio`: what it is, or is assumed to be until it was found out.
    fn kind(&self) -> &'static str;

    /// Whether what answers may become another server while we run, so that it is worth being asked
    /// again what it speaks, and may be asked without harm to what is under way.
    fn may_change(&self) -> bool {
        false
    }
}

/// What a server says outside of calls in a session of the gateway's own.
pub struct Overheard {
    /// The session.
    pub agreement: Agreement,
    /// What it says.
    pub stream: Box<dyn MessageStream>,
}

/// Carries the messages of one exchange.
#[async_trait]
pub trait Link: Send {
    /// Sends a message and waits for the first thing that comes back.
    ///
    /// # Errors
    /// When the exchange fails before anything came back.
    async fn send(&mut self, message: &Message) -> Result<Reply, Error>;

    /// Tells the upstream that nobody waits for this request any more. Where dropping the reply
    /// says so already, there is nothing left to do.
    async fn cancel(&mut self, request: &Message, reason: &str);
}

/// What came back.
pub struct Reply {
    /// The HTTP status the upstream gave its answer; 200 where there is none.
    pub status: u16,
    /// What the upstream calls the session that an `initialize` began.
    pub session: Option<Box<str>>,
    /// The messages.
    pub messages: Messages,
    /// Whether it is a refusal in words that a server of the era spoken to would not choose: it may
    /// have become a server of the other.
    pub doubtful: bool,
}

/// The messages of a reply.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every reply is one message, and taken apart at once"
)]
pub enum Messages {
    /// Taken, with nothing to say: the fate of notifications and responses.
    Accepted,
    /// The answer at once.
    One(Message),
    /// Notifications and requests of the server, then the answer.
    Stream(Box<dyn MessageStream>),
}

impl Messages {
    /// The answer, with everything before it left out; none where nothing was to be said.
    ///
    /// # Errors
    /// When the stream ends before the answer.
    pub async fn answer(self) -> Result<Option<Message>, Error> {
        match self {
            Self::Accepted => Ok(None),
            Self::One(message) => Ok(Some(message)),
            Self::Stream(mut stream) => loop {
                let message = stream.next().await?;
                if matches!(message.kind(), Kind::Result | Kind::Error) {
                    return Ok(Some(message));
                }
            },
        }
    }
}

/// Messages as they arrive. Dropping it before the answer tells a 2026-07-28 upstream to stop.
#[async_trait]
pub trait MessageStream: Send {
    /// The next message. The answer is the last one.
    ///
    /// # Errors
    /// When the stream ends before the answer.
    async fn next(&mut self) -> Result<Message, Error>;
}

impl Reply {
    /// Whether it is an error, as far as can be told by now.
    pub(crate) fn refuses(&self) -> bool {
        matches!(&self.messages, Messages::One(message) if message.kind() == Kind::Error)
    }

    /// A reply that says nothing.
    pub fn accepted() -> Self {
        Self {
            status: 202,
            session: None,
            messages: Messages::Accepted,
            doubtful: false,
        }
    }

    /// A reply of one message.
    pub fn one(status: u16, message: Message) -> Self {
        Self {
            status,
            session: None,
            messages: Messages::One(message),
            doubtful: false,
        }
    }

    /// A reply whose messages arrive one by one.
    pub fn stream(stream: Box<dyn MessageStream>) -> Self {
        Self {
            status: 200,
            session: None,
            messages: Messages::Stream(stream),
            doubtful: false,
        }
    }
}
