//! From a plan to a data plane: what lives as long as the process, and what a file puts into practice.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use audit::{Log, To};
use config::{KeyRing, Secret};
use policy::authn::Outside;
use policy::{Authn, Gate};
use prometheus::IntCounter;
use proxy::{Account, Bearers, Generation, Health, Promises, Protected, Results, Selections, Sessions};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use upstream::catalog::Store;
use upstream::kind::Resources;
use upstream::memory::Memory;
use upstream::stdio::guard::Guard;
use upstream::{Registry, Upstream};

use crate::document::{Auth, Fixed, Plan, Session};
use crate::outside::ByClient;

/// What lives as long as the process, whatever the file comes to say.
pub(crate) struct House {
    pub(crate) metrics: prometheus::Registry,
    pub(crate) guard: Arc<Guard>,
    /// What the file said at the start of what cannot change.
    pub(crate) fixed: Fixed,
    account: Arc<Account>,
    health: Arc<Health>,
    detached: TaskTracker,
    held: TaskTracker,
    results: Arc<Results>,
    promises: Arc<Promises>,
    bearers: Arc<Bearers>,
    client: Arc<egress::Client>,
    /// For asking those who vouch for identities.
    outside: Arc<dyn Outside>,
    runtime: Handle,
    counted: Arc<upstream::Metrics>,
    memory: Arc<Memory>,
    /// What upstreams have, since the first plan.
    catalogs: OnceLock<Arc<Store>>,
    /// The key of the state directory, once it was needed.
    kept: OnceLock<Secret>,
}

/// A file put into practice.
pub(crate) struct Standing {
    pub(crate) generation: Arc<Generation>,
    /// What each upstream was made of.
    made_of: HashMap<Arc<str>, Make>,
    /// What keeps the keys of issuers fresh, for as long as the file is in practice.
    _keepers: JoinSet<()>,
}

/// All that an upstream is made of. One that is made of the same is the same, and stays.
#[derive(PartialEq, Eq)]
struct Make {
    settings: upstream::kind::Settings,
    answer: usize,
    limits: mcp::Limits,
    children: usize,
}

impl House {
    /// Opens what lives as long as the process.
    ///
    /// # Errors
    /// In one line each: what could not be made, and why.
    pub(crate) fn open(plan: &Plan, runtime: &Handle) -> Result<Self, String> {
        let state = &plan.fixed.state.value;
        make_private_directory(state)
            .map_err(|error| format!("state: `{}` cannot be used: {error}", state.display()))?;
        let calls = plan.fixed.calls.value.clone();
        let calls = calls.unwrap_or_else(|| To::File(state.join("calls.jsonl")));
        let metrics = prometheus::Registry::new();
        let twice = |error: prometheus::Error| format!("metrics: {error}");
        let lost = IntCounter::new("causeway_records_lost_total", "Calls that could not be recorded.")
            .map_err(twice)?;
        metrics.register(Box::new(lost.clone())).map_err(twice)?;
        let log = Log::open(&calls, lost)
            .map_err(|error| format!("calls cannot be recorded in `{}`: {error}", state.display()))?;
        let account = Account::new(log, Arc::new(proxy::Metrics::new(&metrics).map_err(twice)?));
        let executable =
            std::env::current_exe().map_err(|error| format!("this executable cannot be found: {error}"))?;
        let bundle = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
        let client = egress::Client::new(state, bundle.as_deref())
            .map_err(|error| format!("root certificates: {error}"))?;
        Ok(Self {
            guard: Arc::new(Guard::new(executable)),
            fixed: plan.fixed.clone(),
            results: Results::new(account.metrics()),
            promises: Promises::new(account.metrics()),
            bearers: Arc::default(),
            account: Arc::new(account),
            health: Arc::new(Health::default()),
            detached: TaskTracker::new(),
            held: TaskTracker::new(),
            outside: ByClient::new(&client),
            client,
            runtime: runtime.clone(),
            counted: Arc::new(upstream::Metrics::new(&metrics).map_err(twice)?),
            memory: Memory::open(&state.join("upstreams.json"), runtime.clone()),
            catalogs: OnceLock::new(),
            kept: OnceLock::new(),
            metrics,
        })
    }

    /// Puts a plan into practice. What is of `before` and unchanged stays what it is: upstreams with
    /// their children, sessions and knowledge. Nothing is contacted or started yet, and nothing that
    /// stands is touched.
    ///
    /// # Errors
    /// In one line: what could not be made, and why.
    pub(crate) fn assemble(&self, plan: Plan, before: Option<&Standing>) -> Result<Standing, String> {
        let keys = self.keys(&plan.session)?;
        // Made with the first key: what a rotation makes unfindable is so at the next start.
        let catalogs = self.catalogs.get_or_init(|| {
            let directory = self.fixed.state.value.join("catalogs");
            Store::open(&directory, keys.naming(), self.runtime.clone())
        });
        let sessions = match before {
            Some(before) => before.generation.sessions.succeed(keys, plan.session.lifetime),
            None => {
                let ended = self.fixed.state.value.join("ended-sessions");
                Sessions::new(keys, plan.session.lifetime, Some(ended), self.account.metrics())
            }
        }
        .resumable(plan.resume);
        let (gate, admin_gate) = gates(&plan);
        let limits = mcp::Limits {
            depth: plan.bounds.depth,
            ..mcp::Limits::default()
        };
        let resources = Resources {
            client: Arc::clone(&self.client),
            guard: Arc::clone(&self.guard),
            runtime: self.runtime.clone(),
            metrics: Arc::clone(&self.counted),
            answer: plan.bounds.answer,
            limits,
            children: plan.bounds.children,
            memory: self.memory.clone(),
            catalogs: Arc::clone(catalogs),
        };
        let mut injections = HashMap::new();
        let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
        let mut made_of = HashMap::new();
        for (settings, injection) in plan.upstreams {
            if settings.disabled {
                continue;
            }
            let name = Arc::clone(&settings.name);
            let make = Make {
                settings,
                answer: resources.answer,
                limits,
                children: resources.children,
            };
            let same = before.and_then(|before| before.made_of(&make));
            let build = || Arc::new(upstream::kind::build(make.settings.clone(), &resources));
            upstreams.push(same.unwrap_or_else(build));
            injections.insert(Arc::clone(&name), Arc::new(injection));
            made_of.insert(name, make);
        }
        // Who listens to endpoints of many hears when they become others.
        let (views, endpoints) = match before {
            Some(before) => {
                let former = &before.generation;
                let same = before.made_of == made_of
                    && former.aliases == plan.aliases
                    && former.injections == injections
                    && former.selections.as_ref().map(Selections::rules) == plan.rules.as_ref()
                    && former.routes.show_as(&plan.routes);
                let endpoints = same.then(|| Arc::clone(&former.endpoints));
                (Arc::clone(&former.views), endpoints.unwrap_or_default())
            }
            None => Default::default(),
        };
        let former = before.and_then(|before| before.generation.authn.as_deref());
        let (authn, protected, keepers) = match plan.auth {
            Auth::Known(settings) => {
                let issuers = settings.issuers();
                let base = plan.public_url.clone().filter(|_| !issuers.is_empty());
                let protected = base.map(|base| Protected { base, issuers });
                let authn = Authn::new(*settings, &self.outside, former);
                let keepers = authn.keep(&self.runtime);
                (Some(Arc::new(authn)), protected, keepers)
            }
            Auth::Unwritten | Auth::None => (None, None, JoinSet::new()),
        };
        let generation = Generation {
            aliases: plan.aliases,
            views,
            endpoints,
            routes: plan.routes,
            upstreams: Registry::new(upstreams),
            injections,
            protected,
            authn,
            selections: plan.rules.map(Selections::new),
            rates: match before {
                Some(before) => plan.rates.succeed(&before.generation.rates),
                None => plan.rates,
            },
            trusted: plan.trusted,
            bearers: Arc::clone(&self.bearers),
            tls: plan.tls,
            proxies: plan.proxies,
            gate,
            admin_gate,
            sessions,
            caching: plan.caching,
            results: Arc::clone(&self.results),
            promises: Arc::clone(&self.promises),
            bounds: proxy::Bounds {
                body: plan.bounds.body,
                headers: plan.bounds.headers,
                streams: plan.bounds.streams,
                limits,
                arrival: plan.bounds.arrival,
                idle: plan.bounds.idle,
                stalled: plan.bounds.stalled,
                parked: plan.bounds.parked,
                results: plan.bounds.results,
            },
            public_url: plan.public_url,
            account: Arc::clone(&self.account),
            health: Arc::clone(&self.health),
            detached: self.detached.clone(),
            held: self.held.clone(),
            grace: plan.grace,
        };
        Ok(Standing {
            generation: Arc::new(generation),
            made_of,
            _keepers: keepers,
        })
    }

    /// Forgets what was counted for routes and upstreams that this generation has not.
    pub(crate) fn forget_others(&self, current: &Generation) {
        let reached: HashSet<(&str, &str)> = current
            .routes
            .iter()
            .flat_map(|route| {
                let upstreams = route.upstreams().chain(["none"]);
                upstreams.map(|upstream| (route.path.as_str(), upstream))
            })
            .collect();
        let stays = |route: &str, upstream: &str| reached.contains(&(route, upstream));
        self.account.metrics().retain(stays);
    }

    /// Forgets what was counted for an upstream that is no more.
    pub(crate) fn forget_upstream(&self, name: &str) {
        self.counted.forget(name);
    }

    /// The sealing keys: those of the file, or one that is generated once and kept.
    fn keys(&self, session: &Session) -> Result<KeyRing, String> {
        let key = match (&session.key, self.kept.get()) {
            (Some(key), _) => key.clone(),
            (None, Some(kept)) => kept.clone(),
            (None, None) => {
                let key = kept_key(&self.fixed.state.value.join("session.key"))?;
                self.kept.get_or_init(|| key).clone()
            }
        };
        KeyRing::new(&key, session.previous.as_ref())
            .map_err(|weak| format!("session.key: {} bytes are too short to seal with", weak.bytes))
    }
}

impl Standing {
    /// The upstream of this name, if it is made of just this.
    fn made_of(&self, make: &Make) -> Option<Arc<Upstream>> {
        let name = &make.settings.name;
        let same = self.made_of.get(name) == Some(make);
        same.then(|| self.generation.upstreams.get(name).cloned())
            .flatten()
    }
}

/// Who may call, and who may read the operator's pages.
fn gates(plan: &Plan) -> (Gate, Gate) {
    let of_url = plan.public_url.iter().filter_map(|url| host_of(url));
    let of_routes = plan
        .routes
        .iter()
        .filter_map(|route| route.host().map(str::to_owned));
    let named: Vec<String> = plan
        .hosts
        .iter()
        .cloned()
        .chain(of_url)
        .chain(of_routes)
        .collect();
    let admin = plan.fixed.admin.value;
    let admin_is_loopback = admin.is_some_and(|admin| admin.ip().is_loopback());
    let admin_gate = Gate::for_operators(admin_is_loopback, named.iter().cloned());
    (
        Gate::new(plan.fixed.listen.value.ip().is_loopback(), named),
        admin_gate,
    )
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
