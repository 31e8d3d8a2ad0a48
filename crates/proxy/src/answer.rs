//! What comes back from an upstream, as its client is to read it.

use mcp::{Kind, Message};

use crate::aggregate::Exposing;
use crate::bridge::Bridge;
use crate::curated::Curated;
use crate::failure::Failure;
use crate::idempotency::Promise;
use crate::incoming::Incoming;

/// An answer that has begun.
pub(crate) struct Answer {
    /// The HTTP status it deserves.
    pub(crate) status: u16,
    /// The session it begins, for a client's `initialize`.
    pub(crate) session: Option<String>,
    /// The first thing that came back.
    pub(crate) first: First,
    /// Absent when there is nothing more to come, here or for now.
    incoming: Option<Incoming>,
    bridge: Option<Bridge>,
    edits: Edits,
    /// Told of the answer, when the call is made once.
    promise: Option<Promise>,
}

/// What is done to each message before its client reads it.
enum Edits {
    None,
    /// It becomes that of an endpoint of many servers.
    Exposing(Exposing),
    /// It becomes what the file shows of one server.
    Curated(Curated),
}

/// The first thing that came back.
#[derive(Debug)]
pub(crate) enum First {
    /// Nothing: the message was taken.
    Accepted,
    /// The answer itself.
    Answer(Message),
    /// Something before the answer, which will follow.
    Begun(Message),
    /// It was passed on already; more will follow.
    Told,
}

impl Answer {
    /// What was taken without asking anybody, or without a word.
    pub(crate) fn accepted() -> Self {
        Self {
            status: 202,
            session: None,
            first: First::Accepted,
            incoming: None,
            bridge: None,
            edits: Edits::None,
            promise: None,
        }
    }

    /// What the gateway says itself.
    pub(crate) fn said(answer: Message) -> Self {
        Self {
            status: 200,
            session: None,
            first: First::Answer(answer),
            incoming: None,
            bridge: None,
            edits: Edits::None,
            promise: None,
        }
    }

    /// What comes of a call that was sent, whose server gave it this HTTP status.
    ///
    /// # Errors
    /// When nothing does.
    pub(crate) async fn begin(status: u16, incoming: Incoming, bridge: Bridge) -> Result<Self, Failure> {
        let mut answer = Self {
            status: bridge.status(status),
            session: None,
            first: First::Told,
            incoming: Some(incoming),
            bridge: Some(bridge),
            edits: Edits::None,
            promise: None,
        };
        // Whether this becomes JSON or a stream is decided by what comes first.
        let message = answer.next().await?;
        answer.first = match message.kind() {
            Kind::Result | Kind::Error => First::Answer(message),
            Kind::Request | Kind::Notification => First::Begun(message),
        };
        Ok(answer)
    }

    /// The same, as a client of an endpoint of many servers is to read it.
    #[must_use]
    pub(crate) fn exposed(self, exposing: Exposing) -> Self {
        self.edited(Edits::Exposing(exposing))
    }

    /// The same, as a client is to read it to whom not all of the server is shown.
    #[must_use]
    pub(crate) fn curated(self, curated: Curated) -> Self {
        self.edited(Edits::Curated(curated))
    }

    fn edited(mut self, edits: Edits) -> Self {
        self.first = match self.first {
            First::Answer(message) => First::Answer(edits.shown(message)),
            First::Begun(message) => First::Begun(edits.shown(message)),
            first @ (First::Accepted | First::Told) => first,
        };
        self.edits = edits;
        self
    }

    /// The call is made once, and the answer that is still to come is told to those who ask again.
    pub(crate) fn promises(&mut self, promise: Promise) {
        self.promise = Some(promise);
    }

    /// Whether it is all that its server said, to a call that was made once.
    pub(crate) fn is_alone(&self) -> bool {
        self.incoming.as_ref().is_some_and(Incoming::is_alone)
    }

    /// The next message for the client. After the answer there is none to ask for.
    ///
    /// # Errors
    /// When none can come.
    pub(crate) async fn next(&mut self) -> Result<Message, Failure> {
        let Some(bridge) = &mut self.bridge else {
            return Err(Failure::Ended);
        };
        let message = bridge.next(&mut self.incoming).await?;
        let is_answer = matches!(message.kind(), Kind::Result | Kind::Error);
        if let Some(promise) = self.promise.take_if(|_| is_answer) {
            promise.answered(&message, self.status);
        }
        Ok(self.edits.shown(message))
    }

    /// The answer, with everything before it left out: for a client that takes no stream, or left.
    ///
    /// # Errors
    /// When none can come.
    pub(crate) async fn last(&mut self) -> Result<Option<Message>, Failure> {
        let begun = match std::mem::replace(&mut self.first, First::Told) {
            First::Accepted => return Ok(None),
            First::Answer(answer) => return Ok(Some(answer)),
            First::Begun(message) => Some(message),
            First::Told => None,
        };
        if let Some(bridge) = &mut self.bridge {
            bridge.asks_no_more(begun.as_ref(), &mut self.incoming).await;
        }
        loop {
            let message = self.next().await?;
            if matches!(message.kind(), Kind::Result | Kind::Error) {
                return Ok(Some(message));
            }
        }
    }
}

impl Edits {
    fn shown(&self, message: Message) -> Message {
        match self {
            Self::None => message,
            Self::Exposing(exposing) => exposing.shown(&message),
            Self::Curated(curated) => curated.shown(&message),
        }
    }
}
