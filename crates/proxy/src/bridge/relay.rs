//! Both sides of one era: the server's messages pass, and so do its questions, each under an id of ours.

use std::time::Duration;

use mcp::translate::Between;
use mcp::{Era, Id, Kind, Message, Method, Object};

use super::over;
use super::question::unaskable;
use crate::failure::Failure;
use crate::incoming::Incoming;
use crate::session::Asking;

/// The way back of such a call.
pub(crate) struct Relay {
    between: Between,
    /// What the client asked.
    asked: Method,
    /// Absent when its client cannot be asked anything.
    asking: Option<Asking>,
    /// How long a user may take.
    patience: Duration,
}

impl Relay {
    /// Of a call whose client can be asked something, or cannot; its user may take so long for an answer.
    pub(crate) fn new(between: Between, asked: Method, asking: Option<Asking>, patience: Duration) -> Self {
        Self {
            between,
            asked,
            asking,
            patience,
        }
    }

    /// The next message. A question that its client cannot be asked is refused here.
    pub(super) async fn next(&mut self, incoming: &mut Option<Incoming>) -> Result<Message, Failure> {
        loop {
            let incoming = over(incoming)?;
            let message = self.hear(incoming).await?;
            match (message.kind(), message.method()) {
                (Kind::Result | Kind::Error, _) => return Ok(self.answer(message)),
                (Kind::Request, _) => match self.question(&message) {
                    Asks::Client(posed) => {
                        incoming.deadline().ask(self.patience);
                        return Ok(posed);
                    }
                    Asks::Nobody(refusal) => incoming.say(&refusal).await,
                    Asks::InVain => {}
                },
                (Kind::Notification, Some(Method::NotificationsCancelled)) => {
                    let taken_back = self
                        .asking
                        .as_mut()
                        .and_then(|asking| asking.taken_back(&message));
                    return Ok(taken_back.unwrap_or(message));
                }
                (Kind::Notification, _) if self.between.is_same() => return Ok(message),
                (Kind::Notification, _) => {
                    if let Some(notice) = self.between.notice(&message) {
                        return Ok(notice);
                    }
                }
            }
        }
    }

    /// What the server says next. While its client's user thinks, its silence is not counted.
    async fn hear(&self, incoming: &mut Incoming) -> Result<Message, Failure> {
        if incoming.deadline().is_asking() {
            let settled = async {
                if let Some(asking) = &self.asking {
                    asking.settled().await;
                }
            };
            tokio::select! {
                biased;
                message = incoming.next() => return message,
                () = settled => {}
            }
            incoming.deadline().answered();
        }
        incoming.next().await
    }

    /// The answer as its client is to read it.
    fn answer(&self, message: Message) -> Message {
        if self.asked == Method::ServerDiscover {
            return offering_every_revision(&message).unwrap_or(message);
        }
        match self.between.is_same() {
            true => message,
            false => self.between.answer(&self.asked, &message),
        }
    }

    fn question(&mut self, question: &Message) -> Asks {
        question_for(self.asking.as_mut(), self.between, question)
    }

    pub(super) async fn asks_no_more(&mut self, untold: Option<&Message>, incoming: &mut Option<Incoming>) {
        let Some(mut asking) = self.asking.take() else {
            return;
        };
        let untold = untold.filter(|message| message.kind() == Kind::Request);
        let asked = untold.and_then(|question| Some((asking.withdraw(question)?, question)));
        if let (Some((id, question)), Some(incoming)) = (asked, incoming.as_mut()) {
            incoming.say(&refusal(&id, question.method())).await;
        }
    }
}

/// What becomes of a question of a server.
pub(crate) enum Asks {
    /// Its client is asked it so.
    Client(Message),
    /// Nobody can be asked it, which the server is told so.
    Nobody(Message),
    /// It may not ask in this way, and takes no answer.
    InVain,
}

/// What becomes of a question of a server. One of 2026-07-28 may ask nothing in this way.
pub(crate) fn question_for(asking: Option<&mut Asking>, between: Between, question: &Message) -> Asks {
    let Some(id) = question.id().filter(|_| between.server.era() == Era::Legacy) else {
        return Asks::InVain;
    };
    let posed = asking.and_then(|asking| Some((asking.pose(question)?, asking)));
    let Some((posed, asking)) = posed else {
        return Asks::Nobody(refusal(id, question.method()));
    };
    let (Some(method), false) = (question.method(), between.is_same()) else {
        return Asks::Client(posed);
    };
    let name = posed.id().and_then(Id::as_text).unwrap_or_default();
    match between.question(method, question.params(), &name) {
        Ok(params) => {
            let params = params.as_deref().map(String::from_utf8_lossy);
            let id = posed.id().unwrap_or(id);
            Asks::Client(Message::request(id, method.as_str(), params.as_deref()))
        }
        Err(why) => {
            asking.withdraw(&posed);
            Asks::Nobody(unaskable(id, why))
        }
    }
}

/// What a client answered to a server's question, as the server is to read it.
pub(crate) fn reply(between: Between, asked: Option<&Method>, answer: &Message) -> Message {
    let (Some(asked), Some(result), Some(id), false) =
        (asked, answer.result(), answer.id(), between.is_same())
    else {
        return answer.clone();
    };
    match between.reply(asked, result) {
        Ok(result) => Message::result_reply(id, &String::from_utf8_lossy(&result)),
        Err(why) => Message::error_reply(Some(id), -1, why.as_str(), None),
    }
}

/// What a server hears whose question nobody is there to be asked.
pub(super) fn refusal(id: &Id, method: Option<&Method>) -> Message {
    match method {
        Some(Method::Ping) => Message::result_reply(id, "{}"),
        Some(_) | None => {
            let words = "this client cannot be asked on this call";
            Message::error_reply(Some(id), mcp::code::METHOD_NOT_FOUND, words, None)
        }
    }
}

/// Whatever the server speaks, the gateway speaks every revision for it.
fn offering_every_revision(answer: &Message) -> Option<Message> {
    let result = Object::parse(answer.result()?).ok()?;
    let place = result.place("supportedVersions")?;
    let mut edits = result.edit();
    edits.replace(place, mcp::revision::supported_versions_json());
    Some(Message::result_reply(
        answer.id()?,
        &String::from_utf8_lossy(&edits.apply()),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use mcp::Revision;
    use tokio::sync::mpsc;
    use tokio::time::{Instant, timeout};
    use upstream::{Error, Fault, MessageStream, Timeouts};

    use super::*;
    use crate::deadline::Deadline;
    use crate::session::questions::{Asker, Questions};
    use crate::session::token;

    const SECOND: Duration = Duration::from_secs(1);

    /// A server that says what the test has it say.
    struct Says(mpsc::Receiver<Message>);

    #[async_trait]
    impl MessageStream for Says {
        async fn next(&mut self) -> Result<Message, Error> {
            match self.0.recv().await {
                Some(message) => Ok(message),
                None => std::future::pending().await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_user_who_is_asked_is_not_the_servers() {
        let (questions, session) = (Arc::new(Questions::default()), token::Id::new());
        let between = Between {
            client: Revision::V2025_11_25,
            server: Revision::V2025_11_25,
        };
        let asking = Asker::new(&questions, &session).asking();
        let mut relay = Relay::new(between, Method::ToolsCall, Some(asking), 300 * SECOND);
        let (says, stream) = mpsc::channel(1);
        let timeouts = Timeouts {
            silence: 10 * SECOND,
            whole: 60 * SECOND,
        };
        let deadline = Deadline::begin(&"docs".into(), timeouts);
        let call = Message::request(&Id::number(1), "tools/call", None);
        let mut incoming = Some(Incoming::of(Box::new(Says(stream)), call, deadline));

        let question = Message::request(&Id::text("q"), "roots/list", None);
        says.send(question).await.unwrap();
        let posed = relay.next(&mut incoming).await.unwrap();
        let mut next = Box::pin(relay.next(&mut incoming));
        let thinking = timeout(200 * SECOND, &mut next).await;
        assert!(thinking.is_err(), "its user thinks: {thinking:?}");
        questions.answered(&session, posed.id().unwrap()).unwrap();
        let answered = Instant::now();
        let end = next.await;

        assert_eq!(answered.elapsed(), 10 * SECOND, "from then on its silence counts");
        let Err(Failure::Upstream(error)) = end else {
            panic!("{end:?}");
        };
        assert_eq!(error.fault, Fault::Silent(10 * SECOND));
    }
}
