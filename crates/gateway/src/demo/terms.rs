//! What a request says about itself since 2026-07-28.

use serde_json::{Value, json};

use super::era::Era;
use super::level::Level;
use super::message::{Fault, Params, Request};
use super::revision::Revision;

pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// What a modern request says about itself.
pub(super) struct Terms {
    pub(super) version: String,
    pub(super) capabilities: Value,
    pub(super) level: Option<Level>,
}

impl Terms {
    /// Reads the `_meta` that 2026-07-28 requires of every request (basic/index §`_meta`).
    pub(super) fn read(era: Era, request: &Request) -> Result<Terms, Fault> {
        let meta = request.params.get("_meta").and_then(Value::as_object);
        let member = |key: &str| meta.and_then(|meta| meta.get(key));

        let Some(version) = member(VERSION) else {
            if request.method == "initialize" {
                return Err(unsupported(era, &request.params));
            }
            return Err(missing(VERSION));
        };
        let version = version.as_str().ok_or_else(|| missing(VERSION))?.to_owned();
        let capabilities = member(CAPABILITIES).filter(|value| value.is_object());
        let capabilities = capabilities.ok_or_else(|| missing(CAPABILITIES))?.clone();
        let level = match member(LOG_LEVEL) {
            None => None,
            Some(name) => Some(Level::parse(name).ok_or_else(|| missing(LOG_LEVEL))?),
        };
        Ok(Terms {
            version,
            capabilities,
            level,
        })
    }

    /// Refuses a version that is not spoken. Over HTTP the headers are compared first.
    pub(super) fn admit(&self, era: Era) -> Result<(), Fault> {
        if Revision::parse(&self.version).is_some_and(|revision| revision.is_modern() && era.speaks(revision))
        {
            return Ok(());
        }
        let data = json!({ "supported": era.revisions().collect::<Vec<_>>(), "requested": self.version });
        Err(Fault::new(-32022, "Unsupported protocol version")
            .data(data)
            .status(400))
    }
}

fn missing(key: &str) -> Fault {
    Fault::invalid_params(format!("Invalid params: _meta needs a valid {key}")).status(400)
}

/// A modern-only server answers a handshake by naming what it speaks: it may be all that a legacy client
/// can show its user (basic/versioning §Backward Compatibility).
fn unsupported(era: Era, params: &Params) -> Fault {
    let supported: Vec<_> = era.revisions().collect();
    let requested = params
        .get("protocolVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let message = format!(
        "Unsupported protocol version: this server has no handshake and speaks only {}",
        supported.join(", ")
    );
    Fault::new(-32022, message)
        .data(json!({ "supported": supported, "requested": requested }))
        .status(400)
}
