//! What a server says outside of calls in a session of the gateway's own that may be asked something.
//!
//! One GET stream per session, open from its beginning to its end and opened again when it breaks: many servers let
//! there be only one, and ask there whatever they do not ask on the stream of a call. A question goes to the only call
//! that runs, or is refused (`protocol.md` D-45); a change goes to who follows them; nothing else is kept.

use std::sync::Arc;
use std::time::Duration;

use mcp::Message;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::Server;
use super::hearing::Hearing;
use crate::backoff::Backoff;
use crate::error::Fault;
use crate::metrics::Counted;
use crate::pending::Attribution;
use crate::routing::Routing;
use crate::transport::{Headers, MessageStream as _, Session};
use crate::unclaimed::Reader;

/// A session's first calls wait this long for its stream: what a server asks while there is none reaches nobody.
const AWAITED: Duration = Duration::from_secs(1);

/// A stream that lasted this long is opened again as if it had been the first.
const LASTED: Duration = Duration::from_secs(60);

/// Answers in nobody's name that wait for the one before them.
const ANSWERS: usize = 16;

/// A server that takes longer over one of them has taken it.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// The ear of one session.
pub(super) struct Ear {
    /// Knows the session's running calls, and who follows its changes.
    pub(super) routing: Routing,
    state: watch::Sender<State>,
    /// Told when somebody wants to hear, who shall not wait for a pause to pass.
    wanted: Notify,
    begun: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Opening,
    /// Open, for the so manieth time.
    Open(u64),
    /// To be opened again after a pause.
    Broken(Fault),
    /// The server says nothing outside of calls.
    Quiet,
    /// The session has ended, or was lost.
    Over,
}

/// What became of a session that was heard until there was nothing more to hear.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The server says nothing outside of calls.
    Nothing,
    /// The server has lost the session.
    Lost,
}

/// The changes of a session, read by the newest who wants to.
pub(super) struct Attending {
    reader: Reader,
    state: watch::Receiver<State>,
    /// Which stream it is that they are read from.
    number: u64,
}

impl Ear {
    /// Nothing is open yet.
    pub(super) fn new(server: &Server) -> Self {
        let (name, metrics) = (Arc::clone(&server.name), Arc::clone(&server.metrics));
        Self {
            routing: Routing::new(name, Attribution::OnlyIfAlone, metrics),
            state: watch::Sender::new(State::Opening),
            wanted: Notify::new(),
            begun: Instant::now(),
        }
    }

    /// Hears all that is said, until nothing more can come.
    pub(super) async fn live(&self, server: &Arc<Server>, session: &Session, headers: &Headers) -> Heard {
        let (mut backoff, mut number) = (Backoff::default(), 0);
        loop {
            let opened = Instant::now();
            let fault = match Hearing::open(server, session, headers).await {
                Ok(hearing) => {
                    number += 1;
                    self.state.send_replace(State::Open(number));
                    let _counted = Counted::one(server.session_streams());
                    let wire = (server, session, headers);
                    self.hear(wire, hearing, &mut backoff).await
                }
                Err(error) => error.fault,
            };
            if opened.elapsed() >= LASTED {
                backoff.reset();
            }
            match fault {
                Fault::NotOffered => return Heard::Nothing,
                // What has just begun is not lost: so this server answers who asks for what it does not have.
                Fault::SessionGone if number == 0 => return Heard::Nothing,
                Fault::SessionGone => return Heard::Lost,
                fault => {
                    tracing::debug!(upstream = %server.name, ?fault, "a stream outside of calls ended");
                    self.state.send_replace(State::Broken(fault));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                () = self.wanted.notified() => {}
            }
            self.state.send_replace(State::Opening);
        }
    }

    /// Nothing more is heard: the server says nothing outside of calls, or the session is over.
    pub(super) fn close(&self, heard: Option<&Heard>) {
        self.state.send_replace(match heard {
            Some(Heard::Nothing) => State::Quiet,
            Some(Heard::Lost) | None => State::Over,
        });
    }

    /// Waits until the stream was opened for the first time or could not be, not for long.
    pub(super) async fn opened(&self) {
        let mut state = self.state.subscribe();
        let opened = state.wait_for(|state| *state != State::Opening);
        let _ = tokio::time::timeout_at(self.begun + AWAITED, opened).await;
    }

    /// Reads the changes from now on. One that is not open is opened first; the caller bounds how long.
    ///
    /// # Errors
    /// [`Fault::NotOffered`] when the server says nothing outside of calls, [`Fault::SessionGone`] when the session is
    /// over, and why the stream could not be opened.
    pub(super) async fn attend(&self) -> Result<Attending, Fault> {
        let mut state = self.state.subscribe();
        if matches!(*state.borrow_and_update(), State::Broken(_)) {
            self.wanted.notify_one();
            // It fails only without a sender, and that is in `self`.
            let _ = state.changed().await;
        }
        let reader = self.routing.unclaimed.reader();
        let opened = state.wait_for(|state| *state != State::Opening).await;
        let number = match opened.as_deref() {
            Ok(State::Open(number)) => *number,
            Ok(closed) => return Err(closed.fault()),
            Err(_) => return Err(Fault::SessionGone),
        };
        drop(opened);
        Ok(Attending {
            reader,
            state,
            number,
        })
    }

    /// Hears one stream to its end, and answers in nobody's name what is to be answered so.
    async fn hear(
        &self,
        wire: (&Arc<Server>, &Session, &Headers),
        mut hearing: Hearing,
        backoff: &mut Backoff,
    ) -> Fault {
        let (server, session, headers) = wire;
        let (answers, mut waiting) = mpsc::channel::<Message>(ANSWERS);
        let hearing = async {
            loop {
                match hearing.next().await {
                    Ok(message) => self.routing.take(message),
                    Err(error) => return error.fault,
                }
                .into_iter()
                .for_each(|answer| {
                    if answers.try_send(answer).is_err() {
                        server.metrics.dropped.with_label_values(&[&server.name]).inc();
                    }
                });
                backoff.reset();
            }
        };
        let answering = async {
            while let Some(answer) = waiting.recv().await {
                let posting = async {
                    let posted = server.post(headers, Some(session), answer.bytes().clone(), true);
                    if let Ok(mut response) = posted.await {
                        let _ = response.body(server.bounds.answer).await;
                    }
                };
                // What became of it is told by what the server says next.
                let _ = tokio::time::timeout(TAKEN_WITHIN, posting).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            fault = hearing => fault,
            fault = answering => fault,
        }
    }
}

impl State {
    /// Why nothing is heard.
    fn fault(&self) -> Fault {
        match self {
            Self::Broken(fault) => fault.clone(),
            Self::Quiet => Fault::NotOffered,
            Self::Opening | Self::Open(_) => {
                Fault::Broken("its stream outside of calls was opened again".into())
            }
            Self::Over => Fault::SessionGone,
        }
    }
}

impl Attending {
    /// The next change.
    ///
    /// # Errors
    /// Why there is none to wait for on this stream.
    pub(super) async fn next(&mut self) -> Result<Message, Fault> {
        let open = State::Open(self.number);
        tokio::select! {
            biased;
            Some(message) = self.reader.next() => Ok(message),
            state = self.state.wait_for(|state| *state != open) => {
                Err(state.map_or(Fault::SessionGone, |state| state.fault()))
            }
        }
    }
}
