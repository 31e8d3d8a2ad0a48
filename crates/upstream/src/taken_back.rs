//! Requests that their clients took back. A server that ends such a call without an answer does as it was
//! told: that is nobody's fault (2025-11-25 basic/utilities/cancellation).

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use mcp::{Id, Message};

use crate::transport::Session;

/// Requests remembered as taken back. Beyond it the oldest is forgotten; if its call still ends without
/// an answer, it is told of as one that broke.
const REMEMBERED: usize = 1024;

/// The requests that were taken back lately, by session and the id that the client gave them.
#[derive(Default)]
pub(crate) struct TakenBack {
    requests: Mutex<VecDeque<(Box<str>, Id)>>,
}

impl TakenBack {
    /// Notes what a client says of a request of its own.
    pub(crate) fn note(&self, session: &Session, notice: &Message) {
        let (Some(session), Some(request)) = (&session.id, notice.cancelled_request()) else {
            return;
        };
        let mut requests = self.locked();
        if requests.len() == REMEMBERED {
            requests.pop_front();
        }
        requests.push_back((session.clone(), request));
    }

    /// Whether a request was taken back; it is asked once.
    pub(crate) fn was(&self, session: &Session, request: &Message) -> bool {
        let (Some(session), Some(request)) = (&session.id, request.id()) else {
            return false;
        };
        let mut requests = self.locked();
        let found = requests
            .iter()
            .position(|(of, id)| of == session && id == request);
        found.and_then(|found| requests.remove(found)).is_some()
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<(Box<str>, Id)>> {
        self.requests
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp::Revision;

    fn session(id: &str) -> Session {
        Session {
            id: Some(id.into()),
            revision: Revision::V2025_06_18,
            greeting: None,
        }
    }

    fn request(id: u64) -> Message {
        Message::request(&Id::number(id), "tools/call", None)
    }

    fn notice(id: u64) -> Message {
        let params = format!(r#"{{"requestId":{id}}}"#);
        Message::notification("notifications/cancelled", Some(&params))
    }

    #[test]
    fn a_request_is_taken_back_in_its_session_and_once() {
        let taken_back = TakenBack::default();
        taken_back.note(&session("a"), &notice(1));

        assert!(!taken_back.was(&session("b"), &request(1)));
        assert!(!taken_back.was(&session("a"), &request(2)));
        assert!(taken_back.was(&session("a"), &request(1)));
        assert!(!taken_back.was(&session("a"), &request(1)));
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let taken_back = TakenBack::default();
        for id in 0..=REMEMBERED as u64 {
            taken_back.note(&session("a"), &notice(id));
        }

        assert!(!taken_back.was(&session("a"), &request(0)));
        assert!(taken_back.was(&session("a"), &request(1)));
    }
}
