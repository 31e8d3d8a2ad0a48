//! To whom a message of a server belongs, where several calls are answered over one wire
//! (`protocol.md` D-45).

use std::sync::Arc;

use mcp::{Id, Kind, Message, Method};

use crate::metrics::Metrics;
use crate::pending::{Attribution, Delivery, Pending};
use crate::unclaimed::{Unclaimed, is_change, is_of_session};

/// The readers of one wire: those of its calls, and those of what belongs to none.
pub(crate) struct Routing {
    upstream: Arc<str>,
    metrics: Arc<Metrics>,
    attribution: Attribution,
    /// The calls that run.
    pub(crate) pending: Pending,
    /// What is said outside of calls, on a wire that one client has for itself.
    pub(crate) unclaimed: Unclaimed,
}

impl Routing {
    /// Nobody reads yet.
    pub(crate) fn new(upstream: Arc<str>, attribution: Attribution, metrics: Arc<Metrics>) -> Self {
        Self {
            upstream,
            metrics,
            attribution,
            pending: Pending::default(),
            unclaimed: Unclaimed::default(),
        }
    }

    /// Whether several clients speak over the wire, or one that has no session.
    pub(crate) fn is_shared(&self) -> bool {
        match self.attribution {
            Attribution::OnlyIfAlone | Attribution::Unasked => true,
            Attribution::Oldest => false,
        }
    }

    /// Hands a message to whom it belongs, and gives back what is to be answered to the server in their
    /// place: `ping`, and questions that no client is there for.
    pub(crate) fn take(&self, message: Message) -> Vec<Message> {
        match message.kind() {
            Kind::Result | Kind::Error => {
                if self.pending.answer(&message) != Delivery::Delivered {
                    self.metrics
                        .foreign_answers
                        .with_label_values(&[&self.upstream])
                        .inc();
                }
                Vec::new()
            }
            Kind::Notification => self.notification(message),
            Kind::Request => self.question(message),
        }
    }

    /// Leaves a change that was told on a call's own stream to who follows changes; gives back what is none, or is
    /// followed by nobody.
    pub(crate) fn divert(&self, message: Message) -> Option<Message> {
        if !is_change(&message) || !self.unclaimed.is_read() {
            return Some(message);
        }
        // Nothing but changes waits here, so there is nothing to refuse.
        let _ = self.leave(message);
        None
    }

    /// The wire has ended: all who wait learn it.
    pub(crate) fn close(&self) {
        self.pending.close();
        self.unclaimed.close();
    }

    fn notification(&self, message: Message) -> Vec<Message> {
        // On a shared wire it is read by the feed of the server's changes, if there is one.
        if self.is_shared() && is_change(&message) && self.unclaimed.is_read() {
            return self.leave(message);
        }
        let of_a_call = self.is_shared() || message.subscription().is_some() || !is_of_session(&message);
        if !of_a_call {
            return self.leave(message);
        }
        match self.pending.deliver(message.clone(), self.attribution) {
            Delivery::Delivered => Vec::new(),
            Delivery::Unclaimed if !self.is_shared() && may_wait(&message) => self.leave(message),
            Delivery::Unclaimed | Delivery::Overflowed => self.dropped(&message).into_iter().collect(),
        }
    }

    fn question(&self, message: Message) -> Vec<Message> {
        if message.method() == Some(&Method::Ping) {
            let pong = message.id().map(|id| Message::result_reply(id, "{}"));
            return pong.into_iter().collect();
        }
        if self.attribution == Attribution::Unasked {
            return self.dropped(&message).into_iter().collect();
        }
        match self.pending.deliver(message.clone(), self.attribution) {
            Delivery::Delivered => Vec::new(),
            // Only a wire of one client's own may carry a question to that client outside of its calls.
            Delivery::Unclaimed if !self.is_shared() && self.unclaimed.is_read() => self.leave(message),
            Delivery::Unclaimed | Delivery::Overflowed => self.dropped(&message).into_iter().collect(),
        }
    }

    fn leave(&self, message: Message) -> Vec<Message> {
        let gone = self.unclaimed.push(message);
        gone.iter().filter_map(|gone| self.dropped(gone)).collect()
    }

    /// Counts what reaches nobody; a question is refused, or the server would wait for its answer.
    fn dropped(&self, message: &Message) -> Option<Message> {
        self.metrics.dropped.with_label_values(&[&self.upstream]).inc();
        match message.kind() {
            Kind::Request => message.id().map(refusal),
            Kind::Notification | Kind::Result | Kind::Error => None,
        }
    }
}

/// Whether a notification that no running call claims says anything to who listens: progress and the
/// rest of a call are only that call's.
fn may_wait(message: &Message) -> bool {
    message.subscription().is_none() && message.method() != Some(&Method::NotificationsProgress)
}

/// What a server hears to a question that nobody can be asked.
pub(crate) fn refusal(id: &Id) -> Message {
    let code = mcp::code::METHOD_NOT_FOUND;
    Message::error_reply(Some(id), code, "no client is there to answer this", None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn routing(attribution: Attribution) -> Routing {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        Routing::new("scripted".into(), attribution, Arc::new(metrics))
    }

    fn notification(method: &str) -> Message {
        Message::notification(method, None)
    }

    fn question(method: &str) -> Message {
        Message::request(&Id::number(9), method, None)
    }

    fn call() -> Message {
        Message::request(&Id::number(1), "tools/call", Some(r#"{"name":"x"}"#))
    }

    fn refused(answers: &[Message]) -> bool {
        answers.len() == 1 && answers[0].error_code() == Some(mcp::code::METHOD_NOT_FOUND)
    }

    #[test]
    fn what_tells_of_the_session_is_never_a_call_s() {
        let routing = routing(Attribution::Oldest);
        let (mut call, _) = routing.pending.register(&call()).unwrap();
        let mut listener = routing.unclaimed.reader();

        for method in [
            "notifications/tools/list_changed",
            "notifications/resources/updated",
            "notifications/tasks",
        ] {
            assert!(routing.take(notification(method)).is_empty());
            let heard = listener.next().now_or_never().flatten().expect("it is there");
            assert_eq!(heard.method(), Some(&Method::parse(method)));
        }
        assert!(call.next().now_or_never().is_none());

        routing.take(notification("notifications/message"));
        assert!(
            call.next().now_or_never().is_some(),
            "a log is the running call's"
        );
    }

    #[test]
    fn a_question_reaches_the_running_call_then_a_listener_then_nobody() {
        let routing = routing(Attribution::Oldest);
        assert!(refused(&routing.take(question("roots/list"))));

        let mut listener = routing.unclaimed.reader();
        assert!(routing.take(question("roots/list")).is_empty());
        assert!(listener.next().now_or_never().is_some());

        let (mut call, _) = routing.pending.register(&call()).unwrap();
        assert!(routing.take(question("roots/list")).is_empty());
        assert!(call.next().now_or_never().is_some());
        assert!(listener.next().now_or_never().is_none());
    }

    #[test]
    fn on_a_shared_wire_nobody_is_asked_and_nothing_is_kept() {
        let routing = routing(Attribution::Unasked);
        let (mut ours, _) = routing.pending.register(&call()).unwrap();
        let (mut theirs, _) = routing.pending.register(&call()).unwrap();

        assert!(refused(&routing.take(question("sampling/createMessage"))));
        assert!(routing.take(notification("notifications/message")).is_empty());

        assert!(ours.next().now_or_never().is_none());
        assert!(theirs.next().now_or_never().is_none());
        let dropped = routing.metrics.dropped.with_label_values(&["scripted"]).get();
        assert_eq!(dropped, 2);
    }

    #[test]
    fn on_a_principal_s_own_wire_a_question_is_the_only_call_s_or_nobody_s() {
        let routing = routing(Attribution::OnlyIfAlone);
        let (mut first, _) = routing.pending.register(&call()).unwrap();
        assert!(routing.take(question("elicitation/create")).is_empty());
        assert!(first.next().now_or_never().is_some());

        let (mut second, _) = routing.pending.register(&call()).unwrap();
        assert!(refused(&routing.take(question("elicitation/create"))));
        assert!(first.next().now_or_never().is_none());
        assert!(second.next().now_or_never().is_none());

        drop((first, second));
        let _listener = routing.unclaimed.reader();
        assert!(refused(&routing.take(question("roots/list"))), "nobody waits");
    }

    #[test]
    fn where_nobody_can_be_asked_not_even_the_only_call_is() {
        let routing = routing(Attribution::Unasked);
        let (mut only, _) = routing.pending.register(&call()).unwrap();

        assert!(refused(&routing.take(question("sampling/createMessage"))));

        assert!(only.next().now_or_never().is_none());
    }

    #[test]
    fn a_ping_is_answered_here() {
        for attribution in [
            Attribution::OnlyIfAlone,
            Attribution::Unasked,
            Attribution::Oldest,
        ] {
            let answers = routing(attribution).take(question("ping"));
            assert_eq!(answers[0].id(), Some(&Id::number(9)));
            assert_eq!(answers[0].result(), Some(&b"{}"[..]));
        }
    }
}
