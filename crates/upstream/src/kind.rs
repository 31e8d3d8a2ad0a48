//! From a section of the file to an upstream: which keys there are, and which transport they mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::scalar::Wrong;
use config::{Environment, Field, Fields, Located, Secret};
use egress::{Client, Target};
use mcp::{Era, Revision};
use tokio::runtime::Handle;

use crate::by_url::{ByUrl, Way};
use crate::catalog::{Catalog, Store};
use crate::handshake::Knowledge;
use crate::memory::{Memory, Row};
use crate::metrics::Metrics;
use crate::registry::{MAX_CONCURRENCY, Timeouts, Upstream};
use crate::sse::{self, Sse};
use crate::stdio::guard::Guard;
use crate::stdio::{self, Command, Stdio};
use crate::streamable_http::{self, StreamableHttp};
use crate::transport::{Headers, Transport};

/// One upstream as meant. Two that are equal mean the same server reached in the same way, secrets
/// included, so that what is known of one holds for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the file.
    pub name: Arc<str>,
    /// How it is reached.
    pub reach: Reach,
    /// Its revision, when it is not to be asked for.
    pub pinned: Option<Revision>,
    /// How long its calls may take.
    pub timeouts: Timeouts,
    /// Calls it is given at once.
    pub max_concurrency: usize,
    /// When what serves one session or one principal ends if nobody speaks to it: a process, an event stream,
    /// a session of the gateway's own.
    pub idle: Duration,
    /// Whether it is switched off.
    pub disabled: bool,
}

/// How an upstream is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// By its URL, over what is spoken there.
    Url(Target, Spoken),
    /// By starting it.
    Stdio(Command),
}

/// What is spoken at a URL, as far as the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// Streamable HTTP or HTTP+SSE: to be found out.
    Either,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE.
    Sse,
}

/// What the transports need of the process that runs them.
pub struct Resources {
    /// The way out.
    pub client: Arc<Client>,
    /// Ends children that would outlive us.
    pub guard: Arc<Guard>,
    /// Where children and their tasks live.
    pub runtime: Handle,
    /// Where upstreams are counted.
    pub metrics: Arc<Metrics>,
    /// Bytes of an answer, an event or a line.
    pub answer: usize,
    /// Nesting of its JSON.
    pub limits: mcp::Limits,
    /// Processes, and connections to HTTP+SSE servers, that serve one session or principal each, per upstream.
    pub children: usize,
    /// What was learned of upstreams in earlier runs.
    pub memory: Arc<Memory>,
    /// What they have, kept across runs.
    pub catalogs: Arc<Store>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Auto,
    Http,
    Sse,
    Stdio,
}

/// When what serves one session or principal ends if nobody speaks to it, if the file does not say.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// The least that it may say.
const SHORTEST_IDLE: Duration = Duration::from_secs(10);

const SPELLINGS: [(&str, Spelling); 9] = [
    ("auto", Spelling::Auto),
    ("http", Spelling::Http),
    ("sse", Spelling::Sse),
    ("stdio", Spelling::Stdio),
    ("streamable-http", Spelling::Http),
    ("streamable_http", Spelling::Http),
    ("streamableHttp", Spelling::Http),
    ("streamablehttp", Spelling::Http),
    ("http-stream", Spelling::Http),
];

/// Reads the keys of an upstream that say what it is and how it is reached. `this_executable` is
/// what `command: causeway` means.
pub fn check(
    name: &Located<String>,
    fields: &mut Fields<'_>,
    environment: &dyn Environment,
    this_executable: &Path,
) -> Option<Settings> {
    let spelling = fields.either("transport", "type");
    let transport = spelling
        .choice(&SPELLINGS)
        .map_or(Spelling::Auto, Located::into_value);
    let pinned = fields
        .optional("revision")
        .parsed(revision)
        .and_then(Located::into_value);
    let timeouts = timeouts(fields);
    let max_concurrency = fields
        .optional("max_concurrency")
        .number(1..=1_000_000)
        .map_or(MAX_CONCURRENCY, Located::into_value);
    let idle = idle(&fields.optional("idle"));
    let disabled = fields
        .optional("disabled")
        .flag()
        .is_some_and(Located::into_value);
    fields.optional("trusted").flag();

    let url = fields.optional("url");
    let command = fields.optional("command");
    let command_only = [
        fields.optional("args"),
        fields.optional("env"),
        fields.optional("envFile"),
        fields.optional("cwd"),
    ];
    let reach = match (url.is_written(), command.is_written()) {
        (true, true) => {
            command.report(
                "an upstream has either `url` or `command`",
                Some("keep one of them"),
            );
            None
        }
        (false, false) => {
            let text = "neither `url` nor `command` says how it is reached";
            fields.report(text, Some("add `url: https://…` or `command: …`"));
            None
        }
        (true, false) => {
            for key in command_only.iter().filter(|key| key.is_written()) {
                key.report(
                    "this belongs to an upstream with `command`, and this one has `url`",
                    None,
                );
            }
            let spoken = match transport {
                Spelling::Auto => Spoken::Either,
                Spelling::Http => Spoken::StreamableHttp,
                Spelling::Sse => Spoken::Sse,
                Spelling::Stdio => {
                    spelling.report("`stdio` needs `command`, and this upstream has `url`", None);
                    Spoken::Either
                }
            };
            if spoken == Spoken::Sse && pinned.is_some_and(|revision| revision.era() == Era::Modern) {
                spelling.report(
                    "no revision since 2026-07-28 is spoken over `sse`, and this upstream's is pinned to one",
                    Some("leave one of them to be found out"),
                );
            }
            url.resolved_text(environment)
                .filter(|text| without_password(text, &url))
                .and_then(|text| text.checked(url.problems(), |url| Target::parse(url).map_err(Wrong::new)))
                .map(|target| Reach::Url(target.into_value(), spoken))
        }
        (false, true) => {
            if let Some(name) = match transport {
                Spelling::Http => Some("http"),
                Spelling::Sse => Some("sse"),
                Spelling::Auto | Spelling::Stdio => None,
            } {
                spelling.report(
                    format!("`{name}` needs `url`, and this upstream has `command`"),
                    None,
                );
            }
            check_command(&command, &command_only, environment, this_executable).map(Reach::Stdio)
        }
    };
    Some(Settings {
        name: name.value.as_str().into(),
        reach: reach?,
        pinned,
        timeouts,
        max_concurrency,
        idle,
        disabled,
    })
}

fn idle(field: &Field<'_>) -> Duration {
    let after = field.duration().map_or(IDLE, Located::into_value);
    if after < SHORTEST_IDLE {
        field.report(
            "what serves a session would end while its client still thinks",
            Some("10s at the least; its default is 15m"),
        );
    }
    after
}

impl Settings {
    /// What was kept of its catalog, for these headers, when it was reached as it is now.
    pub fn kept_catalog(&self, catalogs: &Arc<Store>, headers: &Headers) -> Option<Catalog> {
        catalogs.place(&self.name, &self.reach.words()).kept(headers)
    }
}

/// Makes the upstream that the settings mean. Nothing is contacted or started yet.
pub fn build(settings: Settings, resources: &Resources) -> Upstream {
    let Settings {
        name,
        reach,
        pinned,
        timeouts,
        max_concurrency,
        idle,
        disabled: _,
    } = settings;
    let words = reach.words();
    let row = resources.memory.row(&name, &words);
    let place = resources.catalogs.place(&name, &words);
    let transport: Box<dyn Transport> = match reach {
        Reach::Url(target, spoken) => by_url(&name, Arc::new(target), spoken, idle, &row, resources),
        Reach::Stdio(command) => {
            let bounds = stdio::Bounds {
                line: resources.answer,
                limits: resources.limits,
                children: resources.children,
                idle,
            };
            Box::new(Stdio::new(
                name.clone(),
                command,
                Arc::clone(&resources.guard),
                resources.runtime.clone(),
                bounds,
                Arc::clone(&resources.metrics),
            ))
        }
    };
    let metrics = Arc::clone(&resources.metrics);
    let upstream = Upstream::new(name, timeouts, transport, pinned, metrics);
    upstream
        .at_once(max_concurrency)
        .knowing(Knowledge::kept_in(pinned, row))
        .cataloguing(place)
}

fn by_url(
    name: &Arc<str>,
    target: Arc<Target>,
    spoken: Spoken,
    idle: Duration,
    row: &Row,
    resources: &Resources,
) -> Box<dyn Transport> {
    let bounds = streamable_http::Bounds {
        answer: resources.answer,
        limits: resources.limits,
        idle,
    };
    let http = StreamableHttp::new(
        Arc::clone(name),
        Arc::clone(&resources.client),
        Arc::clone(&target),
        bounds,
        Arc::clone(&resources.metrics),
    );
    if spoken == Spoken::StreamableHttp {
        return Box::new(http);
    }
    let bounds = sse::Bounds {
        answer: resources.answer,
        limits: resources.limits,
        sessions: resources.children,
        idle,
    };
    let sse = Sse::new(
        Arc::clone(name),
        Arc::clone(&resources.client),
        target,
        resources.runtime.clone(),
        bounds,
        Arc::clone(&resources.metrics),
    );
    if spoken == Spoken::Sse {
        return Box::new(ByUrl::pinned_to_sse(Arc::clone(name), http, sse));
    }
    let remembered =
        row.recall().and_then(
            |remembered| match (remembered.transport.as_str(), remembered.eras.modern) {
                ("sse", _) => Some(Way::Sse),
                ("http", Some(_)) => Some(Way::Modern),
                ("http", None) => Some(Way::Streamable),
                _ => None,
            },
        );
    Box::new(ByUrl::new(Arc::clone(name), http, sse, remembered))
}

impl Reach {
    /// All that says what is reached; what was learned of it holds as long as these words do.
    fn words(&self) -> Vec<String> {
        match self {
            Self::Url(target, spoken) => vec![target.url().to_owned(), format!("{spoken:?}")],
            Self::Stdio(command) => {
                let path = |path: &Path| path.display().to_string();
                let directory = command.directory.as_deref().map_or_else(String::new, path);
                let mut words = vec![path(&command.program), directory];
                words.extend(command.arguments.iter().cloned());
                words
            }
        }
    }
}

/// Refuses a URL with a user or a password in it, without showing it.
fn without_password(url: &Located<String>, field: &Field<'_>) -> bool {
    let authority = url
        .value
        .split_once("://")
        .map_or("", |(_, rest)| rest.split('/').next().unwrap_or(rest));
    let clean = !authority.contains('@');
    if !clean {
        let problem = url.problem("a URL may not carry a user or a password").secret();
        field.problems().add(problem.hint("put them into `headers`"));
    }
    clean
}

fn check_command(
    command: &Field<'_>,
    [arguments, variables, file, directory]: &[Field<'_>; 4],
    environment: &dyn Environment,
    this_executable: &Path,
) -> Option<Command> {
    let program = command.resolved_text(environment)?.into_value();
    let program = if program == "causeway" {
        this_executable.to_path_buf()
    } else {
        PathBuf::from(program)
    };
    let arguments = arguments.list().unwrap_or_default();
    let arguments = arguments
        .iter()
        .filter_map(|field| Some(field.resolved_text(environment)?.into_value()))
        .collect();
    let mut pairs = file_variables(file, environment);
    for (name, value) in variables.entries().unwrap_or_default() {
        if let Some(value) = value.resolved_secret(environment) {
            pairs.push((name.value, value.value));
        }
    }
    let directory = directory
        .resolved_text(environment)
        .map(|directory| PathBuf::from(directory.value));
    Some(Command {
        program,
        arguments,
        environment: pairs,
        directory,
    })
}

/// The variables of an `envFile`: lines of `NAME=value`, comments and `export` left out.
fn file_variables(field: &Field<'_>, environment: &dyn Environment) -> Vec<(String, Secret)> {
    let Some(path) = field.resolved_text(environment) else {
        return Vec::new();
    };
    let text = match environment.file(Path::new(&path.value)) {
        Ok(text) => text,
        Err(error) => {
            field.report(format!("`{}` cannot be read: {error}", path.value), None);
            return Vec::new();
        }
    };
    text.lines()
        .map(|line| line.trim().trim_start_matches("export "))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), Secret::from(unquoted(value.trim()))))
        .collect()
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inside) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inside;
        }
    }
    value
}

fn timeouts(fields: &mut Fields<'_>) -> Timeouts {
    let default = Timeouts::default();
    let silence = fields
        .optional("timeout")
        .duration()
        .map_or(default.silence, Located::into_value);
    let longest = fields.optional("max_timeout");
    let whole = longest
        .duration()
        .map_or(default.whole.max(silence), Located::into_value);
    if whole < silence {
        longest.report(
            "`max_timeout` is shorter than `timeout`",
            Some("progress extends a call from one to the other"),
        );
    }
    if silence < Duration::from_millis(1) {
        fields.report("a `timeout` of nothing lets no call through", None);
    }
    Timeouts { silence, whole }
}

fn revision(text: &str) -> Result<Option<Revision>, Wrong> {
    if text == "auto" {
        return Ok(None);
    }
    let known: Vec<&str> = Revision::ALL
        .iter()
        .map(|revision| revision.as_str())
        .chain(["auto"])
        .collect();
    Revision::parse(text).map(Some).ok_or_else(|| {
        Wrong::new(format!(
            "`{}` is not an MCP revision",
            config::scalar::shown(text)
        ))
        .hint(config::scalar::suggestion(text, &known))
    })
}
