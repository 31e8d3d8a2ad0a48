//! What a server says in a session outside of any call, for as long as somebody listens.
//!
//! Whoever listens notices nothing of what happens to the stream behind it: it is opened again, and the
//! session begun anew if need be. One thing only is told in the server's place. Where a session was begun
//! anew, the server may have become another, and its client, who cannot see that, would go on with lists
//! that are no more: so it hears of a change of every list whose changes the server says it will tell, and
//! of each resource it has subscribed to. A stream of the same session that was opened again says nothing
//! of its own: the session lived on, and a client that had opened the stream itself would have been told
//! nothing either; yet thousands of them would ask for their lists whenever a platform closes idle streams.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mcp::Message;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::renewal::Renewal;
use crate::transport::{Headers, MessageStream, Session};

/// How often in a row a session is begun anew for who only listens, and hears nothing. After that it is
/// the next call's turn: a platform that ends its instances when they are idle is not kept awake.
const BEGUN_IN_VAIN: u32 = 3;

/// Listens to one session of an upstream. It costs the upstream nothing until it is first asked for a
/// message, and ends with being dropped.
pub struct Listening {
    /// Absent while a message is waited for.
    ear: Option<Box<Ear>>,
    /// Kept when its caller gives up, so that nothing is lost with it.
    hearing: Option<BoxFuture<'static, Heard>>,
}

/// What was heard, and by whom.
type Heard = (Box<Ear>, Result<Message, Error>);

/// The one who listens, and where.
struct Ear {
    upstream: Arc<Upstream>,
    /// As the client knows it.
    session: Session,
    /// As the upstream knows it, once the stream was opened.
    using: Option<Session>,
    headers: Arc<Headers>,
    renewal: Option<Arc<Renewal>>,
    place: Place,
    /// What is told in the server's place.
    queued: VecDeque<Message>,
    backoff: Backoff,
    begun_in_vain: u32,
}

enum Place {
    /// To be opened, not before then.
    Closed(Option<Instant>),
    /// The upstream has lost the session: it is begun anew, not before then.
    Lost(Instant),
    Open(Box<dyn MessageStream>),
    /// Nothing is to be heard, unless the session is begun anew.
    Quiet,
}

impl Listening {
    pub(crate) fn new(upstream: Arc<Upstream>, session: Session, headers: Arc<Headers>) -> Self {
        Self {
            ear: Some(Box::new(Ear {
                renewal: None,
                upstream,
                session,
                using: None,
                headers,
                place: Place::Closed(None),
                queued: VecDeque::new(),
                backoff: Backoff::default(),
                begun_in_vain: 0,
            })),
            hearing: None,
        }
    }

    /// The next notification or question of the server. May be given up and asked again: nothing is lost.
    ///
    /// # Errors
    /// When there is nothing to wait for any more: the upstream was removed, or has lost the session for
    /// good. A server that says nothing outside of calls is waited for as one that is quiet.
    pub async fn next(&mut self) -> Result<Message, Error> {
        if let Some(ear) = self.ear.take() {
            self.hearing = Some(ear.hear().boxed());
        }
        let Some(hearing) = &mut self.hearing else {
            // Only if an earlier poll has panicked.
            return std::future::pending().await;
        };
        let (ear, heard) = hearing.await;
        self.hearing = None;
        self.ear = Some(ear);
        heard
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            self.upstream
                .renewals
                .let_go(&self.session, &self.headers, renewal);
        }
    }
}

impl Ear {
    async fn hear(mut self: Box<Self>) -> Heard {
        if self.renewal.is_none() {
            self.renewal = self.upstream.renewals.of(&self.session, &self.headers);
        }
        let (upstream, renewal) = (Arc::clone(&self.upstream), self.renewal.clone());
        let heard = loop {
            if let Some(message) = self.queued.pop_front() {
                break Ok(message);
            }
            // Enrolled before the look, so that no change is missed between the two.
            let changed = renewal.as_ref().map(|renewal| renewal.changed.notified());
            tokio::pin!(changed);
            if let Some(changed) = changed.as_mut().as_pin_mut() {
                changed.enable();
            }
            if let Err(gone) = self.keep_up() {
                break Err(gone);
            }
            let changed = async {
                match changed.as_mut().as_pin_mut() {
                    Some(changed) => changed.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = upstream.removed() => break Err(Fault::Removed.of(&upstream.name)),
                () = changed => {}
                heard = self.attend() => match heard {
                    Ok(Some(message)) => break Ok(message),
                    Ok(None) => {}
                    Err(error) => break Err(error),
                },
            }
        };
        (self, heard)
    }

    /// Goes over to the session that stands behind the client's by now.
    fn keep_up(&mut self) -> Result<(), Error> {
        let Some(renewal) = &self.renewal else {
            return Ok(());
        };
        if renewal.has_ended() {
            return Err(Fault::SessionGone.of(&self.upstream.name));
        }
        let current = renewal.current(&self.session);
        let Some(using) = &self.using else { return Ok(()) };
        if using.id != current.id {
            let declared = renewal.declared().unwrap_or_default();
            self.queued.extend(declared.changes());
            let subscriptions = renewal.subscriptions();
            let updated = subscriptions.iter().filter_map(|params| updated(params));
            self.queued.extend(updated);
            self.using = Some(current);
            self.place = Place::Closed(None);
        }
        Ok(())
    }

    /// One step towards the next message, or the message.
    async fn attend(&mut self) -> Result<Option<Message>, Error> {
        match &mut self.place {
            Place::Quiet => std::future::pending().await,
            Place::Open(stream) => match stream.next().await {
                Ok(message) => {
                    self.backoff.reset();
                    self.begun_in_vain = 0;
                    return Ok(Some(message));
                }
                Err(error) => self.broke(error),
            },
            Place::Closed(not_before) => {
                if let Some(moment) = not_before {
                    tokio::time::sleep_until(*moment).await;
                }
                // One that was opened before stays until `keep_up`, which tells of the change, goes over.
                let current = || match &self.renewal {
                    Some(renewal) => renewal.current(&self.session),
                    None => self.session.clone(),
                };
                let using = self.using.take().unwrap_or_else(current);
                self.using = Some(using.clone());
                match Box::pin(self.upstream.open_listening(&using, &self.headers)).await {
                    Ok(stream) => self.place = Place::Open(stream),
                    Err(error) => self.broke(error),
                }
            }
            Place::Lost(not_before) => {
                tokio::time::sleep_until(*not_before).await;
                self.begin_anew().await?;
            }
        }
        Ok(None)
    }

    fn broke(&mut self, error: Error) {
        tracing::debug!(upstream = %self.upstream.name, %error, "a stream outside of calls ended");
        self.place = match error.fault {
            Fault::NotOffered => Place::Quiet,
            Fault::SessionGone if self.begun_in_vain >= BEGUN_IN_VAIN => Place::Quiet,
            Fault::SessionGone => Place::Lost(Instant::now() + self.backoff.pause()),
            _ => Place::Closed(Some(Instant::now() + self.backoff.pause())),
        };
    }

    /// The session is begun anew, by us or by whoever else found it lost.
    async fn begin_anew(&mut self) -> Result<(), Error> {
        let gone = || Fault::SessionGone.of(&self.upstream.name);
        let renewal = self.renewal.as_ref().ok_or_else(gone)?;
        let lost = self.using.as_ref().unwrap_or(&self.session);
        let renewed = renewal.renew(&self.upstream, &self.session, lost, &self.headers);
        match Box::pin(renewed).await {
            // What changes with it is noticed by `keep_up`.
            Ok(_) => self.begun_in_vain += 1,
            Err(error) if error.fault == Fault::SessionGone => return Err(error),
            Err(_) => self.place = Place::Lost(Instant::now() + self.backoff.pause()),
        }
        Ok(())
    }
}

/// The notification for a subscription, by the `params` that began it.
fn updated(subscribed: &str) -> Option<Message> {
    let params = mcp::Object::parse(subscribed.as_bytes()).ok()?;
    let uri = std::str::from_utf8(params.get("uri")?).ok()?;
    let params = format!(r#"{{"uri":{uri}}}"#);
    Some(Message::notification(
        "notifications/resources/updated",
        Some(&params),
    ))
}

#[cfg(test)]
mod tests;
