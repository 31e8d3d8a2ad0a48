//! One way to the upstream: straight, through nginx, or through the gateway.

use std::net::SocketAddr;
use std::path::Path;

use crate::program::Program;
use crate::{Outcome, nginx, startup};

pub(crate) struct Door {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// Whose CPU and memory count; nobody's on the straight way.
    pub(crate) program: Option<Program>,
}

impl Door {
    pub(crate) fn direct(upstream: SocketAddr) -> Self {
        Self {
            name: "direct",
            address: upstream,
            path: "/mcp",
            program: None,
        }
    }

    pub(crate) fn nginx(
        name: &'static str,
        scratch: &Path,
        upstream: SocketAddr,
        workers: usize,
        logging: bool,
    ) -> Outcome<Self> {
        let (address, program) = nginx::start(
            &scratch.join(name.replace([',', ' '], "-")),
            upstream,
            workers,
            logging,
        )?;
        Ok(Self {
            name,
            address,
            path: "/mcp",
            program: Some(program),
        })
    }

    pub(crate) fn gateway(executable: &Path, scratch: &Path, upstream: SocketAddr) -> Outcome<Self> {
        let (address, program) = startup::start(executable, &scratch.join("causeway"), upstream)?;
        Ok(Self {
            name: startup::NAME,
            address,
            path: startup::PATH,
            program: Some(program),
        })
    }

    pub(crate) fn is_gateway(&self) -> bool {
        self.name == startup::NAME
    }
}
