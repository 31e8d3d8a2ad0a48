//! Who holds a stream, and for how long they are believed: a stream outlives the file and the token that opened it,
//! and ends with what they prove.

use std::sync::Arc;
use std::time::SystemTime;

use policy::{Authn, Principal};
use tokio::sync::watch;

/// Who may call just now, for those who came before.
pub struct Bearers(watch::Sender<Option<Arc<Authn>>>);

/// Who holds one stream.
pub(crate) struct Bearer {
    principal: Principal,
    known: watch::Receiver<Option<Arc<Authn>>>,
}

impl Bearers {
    /// These may call now; everybody, where nobody is asked.
    pub fn are(&self, authn: Option<Arc<Authn>>) {
        self.0.send_replace(authn);
    }

    /// This one, from now on.
    pub(crate) fn bearer(&self, principal: &Principal) -> Bearer {
        Bearer {
            principal: principal.clone(),
            known: self.0.subscribe(),
        }
    }
}

impl Default for Bearers {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Bearer {
    /// Waits until what it proved holds no longer: a reload took it back, or its time is over.
    pub(crate) async fn departs(mut self) {
        let expires = self.principal.identity().and_then(|identity| identity.expires);
        let left = expires.map(|expires| expires.duration_since(SystemTime::now()).unwrap_or_default());
        let over = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        let principal = &self.principal;
        let is_refused =
            |authn: &Option<Arc<Authn>>| authn.as_ref().is_some_and(|authn| !authn.still_knows(principal));
        let refused = async {
            // The sender lives as long as the process.
            if self.known.wait_for(is_refused).await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = over => {}
            () = refused => {}
        }
    }
}
