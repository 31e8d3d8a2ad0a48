//! Which arguments the tools of an upstream want repeated in headers, as it listed them last
//! (2026-07-28 basic/transports/streamable-http §Custom Headers; `protocol.md` D-23).
//!
//! What is known is the list of tools of the [`Catalog`](crate::Catalog). A tool that was never listed is
//! looked up before its first call: that list alone is read, once for all who wait.

use std::sync::Arc;
use std::time::Duration;

use mcp::header::Parameters;

use crate::error::Error;
use crate::registry::Upstream;
use crate::transport::Headers;

/// A tool that a list did not hold is looked for in another one after this long.
const LISTED_AGAIN: Duration = Duration::from_secs(60);

impl Upstream {
    /// Which arguments of this tool are repeated in headers, as it was last listed to who presents these
    /// credentials; `None` for a tool that is not listed. The list is read first if it holds no such tool
    /// and was not read just now.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub async fn parameters(
        self: &Arc<Self>,
        tool: &str,
        headers: &Headers,
    ) -> Result<Option<Arc<Parameters>>, Error> {
        let entry = self.catalog_entry(headers);
        let known = entry.tools().and_then(|tools| tools.parameters(tool));
        if known.is_some() || entry.tried_tools_within(LISTED_AGAIN) {
            return Ok(known);
        }
        Ok(self.read_tools(&entry).await?.parameters(tool))
    }

    /// The same from the list that was read last, if it holds the tool.
    pub(crate) fn known_parameters(&self, tool: &str, headers: &Headers) -> Option<Arc<Parameters>> {
        self.catalog_entry(headers).tools()?.parameters(tool)
    }

    /// The same from a list that is read now, since what the one before said was found wrong. Whoever calls with
    /// wrong headers could have it read at will: within a minute of such a reading the list is the one of then.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub async fn parameters_anew(
        self: &Arc<Self>,
        tool: &str,
        headers: &Headers,
    ) -> Result<Option<Arc<Parameters>>, Error> {
        let entry = self.catalog_entry(headers);
        if !entry.tools_were_doubted_within(LISTED_AGAIN) {
            entry.doubt_tools();
            self.read_tools(&entry).await?;
        }
        Ok(entry.tools().and_then(|tools| tools.parameters(tool)))
    }
}

#[cfg(test)]
mod tests;
