//! One way to the upstream: straight, through nginx, or through the gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use causeway_bench::{Outcome, Program};

use crate::session::Era;
use crate::upstream::PATH;
use crate::{nginx, startup};

pub(crate) struct Door {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// What is spoken there.
    pub(crate) era: Era,
    /// What the tool that echoes is called there.
    pub(crate) tool: &'static str,
    /// Whose CPU and memory count; nobody's on the straight way.
    pub(crate) program: Option<Arc<Program>>,
}

impl Door {
    pub(crate) fn direct(upstream: SocketAddr) -> Self {
        Self {
            name: "direct",
            address: upstream,
            path: PATH,
            era: Era::Legacy,
            tool: "echo",
            program: None,
        }
    }

    pub(crate) fn nginx(
        name: &'static str,
        scratch: &Path,
        upstream: SocketAddr,
        setup: nginx::Setup,
    ) -> Outcome<Self> {
        let directory = scratch.join(name.replace([',', ' '], "-"));
        let (address, program) = nginx::start(&directory, upstream, setup)?;
        Ok(Self {
            name,
            address,
            path: PATH,
            era: Era::Legacy,
            tool: "echo",
            program: Some(Arc::new(program)),
        })
    }

    pub(crate) fn gateway(
        executable: &Path,
        scratch: &Path,
        upstream: SocketAddr,
        path: &str,
    ) -> Outcome<Self> {
        let servers = [(startup::UPSTREAM, format!("http://{upstream}{path}"))];
        let (address, program) = startup::start(executable, &scratch.join("causeway"), &servers)?;
        Ok(Self {
            name: startup::NAME,
            address,
            path: startup::PATH,
            era: Era::Legacy,
            tool: "echo",
            program: Some(Arc::new(program)),
        })
    }

    pub(crate) fn is_gateway(&self) -> bool {
        self.name == startup::NAME
    }
}
