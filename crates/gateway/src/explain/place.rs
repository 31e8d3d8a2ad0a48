//! Where would be called: a route by its path, as a client uses it or as the file writes it, and the parameters of
//! the URL.

use std::fmt::Write as _;

use config::scalar::{self, suggestion};
use proxy::{Leads, Routes};

use super::Mistake;

/// Where this URL leads. `upstream` is what `{server}` stands for where nothing else is said.
///
/// # Errors
/// When there is no such route, when a parameter of it is missing, or when it leads nowhere.
pub(super) fn find(
    routes: &Routes,
    route: Option<&str>,
    parameters: &[(String, String)],
    upstream: Option<&str>,
) -> Result<Leads, Mistake> {
    let mut written = routes.iter();
    let route = match (route, written.next(), written.next()) {
        (Some(route), ..) => route,
        (None, Some(only), None) => &only.path,
        (None, ..) => "/mcp",
    };
    let (path, query) = route
        .split_once('?')
        .map_or((route, None), |(path, query)| (path, Some(query)));
    let mut left: Vec<&(String, String)> = parameters.iter().collect();
    let mut url = String::new();
    for segment in path.trim_start_matches('/').split('/') {
        url.push('/');
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            url.push_str(segment);
            continue;
        };
        let given = left.iter().position(|(given, _)| given == name);
        let given = given.map(|place| left.remove(place).1.as_str());
        let Some(value) = given.or(upstream.filter(|_| name == "server")) else {
            let words = format!("`{}` is another endpoint for each `{name}`", scalar::shown(path));
            return Err(Mistake::new(words).hint(format!("say which: `--param {name}=…`")));
        };
        encode(&mut url, value);
    }
    let mut search = query.unwrap_or_default().to_owned();
    for (name, value) in left {
        if !search.is_empty() {
            search.push('&');
        }
        encode(&mut search, name);
        search.push('=');
        encode(&mut search, value);
    }
    // A route of a host is found by its path where no other has that.
    let mut same = routes
        .iter()
        .filter(|route| route.path == path)
        .map(|route| route.host());
    let host = match same.next() {
        Some(host) if same.all(|other| other.is_some()) => host,
        Some(_) | None => None,
    };
    let Some(leads) = routes.lead(host, &url, Some(&search)) else {
        let mut paths: Vec<&str> = routes.iter().map(|route| route.path.as_str()).collect();
        paths.dedup();
        return Err(
            Mistake::new(format!("there is no route `{}`", scalar::shown(path)))
                .hint(suggestion(path, &paths)),
        );
    };
    if leads.upstreams.is_empty() {
        let mut upstreams: Vec<&str> = leads.route.upstreams().collect();
        upstreams.sort_unstable();
        let words = format!(
            "`{}` leads to no upstream with these parameters",
            leads.route.path
        );
        return Err(Mistake::new(words).hint(format!("it can lead to {}", upstreams.join(", "))));
    }
    Ok(leads)
}

/// What stands in a path or a query for this text (RFC 3986 §2.1).
fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
}
