//! Pages for operators, on a listener of their own.

mod status;

use std::sync::Arc;

use prometheus::{Encoder as _, TextEncoder};
use proxy::{Generation, Page};

use crate::introductions::Introductions;
use crate::loading::Loading;

/// The admin pages of a process.
pub(crate) struct Admin {
    pub(crate) current: Arc<arc_swap::ArcSwap<Generation>>,
    pub(crate) metrics: prometheus::Registry,
    pub(crate) knows: Arc<Introductions>,
    pub(crate) loading: Arc<Loading>,
}

const JSON: &str = "application/json";

impl Page for Admin {
    fn get(&self, path: &str) -> Option<(u16, &'static str, Vec<u8>)> {
        let current = self.current.load();
        let health = &current.health;
        match path {
            "/health" | "/healthz" => {
                let version = env!("CARGO_PKG_VERSION");
                let text = format!(
                    r#"{{"status":"healthy","uptime":{},"version":"{version}"}}"#,
                    health.uptime()
                );
                Some((200, JSON, text.into()))
            }
            "/ready" | "/readyz" => {
                let status = if health.is_ready() { 200 } else { 503 };
                let upstreams = status::upstreams(&current, &self.knows, &self.loading);
                let text = serde_json::json!({ "ready": health.is_ready(), "draining": health.is_draining(), "upstreams": upstreams });
                Some((status, JSON, text.to_string().into()))
            }
            "/status" => {
                let text = serde_json::json!({
                    "version": env!("CARGO_PKG_VERSION"),
                    "uptime": health.uptime(),
                    "ready": health.is_ready(),
                    "upstreams": status::upstreams(&current, &self.knows, &self.loading),
                    "malformed": status::malformed(&self.metrics),
                    "configuration": self.loading.shown(),
                    "legacy": status::legacy(&current),
                    "records_lost": current.account.log().lost(),
                });
                Some((200, JSON, text.to_string().into()))
            }
            "/metrics" => {
                let mut text = Vec::new();
                let encoder = TextEncoder::new();
                encoder.encode(&self.metrics.gather(), &mut text).ok()?;
                Some((200, "text/plain; version=0.0.4", text))
            }
            _ => None,
        }
    }
}
