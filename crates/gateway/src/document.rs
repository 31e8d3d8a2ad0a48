//! The file's sections, in the order they are read. Each is checked by the crate that it sets; here
//! stands which there are, and what they mean together.

mod routes;
mod tls;
mod resume;
mod cache;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audit::To;
use config::scalar::{self, Wrong};
use config::{Environment, Field, Fields, Located, Problems, Secret, Source, Unidentified, WeakKey};
use mcp::expose::Alias;
use policy::rules::{self, Rules};
use policy::{Curation, Injection, Proxies, Rates, authn, rates};
use proxy::{Caching, Routes, Tls};

/// The whole file as meant.
pub(crate) struct Plan {
    pub(crate) fixed: Fixed,
    pub(crate) public_url: Option<String>,
    pub(crate) hosts: Vec<String>,
    /// Who is believed about where requests come from.
    pub(crate) proxies: Proxies,
    pub(crate) auth: Auth,
    /// How clients' connections begin; in the clear without it.
    pub(crate) tls: Option<Tls>,
    pub(crate) session: Session,
    /// Nothing is kept for clients that come back without it.
    pub(crate) resume: Option<proxy::Resume>,
    pub(crate) upstreams: Vec<(upstream::kind::Settings, Injection)>,
    /// What upstreams are called at endpoints of many.
    pub(crate) aliases: HashMap<Arc<str>, Alias>,
    pub(crate) routes: Routes,
    /// Of which tools results are kept.
    pub(crate) caching: Caching,
    /// What callers may do; everything without it.
    pub(crate) rules: Option<Rules>,
    pub(crate) rates: Rates,
    /// Upstreams whose word about their tools is taken.
    pub(crate) trusted: HashSet<Arc<str>>,
    pub(crate) bounds: Bounds,
    pub(crate) log: Option<String>,
    pub(crate) grace: Duration,
}

/// What holds from the start of the process to its end.
#[derive(Clone)]
pub(crate) struct Fixed {
    pub(crate) listen: Located<SocketAddr>,
    /// Whether clients connect by TLS.
    pub(crate) tls: Located<bool>,
    /// `None` closes it.
    pub(crate) admin: Located<Option<SocketAddr>>,
    /// The state directory.
    pub(crate) state: Located<PathBuf>,
    /// Where calls are recorded; `None` means `calls.jsonl` in the state directory.
    pub(crate) calls: Located<Option<To>>,
}

/// How sessions are sealed.
pub(crate) struct Session {
    /// The key; generated into the state directory if the file gives none.
    pub(crate) key: Option<Secret>,
    pub(crate) previous: Option<Secret>,
    pub(crate) lifetime: Duration,
}

/// What bounds requests and answers.
pub(crate) struct Bounds {
    pub(crate) body: usize,
    pub(crate) answer: usize,
    pub(crate) headers: usize,
    pub(crate) depth: u8,
    pub(crate) streams: usize,
    pub(crate) children: usize,
    pub(crate) arrival: Duration,
    pub(crate) idle: Duration,
    pub(crate) stalled: Duration,
    pub(crate) parked: Duration,
    pub(crate) results: usize,
}

/// Reads the file. What it returns is only good when no mistake was reported.
pub(crate) fn read(source: &Source, problems: &Problems, environment: &dyn Environment) -> Option<Plan> {
    let root = source.parse(problems)?;
    let mut fields = Field::root(&root, problems).fields()?;

    let has_address = fields.optional("public_url").is_written();
    let auth = auth(&fields.optional("auth"), environment, has_address);
    let unidentified = Unidentified(environment);
    let environment = match auth {
        Auth::Known(_) => environment,
        Auth::Unwritten | Auth::None => &unidentified,
    };
    let may_be_public = !matches!(auth, Auth::Unwritten);
    let listen = address(&mut fields, "listen", 7080, may_be_public, environment);
    let admin = admin(&mut fields, may_be_public, environment);
    if let (Some(listen), Some(admin)) = (&listen, &admin) {
        apart(listen, admin, problems);
    }
    let encryption = fields.optional("tls");
    let tls = tls::check(&encryption, environment);
    if let Auth::Known(authn) = &auth
        && authn.asks_for_certificates()
    {
        tls::must_ask_for_certificates(tls.as_ref(), &encryption, &fields.optional("auth"));
    }
    let public_url = fields.optional("public_url").resolved_text(environment);
    let public_url = public_url
        .and_then(|url| url.checked(problems, public_base))
        .map(Located::into_value);
    let hosts = fields
        .optional("hosts")
        .texts()
        .map_or_else(Vec::new, Located::into_value);
    let proxies = Proxies::check(&fields.optional("trusted_proxies"));
    let state = state(&fields.optional("state"), environment);
    let session = session(&fields.optional("session"), environment);
    let resume = resume::check(&fields.optional("resume"));
    let Upstreams {
        upstreams,
        aliases,
        curations,
    } = upstreams(&fields.required("upstreams"), environment);
    // Routes may name what is written; whether that is right is told where it stands.
    let names: Vec<Arc<str>> = upstream_names(&fields.optional("upstreams"));
    let shown = routes::Shown {
        upstreams: &names,
        curations: &curations,
        environment,
    };
    let routes = routes::check(&fields.optional("routes"), &shown);
    let paths: Vec<&str> = routes.iter().map(|route| route.path.as_str()).collect();
    let known: Vec<&str> = names.iter().map(|name| &**name).collect();
    let rules = allow(&fields.optional("allow"), &auth, &known, &paths);
    let rates = rates::Known {
        upstreams: &known,
        routes: &paths,
    };
    let rates = Rates::check(&fields.optional("rates"), &rates);
    let trusted = cache::trusted(&fields.optional("upstreams"));
    let caching = cache::check(&fields.optional("cache"), &fields.optional("upstreams"));
    let bounds = bounds(&fields.optional("bounds"));
    let calls = audit(&fields.optional("audit"));
    let log = telemetry(&fields.optional("telemetry"));
    let grace = fields
        .optional("grace")
        .duration()
        .map_or(Duration::from_secs(20), Located::into_value);
    fields.finish();
    Some(Plan {
        fixed: Fixed {
            listen: listen?,
            tls: here(&encryption, tls.is_some()),
            admin: admin?,
            state,
            calls,
        },
        public_url,
        hosts,
        proxies,
        auth,
        tls,
        session,
        resume,
        upstreams,
        aliases,
        routes,
        caching,
        rules,
        rates,
        trusted,
        bounds,
        log,
        grace,
    })
}

/// Who may call.
pub(crate) enum Auth {
    /// Everybody on this machine.
    Unwritten,
    /// Everybody, in so many words.
    None,
    /// Those whom this recognizes.
    Known(Box<authn::Settings>),
}

fn auth(field: &Field<'_>, environment: &dyn Environment, has_address: bool) -> Auth {
    match field.word() {
        Some("none") => Auth::None,
        _ if field.is_written() => {
            Auth::Known(Box::new(authn::Settings::check(field, environment, has_address)))
        }
        _ => Auth::Unwritten,
    }
}

/// What callers may do.
fn allow(field: &Field<'_>, auth: &Auth, upstreams: &[&str], routes: &[&str]) -> Option<Rules> {
    let (roles, sources) = match auth {
        Auth::Known(settings) => (settings.roles(), settings.sources()),
        Auth::Unwritten | Auth::None => (Some(HashSet::new()), Vec::new()),
    };
    let roles: Option<Vec<&str>> = roles.map(|roles| roles.into_iter().collect());
    let known = rules::Known {
        upstreams,
        routes,
        roles: roles.as_deref(),
        sources: &sources,
    };
    Rules::check(field, &known)
}

fn address(
    fields: &mut Fields<'_>,
    key: &'static str,
    port: u16,
    may_be_public: bool,
    environment: &dyn Environment,
) -> Option<Located<SocketAddr>> {
    let field = fields.optional(key);
    let default = Located {
        value: SocketAddr::from(([127, 0, 0, 1], port)),
        at: field.at(),
        path: key.to_owned(),
    };
    if !field.is_written() {
        return Some(default);
    }
    let address = field
        .resolved_text(environment)?
        .checked(field.problems(), scalar::listen_address)?;
    if !address.value.ip().is_loopback() && !may_be_public {
        let text = format!(
            "`{}` is open to other machines, and nothing asks callers who they are",
            address.value
        );
        field.report(
            text,
            Some("name who may call (`auth`; `causeway key new` makes a key), bind to 127.0.0.1, or write `auth: none`"),
        );
    }
    Some(address)
}

/// Where the operator's pages are.
fn admin(
    fields: &mut Fields<'_>,
    may_be_public: bool,
    environment: &dyn Environment,
) -> Option<Located<Option<SocketAddr>>> {
    let field = fields.optional("admin");
    match field.word() {
        Some("off") => Some(here(&field, None)),
        _ => Some(address(fields, "admin", 7090, may_be_public, environment)?.map(Some)),
    }
}

/// Two listeners cannot share one address; the system's own words for it would blame somebody else.
fn apart(listen: &Located<SocketAddr>, admin: &Located<Option<SocketAddr>>, problems: &Problems) {
    let Some(pages) = admin.value else { return };
    let everywhere = listen.value.ip().is_unspecified() || pages.ip().is_unspecified();
    let same = listen.value.ip() == pages.ip() || everywhere;
    if same && listen.value.port() == pages.port() && pages.port() != 0 {
        let text = format!("`{pages}` is where clients connect (`listen: {}`)", listen.value);
        problems.add(admin.problem(text).hint("give it a port of its own"));
    }
}

fn state(field: &Field<'_>, environment: &dyn Environment) -> Located<PathBuf> {
    field
        .resolved_text(environment)
        .map_or_else(|| here(field, "./state".into()), |path| path.map(PathBuf::from))
}

/// A value that stands where this field does, or would.
fn here<T>(field: &Field<'_>, value: T) -> Located<T> {
    Located {
        value,
        at: field.at(),
        path: field.path().to_owned(),
    }
}

/// The address that clients use, without a slash at its end.
fn public_base(url: &str) -> Result<String, Wrong> {
    egress::Target::parse(url).map_err(Wrong::new)?;
    Ok(url.trim_end_matches('/').to_owned())
}

fn session(field: &Field<'_>, environment: &dyn Environment) -> Session {
    let usual = Session {
        key: None,
        previous: None,
        lifetime: Duration::from_secs(24 * 3600),
    };
    let Some(mut fields) = field.fields() else {
        return usual;
    };
    let key = fields.optional("key").resolved_secret(environment);
    let previous = fields.optional("previous").resolved_secret(environment);
    let lifetime = fields
        .optional("ttl")
        .duration()
        .map_or(usual.lifetime, Located::into_value);
    for key in [&key, &previous].into_iter().flatten() {
        if let Err(WeakKey { .. }) = config::KeyRing::new(&key.value, None) {
            field.problems().add(
                key.problem("this key is too short to seal with")
                    .hint("`openssl rand -base64 32` makes a good one"),
            );
        }
    }
    fields.finish();
    Session {
        key: key.map(Located::into_value),
        previous: previous.map(Located::into_value),
        lifetime,
    }
}

/// The names of all upstreams that are not switched off.
fn upstream_names(field: &Field<'_>) -> Vec<Arc<str>> {
    let entries = field.entries().unwrap_or_default();
    let served = entries.into_iter().filter(|(_, entry)| {
        let disabled = entry
            .fields()
            .map(|mut fields| fields.optional("disabled").node().cloned());
        !matches!(disabled, Some(Some(node)) if node.value == config::Value::Bool(true))
    });
    served.map(|(name, _)| name.value.into()).collect()
}

/// The section `upstreams`.
#[derive(Default)]
struct Upstreams {
    upstreams: Vec<(upstream::kind::Settings, Injection)>,
    aliases: HashMap<Arc<str>, Alias>,
    curations: HashMap<Arc<str>, Arc<Curation>>,
}

fn upstreams(field: &Field<'_>, environment: &dyn Environment) -> Upstreams {
    let this_executable = std::env::current_exe().unwrap_or_else(|_| "causeway".into());
    let mut found = Vec::new();
    let mut written: Vec<(Arc<str>, Option<Alias>)> = Vec::new();
    let mut curations = HashMap::new();
    let Some(entries) = field.entries() else {
        return Upstreams::default();
    };
    if entries.is_empty() {
        field.report(
            "there is no upstream in it",
            Some("add one: `demo: { command: causeway, args: [demo] }`"),
        );
    }
    for (name, field) in entries {
        let named = name
            .clone()
            .checked(field.problems(), scalar::server_name)
            .is_some();
        let Some(mut fields) = field.fields() else {
            continue;
        };
        let alias = fields.optional("alias");
        let called = alias.parsed(an_alias).map(Located::into_value);
        if let Some(called) = &called
            && let Some((other, _)) = written.iter().find(|(_, other)| other.as_ref() == Some(called))
        {
            alias.report(
                format!("`{}` is called so too", scalar::shown(other)),
                Some("each needs another alias; left out, it is made of the name"),
            );
        } else {
            written.push((name.value.as_str().into(), called));
        }
        let settings = upstream::kind::check(&name, &mut fields, environment, &this_executable);
        let headers = fields.optional("headers");
        if headers.is_written() && fields.has("command") {
            headers.report(
                "a process has no headers",
                Some("give it what it needs by `env:`"),
            );
        }
        let injection = Injection::check(&headers, environment);
        let curation = Curation::check(&mut fields, environment);
        if !curation.is_plain() {
            curations.insert(name.value.as_str().into(), Arc::new(curation));
        }
        fields.finish();
        if let Some(settings) = settings.filter(|_| named) {
            found.push((settings, injection));
        }
    }
    let names = written.iter().map(|(name, alias)| (&**name, alias.clone()));
    let aliases = mcp::expose::aliases(names);
    let named = written.iter().map(|(name, _)| Arc::clone(name));
    Upstreams {
        upstreams: found,
        aliases: named.zip(aliases).collect(),
        curations,
    }
}

fn an_alias(text: &str) -> Result<Alias, Wrong> {
    Alias::parse(text).ok_or_else(|| {
        Wrong::new(format!("`{}` cannot be an alias", scalar::shown(text)))
            .hint("a letter, then up to 15 of a-z, 0-9 and -")
    })
}

fn bounds(field: &Field<'_>) -> Bounds {
    let mut bounds = Bounds {
        body: 10 << 20,
        answer: 16 << 20,
        headers: 32 << 10,
        depth: 64,
        streams: 20_000,
        children: 256,
        arrival: Duration::from_secs(30),
        idle: Duration::from_secs(60),
        stalled: Duration::from_secs(30),
        parked: Duration::from_secs(300),
        results: 64 << 20,
    };
    let Some(mut fields) = field.fields() else {
        return bounds;
    };
    let mut size = |key: &'static str, bound: &mut usize| {
        let field = fields.optional(key);
        if let Some(size) = field.size() {
            match usize::try_from(size.value) {
                Ok(size) if (1024..=1 << 30).contains(&size) => *bound = size,
                Ok(_) | Err(_) => field.report("a bound is from 1KiB to 1GiB", None),
            }
        }
    };
    size("body", &mut bounds.body);
    size("answer", &mut bounds.answer);
    size("headers", &mut bounds.headers);
    size("results", &mut bounds.results);
    bounds.depth = fields
        .optional("depth")
        .number(8..=200)
        .map_or(bounds.depth, Located::into_value);
    bounds.streams = fields
        .optional("streams")
        .number(1..=1_000_000)
        .map_or(bounds.streams, Located::into_value);
    bounds.children = fields
        .optional("children")
        .number(1..=100_000)
        .map_or(bounds.children, Located::into_value);
    let mut time = |key: &'static str, bound: &mut Duration| {
        let field = fields.optional(key);
        if let Some(time) = field.duration() {
            match (1..=3600).contains(&time.value.as_secs()) {
                true => *bound = time.value,
                false => field.report("a bound of time is from 1s to 1h", None),
            }
        }
    };
    time("arrival", &mut bounds.arrival);
    time("idle", &mut bounds.idle);
    time("stalled", &mut bounds.stalled);
    time("parked", &mut bounds.parked);
    fields.finish();
    bounds
}

/// Where calls are recorded; `None` means `calls.jsonl` in the state directory.
fn audit(field: &Field<'_>) -> Located<Option<To>> {
    let Some(mut fields) = field.fields() else {
        return here(field, None);
    };
    let written = fields.optional("to");
    let to = here(&written, written.choice(&[("stdout", ())]).map(|_| To::Stdout));
    for key in ["dir", "mode", "arguments", "redact"] {
        let field = fields.optional(key);
        if field.is_written() {
            field.report(
                "the audit log is not available in this version",
                Some("without it, calls are lines in `<state>/calls.jsonl`"),
            );
        }
    }
    fields.finish();
    to
}

fn telemetry(field: &Field<'_>) -> Option<String> {
    let mut fields = field.fields()?;
    let log = fields.optional("log").parsed(|text| {
        if crate::telemetry::is_filter(text) {
            return Ok(text.to_owned());
        }
        let known = ["error", "warn", "info", "debug", "trace", "off"];
        Err(
            Wrong::new(format!("`{}` is not a log level", scalar::shown(text)))
                .hint(scalar::suggestion(text, &known)),
        )
    });
    let otlp = fields.optional("otlp");
    if otlp.is_written() {
        otlp.report("sending traces is not available in this version", None);
    }
    fields.finish();
    log.map(Located::into_value)
}
