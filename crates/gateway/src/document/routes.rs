//! `routes`: which path leads to which upstreams.

use std::collections::HashMap;
use std::sync::Arc;

use config::{Field, Fields, Located, scalar};
use proxy::{Choice, Doors, Route, Routes, SessionRule};

/// Answered on every listener before any route is looked for.
const HEALTH: [&str; 2] = ["/health", "/ready"];

/// The routes of a file; without the section, `/mcp` and `/mcp/{server}`.
pub(super) fn check(field: &Field<'_>, upstreams: &[Arc<str>]) -> Routes {
    let Some(items) = field.list() else {
        let all = |path| Route::new(path, None, Choice::Among(upstreams.to_vec()), SessionRule::On);
        return Routes::new(
            ["/mcp", "/mcp/{server}"]
                .into_iter()
                .filter_map(|path| all(path).ok())
                .collect(),
        );
    };
    if items.is_empty() {
        field.report(
            "there is no route in it, so nothing could be called",
            Some("leave `routes` out for `/mcp` and `/mcp/{server}`"),
        );
    }
    let mut seen: HashMap<(Option<String>, String), u32> = HashMap::new();
    let mut routes = Vec::new();
    for item in &items {
        let Some(mut fields) = item.fields() else { continue };
        let Some(route) = route(&mut fields, upstreams) else {
            fields.finish();
            continue;
        };
        fields.finish();
        let key = (route.host().map(str::to_owned), route.path.clone());
        if let Some(line) = seen.insert(key, item.at().line) {
            item.report(
                format!("this route is written twice, first on line {line}"),
                Some("keep one of them"),
            );
        }
        routes.push(route);
    }
    Routes::new(routes)
}

fn route(fields: &mut Fields<'_>, upstreams: &[Arc<str>]) -> Option<Route> {
    let path_field = fields.required("path");
    let path = path_field.text();
    let host = fields.optional("host").text().map(Located::into_value);
    let sessions = fields.optional("sessions");
    let sessions = match sessions.node().map(|node| &node.value) {
        // YAML readers of the past made booleans of these words, so both spellings are taken.
        Some(config::Value::Bool(true)) => SessionRule::On,
        Some(config::Value::Bool(false)) => SessionRule::Off,
        _ => sessions
            .choice(&[
                ("on", SessionRule::On),
                ("required", SessionRule::Required),
                ("off", SessionRule::Off),
            ])
            .map_or(SessionRule::On, Located::into_value),
    };
    let doors = doors(&fields.optional("doors"));
    let listed = fields.optional("upstreams");
    let choose = fields.optional("choose");
    let choice = match (listed.is_written(), choose.is_written()) {
        (true, true) => {
            choose.report(
                "a route has either `upstreams` or `choose`",
                Some("keep one of them"),
            );
            None
        }
        (false, true) => by_parameter(&choose, upstreams),
        (true, false) => {
            let names = listed.list().unwrap_or_default();
            let found: Vec<_> = names.iter().filter_map(|name| known(name, upstreams)).collect();
            Some(Choice::Among(found))
        }
        (false, false) => Some(Choice::Among(upstreams.to_vec())),
    };
    let path = path?.value;
    if let Some(page) = HEALTH.iter().find(|page| **page == path.trim_end_matches('/')) {
        let text = format!(
            "`{page}` tells everybody whether the gateway is well, so no client would reach this route"
        );
        path_field.report(text, Some("give it another path"));
    }
    let route = Route::new(&path, host, choice?, sessions).map_err(|why| path_field.report(why, None));
    let mut route = route.ok()?;
    route.doors = doors;
    Some(route)
}

/// `choose: { param: tenant, of: { acme: crm-a } }`
fn by_parameter(field: &Field<'_>, upstreams: &[Arc<str>]) -> Option<Choice> {
    let mut fields = field.fields()?;
    let parameter = fields.required("param").text();
    let of = fields.required("of");
    let mut values = HashMap::new();
    for (value, name) in of.entries().unwrap_or_default() {
        if let Some(upstream) = known(&name, upstreams) {
            values.insert(value.value, upstream);
        }
    }
    fields.finish();
    Some(Choice::ByParameter {
        parameter: parameter?.value,
        of: values,
    })
}

fn known(field: &Field<'_>, upstreams: &[Arc<str>]) -> Option<Arc<str>> {
    let name = field.text()?.value;
    if let Some(upstream) = upstreams.iter().find(|upstream| ***upstream == *name) {
        return Some(Arc::clone(upstream));
    }
    let names: Vec<&str> = upstreams.iter().map(|upstream| &**upstream).collect();
    let text = format!("there is no upstream `{}`", scalar::shown(&name));
    field.report(text, Some(&scalar::suggestion(&name, &names)));
    None
}

/// `doors: { sse: off }`: which transports of old a route still opens.
fn doors(field: &Field<'_>) -> Doors {
    let mut doors = Doors::default();
    let Some(mut fields) = field.fields() else {
        return doors;
    };
    let sse = fields.optional("sse");
    doors.sse = match sse.node().map(|node| &node.value) {
        Some(config::Value::Bool(open)) => *open,
        _ => sse
            .choice(&[("on", true), ("off", false)])
            .map_or(doors.sse, Located::into_value),
    };
    fields.finish();
    doors
}
