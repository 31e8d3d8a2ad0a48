//! The ten servers, how they are reached, and what kind of server each is.
use std::path::Path;

use harness::{Cell, Child, Peer};

/// What a server has, whatever it is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Everything,
    /// One of those under `tests/peers`.
    Ours,
    Files,
    Memory,
    Demo,
}

enum Reach {
    Http(String),
    Sse(String),
    /// A child of the gateway, and one of a client that stands directly in front of it.
    Child(Child, Child),
}

/// One of the ten.
pub(super) struct One {
    pub(super) alias: &'static str,
    pub(super) kind: Kind,
    reach: Reach,
}

/// All of them, as long as they shall run.
pub(super) struct Ten {
    pub(super) all: [One; 10],
    _peers: Vec<Peer>,
}

impl Ten {
    /// Starts those that are reached over HTTP. The others work in this directory.
    pub(super) async fn start(home: &Path) -> Self {
        let (everything, over_sse, python_1, python_2, typescript) = tokio::join!(
            Peer::everything(),
            Peer::everything_over_sse(),
            Peer::python_1(),
            Peer::python(),
            Peer::typescript(),
        );
        let one = |alias, kind, reach| One { alias, kind, reach };
        let http = |peer: &Peer| Reach::Http(peer.url().to_owned());
        let child = |child: Child| Reach::Child(child.clone(), child);
        let memory = |of: &str| Child::memory(&home.join(format!("memory-{of}.jsonl")));
        let all = [
            one("every-stdio", Kind::Everything, child(Child::everything())),
            one("every-http", Kind::Everything, http(&everything)),
            one(
                "every-sse",
                Kind::Everything,
                Reach::Sse(over_sse.url().to_owned()),
            ),
            one("py1-sse", Kind::Ours, Reach::Sse(python_1.sse().to_owned())),
            one("py2-http", Kind::Ours, http(&python_2)),
            one("py2-stdio", Kind::Ours, child(Child::python_modern())),
            one("ts2-http", Kind::Ours, http(&typescript)),
            one(
                "files",
                Kind::Files,
                child(Child::filesystem(&super::calls::room(home))),
            ),
            one(
                "memory",
                Kind::Memory,
                Reach::Child(memory("behind"), memory("directly")),
            ),
            one("demo", Kind::Demo, child(Child::demo())),
        ];
        Self {
            all,
            _peers: vec![everything, over_sse, python_1, python_2, typescript],
        }
    }
}

impl One {
    /// What the gateway is told of it.
    pub(super) fn upstream(&self) -> String {
        match &self.reach {
            Reach::Http(url) | Reach::Sse(url) => format!("{{ url: \"{url}\" }}"),
            Reach::Child(behind, _) => behind.upstream(),
        }
    }

    /// How a client reaches it directly.
    pub(super) fn cell(&self) -> Cell {
        match &self.reach {
            Reach::Http(url) | Reach::Sse(url) => Cell {
                url: url.clone(),
                over_sse: matches!(self.reach, Reach::Sse(_)),
                ..Cell::default()
            },
            Reach::Child(_, directly) => Cell {
                child: Some(directly.clone()),
                ..Cell::default()
            },
        }
    }
}
