//! What an upstream is asked and sent, by a server that answers as it is told.

use super::*;
use crate::transport::{Agreement, Discovery, Pooled};
use crate::transport::{Link, MessageStream, Reply};
use async_trait::async_trait;
use mcp::{Id, Message};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that answers as a test says, one word per question.
#[derive(Default)]
struct Scripted {
    discoveries: Mutex<Vec<Result<Discovery, Fault>>>,
    asked: AtomicUsize,
    answers: Mutex<Vec<Result<&'static str, Fault>>>,
    sent: AtomicUsize,
}

#[derive(Clone)]
struct Script(Arc<Scripted>);

fn name() -> Arc<str> {
    "scripted".into()
}

#[async_trait]
impl Transport for Script {
    async fn discover(&self, _: &Headers) -> Result<Discovery, Error> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        // Long enough for others to come and wait.
        let _ = tokio::spawn(tokio::task::yield_now()).await;
        let next = self.0.discoveries.lock().unwrap().remove(0);
        next.map_err(|fault| fault.of(&name()))
    }
    async fn share(&self, _: &Pooled, _: &Headers) -> Result<Agreement, Error> {
        Ok(Agreement {
            session: Session {
                greeting: None,
                id: None,
                revision: Revision::V2025_06_18,
            },
            result: Message::result_reply(&Id::number(0), r#"{"protocolVersion":"2025-06-18"}"#),
        })
    }
    async fn open(&self, _: &Conversation, _: Arc<Headers>) -> Result<Box<dyn Link>, Error> {
        Ok(Box::new(self.clone()))
    }
    async fn listen(&self, _: &Session, _: Arc<Headers>) -> Result<Box<dyn MessageStream>, Error> {
        Err(Fault::NotOffered.of(&name()))
    }

    async fn end(&self, _: &Session, _: &Headers) {}
    async fn stop(&self) {}
    fn kind(&self) -> &'static str {
        "http"
    }
}

#[async_trait]
impl Link for Script {
    async fn send(&mut self, _: &Message) -> Result<Reply, Error> {
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        match self.0.answers.lock().unwrap().remove(0) {
            Ok(text) => Ok(Reply::one(
                200,
                Message::parse(text.into(), &mcp::Limits::default()).unwrap(),
            )),
            Err(fault) => Err(fault.of(&name())),
        }
    }
    async fn cancel(&mut self, _: &Message, _: &str) {}
}

fn upstream(
    discoveries: Vec<Result<Discovery, Fault>>,
    answers: Vec<Result<&'static str, Fault>>,
) -> (Arc<Upstream>, Arc<Scripted>) {
    let script = Arc::new(Scripted {
        discoveries: Mutex::new(discoveries),
        answers: Mutex::new(answers),
        ..Scripted::default()
    });
    let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap());
    let transport = Box::new(Script(Arc::clone(&script)));
    (
        Arc::new(Upstream::new(
            name(),
            Timeouts::default(),
            transport,
            None,
            metrics,
        )),
        script,
    )
}

fn modern() -> Result<Discovery, Fault> {
    Ok(Discovery::Modern {
        revision: Revision::V2026_07_28,
        also_legacy: false,
    })
}

fn call() -> Message {
    Message::request(&Id::number(1), "tools/call", Some(r#"{"name":"x"}"#))
}

const DONE: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;

#[tokio::test]
async fn an_upstream_is_asked_once_for_all_who_wait() {
    let (upstream, script) = upstream(vec![modern()], vec![]);
    let headers = Headers::default();
    let all = (0..10).map(|_| upstream.learn(&headers));
    let learned = futures_util::future::join_all(all).await;
    assert!(learned.iter().all(|eras| eras.as_ref().unwrap().modern.is_some()));
    assert_eq!(script.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_keeps_nobody_waiting_in_turn() {
    let gone = || Err(Fault::Unreachable("it refuses connections".into()));
    let (upstream, script) = upstream(vec![gone(), modern()], vec![]);
    let headers = Headers::default();
    let learned = futures_util::future::join_all((0..10).map(|_| upstream.learn(&headers))).await;
    assert!(learned.iter().all(Result::is_err));
    assert_eq!(
        script.asked.load(Ordering::Relaxed),
        1,
        "those who waited share what was found"
    );
    assert!(upstream.learn(&headers).await.is_ok(), "and it is not remembered");
}

#[tokio::test]
async fn a_refused_call_is_sent_once_more_after_asking_anew() {
    let refused = Fault::Misjudged("it refuses".into());
    let (upstream, script) = upstream(vec![modern(), modern()], vec![Err(refused), Ok(DONE)]);
    let mut exchange = upstream
        .open(Conversation::Modern, Headers::default())
        .await
        .unwrap();
    assert!(exchange.send(&call()).await.is_ok());
    assert_eq!(script.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_call_that_broke_is_not_sent_again() {
    let broke = Fault::Broken("it closed the connection".into());
    let (upstream, script) = upstream(vec![modern()], vec![Err(broke)]);
    let mut exchange = upstream
        .open(Conversation::Modern, Headers::default())
        .await
        .unwrap();
    assert!(exchange.send(&call()).await.is_err());
    assert_eq!(script.sent.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_became_legacy_says_so_to_the_next_modern_call() {
    let refused = Fault::Misjudged("it refuses".into());
    let (upstream, _) = upstream(vec![modern(), Ok(Discovery::Legacy)], vec![Err(refused)]);
    let mut exchange = upstream
        .open(Conversation::Modern, Headers::default())
        .await
        .unwrap();
    let error = exchange.send(&call()).await.err().unwrap();
    assert_eq!(error.fault, Fault::NotSpoken { wanted: Era::Modern });
}

/// What a client's greeting comes to.
async fn greeted(upstream: &Arc<Upstream>) -> Result<Reply, Error> {
    let opened = upstream.open(Conversation::Greeting, Headers::default()).await;
    opened.unwrap().send(&call()).await
}

fn status(status: u16) -> Fault {
    Fault::Status {
        status,
        retry_after: None,
    }
}

const NO_METHOD: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"what is that?"}}"#;

#[tokio::test]
async fn a_refused_greeting_is_a_reason_to_ask_with_one_of_ours_and_locks_nobody_out() {
    const NOT_SPOKEN: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"not spoken"}}"#;
    const YOUR_FAULT: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"your fault"}}"#;
    for (answer, doubted) in [
        (Err(status(503)), false),
        (Err(Fault::Broken("reset".into())), false),
        (Ok(YOUR_FAULT), false),
        (Ok(NO_METHOD), true),
        (Ok(NOT_SPOKEN), true),
        (Err(status(404)), true),
    ] {
        let words = format!("{answer:?}");
        let both = Ok(Discovery::Modern {
            revision: Revision::V2026_07_28,
            also_legacy: true,
        });
        let (upstream, _) = upstream(vec![both], vec![answer.clone(), answer]);

        let first = greeted(&upstream).await.err().map(|error| error.fault);
        let not_spoken = first == Some(Fault::NotSpoken { wanted: Era::Legacy });
        assert_eq!(not_spoken, doubted, "{words}");
        let known = upstream.eras().unwrap();
        assert_eq!(known.legacy == Legacy::Unasked, doubted, "{words}");

        // It agreed to ours, so the fault is the client's, who is told what the server says.
        upstream.learn_both(&Headers::default()).await.unwrap();
        let second = greeted(&upstream).await.err().map(|error| error.fault);
        assert_ne!(second, Some(Fault::NotSpoken { wanted: Era::Legacy }), "{words}");
        let known = upstream.eras().unwrap();
        assert!(matches!(known.legacy, Legacy::Spoken(_)), "{words}");
    }
}

#[tokio::test]
async fn a_legacy_server_that_refuses_greetings_is_asked_anew_once_in_a_while() {
    let legacy = || Ok(Discovery::Legacy);
    let (upstream, script) = upstream(
        vec![legacy(), Err(status(503)), modern()],
        vec![Err(status(400)), Ok(NO_METHOD), Ok(NO_METHOD)],
    );

    for _ in 0..2 {
        let refused = greeted(&upstream).await;
        assert!(!matches!(
            refused.map_err(|error| error.fault),
            Err(Fault::NotSpoken { .. })
        ));
        assert_eq!(script.asked.load(Ordering::Relaxed), 2);
        assert!(matches!(upstream.eras().unwrap().legacy, Legacy::Spoken(_)));
    }

    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    let refused = greeted(&upstream).await.err().map(|error| error.fault);
    assert_eq!(refused, Some(Fault::NotSpoken { wanted: Era::Legacy }));
    assert!(upstream.eras().unwrap().modern.is_some());
}
