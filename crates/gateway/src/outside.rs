//! How those who vouch for identities are asked: by the gateway's own client, with bounds of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use egress::{Client, Deadlines, Target};
use http::{Request, Response};
use policy::authn::Outside;

/// The longest answer that is read, in bytes: key sets of large providers come near a tenth of it.
const LONGEST: usize = 512 * 1024;

/// All deadlines together; who asks has one of its own around them.
const DEADLINES: Deadlines = Deadlines {
    connect: Duration::from_secs(3),
    silence: Some(Duration::from_secs(10)),
    write: Duration::from_secs(5),
};

/// Addresses that are remembered. The file names those that are asked, so that these are few.
const TARGETS: usize = 256;

/// The way out for what is verified.
pub(crate) struct ByClient {
    client: Arc<Client>,
    targets: Mutex<HashMap<String, Arc<Target>>>,
}

impl ByClient {
    pub(crate) fn new(client: &Arc<Client>) -> Arc<Self> {
        Arc::new(Self {
            client: Arc::clone(client),
            targets: Mutex::default(),
        })
    }

    /// The server behind a URL, whose addresses are asked for once and not for each request.
    fn target(&self, url: &str) -> Result<Arc<Target>, String> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(url) {
            return Ok(Arc::clone(target));
        }
        let target = Arc::new(Target::parse(url)?);
        if targets.len() >= TARGETS {
            targets.clear();
        }
        targets.insert(url.to_owned(), Arc::clone(&target));
        Ok(target)
    }
}

#[async_trait]
impl Outside for ByClient {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let (head, body) = request.into_parts();
        let target = self.target(&head.uri.to_string())?;
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let request = egress::Request {
            repeatable: head.method == http::Method::GET,
            method: head.method,
            target: &target,
            headers: &headers,
            body,
        };
        let mut answer = self
            .client
            .send(request, DEADLINES)
            .await
            .map_err(|error| error.to_string())?;
        let mut response = Response::builder().status(answer.status());
        for name in [
            http::header::CACHE_CONTROL,
            http::header::CONTENT_TYPE,
            http::header::WWW_AUTHENTICATE,
        ] {
            if let Some(value) = answer.header(&name) {
                response = response.header(name, value.clone());
            }
        }
        let body = answer.body(LONGEST).await.map_err(|error| error.to_string())?;
        response.body(body).map_err(|error| error.to_string())
    }
}
