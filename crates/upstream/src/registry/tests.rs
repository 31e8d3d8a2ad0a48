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

#[tokio::test]
async fn only_words_about_the_era_lock_legacy_clients_out() {
    for (answer, locked_out) in [
        (
            Err(Fault::Status {
                status: 503,
                retry_after: None,
            }),
            false,
        ),
        (Err(Fault::Broken("reset".into())), false),
        (
            Ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"your fault"}}"#),
            false,
        ),
        (
            Ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"what is that?"}}"#),
            true,
        ),
        (
            Ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"not spoken"}}"#),
            true,
        ),
        (
            Err(Fault::Status {
                status: 404,
                retry_after: None,
            }),
            true,
        ),
    ] {
        let words = format!("{answer:?}");
        let (upstream, _) = upstream(vec![modern()], vec![answer]);
        let mut exchange = upstream
            .open(Conversation::Greeting, Headers::default())
            .await
            .unwrap();
        let _ = exchange.send(&call()).await;
        let known = upstream.eras().unwrap();
        assert_eq!(known.legacy == Legacy::NotSpoken, locked_out, "{words}");
    }
}
