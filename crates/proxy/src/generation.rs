//! One assembled configuration: everything a request is served by, swapped whole at a reload. A
//! request keeps the one it began with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use mcp::expose::Alias;
use policy::{Authn, Gate, Injection, Proxies, Rates};
use prometheus::IntGauge;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use upstream::Registry;

use crate::account::Account;
use crate::aggregate::Views;
use crate::bearer::Bearers;
use crate::health::Health;
use crate::idempotency::Promises;
use crate::protected::Protected;
use crate::results::{Caching, Results};
use crate::route::Routes;
use crate::selections::Selections;
use crate::session::Sessions;
use crate::tls::Tls;

/// A head must have arrived within this while descriptors are short: who has nothing to say must not
/// keep one from who has.
const HEAD_WITHIN_WHEN_SHORT: Duration = Duration::from_secs(5);

/// Calls that may run on without their client.
const DETACHED: usize = 4096;

/// One assembled configuration.
pub struct Generation {
    /// From URLs to upstreams.
    pub routes: Routes,
    /// The upstreams.
    pub upstreams: Registry,
    /// Headers injected per upstream, by its name.
    pub injections: HashMap<Arc<str>, Arc<Injection>>,
    /// Who may call; everybody without it.
    pub authn: Option<Arc<Authn>>,
    /// The same, for streams that were opened before.
    pub bearers: Arc<Bearers>,
    /// Where clients get tokens, where an issuer makes such.
    pub protected: Option<Protected>,
    /// What callers may do; everything without it.
    pub selections: Option<Selections>,
    /// How much of it.
    pub rates: Rates,
    /// Upstreams whose word about their tools is taken.
    pub trusted: HashSet<Arc<str>>,
    /// How clients' connections begin; in the clear without it.
    pub tls: Option<Tls>,
    /// Who is believed about where requests come from.
    pub proxies: Proxies,
    /// Which hosts and pages may call.
    pub gate: Gate,
    /// Which hosts and pages may read the operator's pages.
    pub admin_gate: Gate,
    /// Legacy sessions.
    pub sessions: Sessions,
    /// Names of upstreams at endpoints of many, by the names that the file gives them.
    pub aliases: HashMap<Arc<str>, Alias>,
    /// What callers see of such endpoints, for as long as the process lives.
    pub views: Arc<Views>,
    /// Told when a reload shows others of them; the very same where it does not.
    pub endpoints: Arc<CancellationToken>,
    /// Of which tools results are kept …
    pub caching: Caching,
    /// … and where, for as long as the process lives.
    pub results: Arc<Results>,
    /// What became of calls that are made once, for as long as the process lives.
    pub promises: Arc<Promises>,
    /// What bounds a request.
    pub bounds: Bounds,
    /// The address clients use, without a slash at its end, when the file says one.
    pub public_url: Option<String>,
    /// Where exchanges are recorded.
    pub account: Arc<Account>,
    /// Whether new work is taken.
    pub health: Arc<Health>,
    /// Calls that go on without their client, whichever generation they began with.
    pub detached: TaskTracker,
    /// Streams held open for clients, and the calls that are answered on them.
    pub held: TaskTracker,
    /// How long running calls may take when the gateway stops, or their upstream goes.
    pub grace: Duration,
}

/// What bounds a request.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of a body.
    pub body: usize,
    /// Bytes of a head.
    pub headers: usize,
    /// Requests served at once.
    pub streams: usize,
    /// Nesting and count within a body.
    pub limits: mcp::Limits,
    /// A head must have arrived within this, and then its body within this again.
    pub arrival: Duration,
    /// A connection is kept this long without a request on it; whole seconds.
    pub idle: Duration,
    /// A client must take each piece of its answer within this.
    pub stalled: Duration,
    /// A call that waits for its user waits this long.
    pub parked: Duration,
    /// Bytes of all results of tools that are kept.
    pub results: usize,
}

impl Generation {
    /// Whether what the rules say is only told of, and kept to by nobody.
    pub(crate) fn is_dry_run(&self) -> bool {
        let rules = self.selections.as_ref().map(Selections::rules);
        rules.is_some_and(|rules| rules.is_dry_run())
    }

    /// Whether rules may believe what this upstream says of its tools.
    pub(crate) fn trusts(&self, upstream: &str) -> bool {
        self.trusted.contains(upstream)
    }

    /// How long a connection may wait for its first request, head and handshake included.
    pub(crate) fn patience(&self) -> Duration {
        let Bounds { idle, arrival, .. } = self.bounds;
        match self.health.is_short() {
            true => HEAD_WITHIN_WHEN_SHORT.min(idle + arrival),
            false => idle + arrival,
        }
    }

    pub(crate) fn injection(&self, upstream: &str) -> Option<&Arc<Injection>> {
        self.injections.get(upstream)
    }

    /// Lets a call run to its end without its client, up to a bound; beyond it the call is given up,
    /// as it is at the end of the grace of a stop.
    pub(crate) fn detach(self: &Arc<Self>, rest: impl Future<Output = ()> + Send + 'static) {
        if self.detached.len() >= DETACHED {
            return;
        }
        let counted = Detached::count(self.account.metrics().detached.clone());
        let health = Arc::clone(&self.health);
        self.detached.spawn(async move {
            let _counted = counted;
            tokio::select! {
                () = rest => {}
                () = health.is_cut() => {}
            }
        });
    }

    /// Counts a call that goes on without its client in a task of its own; none when as many do as may.
    pub(crate) fn alone(&self) -> Option<Detached> {
        let gauge = &self.account.metrics().detached;
        let few = usize::try_from(gauge.get()).unwrap_or(0) < DETACHED;
        few.then(|| Detached::count(gauge.clone()))
    }
}

/// Counts a call without its client for as long as it runs, however it ends.
pub(crate) struct Detached(IntGauge);

impl Detached {
    fn count(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.dec();
    }
}
