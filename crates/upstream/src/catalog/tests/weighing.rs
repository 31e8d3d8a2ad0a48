//! What is counted, and what a cached tool takes in memory.

use prometheus::{Encoder as _, Registry, TextEncoder};

use super::*;
use crate::metrics::Metrics;
use crate::registry::Timeouts;

fn shown(registry: &Registry) -> Vec<String> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
    let lines = String::from_utf8(text).unwrap();
    let lines = lines.lines().filter(|line| line.starts_with("causeway_catalog"));
    lines
        .filter(|line| !line.contains("bytes"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_and_read_is_counted_and_forgotten() {
    let server = Lister::modern(&["a", "b"]);
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry).unwrap());
    let of = || {
        let transport = Box::new(server.clone());
        let metrics = Arc::clone(&metrics);
        Arc::new(Upstream::new(
            "docs".into(),
            Timeouts::default(),
            transport,
            None,
            metrics,
        ))
    };
    let upstream = of();
    assert_eq!(shown(&registry), [""; 0]);

    for who in ["ann", "bob"] {
        upstream.catalog(&headers(who), WITHIN).await.unwrap();
    }
    let expected = |tools: usize, changed: usize| {
        let items = |list: &str, count: usize| {
            format!(r#"causeway_catalog_items{{list="{list}",upstream="docs"}} {count}"#)
        };
        vec![
            items("prompts", 0),
            items("resources", 0),
            items("templates", 0),
            items("tools", tools),
            format!(r#"causeway_catalog_reads_total{{outcome="changed",upstream="docs"}} {changed}"#),
        ]
    };
    assert_eq!(shown(&registry), expected(4, 2));

    // A reload: the one after it counts on where the one before leaves.
    let next = of();
    next.catalog(&headers("ann"), WITHIN).await.unwrap();
    upstream.stop().await;
    drop(upstream);
    assert_eq!(shown(&registry), expected(2, 3));

    metrics.forget("docs");
    next.stop().await;
    drop(next);
    assert_eq!(shown(&registry), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_shown_any_more_is_not_counted() {
    let server = Lister::modern(&["a"]);
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry).unwrap());
    let transport = Box::new(server.clone());
    let upstream = Upstream::new("docs".into(), Timeouts::default(), transport, None, metrics);
    let upstream = Arc::new(upstream);
    upstream.catalog(&Headers::default(), WITHIN).await.unwrap();
    server.is(|manner| manner.fails = Some(Fault::Unauthorized(401)));
    server.tells("notifications/tools/list_changed");
    wait(Duration::from_secs(30 * 60)).await;

    // Nobody has used it for so long that nobody keeps it fresh.
    upstream.catalog(&Headers::default(), WITHIN).await.unwrap_err();

    let counted = shown(&registry);
    let tools = counted.iter().find(|line| line.contains(r#"list="tools""#));
    assert!(tools.is_some_and(|line| line.ends_with(" 0")), "{counted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cached_tool_takes_little_more_than_its_text() {
    let server = Lister::modern(&[]);
    let names: Vec<String> = (0..5_000)
        .map(|number| format!("a_tool_of_usual_length_{number}"))
        .collect();
    let tools: Vec<String> = names.iter().map(|name| tool(name)).collect();
    server.lists(Listing::Tools, &tools);

    let catalog = read(&server.upstream()).await;

    let texts: usize = tools.iter().map(String::len).sum();
    let beyond = (catalog.bytes - texts) / tools.len();
    assert!(beyond <= 100, "{beyond} bytes");
}
