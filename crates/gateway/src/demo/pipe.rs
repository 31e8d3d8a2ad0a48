//! A connection that carries everything both ways: stdio, and HTTP+SSE.

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::call::{Call, Peer};
use super::calls::Calls;
use super::changes;
use super::era::Era;
use super::message::{Answer, Fault, Message, Request};
use super::revision::Revision;
use super::server::Server;
use super::session::Session;
use super::terms::Terms;
use super::work::{self, Work};

/// How long calls in progress may go on when the connection ends.
const GRACE: Duration = Duration::from_millis(250);

/// How many messages wait in either direction before the sender has to.
pub(super) const QUEUE: usize = 64;

/// A message as it came in, with the headers of the request that brought it, if one did.
pub(super) struct Delivery {
    pub(super) message: Value,
    pub(super) headers: Option<HeaderMap>,
}

/// One connection. Its tasks end with it.
pub(super) struct Pipe {
    server: Arc<Server>,
    era: Era,
    inbox: mpsc::Receiver<Delivery>,
    outbound: mpsc::Sender<Value>,
    session: Arc<Session>,
    /// Calls that stand outside of any session.
    modern: Arc<Calls>,
    running: JoinSet<()>,
}

impl Pipe {
    pub(super) fn new(
        server: Arc<Server>,
        era: Era,
        inbox: mpsc::Receiver<Delivery>,
        outbound: mpsc::Sender<Value>,
    ) -> Pipe {
        Pipe {
            server,
            era,
            inbox,
            outbound,
            // Before the handshake, requests are answered all the same: one line of JSON shows something.
            session: Arc::new(Session::none(Revision::V2511)),
            modern: Arc::default(),
            running: JoinSet::new(),
        }
    }

    /// Receives until the client is gone.
    pub(super) async fn serve(&mut self) {
        loop {
            tokio::select! {
                delivery = self.inbox.recv() => match delivery {
                    Some(delivery) => self.receive(delivery).await,
                    None => return,
                },
                Some(_) = self.running.join_next() => {}
                () = self.outbound.closed() => return,
            }
        }
    }

    /// Gives the calls in progress a moment to be answered.
    pub(super) async fn finish(mut self) {
        let answered = async { while self.running.join_next().await.is_some() {} };
        // What takes longer is aborted when the set is dropped.
        let _ = tokio::time::timeout(GRACE, answered).await;
    }

    async fn receive(&mut self, delivery: Delivery) {
        let Delivery { message, headers } = delivery;
        let messages = match message {
            Value::Array(batch) if self.session.revision == Revision::V2503 && !batch.is_empty() => {
                return self.receive_batch(batch, headers).await;
            }
            Value::Array(_) => Err(Answer::fault(
                None,
                Fault::invalid_request("batches are of 2025-03-26 only"),
            )),
            message => Message::read(message),
        };
        match messages {
            Err(answer) => self.send(answer).await,
            Ok(Message::Request(request)) => match self.era.of(&request, None) {
                Era::Legacy if request.method == "initialize" => self.initialize(request).await,
                Era::Legacy => self.receive_legacy(Message::Request(request), headers),
                Era::Modern | Era::Both => self.receive_modern(request, headers).await,
            },
            Ok(Message::Notification { method, params }) => {
                if let ("notifications/cancelled", Some(id)) = (method.as_str(), params.get("requestId")) {
                    self.modern.cancel(id);
                }
                self.receive_legacy(Message::Notification { method, params }, headers);
            }
            Ok(response @ Message::Response { .. }) => self.receive_legacy(response, headers),
        }
    }

    async fn initialize(&mut self, request: Request) {
        // A second handshake begins anew.
        self.session.end();
        let (session, result) = self.server.initialize(&request.params);
        self.session = session;
        // The answer goes first: a client expects nothing before it.
        self.send(Answer::result(request.id, result)).await;
        self.running.spawn(changes::follow(
            self.server.clone(),
            self.session.clone(),
            self.outbound.clone(),
        ));
    }

    fn receive_legacy(&mut self, message: Message, headers: Option<HeaderMap>) {
        if let Some(work) = work::receive(
            &self.server,
            &self.session,
            message,
            Some(&self.outbound),
            headers,
        ) {
            self.run(work);
        }
    }

    async fn receive_batch(&mut self, batch: Vec<Value>, headers: Option<HeaderMap>) {
        let mut works = Vec::new();
        for message in batch {
            match Message::read(message) {
                Ok(message) => {
                    let (session, headers) = (&self.session, headers.clone());
                    works.extend(work::receive(
                        &self.server,
                        session,
                        message,
                        Some(&self.outbound),
                        headers,
                    ));
                }
                Err(answer) => works.push(Box::pin(std::future::ready(Some(answer)))),
            }
        }
        self.run(Box::pin(work::together(works)));
    }

    async fn receive_modern(&mut self, request: Request, headers: Option<HeaderMap>) {
        let terms = Terms::read(self.era, &request).and_then(|terms| terms.admit(self.era).map(|()| terms));
        match terms {
            Err(fault) => self.send(Answer::fault(Some(request.id), fault)).await,
            Ok(terms) => {
                let (server, outbound) = (self.server.clone(), Some(self.outbound.clone()));
                let call = Call {
                    server,
                    peer: Peer::Modern(terms),
                    request,
                    outbound,
                    headers,
                };
                self.run(work::start(&self.modern, call));
            }
        }
    }

    fn run(&mut self, work: Work) {
        let outbound = self.outbound.clone();
        self.running.spawn(async move {
            if let Some(answer) = work.await {
                let _ = outbound.send(answer.message).await;
            }
        });
    }

    async fn send(&self, answer: Answer) {
        // A closed queue ends `serve` by itself.
        let _ = self.outbound.send(answer.message).await;
    }
}
