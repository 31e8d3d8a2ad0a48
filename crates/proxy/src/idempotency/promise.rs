//! Goes with a call that is made once, and leaves word of its end.

use std::sync::Arc;

use mcp::{Id, Message};
use tokio::sync::watch;
use upstream::{Error, Fault};

use super::table::{Place, Promises};
use crate::failure::Failure;

/// Bytes of the longest answer that is kept.
const LONGEST: usize = 1 << 20;

/// Goes with a call. Dropped without a word, the call was given up.
pub(crate) struct Promise {
    promises: Arc<Promises>,
    place: Place,
    /// Whether its server may have been sent it.
    sent: bool,
    told: watch::Sender<Option<End>>,
}

/// A call that runs.
#[derive(Clone)]
pub(super) struct Running(watch::Receiver<Option<End>>);

/// How a call ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// Before anything was sent, or its server refused it: it may be made.
    NotMade,
    /// By an answer of its server.
    Answered(Arc<Told>),
    /// By one that is too long to be kept.
    AnsweredAtLength,
    /// Nobody knows how, since its server was sent it.
    Unknown,
}

/// What a call was answered, under no id that anybody asked by.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) message: Message,
    /// Its HTTP status.
    pub(super) status: u16,
}

impl Promise {
    /// For a call that is made from now on, and what others wait at.
    pub(super) fn begin(promises: &Arc<Promises>, place: Place) -> (Self, Running) {
        let (told, running) = watch::channel(None);
        let promise = Self {
            promises: Arc::clone(promises),
            place,
            sent: false,
            told,
        };
        (promise, Running(running))
    }

    /// From now on its server may have been sent it.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// Its server answered, whatever that says.
    pub(crate) fn answered(self, message: &Message, status: u16) {
        // Under another id it is a copy, which keeps nothing else in memory that was read with it.
        let message = message.with_id(&Id::number(0));
        let long = message.bytes().len() > LONGEST;
        let answered = End::Answered(Arc::new(Told { message, status }));
        let kept = if long {
            End::AnsweredAtLength
        } else {
            answered.clone()
        };
        self.end(kept, answered);
    }

    /// It failed.
    pub(super) fn failed(self, failure: &Failure) {
        if !self.sent || was_not_made(failure) {
            self.end(End::NotMade, End::NotMade);
        }
    }

    /// Leaves word for later, and tells those who wait.
    fn end(self, kept: End, told: End) {
        self.promises.end(self.place, kept);
        self.told.send_replace(Some(told));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if self.told.borrow().is_some() {
            return;
        }
        let end = if self.sent { End::Unknown } else { End::NotMade };
        self.promises.end(self.place, end.clone());
        self.told.send_replace(Some(end));
    }
}

impl Running {
    /// Waits until it has ended.
    pub(super) async fn end(mut self) -> End {
        match self.0.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Unknown),
            Err(_) => End::Unknown,
        }
    }
}

impl End {
    /// Bytes of what is kept of it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Answered(told) => told.message.bytes().len() + size_of::<Told>(),
            Self::NotMade | Self::AnsweredAtLength | Self::Unknown => 0,
        }
    }
}

/// Whether a call that its server was sent is known not to have been carried out there. In doubt it is not.
fn was_not_made(failure: &Failure) -> bool {
    let Failure::Upstream(Error { fault, .. }) = failure else {
        // The server wants its user to visit an address first, or the call that waited for its user is not there.
        return matches!(failure, Failure::Refused(_) | Failure::StateUnknown);
    };
    match fault {
        Fault::Unreachable(_)
        | Fault::SessionGone
        | Fault::Misjudged(_)
        | Fault::NotSpoken { .. }
        | Fault::NotAgreed
        | Fault::NotOffered
        | Fault::NotStarted(_)
        | Fault::Unauthorized(_)
        | Fault::Full(_) => true,
        // 408 is said by those in between who have waited long enough.
        Fault::Status { status, .. } => (400..500).contains(status) && *status != 408,
        Fault::Silent(_)
        | Fault::Broken(_)
        | Fault::Removed
        | Fault::TooLong(_)
        | Fault::Exited(_)
        | Fault::Cancelled => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_doubt_a_call_was_made() {
        let status = |status| Fault::Status {
            status,
            retry_after: None,
        };
        for (fault, not_made) in [
            (Fault::Unreachable("no".into()), true),
            (Fault::Unauthorized(401), true),
            (Fault::Full("no".into()), true),
            (status(429), true),
            (status(404), true),
            (status(408), false),
            (status(500), false),
            (status(503), false),
            (Fault::Silent(std::time::Duration::ZERO), false),
            (Fault::Broken("no".into()), false),
            (Fault::Exited("no".into()), false),
            (Fault::TooLong(1), false),
            (Fault::Cancelled, false),
            (Fault::Removed, false),
        ] {
            let failure = Failure::Upstream(fault.of(&"crm".into()));
            assert_eq!(was_not_made(&failure), not_made, "{failure:?}");
        }
        assert!(!was_not_made(&Failure::Crowded));
    }
}
