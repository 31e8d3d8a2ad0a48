//! From host, path and URL parameters to the upstream of a request.
//!
//! A parameter may choose among upstreams that the file lists, never name a host. Where several
//! routes fit, the most specific one serves: one with a host before one without, a fixed segment
//! before a parameter; among equals the first in the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use mcp::expose::Style;
use policy::Curation;
use policy::origin::without_port;

use crate::metrics::Meters;

mod twin;

pub(crate) use twin::{Place, messages_of, split_token};

/// Pairs of a query that are read; what follows them is as if it were not there. Routes and injected
/// headers need a handful, and each pair costs far more memory than the bytes it came in.
const PAIRS: usize = 64;

/// The longest value a path parameter may have, in bytes.
const LONGEST_PARAMETER: usize = 256;

/// One route of the configuration.
pub struct Route {
    /// Its path as written: its name in metrics and records.
    pub path: String,
    host: Option<String>,
    segments: Vec<Segment>,
    choice: Choice,
    /// What legacy sessions are to it.
    pub sessions: SessionRule,
    /// Which doors it has besides that of Streamable HTTP.
    pub doors: Doors,
    /// How its upstreams are shown.
    pub face: Face,
    meters: HashMap<Arc<str>, Meters>,
    unreached: Meters,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Fixed(String),
    Parameter(String),
}

/// Which upstreams a route has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// These; `{server}` in the path or `server` in the query narrows them down.
    Among(Vec<Arc<str>>),
    /// The one that the value of a parameter stands for.
    ByParameter {
        /// The parameter.
        parameter: String,
        /// Its values.
        of: HashMap<String, Arc<str>>,
    },
}

/// How the upstreams of a route are shown there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Face {
    /// What is shown of each and how, by its name; those of which all is shown as it is are not here.
    pub curations: HashMap<Arc<str>, Arc<Curation>>,
    /// How names are made where there are several.
    pub names: Style,
    /// What several are said to be for, in place of what they say themselves.
    pub instructions: Option<Arc<str>>,
    /// Whether a single one is shown as several are: its greeting and its lists from what is known of it, at once.
    pub from_catalog: bool,
}

/// What legacy sessions are to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionRule {
    /// Begun by `initialize`; a request without one is served on its own.
    #[default]
    On,
    /// Begun by `initialize`; a request without one is refused.
    Required,
    /// Never begun.
    Off,
}

/// Which doors a route has besides that of Streamable HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doors {
    /// Whether legacy SSE clients are served.
    pub sse: bool,
}

impl Default for Doors {
    /// All are open.
    fn default() -> Self {
        Self { sse: true }
    }
}

/// Parameters by name.
type Pairs = Vec<(String, String)>;

/// The parameters of a URL: those of the path, then those of the query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    pairs: Pairs,
    of_path: usize,
}

/// All routes, the most specific first.
#[derive(Default)]
pub struct Routes {
    routes: Vec<Arc<Route>>,
}

/// Where a URL leads, for who asks without a request.
pub struct Leads {
    /// Its route.
    pub route: Arc<Route>,
    /// The parameters of the URL: those of the path, then those of the query.
    pub parameters: Vec<(String, String)>,
    /// The upstreams it leads to, in the order of the file; none where the parameters choose nothing.
    pub upstreams: Vec<Arc<str>>,
    /// Whether they are shown as one server of many is, by names and URIs with aliases.
    pub as_many: bool,
}

/// Where a request leads.
pub(crate) enum Found {
    /// To this upstream.
    One(Arc<str>),
    /// To several, which nothing serves together yet.
    Several(Vec<Arc<str>>),
    /// To none that exists.
    Unknown,
}

impl Route {
    /// A route. `upstreams` are the names of all there are.
    ///
    /// # Errors
    /// When the path does not begin with `/`, or a parameter in it has no name or stands twice.
    pub fn new(
        path: &str,
        host: Option<String>,
        choice: Choice,
        sessions: SessionRule,
    ) -> Result<Self, String> {
        let segments = segments_of(path)?;
        let reachable: Vec<Arc<str>> = match &choice {
            Choice::Among(upstreams) => upstreams.clone(),
            Choice::ByParameter { of, .. } => of.values().cloned().collect(),
        };
        let meters = reachable
            .into_iter()
            .map(|upstream| (upstream.clone(), Meters::new(path, Some(&upstream))))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            host: host.map(|host| host.to_ascii_lowercase()),
            segments,
            choice,
            sessions,
            doors: Doors::default(),
            face: Face::default(),
            meters,
            unreached: Meters::new(path, None),
        })
    }

    /// The names of the parameters in its path.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Fixed(_) => None,
        })
    }

    /// The upstreams it may lead to.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.meters.keys().map(|upstream| &**upstream)
    }

    /// Whether it shows what another one shows: the same upstreams, in the same way.
    fn shows_as(&self, other: &Self) -> bool {
        (&self.path, &self.host, &self.choice, &self.face)
            == (&other.path, &other.host, &other.choice, &other.face)
    }

    /// The host it serves, if it serves only one.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The upstream that these parameters choose.
    pub(crate) fn choose(&self, parameters: &Parameters) -> Found {
        match &self.choice {
            Choice::ByParameter { parameter, of } => {
                match parameters.get(parameter).and_then(|value| of.get(value)) {
                    Some(upstream) => Found::One(Arc::clone(upstream)),
                    None => Found::Unknown,
                }
            }
            Choice::Among(upstreams) => match parameters.get("server") {
                None => several(upstreams.clone()),
                Some(names) => {
                    let named: Option<Vec<Arc<str>>> = names
                        .split(',')
                        .map(|name| {
                            upstreams
                                .iter()
                                .find(|upstream| ***upstream == *name.trim())
                                .cloned()
                        })
                        .collect();
                    named.map_or(Found::Unknown, several)
                }
            },
        }
    }

    pub(crate) fn meters(&self, upstream: Option<&str>) -> &Meters {
        upstream
            .and_then(|upstream| self.meters.get(upstream))
            .unwrap_or(&self.unreached)
    }

    fn specificity(&self) -> (bool, usize) {
        let fixed = self
            .segments
            .iter()
            .filter(|segment| matches!(segment, Segment::Fixed(_)))
            .count();
        (self.host.is_some(), fixed)
    }

    fn matches(&self, host: Option<&str>, path: &str) -> Option<Pairs> {
        if let Some(ours) = &self.host
            && !host.is_some_and(|host| host.eq_ignore_ascii_case(ours))
        {
            return None;
        }
        let mut given = segments(path);
        let mut captured = Vec::new();
        for segment in &self.segments {
            let value = given.next()?;
            match segment {
                Segment::Fixed(fixed) if fixed == value => {}
                Segment::Fixed(_) => return None,
                Segment::Parameter(name) => captured.push((name.clone(), decoded(value)?)),
            }
        }
        given.next().is_none().then_some(captured)
    }
}

impl Parameters {
    /// The value of a parameter; that of the path precedes that of the query.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All of them, those of the path first.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// Those of the path.
    pub(crate) fn of_path(&self) -> &[(String, String)] {
        &self.pairs[..self.of_path]
    }
}

impl Routes {
    /// Orders routes by how specific they are.
    pub fn new(mut routes: Vec<Route>) -> Self {
        routes.sort_by_key(|route| std::cmp::Reverse(route.specificity()));
        Self {
            routes: routes.into_iter().map(Arc::new).collect(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().map(|route| &**route)
    }

    /// The one there is, where it is one and has no parameters.
    pub(crate) fn only(&self) -> Option<&Route> {
        match self.routes.as_slice() {
            [route] if route.parameters().next().is_none() => Some(route),
            _ => None,
        }
    }

    /// Whether what is shown at each of them is the same.
    pub fn show_as(&self, other: &Self) -> bool {
        self.routes.len() == other.routes.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(one, other)| one.shows_as(other))
    }

    /// Where this URL leads; none without a route for it.
    pub fn lead(&self, host: Option<&str>, path: &str, query: Option<&str>) -> Option<Leads> {
        let (route, parameters, _) = self.find(host, path, query)?;
        let (upstreams, as_many) = match route.choose(&parameters) {
            Found::One(upstream) => (vec![upstream], route.face.from_catalog),
            Found::Several(upstreams) => (upstreams, true),
            Found::Unknown => (Vec::new(), false),
        };
        Some(Leads {
            route,
            parameters: parameters.pairs,
            upstreams,
            as_many,
        })
    }

    /// The route for a host and a path, the parameters of the URL, and which of the route's addresses
    /// it is.
    pub(crate) fn find(
        &self,
        host: Option<&str>,
        path: &str,
        query: Option<&str>,
    ) -> Option<(Arc<Route>, Parameters, Place)> {
        let host = host.map(without_port);
        let (route, mut pairs, place) = twin::find(self, host, path)?;
        let of_path = pairs.len();
        if let Some(query) = query {
            // The token is ours: no route, header or session may take it for a parameter of the client's.
            let (before, behind) = match place {
                Place::Messages => {
                    split_token(query).map_or((query, ""), |(before, _, behind)| (before, behind))
                }
                Place::Endpoint | Place::Stream => (query, ""),
            };
            let parts = [before, behind].into_iter();
            let read = parts.flat_map(|part| form_urlencoded::parse(part.as_bytes()));
            pairs.extend(
                read.take(PAIRS)
                    .map(|(name, value)| (name.into_owned(), value.into_owned())),
            );
        }
        Some((route, Parameters { pairs, of_path }, place))
    }

    /// The route whose own path this is, and what its parameters are.
    fn at(&self, host: Option<&str>, path: &str) -> Option<(Arc<Route>, Pairs)> {
        self.routes
            .iter()
            .find_map(|route| Some((Arc::clone(route), route.matches(host, path)?)))
    }
}

fn several(mut upstreams: Vec<Arc<str>>) -> Found {
    match upstreams.len() {
        0 => Found::Unknown,
        1 => Found::One(upstreams.remove(0)),
        _ => Found::Several(upstreams),
    }
}

/// The segments of a path; a slash at its end means nothing.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/')
        .filter(move |segment| !(segment.is_empty() && path.is_empty()))
}

fn segments_of(path: &str) -> Result<Vec<Segment>, String> {
    if !path.starts_with('/') {
        return Err(format!("a path begins with `/`; did you mean `/{path}`?"));
    }
    let mut found: Vec<Segment> = Vec::new();
    for segment in segments(path) {
        let segment = match segment.strip_prefix('{').map(|rest| rest.strip_suffix('}')) {
            None if segment.contains(['{', '}']) => {
                return Err(format!(
                    "`{segment}`: a parameter takes a whole segment, as in `/{{name}}/`"
                ));
            }
            None => Segment::Fixed(segment.to_owned()),
            Some(Some(name)) if is_name(name) => Segment::Parameter(name.to_owned()),
            Some(_) => {
                return Err(format!(
                    "`{segment}` is not a parameter; one looks like `{{tenant}}`"
                ));
            }
        };
        if matches!(segment, Segment::Parameter(_)) && found.contains(&segment) {
            return Err("a parameter stands in it twice".into());
        }
        found.push(segment);
    }
    Ok(found)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A segment's text, if it can be the value of a parameter.
fn decoded(segment: &str) -> Option<String> {
    let value: Cow<'_, str> = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
    let usable = !value.is_empty()
        && value.len() <= LONGEST_PARAMETER
        && value != "."
        && value != ".."
        && !value
            .chars()
            .any(|character| character == '/' || character.is_control());
    usable.then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let all: Vec<Arc<str>> = vec!["docs".into(), "crm".into()];
        let of = HashMap::from([("acme".to_owned(), Arc::from("crm"))]);
        let choose = Choice::ByParameter {
            parameter: "tenant".into(),
            of,
        };
        let route = |path: &str, host: Option<&str>, choice| {
            Route::new(path, host.map(str::to_owned), choice, SessionRule::On).unwrap()
        };
        Routes::new(vec![
            route("/mcp", None, Choice::Among(all.clone())),
            route("/mcp/{server}", None, Choice::Among(all.clone())),
            route("/mcp/special", None, Choice::Among(vec!["docs".into()])),
            route("/t/{tenant}/mcp", None, choose),
            route("/", Some("acme.example.com"), Choice::Among(vec!["crm".into()])),
        ])
    }

    fn leads(host: &str, path: &str, query: Option<&str>) -> String {
        let Some((route, parameters, _)) = routes().find(Some(host), path, query) else {
            return "no route".into();
        };
        match route.choose(&parameters) {
            Found::One(upstream) => upstream.to_string(),
            Found::Several(upstreams) => upstreams.join("+"),
            Found::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn a_url_leads_to_its_upstream() {
        for (host, path, query, upstream) in [
            ("h", "/mcp/docs", None, "docs"),
            ("h", "/mcp/docs/", None, "docs"),
            ("h", "/mcp/docs,crm", None, "docs+crm"),
            ("h", "/mcp/d%6Fcs", None, "docs"),
            ("h", "/mcp", Some("server=crm"), "crm"),
            ("h", "/mcp", Some("x=1&server=docs%2Ccrm"), "docs+crm"),
            ("h", "/mcp", None, "docs+crm"),
            ("h", "/mcp/special", None, "docs"),
            ("h", "/mcp/nobody", None, "unknown"),
            ("h", "/mcp", Some("server="), "unknown"),
            ("h", "/t/acme/mcp", None, "crm"),
            ("h", "/t/other/mcp", None, "unknown"),
            ("acme.example.com:7080", "/", None, "crm"),
            ("ACME.example.com", "/", None, "crm"),
            ("h", "/", None, "no route"),
            ("h", "/mcp/a/b", None, "no route"),
            ("h", "/mcp//", None, "no route"),
            ("h", "/mcp/%2e%2e", None, "no route"),
            ("h", "/mcp/a%2fb", None, "no route"),
            ("h", "/mcp/%ff", None, "no route"),
            ("h", "/Mcp", None, "no route"),
        ] {
            assert_eq!(leads(host, path, query), upstream, "{host} {path} {query:?}");
        }
    }

    #[test]
    fn the_path_precedes_the_query() {
        assert_eq!(leads("h", "/mcp/docs", Some("server=crm")), "docs");
    }

    #[test]
    fn a_query_is_read_to_its_64th_pair() {
        let long = |before: usize| format!("{}server=crm", "x=1&".repeat(before));
        assert_eq!(leads("h", "/mcp", Some(&long(63))), "crm");
        assert_eq!(leads("h", "/mcp", Some(&long(64))), "docs+crm");
    }

    #[test]
    fn a_path_that_cannot_be_is_refused_in_words() {
        for path in ["mcp", "/{}", "/{a}/{a}", "/x{a}", "/{a b}"] {
            assert!(segments_of(path).is_err(), "{path}");
        }
    }
}
