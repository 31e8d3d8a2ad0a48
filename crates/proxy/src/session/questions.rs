//! Questions that servers ask users (sampling, elicitation, roots): each under an id of ours, answered
//! once, and only in the session it was asked in.
//!
//! Two servers may choose the same id, and one server may choose it twice. What a client answers is
//! matched by our id and its session; an answer to nothing finds nothing. A question that was asked on
//! a listening stream outlives it for a while: people think for longer than proxies keep a stream.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mcp::{Id, Message, Method};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::token;

/// Questions of one call, or of one listening stream, that may wait for their answers at once. A
/// server that asks more is refused.
const UNANSWERED: usize = 64;

/// A question whose listening stream has ended may be answered for this long.
const LEFT_FOR: Duration = Duration::from_secs(3600);

/// Such questions of all sessions; beyond it the oldest are given up.
const LEFT: usize = 16_384;

/// Every question that waits for its answer.
#[derive(Default)]
pub(crate) struct Questions {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: u64,
    unanswered: HashMap<u64, Unanswered>,
    /// Those whose stream has ended, with when it did, oldest first. Some may have been answered since.
    left: VecDeque<(Instant, u64)>,
}

struct Unanswered {
    session: token::Id,
    asked: Asked,
    /// Told when it is answered.
    settled: Arc<Notify>,
}

/// What a client answers.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// A question of the server's own, which it calls so.
    ByServer(Id, Option<Method>),
    /// One that a call of ours waits for, under this number.
    ByCall(u64, mpsc::Sender<Answered>),
}

/// What a client answered to a question that a call of ours asked under this number.
pub(crate) type Answered = (u64, Message);

/// For asking the client of one session.
#[derive(Clone)]
pub(crate) struct Asker {
    questions: Arc<Questions>,
    session: token::Id,
}

/// The questions of one call, whose answers nobody waits for when it ends, or of one listening stream,
/// which leaves them to the next one of its session.
pub(crate) struct Asking {
    to: Asker,
    posed: Vec<u64>,
    listens: bool,
    /// Told of each answer.
    settled: Arc<Notify>,
}

impl Questions {
    /// The question that this client answers; each is answered once.
    pub(crate) fn answered(&self, session: &token::Id, answer: &Id) -> Option<Asked> {
        let number = number(answer)?;
        let mut table = self.locked();
        table
            .unanswered
            .get(&number)
            .filter(|open| open.session == *session)?;
        let answered = table.unanswered.remove(&number)?;
        answered.settled.notify_one();
        Some(answered.asked)
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Table {
    /// Leaves questions to whoever listens next.
    fn leave(&mut self, posed: &[u64]) {
        let now = Instant::now();
        let open = posed.iter().filter(|number| self.unanswered.contains_key(number));
        self.left.extend(open.map(|number| (now, *number)));
        while let Some((since, number)) = self.left.front()
            && (self.left.len() > LEFT || now.duration_since(*since) > LEFT_FOR)
        {
            self.unanswered.remove(number);
            self.left.pop_front();
        }
    }

    /// Takes what was left of a session.
    fn resume(&mut self, session: &token::Id) -> Vec<u64> {
        let mut resumed = Vec::new();
        self.left.retain(|(_, number)| match self.unanswered.get(number) {
            Some(open) if open.session == *session => {
                resumed.push(*number);
                false
            }
            Some(_) => true,
            None => false,
        });
        resumed
    }
}

impl Asker {
    pub(crate) fn new(questions: &Arc<Questions>, session: &token::Id) -> Self {
        Self {
            questions: Arc::clone(questions),
            session: session.clone(),
        }
    }

    /// For the questions of one call.
    pub(crate) fn asking(&self) -> Asking {
        Asking {
            to: self.clone(),
            posed: Vec::new(),
            listens: false,
            settled: Arc::default(),
        }
    }

    /// For the questions of one listening stream, and those that earlier ones of its session left.
    pub(crate) fn listening(&self) -> Asking {
        Asking {
            to: self.clone(),
            posed: self.questions.locked().resume(&self.session),
            listens: true,
            settled: Arc::default(),
        }
    }
}

impl Asking {
    /// The question as its client is asked it; `None` when too many wait for their answers already.
    pub(crate) fn pose(&mut self, question: &Message) -> Option<Message> {
        let asked = Asked::ByServer(question.id()?.clone(), question.method().cloned());
        let number = self.number(|_| asked)?;
        Some(question.with_id(&id(number)))
    }

    /// A question of a call of ours, whose answer goes to `answers` under the number returned with it;
    /// `None` when too many wait already.
    pub(crate) fn ask(
        &mut self,
        method: &Method,
        params: Option<&str>,
        answers: &mpsc::Sender<Answered>,
    ) -> Option<(u64, Message)> {
        let number = self.number(|number| Asked::ByCall(number, answers.clone()))?;
        Some((number, Message::request(&id(number), method.as_str(), params)))
    }

    fn number(&mut self, asked: impl FnOnce(u64) -> Asked) -> Option<u64> {
        let mut table = self.to.questions.locked();
        self.posed.retain(|number| table.unanswered.contains_key(number));
        if self.posed.len() >= UNANSWERED {
            return None;
        }
        table.last += 1;
        let number = table.last;
        let open = Unanswered {
            session: self.to.session.clone(),
            asked: asked(number),
            settled: Arc::clone(&self.settled),
        };
        table.unanswered.insert(number, open);
        self.posed.push(number);
        Some(number)
    }

    /// Waits until none of these questions waits for an answer. May be given up and asked again.
    pub(crate) async fn settled(&self) {
        while self.is_open() {
            self.settled.notified().await;
        }
    }

    fn is_open(&self) -> bool {
        let table = self.to.questions.locked();
        self.posed
            .iter()
            .any(|number| table.unanswered.contains_key(number))
    }

    /// A notice of the server that it no longer waits for one of its answers, as its client is to read it.
    pub(crate) fn taken_back(&mut self, notice: &Message) -> Option<Message> {
        let asked = notice.cancelled_request()?;
        let unanswered = &mut self.to.questions.locked().unanswered;
        let number = self
            .posed
            .iter()
            .copied()
            .find(|number| unanswered.get(number).is_some_and(|open| open.asked.is(&asked)))?;
        unanswered.remove(&number);
        Some(notice.with_cancelled_request(&id(number)))
    }

    /// Nobody waits for the answer to the question of this number any more. The id that its client knows it by, if it
    /// was not answered yet.
    pub(crate) fn forget(&mut self, number: u64) -> Option<Id> {
        let unanswered = &mut self.to.questions.locked().unanswered;
        let mine = self.posed.contains(&number);
        mine.then(|| unanswered.remove(&number)).flatten()?;
        Some(id(number))
    }

    /// What the server calls a question that was posed and will not be passed on.
    pub(crate) fn withdraw(&mut self, posed: &Message) -> Option<Id> {
        match self.to.questions.answered(&self.to.session, posed.id()?)? {
            Asked::ByServer(asked, _) => Some(asked),
            Asked::ByCall(..) => None,
        }
    }
}

impl Asked {
    /// Whether it is what the server calls so.
    fn is(&self, id: &Id) -> bool {
        matches!(self, Self::ByServer(asked, _) if asked == id)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.posed.is_empty() {
            return;
        }
        let mut table = self.to.questions.locked();
        if self.listens {
            return table.leave(&self.posed);
        }
        for number in &self.posed {
            table.unanswered.remove(number);
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

    /// What the server calls the question that is answered.
    fn answered(questions: &Questions, session: &token::Id, answer: &Id) -> Option<Id> {
        match questions.answered(session, answer)? {
            Asked::ByServer(asked, _) => Some(asked),
            Asked::ByCall(..) => panic!("no call asked"),
        }
    }

    #[test]
    fn an_answer_finds_its_question_once_and_only_in_its_session() {
        let questions = Arc::new(Questions::default());
        let (ours, theirs) = (token::Id::new(), token::Id::new());
        let mut asking = asking(&questions, &ours);

        let posed = asking.pose(&question(7)).unwrap();
        let answer = posed.id().unwrap();

        assert_ne!(answer, &Id::number(7));
        assert_eq!(answered(&questions, &theirs, answer), None);
        assert_eq!(answered(&questions, &ours, &Id::number(7)), None);
        assert_eq!(answered(&questions, &ours, answer), Some(Id::number(7)));
        assert_eq!(answered(&questions, &ours, answer), None);
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
        assert_eq!(answered(&questions, &one, b.id().unwrap()), None);
    }

    #[test]
    fn what_was_asked_is_forgotten_with_its_call() {
        let questions = Arc::new(Questions::default());
        let session = token::Id::new();
        let mut asking = asking(&questions, &session);
        let posed = asking.pose(&question(1)).unwrap();

        drop(asking);

        assert_eq!(answered(&questions, &session, posed.id().unwrap()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_on_a_stream_outlives_it_for_a_while() {
        let questions = Arc::new(Questions::default());
        let session = token::Id::new();
        let asker = Asker::new(&questions, &session);
        let mut first = asker.listening();
        let (one, other) = (
            first.pose(&question(1)).unwrap(),
            first.pose(&question(2)).unwrap(),
        );
        drop(first);
        assert!(
            Asker::new(&questions, &token::Id::new())
                .listening()
                .posed
                .is_empty()
        );

        // Another stream takes it over, with what the server may say of it.
        let mut second = asker.listening();
        let params = r#"{"requestId":2}"#;
        let notice = Message::notification("notifications/cancelled", Some(params));
        let told = second.taken_back(&notice).unwrap();
        assert_eq!(told.cancelled_request().as_ref(), other.id());
        drop(second);

        assert_eq!(
            answered(&questions, &session, one.id().unwrap()),
            Some(Id::number(1))
        );
        let late = asker.listening().pose(&question(3)).unwrap();
        tokio::time::advance(LEFT_FOR + Duration::from_secs(1)).await;
        drop(asker.listening());
        assert!(
            answered(&questions, &session, late.id().unwrap()).is_some(),
            "taken over before it was too old"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_over_is_forgotten() {
        let questions = Arc::new(Questions::default());
        let ask = |times: usize| {
            let session = token::Id::new();
            let mut asking = Asker::new(&questions, &session).listening();
            for id in 0..times as u64 {
                asking.pose(&question(id)).unwrap();
            }
        };
        for _ in 0..=LEFT / UNANSWERED {
            ask(UNANSWERED);
        }
        assert_eq!(questions.locked().unanswered.len(), LEFT);

        tokio::time::advance(LEFT_FOR + Duration::from_secs(1)).await;
        ask(1);

        assert_eq!(questions.locked().unanswered.len(), 1);
        assert_eq!(questions.locked().left.len(), 1);
    }

    #[test]
    fn a_server_that_asks_without_end_is_refused_and_one_that_is_answered_is_not() {
        let questions = Arc::new(Questions::default());
        let session = token::Id::new();
        let mut asking = asking(&questions, &session);
        for round in 0..1000 {
            let posed = asking.pose(&question(round)).unwrap();
            answered(&questions, &session, posed.id().unwrap()).unwrap();
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
        assert_eq!(answered(&questions, &session, posed.id().unwrap()), None);
    }
}
