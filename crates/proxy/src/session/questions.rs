//! Questions that servers ask users (sampling, elicitation, roots): each under an id of ours, answered
//! once, and only in the session it was asked in.
//!
//! Two servers may choose the same id, and one server may choose it twice. What a client answers is
//! matched by our id and its session; an answer to nothing finds nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use mcp::{Id, Message};

use super::token;

/// Questions of one call, or of one listening stream, that may wait for their answers at once. A
/// server that asks more is refused.
const UNANSWERED: usize = 64;

/// Every question that waits for its answer.
#[derive(Default)]
pub(crate) struct Questions {
    last: AtomicU64,
    unanswered: Mutex<HashMap<u64, Unanswered>>,
}

struct Unanswered {
    session: token::Id,
    /// What the server calls it.
    asked: Id,
}

/// For asking the client of one session.
#[derive(Clone)]
pub(crate) struct Asker {
    questions: Arc<Questions>,
    session: token::Id,
}

/// The questions of one call or one listening stream. When it ends, nobody waits for their answers.
pub(crate) struct Asking {
    to: Asker,
    posed: Vec<u64>,
}

impl Questions {
    /// What the server calls the question that this client answers; each is answered once.
    pub(crate) fn answered(&self, session: &token::Id, answer: &Id) -> Option<Id> {
        let number = number(answer)?;
        let mut unanswered = self.locked();
        unanswered.get(&number).filter(|open| open.session == *session)?;
        unanswered.remove(&number).map(|open| open.asked)
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Unanswered>> {
        self.unanswered
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Asker {
    pub(crate) fn new(questions: &Arc<Questions>, session: &token::Id) -> Self {
        Self {
            questions: Arc::clone(questions),
            session: session.clone(),
        }
    }

    /// For the questions of one call or one listening stream.
    pub(crate) fn asking(&self) -> Asking {
        Asking {
            to: self.clone(),
            posed: Vec::new(),
        }
    }
}

impl Asking {
    /// The question as its client is asked it; `None` when too many wait for their answers already.
    pub(crate) fn pose(&mut self, question: &Message) -> Option<Message> {
        let asked = question.id()?.clone();
        let mut unanswered = self.to.questions.locked();
        self.posed.retain(|number| unanswered.contains_key(number));
        if self.posed.len() >= UNANSWERED {
            return None;
        }
        let number = self.to.questions.last.fetch_add(1, Ordering::Relaxed) + 1;
        let session = self.to.session.clone();
        unanswered.insert(number, Unanswered { session, asked });
        self.posed.push(number);
        Some(question.with_id(&id(number)))
    }

    /// A notice of the server that it no longer waits for one of its answers, as its client is to read it.
    pub(crate) fn taken_back(&mut self, notice: &Message) -> Option<Message> {
        let asked = notice.cancelled_request()?;
        let mut unanswered = self.to.questions.locked();
        let number = self
            .posed
            .iter()
            .copied()
            .find(|number| unanswered.get(number).is_some_and(|open| open.asked == asked))?;
        unanswered.remove(&number);
        Some(notice.with_cancelled_request(&id(number)))
    }

    /// What the server calls a question that was posed and will not be passed on.
    pub(crate) fn withdraw(&mut self, posed: &Message) -> Option<Id> {
        self.to.questions.answered(&self.to.session, posed.id()?)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.posed.is_empty() {
            return;
        }
        let mut unanswered = self.to.questions.locked();
        for number in &self.posed {
            unanswered.remove(number);
        }
    }
}

fn id(number: u64) -> Id {
    Id::text(&format!("gw-{number}"))
}

fn number(id: &Id) -> Option<u64> {
    id.as_text()?.strip_prefix("gw-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(id: u64) -> Message {
        Message::request(&Id::number(id), "roots/list", None)
    }

    fn asking(questions: &Arc<Questions>, session: &token::Id) -> Asking {
        Asker::new(questions, session).asking()
    }

    #[test]
    fn an_answer_finds_its_question_once_and_only_in_its_session() {
        let questions = Arc::new(Questions::default());
        let (ours, theirs) = (token::Id::new(), token::Id::new());
        let mut asking = asking(&questions, &ours);

        let posed = asking.pose(&question(7)).unwrap();
        let answer = posed.id().unwrap();

        assert_ne!(answer, &Id::number(7));
        assert_eq!(questions.answered(&theirs, answer), None);
        assert_eq!(questions.answered(&ours, &Id::number(7)), None);
        assert_eq!(questions.answered(&ours, answer), Some(Id::number(7)));
        assert_eq!(questions.answered(&ours, answer), None);
    }

    #[test]
    fn equal_ids_of_two_servers_are_two_questions() {
        let questions = Arc::new(Questions::default());
        let (one, other) = (token::Id::new(), token::Id::new());
        let (mut first, mut second) = (asking(&questions, &one), asking(&questions, &other));

        let (a, b) = (
            first.pose(&question(1)).unwrap(),
            second.pose(&question(1)).unwrap(),
        );

        assert_ne!(a.id(), b.id());
        assert_eq!(questions.answered(&one, b.id().unwrap()), None);
    }

    #[test]
    fn what_was_asked_is_forgotten_with_its_call() {
        let questions = Arc::new(Questions::default());
        let session = token::Id::new();
        let mut asking = asking(&questions, &session);
        let posed = asking.pose(&question(1)).unwrap();

        drop(asking);

        assert_eq!(questions.answered(&session, posed.id().unwrap()), None);
    }

    #[test]
    fn a_server_that_asks_without_end_is_refused_and_one_that_is_answered_is_not() {
        let questions = Arc::new(Questions::default());
        let session = token::Id::new();
        let mut asking = asking(&questions, &session);
        for round in 0..1000 {
            let posed = asking.pose(&question(round)).unwrap();
            questions.answered(&session, posed.id().unwrap()).unwrap();
        }

        let posed = (0..1000).filter(|round| asking.pose(&question(*round)).is_some());

        assert_eq!(posed.count(), UNANSWERED);
    }

    #[test]
    fn a_question_taken_back_is_taken_back_under_the_id_it_was_posed_with() {
        let questions = Arc::new(Questions::default());
        let session = token::Id::new();
        let mut asking = asking(&questions, &session);
        let posed = asking.pose(&question(7)).unwrap();
        let notice = |id| {
            let params = format!(r#"{{"requestId":{id}}}"#);
            Message::notification("notifications/cancelled", Some(&params))
        };

        assert!(asking.taken_back(&notice(8)).is_none());
        let told = asking.taken_back(&notice(7)).unwrap();

        assert_eq!(told.cancelled_request().as_ref(), posed.id());
        assert_eq!(questions.answered(&session, posed.id().unwrap()), None);
    }
}
