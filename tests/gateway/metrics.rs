//! What is counted: exactly what the page about it says, under labels that nobody outside can add to.
use std::{collections::BTreeSet, fs, path::Path};

use harness::{Gateway, Running};
use serde_json::json;

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let words = text.split(|letter| !is_name(letter));
    // The crates themselves are called `causeway_…` nowhere but in Rust paths, which have no second underscore.
    words
        .filter(|word| word.starts_with("causeway_") && word.matches('_').count() > 1)
        .map(str::to_owned)
        .collect()
}

/// The names of metrics in the sources: what they may ever count.
fn counted() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("crates");
    let mut found = BTreeSet::new();
    let mut folders = vec![crates];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.extend(
                    names(&text)
                        .into_iter()
                        .filter(|name| text.contains(&format!("\"{name}\""))),
                );
            }
        }
    }
    found
}

async fn told(gateway: &Running) -> String {
    gateway.admin("/metrics").await.text()
}

/// The sum of all lines of one name whose labels include these.
fn value(text: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = text
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name));
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn the_page_names_what_is_counted() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("docs/metrics.md");
    let page = names(&fs::read_to_string(page).unwrap());

    let counted = counted();

    assert!(!counted.is_empty());
    assert_eq!(
        counted.difference(&page).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "counted and not on the page"
    );
    assert_eq!(
        page.difference(&counted).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "on the page and not counted"
    );
}

#[tokio::test]
async fn what_is_told_is_on_the_page() {
    let gateway = Gateway::new().demo().start().await;
    gateway
        .client("/mcp/demo")
        .legacy("2025-06-18")
        .await
        .call("echo", json!({ "text": "hi" }))
        .await;

    let told = told(&gateway).await;
    let told: BTreeSet<_> = told
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(str::to_owned)
        .collect();

    assert!(told.iter().any(|name| name.starts_with("causeway_")), "{told:?}");
    let known = counted();
    let unknown: Vec<_> = told
        .iter()
        .filter(|name| name.starts_with("causeway_") && !known.contains(*name))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[tokio::test]
async fn calls_are_counted_by_route_upstream_and_method() {
    let gateway = Gateway::new().demo().start().await;
    let client = gateway.client("/mcp/demo").modern();

    for _ in 0..3 {
        client.call("echo", json!({ "text": "hi" })).await;
    }
    gateway
        .record("three calls", |_| {
            gateway
                .records()
                .iter()
                .filter(|one| one["method"] == "tools/call")
                .count()
                == 3
        })
        .await;

    let told = told(&gateway).await;
    let labels = [
        "upstream=\"demo\"",
        "method=\"tools/call\"",
        "route=\"/mcp/{server}\"",
    ];
    assert_eq!(value(&told, "causeway_requests_total", &labels), 3.0, "{told}");
    assert_eq!(
        value(&told, "causeway_request_duration_seconds_count", &labels),
        3.0,
        "{told}"
    );
}

#[tokio::test]
async fn children_and_their_upstreams_are_counted() {
    let gateway = Gateway::new().demo().start().await;
    gateway
        .client("/mcp/demo")
        .modern()
        .call("echo", json!({ "text": "hi" }))
        .await;

    let told = told(&gateway).await;

    assert_eq!(
        value(&told, "causeway_upstream_up", &["upstream=\"demo\""]),
        1.0,
        "{told}"
    );
    assert!(
        value(&told, "causeway_upstream_children", &["upstream=\"demo\""]) >= 1.0,
        "{told}"
    );
}

#[tokio::test]
async fn nobody_outside_can_add_a_label() {
    let gateway = Gateway::new().demo().start().await;
    let client = gateway.client("/mcp/demo");

    for number in 0..5 {
        let name = format!("invented-{number}");
        client
            .clone()
            .sessionless("2025-06-18")
            .ask("tools/call", json!({ "name": name }))
            .await;
        client
            .clone()
            .sessionless("2025-06-18")
            .ask(&format!("vendor/{name}"), json!({}))
            .await;
        client
            .clone()
            .at(&format!("/mcp/{name}"))
            .sessionless("2025-06-18")
            .ask("ping", json!({}))
            .await;
        client
            .clone()
            .at(&format!("/{name}"))
            .fetch(&format!("INVENTED{number}"))
            .await;
    }
    gateway
        .record("the last", |record| record["method"] == "vendor/invented-4")
        .await;

    let told = told(&gateway).await;
    assert!(!told.to_lowercase().contains("invented"), "{told}");
}
