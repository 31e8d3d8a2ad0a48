//! What the file says of tools, prompts and resources that their server does not have: most often a word misspelt, or
//! a name that the server has given up.
//!
//! `check` compares with the catalogs that were kept, and calls it a mistake. A gateway that runs compares with the
//! server itself, and warns: neither a start nor a reload may fail because a server has changed
//! (`docs/decisions/0012-curation.md`).

use std::sync::Arc;
use std::time::Duration;

use config::{Located, Problems, scalar};
use policy::{Curation, Injection, What};
use proxy::{Generation, Routes};
use upstream::{Catalog, Headers, Listing, Upstream};

use crate::document::Plan;
use crate::kept::Kept;

/// A server that has not told what it has by then is not compared.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// Something that is said of nothing.
struct Stray<'c> {
    written: &'c Located<String>,
    words: String,
    hint: Option<String>,
}

/// Compares what a file says with the catalogs that an earlier run kept.
pub(crate) fn with_kept(plan: &Plan, problems: &Problems) {
    let Some(kept) = Kept::of(plan) else { return };
    for (settings, injection) in &plan.upstreams {
        let Some(catalog) = kept.catalog(settings, &standing(injection)) else {
            continue;
        };
        let curations = curations(&plan.routes, &settings.name);
        for stray in strays(&settings.name, &curations, &catalog) {
            let mut problem = stray.written.problem(stray.words);
            if let Some(hint) = stray.hint {
                problem = problem.hint(hint);
            }
            problems.add(problem);
        }
    }
}

/// Compares what is served with what this server has, and warns.
pub(crate) async fn with_server(upstream: Arc<Upstream>, generation: Arc<Generation>) {
    let curations = curations(&generation.routes, &upstream.name);
    let injection = generation.injections.get(&upstream.name);
    if curations.is_empty() || injection.is_some_and(|injection| injection.needs_call()) {
        return;
    }
    let headers = injection.map(|injection| standing(injection)).unwrap_or_default();
    drop(generation);
    let catalog = match upstream.catalog(&headers, READ_WITHIN).await {
        Ok(catalog) => catalog,
        Err(error) => {
            let upstream = &*upstream.name;
            tracing::warn!(upstream, %error, "what the file says of its tools could not be compared with those it has");
            return;
        }
    };
    for stray in strays(&upstream.name, &curations, &catalog) {
        let Located { at, path, .. } = stray.written;
        let hint = stray.hint.map_or(String::new(), |hint| format!("; {hint}"));
        tracing::warn!("line {}: {path}: {}{hint}", at.line, stray.words);
    }
}

fn standing(injection: &Injection) -> Headers {
    Headers {
        injected: injection.standing(),
        passed: Vec::new(),
    }
}

/// All that is said of this upstream, each once.
fn curations(routes: &Routes, upstream: &str) -> Vec<Arc<Curation>> {
    let mut found: Vec<Arc<Curation>> = Vec::new();
    for route in routes.iter() {
        if let Some(curation) = route.face.curations.get(upstream)
            && !found.contains(curation)
        {
            found.push(Arc::clone(curation));
        }
    }
    found
}

fn strays<'c>(upstream: &str, curations: &'c [Arc<Curation>], catalog: &Catalog) -> Vec<Stray<'c>> {
    let mut strays: Vec<Stray<'c>> = Vec::new();
    for (what, word, listings) in [
        (What::Tool, "tool", &[Listing::Tools][..]),
        (What::Prompt, "prompt", &[Listing::Prompts]),
        (
            What::Resource,
            "resource",
            &[Listing::Resources, Listing::Templates],
        ),
    ] {
        // What could not be read whole may have it.
        let known = listings.iter().map(|listing| match catalog.list(*listing) {
            Some(list) => list.is_whole.then_some(list.items.as_slice()),
            None => (!catalog.lacks(*listing)).then_some(&[][..]),
        });
        let Some(known) = known.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let known: Vec<&str> = known.into_iter().flatten().map(|item| &*item.key).collect();
        for written in curations
            .iter()
            .flat_map(|curation| curation.unknown(what, &known))
        {
            if strays.iter().any(|stray| stray.written.path == written.path) {
                continue;
            }
            let said = &written.value;
            let nearest = scalar::nearest(said, &known);
            strays.push(Stray {
                written,
                words: format!("`{upstream}` has no {word} `{}`", scalar::shown(said)),
                hint: nearest.map(|nearest| format!("did you mean `{}`?", scalar::shown(nearest))),
            });
        }
    }
    strays
}
