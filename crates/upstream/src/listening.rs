//! What a server says in a session outside of any call, for as long as somebody listens.

use std::sync::Arc;

use mcp::Message;

use crate::error::{Error, Fault};
use crate::registry::Upstream;
use crate::transport::{Headers, MessageStream, Session};

/// Listens to one session of an upstream. It costs the upstream nothing until it is first asked for a
/// message, and ends with being dropped.
pub struct Listening {
    upstream: Arc<Upstream>,
    session: Session,
    headers: Arc<Headers>,
    stream: Option<Box<dyn MessageStream>>,
}

impl Listening {
    pub(crate) fn new(upstream: Arc<Upstream>, session: Session, headers: Headers) -> Self {
        Self {
            upstream,
            session,
            headers: Arc::new(headers),
            stream: None,
        }
    }

    /// The next notification or question of the server. May be given up and asked again: nothing is lost.
    ///
    /// # Errors
    /// When there is nothing to wait for any more: the upstream was removed, or has lost the session for
    /// good. A server that says nothing outside of calls is waited for as one that is quiet.
    pub async fn next(&mut self) -> Result<Message, Error> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = self.upstream.open_listening(&self.session, &self.headers).await;
                match opened {
                    Err(Error {
                        fault: Fault::NotOffered,
                        ..
                    }) => return std::future::pending().await,
                    opened => self.stream.insert(opened?),
                }
            }
        };
        stream.next().await
    }
}
