//! What is read of a list, and what is left out of it.

use super::*;

const UP: &str = r#","ttlMs":60000,"cacheScope":"public""#;

fn page(names: &[&str], next: &str) -> String {
    let names: Vec<String> = names.iter().map(|name| tool(name)).collect();
    format!(r#""tools":[{}]{next}"#, names.join(","))
}

#[tokio::test(start_paused = true)]
async fn all_that_is_declared_is_read_and_nothing_else() {
    let server = Lister::modern(&["a"]);
    server.is(|manner| {
        manner.declares = r#"{"tools":{},"resources":{}}"#.into();
        manner.says = UP.into();
    });
    server.lists(Listing::Resources, &[r#"{"uri":"file:///a","size":1.50}"#.into()]);
    server.lists(Listing::Templates, &[r#"{"uriTemplate":"file:///{x}"}"#.into()]);

    let catalog = read(&server.upstream()).await;

    assert_eq!(tools(&catalog), ["a"]);
    assert_eq!(keys(&catalog, Listing::Resources), ["file:///a"]);
    assert_eq!(keys(&catalog, Listing::Templates), ["file:///{x}"]);
    assert!(catalog.list(Listing::Prompts).is_none() && !catalog.lacks(Listing::Prompts));
    let resources = catalog.list(Listing::Resources).unwrap();
    assert_eq!(&*resources.items[0].text, br#"{"uri":"file:///a","size":1.50}"#);
    assert_eq!(resources.get("file:///a"), resources.items.first());
    assert_eq!(resources.ttl, Some(Duration::from_secs(60)));
    assert!(resources.is_public && resources.is_whole);
    assert_eq!(catalog.profile.instructions.as_deref(), Some(&br#""read""#[..]));
    assert_eq!(server.count("prompts"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_legacy_server_has_is_read_in_the_shapes_of_2026() {
    let server = Lister::legacy(&[]);
    let tool =
        r#"{"name":"a","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"},"x":1.10}"#;
    server.lists(Listing::Tools, &[tool.into()]);
    server.is(|manner| {
        manner.declares = r#"{"tools":{},"tasks":{}}"#.into();
        // It cannot have meant what it does not know.
        manner.says = UP.into();
    });

    let catalog = read(&server.upstream()).await;

    assert_eq!(catalog.profile.revision, mcp::Revision::V2025_06_18);
    assert_eq!(
        catalog.profile.server_info.as_deref(),
        Some(&br#"{"name":"docs"}"#[..])
    );
    let declared = String::from_utf8(catalog.profile.capabilities.to_vec()).unwrap();
    assert!(
        declared.contains("tools") && !declared.contains("tasks"),
        "{declared}"
    );
    let list = catalog.list(Listing::Tools).unwrap();
    let text = String::from_utf8(list.items[0].text.to_vec()).unwrap();
    assert!(text.contains(r#""x":1.10"#), "{text}");
    assert_eq!((list.ttl, list.is_public), (None, false));
}

#[tokio::test(start_paused = true)]
async fn every_page_is_read_and_a_cursor_that_leads_back_ends_the_list() {
    let long = format!(r#","nextCursor":"{}""#, "x".repeat(70_000));
    for (pages, listed, is_whole) in [
        // An empty cursor is a cursor.
        (
            vec![
                ("", page(&["a"], r#","nextCursor":"""#)),
                (r#""""#, page(&["b"], r#","nextCursor":null"#)),
            ],
            vec!["a", "b"],
            true,
        ),
        // The same again.
        (
            vec![
                ("", page(&["a"], r#","nextCursor":"1""#)),
                (r#""1""#, page(&["b"], r#","nextCursor":"1""#)),
            ],
            vec!["a", "b"],
            false,
        ),
        // A longer way round.
        (
            vec![
                ("", page(&["a"], r#","nextCursor":"1""#)),
                (r#""1""#, page(&["b"], r#","nextCursor":"""#)),
                (r#""""#, page(&["c"], r#","nextCursor":"3""#)),
                (r#""3""#, page(&["d"], r#","nextCursor":"1""#)),
            ],
            vec!["a", "b", "c", "d"],
            false,
        ),
        (vec![("", page(&["a"], r#","nextCursor":7"#))], vec!["a"], false),
        (vec![("", page(&["a"], &long))], vec!["a"], false),
        (
            vec![
                ("", r#""tools":"garbage","nextCursor":"2""#.into()),
                (r#""2""#, page(&["b"], "")),
            ],
            vec!["b"],
            true,
        ),
    ] {
        let server = Lister::modern(&[]);
        let pages: Vec<(&str, &str)> = pages.iter().map(|(at, page)| (*at, page.as_str())).collect();
        server.turns(Listing::Tools, &pages);

        let catalog = read(&server.upstream()).await;

        assert_eq!(tools(&catalog), listed);
        assert_eq!(
            catalog.list(Listing::Tools).unwrap().is_whole,
            is_whole,
            "{pages:?}"
        );
        assert_eq!(server.count("tools/list"), pages.len(), "each page once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_has_bounds() {
    let server = Lister::modern(&[]);
    let many: Vec<String> = (0..10_001).map(|number| tool(&number.to_string())).collect();
    for (count, is_whole) in [(10_000, true), (10_001, false)] {
        server.lists(Listing::Tools, &many[..count]);
        let catalog = read(&server.upstream()).await;
        let list = catalog.list(Listing::Tools).unwrap();
        assert_eq!((list.items.len(), list.is_whole), (10_000, is_whole));
        assert_eq!(&*list.get("9999").unwrap().key, "9999");
        assert!(list.get("10000").is_none());
    }

    // As many pages as there may be, and one more.
    for (count, is_whole) in [(200, true), (201, false)] {
        let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let cursors: Vec<String> = names.iter().map(|name| format!(r#""{name}""#)).collect();
        let pages: Vec<(String, String)> = (0..count)
            .map(|number| {
                let at = if number == 0 {
                    String::new()
                } else {
                    cursors[number].clone()
                };
                let next = cursors.get(number + 1);
                let next = next.map_or(String::new(), |next| format!(r#","nextCursor":{next}"#));
                (at, page(&[&names[number]], &next))
            })
            .collect();
        let pages: Vec<(&str, &str)> = pages.iter().map(|(at, page)| (&**at, &**page)).collect();
        server.turns(Listing::Tools, &pages);
        let catalog = read(&server.upstream()).await;
        let list = catalog.list(Listing::Tools).unwrap();
        assert_eq!((list.items.len(), list.is_whole), (200, is_whole));
    }

    let big = format!(
        r#"{{"name":"big","inputSchema":{{}},"x":"{}"}}"#,
        "x".repeat(6 << 20)
    );
    let first = format!(r#""tools":[{big}],"nextCursor":"1""#);
    let second = format!(
        r#""tools":[{}],"nextCursor":"2""#,
        big.replace("\"big\"", "\"too\"")
    );
    server.turns(Listing::Tools, &[("", &first), (r#""1""#, &second)]);
    let catalog = read(&server.upstream()).await;
    assert_eq!(tools(&catalog), ["big", "too"]);
    assert!(!catalog.list(Listing::Tools).unwrap().is_whole);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_could_use_is_left_out_and_the_rest_stays() {
    let annotated = |kind: &str| {
        let schema = format!(r#"{{"properties":{{"x":{{"type":"{kind}","x-mcp-header":"X"}}}}}}"#);
        format!(r#"{{"name":"{kind}","inputSchema":{schema}}}"#)
    };
    let items = [
        tool("a"),
        r#"{"name":"a","inputSchema":{},"title":"another"}"#.into(),
        r#"{"name":"array","inputSchema":[]}"#.into(),
        r#"{"name":"none"}"#.into(),
        r#"{"inputSchema":{}}"#.into(),
        r#"{"name":7,"inputSchema":{}}"#.into(),
        "7".into(),
        "null".into(),
        annotated("string"),
        annotated("number"),
        format!(
            r#"{{"name":"deep","inputSchema":{{"x":{}{}}}}}"#,
            "[".repeat(60),
            "]".repeat(60)
        ),
        tool("b"),
    ];
    let server = Lister::modern(&[]);
    server.lists(Listing::Tools, &items);

    let upstream = server.upstream();
    let catalog = read(&upstream).await;

    assert_eq!(tools(&catalog), ["a", "string", "b"]);
    let list = catalog.list(Listing::Tools).unwrap();
    assert_eq!(&*list.items[0].text, tool("a").as_bytes(), "of two the first");
    assert!(list.is_whole);
    let repeats = |tool: &str| list.parameters(tool).map(|parameters| !parameters.is_empty());
    assert_eq!(repeats("string"), Some(true));
    for (tool, repeats_nothing) in [
        ("a", Some(false)),
        ("number", Some(false)),
        ("deep", Some(false)),
        ("other", None),
    ] {
        assert_eq!(repeats(tool), repeats_nothing, "{tool}");
    }
    // A call needs no list of its own.
    let found = upstream.parameters("string", &Headers::default()).await.unwrap();
    assert!(found.is_some() && server.count("tools/list") == 1);

    let legacy = Lister::legacy(&[]);
    legacy.lists(Listing::Tools, &[annotated("number")]);
    assert_eq!(
        tools(&*read(&legacy.upstream()).await),
        ["number"],
        "it knows no such annotation"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_costs_only_itself() {
    let server = Lister::modern(&["a"]);
    server.is(|manner| {
        manner.declares = r#"{"tools":{},"prompts":{},"resources":{}}"#.into();
        manner.refuses = [
            ("prompts/list", -32603),
            ("resources/list", -32601),
            ("resources/templates/list", -32601),
        ]
        .into();
    });

    let catalog = read(&server.upstream()).await;

    assert_eq!(tools(&catalog), ["a"]);
    assert!(catalog.lacks(Listing::Prompts));
    assert!(
        keys(&catalog, Listing::Resources).is_empty(),
        "it does not know the method: there are none"
    );

    server.is(|manner| manner.refuses = [("tools/list", -32603)].into());
    server.is(|manner| manner.declares = r#"{"tools":{}}"#.into());
    assert!(matches!(refused(&server.upstream()).await, Fault::Broken(_)));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_lists_has_a_catalog() {
    let server = Lister::modern(&[]);
    server.is(|manner| manner.declares = "{}".into());

    let catalog = read(&server.upstream()).await;

    assert!(
        Listing::ALL
            .iter()
            .all(|listing| catalog.list(*listing).is_none())
    );
    assert_eq!(server.count("tools/list"), 0);
}

#[tokio::test(start_paused = true)]
async fn another_content_has_another_generation_and_the_same_the_same() {
    let server = Lister::modern(&["a", "b"]);
    let first = read(&server.upstream()).await.generation;
    assert_eq!(read(&server.upstream()).await.generation, first);

    server.has(&["b", "a"]);
    let order = read(&server.upstream()).await.generation;
    server.has(&["a", "b"]);
    server.is(|manner| manner.says = r#","cacheScope":"public""#.into());
    let public = read(&server.upstream()).await.generation;
    server.is(|manner| manner.says = r#","ttlMs":7"#.into());
    let ttl = read(&server.upstream()).await.generation;

    assert!(order != first && public != first && order != public);
    assert_eq!(ttl, first, "for how long it holds is no part of it");
}
