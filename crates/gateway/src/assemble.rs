//! From a plan to a data plane: everything that must exist before the first request.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audit::{Log, To};
use config::{KeyRing, Secret};
use policy::Gate;
use prometheus::IntCounter;
use proxy::{Account, Generation, Health, Sessions};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use upstream::kind::Resources;
use upstream::stdio::guard::Guard;
use upstream::{Registry, Upstream};

use crate::document::{Plan, Session};

/// A body must have arrived within this.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A client must take each piece of its answer within this.
const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// What lives as long as the process.
pub(crate) struct House {
    pub(crate) generation: Arc<Generation>,
    pub(crate) metrics: prometheus::Registry,
    /// Who may read the admin pages.
    pub(crate) admin_gate: Gate,
    pub(crate) guard: Arc<Guard>,
}

/// Assembles what a plan means.
///
/// # Errors
/// In one line each: what could not be made, and why.
pub(crate) fn assemble(plan: Plan, runtime: &Handle) -> Result<House, String> {
    let state = &plan.state;
    make_private_directory(state)
        .map_err(|error| format!("state: `{}` cannot be used: {error}", state.display()))?;
    let keys = keys(&plan.session, state)?;
    let calls = plan.calls.unwrap_or_else(|| To::File(state.join("calls.jsonl")));
    let metrics = prometheus::Registry::new();
    let twice = |error: prometheus::Error| format!("metrics: {error}");
    let lost =
        IntCounter::new("causeway_records_lost_total", "Calls that could not be recorded.").map_err(twice)?;
    metrics.register(Box::new(lost.clone())).map_err(twice)?;
    let log = Log::open(&calls, lost)
        .map_err(|error| format!("calls cannot be recorded in `{}`: {error}", state.display()))?;
    let account = Account::new(log, Arc::new(proxy::Metrics::new(&metrics).map_err(twice)?));
    let executable =
        std::env::current_exe().map_err(|error| format!("this executable cannot be found: {error}"))?;
    let guard = Arc::new(Guard::new(executable));
    let limits = mcp::Limits {
        depth: plan.bounds.depth,
        ..mcp::Limits::default()
    };
    let bundle = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    let resources = Resources {
        client: egress::Client::new(state, bundle.as_deref())
            .map_err(|error| format!("root certificates: {error}"))?,
        guard: Arc::clone(&guard),
        runtime: runtime.clone(),
        metrics: Arc::new(upstream::Metrics::new(&metrics).map_err(twice)?),
        answer: plan.bounds.answer,
        limits,
        children: plan.bounds.children,
    };

    let named = plan
        .hosts
        .into_iter()
        .chain(plan.public_url.iter().filter_map(|url| host_of(url)));
    let named = named.chain(
        plan.routes
            .iter()
            .filter_map(|route| route.host().map(str::to_owned)),
    );
    let named: Vec<String> = named.collect();
    let admin_is_loopback = plan
        .admin
        .as_ref()
        .is_some_and(|admin| admin.value.ip().is_loopback());
    let admin_gate = Gate::for_operators(admin_is_loopback, named.iter().cloned());
    let gate = Gate::new(plan.listen.value.ip().is_loopback(), named);
    let mut injections = HashMap::new();
    let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
    for (settings, injection) in plan.upstreams {
        if settings.disabled {
            continue;
        }
        injections.insert(Arc::clone(&settings.name), Arc::new(injection));
        upstreams.push(Arc::new(upstream::kind::build(settings, &resources)));
    }
    let generation = Generation {
        routes: plan.routes,
        upstreams: Registry::new(upstreams),
        injections,
        gate,
        sessions: Sessions::new(keys, plan.session.lifetime),
        bounds: proxy::Bounds {
            body: plan.bounds.body,
            headers: plan.bounds.headers,
            streams: plan.bounds.streams,
            limits,
            body_within: BODY_WITHIN,
            write_within: WRITE_WITHIN,
        },
        public_url: plan.public_url,
        account: Arc::new(account),
        health: Arc::new(Health::default()),
        detached: TaskTracker::new(),
        held: TaskTracker::new(),
    };
    Ok(House {
        generation: Arc::new(generation),
        metrics,
        admin_gate,
        guard,
    })
}

/// The sealing keys: those of the file, or one that is generated once and kept.
fn keys(session: &Session, state: &Path) -> Result<KeyRing, String> {
    let key = match &session.key {
        Some(key) => key.clone(),
        None => kept_key(&state.join("session.key"))?,
    };
    KeyRing::new(&key, session.previous.as_ref())
        .map_err(|weak| format!("session.key: {} bytes are too short to seal with", weak.bytes))
}

fn kept_key(path: &Path) -> Result<Secret, String> {
    let cannot =
        |error: std::io::Error| format!("the session key `{}` cannot be kept: {error}", path.display());
    match fs::read_to_string(path) {
        Ok(text) => Ok(Secret::from(text.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = config::generate_key();
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(cannot)?;
            file.write_all(key.expose().as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(cannot)?;
            Ok(key)
        }
        Err(error) => Err(cannot(error)),
    }
}

fn make_private_directory(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn host_of(url: &str) -> Option<String> {
    Some(egress::Target::parse(url).ok()?.authority().to_owned())
}
