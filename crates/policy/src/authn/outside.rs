//! The way out: how those who vouch for tokens are asked.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

/// The gateway's own HTTP client, as what is verified here needs it.
///
/// Whoever implements it checks where the request goes, bounds the answer while it reads it, and follows no redirect:
/// one would take a credential, or our trust, to where the file does not say.
#[async_trait]
pub trait Outside: Send + Sync + 'static {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Why there is none, in words for the operator and without anything secret.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String>;
}
