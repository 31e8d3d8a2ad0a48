//! Where a request leads: to one server, or to several at one endpoint.

use std::sync::Arc;

use upstream::Upstream;

use crate::aggregate::Aggregate;

/// What an endpoint of several is called where one server has its name.
pub(crate) const SEVERAL: &str = "*";

/// Where a request leads.
#[derive(Clone)]
pub(crate) enum Destination {
    /// To one server, as it is: names and URIs are its own.
    One(Arc<Upstream>),
    /// To several at one endpoint.
    Many(Arc<Aggregate>),
}

impl Destination {
    /// What sessions are bound to. Those of an endpoint outlive its servers, which come and go.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::One(upstream) => &upstream.name,
            Self::Many(_) => SEVERAL,
        }
    }

    /// The server, where there is only one.
    pub(crate) fn only(&self) -> Option<&Arc<Upstream>> {
        match self {
            Self::One(upstream) => Some(upstream),
            Self::Many(_) => None,
        }
    }

    /// Waits until a reload removes it. An endpoint stays when a server of it goes.
    pub(crate) async fn removed(&self) {
        match self {
            Self::One(upstream) => upstream.removed().await,
            Self::Many(_) => std::future::pending().await,
        }
    }
}
