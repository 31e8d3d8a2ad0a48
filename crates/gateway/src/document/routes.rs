//! `routes`: which path leads to which upstreams.

use std::collections::HashMap;
use std::sync::Arc;

use config::{Environment, Field, Fields, Located, Value, scalar};
use mcp::expose::Style;
use policy::Curation;
use proxy::{Choice, Doors, Face, Route, Routes, SessionRule};

/// Answered on every listener before any route is looked for.
const HEALTH: [&str; 2] = ["/health", "/ready"];

/// What routes can show.
pub(super) struct Shown<'a> {
    /// The names of all upstreams there are.
    pub(super) upstreams: &'a [Arc<str>],
    /// What is shown of them at all, where that is not everything.
    pub(super) curations: &'a HashMap<Arc<str>, Arc<Curation>>,
    pub(super) environment: &'a dyn Environment,
}

/// The routes of a file; without the section, `/mcp` and `/mcp/{server}`.
pub(super) fn check(field: &Field<'_>, shown: &Shown<'_>) -> Routes {
    let Some(items) = field.list() else {
        let all = |path| {
            let choice = Choice::Among(shown.upstreams.to_vec());
            let mut route = Route::new(path, None, choice, SessionRule::On).ok()?;
            route.face.curations = shown.curations.clone();
            Some(route)
        };
        return Routes::new(["/mcp", "/mcp/{server}"].into_iter().filter_map(all).collect());
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
        let Some(route) = route(&mut fields, shown) else {
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

fn route(fields: &mut Fields<'_>, shown: &Shown<'_>) -> Option<Route> {
    let path_field = fields.required("path");
    let path = path_field.text();
    let host = fields.optional("host").text().map(Located::into_value);
    let sessions = fields.optional("sessions");
    let sessions = match sessions.node().map(|node| &node.value) {
        // YAML readers of the past made booleans of these words, so both spellings are taken.
        Some(Value::Bool(true)) => SessionRule::On,
        Some(Value::Bool(false)) => SessionRule::Off,
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
    let mut face = Face {
        curations: shown.curations.clone(),
        names: names(&fields.optional("names")),
        instructions: instructions(&fields.optional("instructions"), shown.environment),
        from_catalog: lists(&fields.optional("lists")),
    };
    let choice = match (listed.is_written(), choose.is_written()) {
        (true, true) => {
            choose.report(
                "a route has either `upstreams` or `choose`",
                Some("keep one of them"),
            );
            None
        }
        (false, true) => by_parameter(&choose, shown.upstreams),
        (true, false) => Some(Choice::Among(match listed.node().map(|node| &node.value) {
            Some(Value::Map(_)) => picked(&listed, shown, &mut face),
            _ => {
                let names = listed.list().unwrap_or_default();
                names
                    .iter()
                    .filter_map(|name| known(&name.text()?, name, shown.upstreams))
                    .collect()
            }
        })),
        (false, false) => Some(Choice::Among(shown.upstreams.to_vec())),
    };
    let one_at_a_time = match &choice {
        Some(Choice::ByParameter { .. }) => true,
        Some(Choice::Among(upstreams)) => upstreams.len() < 2,
        None => false,
    };
    if one_at_a_time && !face.from_catalog {
        for key in ["names", "instructions"] {
            let field = fields.optional(key);
            if field.is_written() {
                field.report(
                    "a route that leads to one server shows it as it is",
                    Some("write `lists: catalog` beside it, or leave it out"),
                );
            }
        }
    }
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
    route.face = face;
    Some(route)
}

/// `upstreams: { docs: { tools: [find] }, crm: }`: what this route shows of each, within what is shown of it at all.
fn picked(field: &Field<'_>, shown: &Shown<'_>, face: &mut Face) -> Vec<Arc<str>> {
    let mut found = Vec::new();
    for (name, field) in field.entries().unwrap_or_default() {
        let Some(upstream) = known(&name, &field, shown.upstreams) else {
            continue;
        };
        if let Some(mut fields) = field.fields() {
            let picked = Curation::check(&mut fields, shown.environment);
            fields.finish();
            let curation = match shown.curations.get(&upstream) {
                Some(everywhere) => picked.within(everywhere),
                None => picked,
            };
            if let Some((called, tools)) = curation.clash() {
                let text = format!(
                    "`{}` and `{}` are both called `{called}` here",
                    tools[0], tools[1]
                );
                field.report(text, Some("rename one of them to something else"));
            }
            if !curation.is_plain() {
                face.curations.insert(Arc::clone(&upstream), Arc::new(curation));
            }
        }
        found.push(upstream);
    }
    found
}

/// `names: llm-safe | spec | bare`: how tools and prompts of several upstreams are named.
fn names(field: &Field<'_>) -> Style {
    let words = [
        ("llm-safe", Style::LlmSafe),
        ("spec", Style::Spec),
        ("bare", Style::Bare),
    ];
    field.choice(&words).map_or(Style::default(), Located::into_value)
}

/// `lists: server | catalog`: whether a route with one upstream answers lists from what is known of it.
fn lists(field: &Field<'_>) -> bool {
    let words = [("server", false), ("catalog", true)];
    field.choice(&words).is_some_and(Located::into_value)
}

fn instructions(field: &Field<'_>, environment: &dyn Environment) -> Option<Arc<str>> {
    Some(field.resolved_text(environment)?.value.into())
}

/// `choose: { param: tenant, of: { acme: crm-a } }`
fn by_parameter(field: &Field<'_>, upstreams: &[Arc<str>]) -> Option<Choice> {
    let mut fields = field.fields()?;
    let parameter = fields.required("param").text();
    let of = fields.required("of");
    let mut values = HashMap::new();
    for (value, name) in of.entries().unwrap_or_default() {
        if let Some(upstream) = name.text().and_then(|text| known(&text, &name, upstreams)) {
            values.insert(value.value, upstream);
        }
    }
    fields.finish();
    Some(Choice::ByParameter {
        parameter: parameter?.value,
        of: values,
    })
}

fn known(name: &Located<String>, field: &Field<'_>, upstreams: &[Arc<str>]) -> Option<Arc<str>> {
    let name = &name.value;
    if let Some(upstream) = upstreams.iter().find(|upstream| ***upstream == **name) {
        return Some(Arc::clone(upstream));
    }
    let names: Vec<&str> = upstreams.iter().map(|upstream| &**upstream).collect();
    let text = format!("there is no upstream `{}`", scalar::shown(name));
    field.report(text, Some(&scalar::suggestion(name, &names)));
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
        Some(Value::Bool(open)) => *open,
        _ => sse
            .choice(&[("on", true), ("off", false)])
            .map_or(doors.sse, Located::into_value),
    };
    fields.finish();
    doors
}
