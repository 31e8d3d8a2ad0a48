//! The catalogs that a gateway keeps in its state directory, for commands that look at a file alone.

use std::sync::Arc;

use config::{Environment as _, KeyRing, ProcessEnvironment, Secret};
use tokio::runtime::Runtime;
use upstream::catalog::Store;
use upstream::kind::Settings;
use upstream::{Catalog, Headers};

use crate::document::Plan;

/// What an earlier run kept.
pub(crate) struct Kept {
    store: Arc<Store>,
    // The store is opened with its handle; it reads nothing by it here.
    _runtime: Runtime,
}

impl Kept {
    /// That of a file; none where no gateway has run by it yet. Nothing is written.
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let state = &plan.fixed.state.value;
        let kept = || ProcessEnvironment.file(&state.join("session.key")).ok();
        let key = plan
            .session
            .key
            .clone()
            .or_else(|| Some(Secret::from(kept()?.trim())))?;
        let keys = KeyRing::new(&key, plan.session.previous.as_ref()).ok()?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
        Some(Self {
            store: Store::open(&state.join("catalogs"), keys.naming(), runtime.handle().clone()),
            _runtime: runtime,
        })
    }

    /// What this upstream showed last to who presented these headers; none where that was not kept.
    pub(crate) fn catalog(&self, settings: &Settings, headers: &Headers) -> Option<Catalog> {
        settings.kept_catalog(&self.store, headers)
    }
}
