//! What an endpoint says of itself: what its servers can do, taken together.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mcp::revision::supported_versions_json;
use mcp::{Object, meta};

use super::view::View;

/// Bytes of instructions that are told of one server …
const OF_ONE: usize = 2 * 1024;

/// … and of all (`protocol.md` §3.10).
const OF_ALL: usize = 8 * 1024;

/// Extensions that are more than a word between a client and one server: tasks are named by ids that say nothing of
/// whose they are.
const NOT_OFFERED: [&str; 1] = ["io.modelcontextprotocol/tasks"];

/// The result of `server/discover`.
pub(super) fn discovery(view: &View, instructions: Option<&str>) -> String {
    let mut text = format!(
        r#"{{"resultType":"complete","supportedVersions":{},"capabilities":{}"#,
        supported_versions_json(),
        capabilities(view),
    );
    let instructions = instructions.map_or_else(|| of_servers(view), str::to_owned);
    if !instructions.is_empty()
        && let Ok(instructions) = serde_json::to_string(&instructions)
    {
        text += r#","instructions":"#;
        text += &instructions;
    }
    // What its servers come to be is told by `list_changed`, and is another's to see.
    let _ = write!(
        text,
        r#","ttlMs":0,"cacheScope":"private","_meta":{{"{}":{{"name":"causeway","version":"{}"}}{}}}}}"#,
        meta::SERVER_INFO,
        env!("CARGO_PKG_VERSION"),
        super::here::degraded(view.missing(None)).map_or(String::new(), |degraded| format!(",{degraded}")),
    );
    text
}

/// What any of them can do. Of one that was never read everything is offered: it may be up when it is called.
fn capabilities(view: &View) -> String {
    let mut offered: BTreeMap<&str, &str> = BTreeMap::new();
    let mut extensions: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for seen in &view.seen {
        let Some(catalog) = &seen.catalog else {
            offered.insert("tools", r#"{"listChanged":true}"#);
            offered.insert("prompts", r#"{"listChanged":true}"#);
            offered.insert("resources", r#"{"subscribe":true,"listChanged":true}"#);
            continue;
        };
        let Ok(said) = Object::parse(&catalog.profile.capabilities) else {
            continue;
        };
        for (name, what) in [
            ("tools", r#"{"listChanged":true}"#),
            ("prompts", r#"{"listChanged":true}"#),
            ("completions", "{}"),
            ("logging", "{}"),
        ] {
            if said.get(name).is_some() {
                offered.insert(name, what);
            }
        }
        if let Some(resources) = said.get("resources") {
            let subscribe = Object::parse(resources).is_ok_and(|said| said.get("subscribe") == Some(b"true"));
            let entry = offered.entry("resources").or_insert(r#"{"listChanged":true}"#);
            if subscribe {
                *entry = r#"{"subscribe":true,"listChanged":true}"#;
            }
        }
        let said = said.get("extensions").and_then(|said| Object::parse(said).ok());
        let Some(said) = said else { continue };
        for member in said
            .members()
            .iter()
            .filter(|member| !NOT_OFFERED.contains(&&*member.key))
        {
            let what = said.get(&member.key).unwrap_or(b"{}");
            extensions
                .entry(member.key.to_string())
                .or_insert_with(|| what.to_vec());
        }
    }
    let mut members: Vec<String> = offered
        .into_iter()
        .map(|(name, what)| format!(r#""{name}":{what}"#))
        .collect();
    if !extensions.is_empty() {
        let said: Vec<String> = extensions
            .iter()
            .filter_map(|(name, what)| {
                let name = serde_json::to_string(name).ok()?;
                Some(format!("{name}:{}", String::from_utf8_lossy(what)))
            })
            .collect();
        members.push(format!(r#""extensions":{{{}}}"#, said.join(",")));
    }
    format!("{{{}}}", members.join(","))
}

/// How its servers want to be used, each under its alias.
fn of_servers(view: &View) -> String {
    let mut all = String::new();
    for seen in &view.seen {
        let said = seen.catalog.as_ref().and_then(|catalog| {
            serde_json::from_slice::<String>(catalog.profile.instructions.as_deref()?).ok()
        });
        let Some(said) = said.filter(|said| !said.trim().is_empty()) else {
            continue;
        };
        let said = &said[..said.floor_char_boundary(OF_ONE)];
        let part = format!("# {}\n{said}\n\n", seen.alias.as_str());
        if all.len() + part.len() > OF_ALL {
            break;
        }
        all += &part;
    }
    all.truncate(all.trim_end().len());
    all
}
