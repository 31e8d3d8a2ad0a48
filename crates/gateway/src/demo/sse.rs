//! HTTP+SSE, the transport of 2024-11-05: one stream for all that the server says, POSTs for the client.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{HeaderMap, Response};
use serde_json::Value;
use tokio::sync::mpsc;

use super::era::Era;
use super::message::Fault;
use super::pipe::{Delivery, Pipe, QUEUE};
use super::reply::{self, Body, Owned, Stream};
use super::site::Site;

/// A GET opens the connection; its first event tells where to POST.
pub(super) fn open(site: &Arc<Site>) -> Response<Body> {
    let (incoming, inbox) = mpsc::channel(QUEUE);
    let (outbound, messages) = mpsc::channel(QUEUE);
    let token = site.token();
    doors(site).insert(token.clone(), incoming);
    let endpoint = format!("event: endpoint\ndata: /messages?session={token}\n\n");

    let mut pipe = Pipe::new(site.server.clone(), Era::Legacy, inbox, outbound);
    let mut closing = site.server.closing.subscribe();
    let door = Door {
        site: site.clone(),
        token,
    };
    let task = tokio::spawn(async move {
        let _door = door;
        tokio::select! {
            () = pipe.serve() => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
        pipe.finish().await;
    });
    reply::stream(Stream::new(
        VecDeque::from([Bytes::from(endpoint)]),
        messages,
        Some(Owned(task)),
        site.kill(),
    ))
}

/// A POST is accepted at once; whatever there is to say about it comes by the stream.
pub(super) async fn post(
    site: &Arc<Site>,
    query: Option<&str>,
    headers: HeaderMap,
    body: &Bytes,
) -> Response<Body> {
    let token = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("session=")));
    let Some(token) = token else {
        return reply::plain(
            400,
            "connect with GET /sse first, then POST where its first event says\n",
        );
    };
    let door = doors(site).get(token).cloned();
    let message: Value = match serde_json::from_slice(body) {
        Ok(message) => message,
        Err(error) => return reply::refused(None, Fault::parse(&error)),
    };
    let delivery = Delivery {
        message,
        headers: Some(headers),
    };
    let delivered = match door {
        Some(door) => door.send(delivery).await.is_ok(),
        None => false,
    };
    if delivered {
        reply::plain(202, "Accepted")
    } else {
        reply::plain(404, "this connection is gone\n")
    }
}

/// The way in to a connection, closed when the connection ends.
struct Door {
    site: Arc<Site>,
    token: String,
}

impl Drop for Door {
    fn drop(&mut self) {
        doors(&self.site).remove(&self.token);
    }
}

fn doors(site: &Site) -> MutexGuard<'_, HashMap<String, mpsc::Sender<Delivery>>> {
    site.doors.lock().unwrap_or_else(PoisonError::into_inner)
}
