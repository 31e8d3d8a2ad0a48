//! Who gives tokens is believed where they say so of themselves, and nowhere else.

use policy::fetched::{Hint, Unfetched, resource, server};
use serde_json::{Value, json};

use crate::world::{AS, Answer, MCP, METADATA, Network, PRM, metadata, prm, url};

fn hint(metadata: &str) -> Hint {
    let line = format!("Basic realm=\"x\", Bearer scope=\"a b\", resource_metadata=\"{metadata}\"");
    Hint::of([line.as_bytes()])
}

fn why<T: std::fmt::Debug>(found: Result<T, Unfetched>) -> String {
    found.unwrap_err().to_string()
}

#[tokio::test]
async fn an_upstream_is_asked_where_it_says_then_by_its_path_then_at_its_root() {
    let root = "https://mcp.example/.well-known/oauth-protected-resource";
    let elsewhere = "https://elsewhere.example/prm";
    for (hint, there, asked) in [
        (hint(elsewhere), elsewhere, vec![elsewhere]),
        (Hint::default(), PRM, vec![PRM]),
        (Hint::default(), root, vec![PRM, root]),
    ] {
        let network = Network::new();
        network.put(there, prm(json!({})));

        let found = resource(&url(MCP), &hint, &*network).await.unwrap();

        assert_eq!(network.asked(), asked);
        assert_eq!((found.resource.as_str(), found.issuer.as_str()), (MCP, AS));
        assert_eq!(found.scopes, Some(vec!["read".to_owned()]));
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_say_gives_tokens_itself() {
    let network = Network::new();

    let upstream = url("https://MCP.example:443/?key=canary");
    let found = resource(&upstream, &Hint::default(), &*network).await.unwrap();

    assert_eq!(found.issuer, "https://mcp.example");
    assert_eq!(found.resource, "https://mcp.example");
    assert_eq!(
        network.asked(),
        ["https://mcp.example/.well-known/oauth-protected-resource"]
    );
}

#[tokio::test]
async fn a_resource_is_the_upstream_or_above_it() {
    for (named, good) in [
        (MCP, true),
        ("https://mcp.example", true),
        ("https://mcp.example/", true),
        ("HTTPS://MCP.EXAMPLE:443/tools", true),
        ("https://mcp.example/tools/", true),
        ("https://mcp.example/tool", false),
        ("https://mcp.example/tools/mcp/more", false),
        ("https://mcp.example/tools/mcp?x", false),
        ("http://mcp.example/tools/mcp", false),
        ("https://mcp.example:8443/tools/mcp", false),
        ("https://mcp.example.evil/tools/mcp", false),
        ("https://evil.example/tools/mcp", false),
        ("", false),
        ("/tools", false),
    ] {
        let network = Network::new();
        network.put(PRM, prm(json!({ "resource": named })));
        let found = resource(&url(MCP), &Hint::default(), &*network).await;
        assert_eq!(found.is_ok(), good, "{named}: {found:?}");
    }
}

#[tokio::test]
async fn an_issuer_is_asked_in_the_order_of_the_specification() {
    let metadata_of = |issuer: &str| metadata(json!({ "issuer": issuer }));
    for (issuer, order) in [
        (
            AS,
            vec![
                METADATA,
                "https://as.example/.well-known/openid-configuration/tenant",
                "https://as.example/tenant/.well-known/openid-configuration",
            ],
        ),
        (
            "https://as.example",
            vec![
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ],
        ),
    ] {
        for (place, there) in order.iter().enumerate() {
            let network = Network::new();
            network.put(there, metadata_of(issuer));
            let found = server(issuer, false, &*network).await.unwrap();
            assert_eq!(network.asked(), order[..=place], "{issuer}");
            assert_eq!(found.issuer, issuer);
            assert!(found.has_s256 && !found.has_iss);
        }
        let network = Network::new();
        let none = why(server(issuer, false, &*network).await);
        assert_eq!(network.asked(), order);
        assert!(
            none.ends_with("publishes no metadata; write its `issuer` or `token_url`"),
            "{none}"
        );
    }
}

#[tokio::test]
async fn whoever_answers_everything_with_a_page_hides_nothing() {
    let network = Network::new();
    network.put(PRM, "<html>");
    network.put(METADATA, "<html>");
    network.put(
        "https://mcp.example/.well-known/oauth-protected-resource",
        prm(json!({})),
    );
    network.put(
        "https://as.example/tenant/.well-known/openid-configuration",
        metadata(json!({})),
    );

    resource(&url(MCP), &Hint::default(), &*network).await.unwrap();
    server(AS, false, &*network).await.unwrap();
}

#[tokio::test]
async fn a_server_that_fails_is_not_one_without_a_document() {
    for answer in [Answer::with(503, ""), Answer::with(429, ""), Answer::with(0, "")] {
        let network = Network::described();
        network.answer(PRM, answer.clone());
        network.answer(METADATA, answer);
        let found = resource(&url(MCP), &Hint::default(), &*network).await;
        assert!(matches!(found, Err(Unfetched::Unreachable { .. })), "{found:?}");
        let found = server(AS, false, &*network).await;
        assert!(matches!(found, Err(Unfetched::Unreachable { .. })), "{found:?}");
    }
}

#[tokio::test]
async fn what_a_hostile_server_says_of_itself_is_refused() {
    let long = format!("https://as.example/{}", "x".repeat(3000));
    for (changes, told) in [
        (
            json!({ "issuer": "https://as.example/tenant/" }),
            "is of another issuer",
        ),
        (
            json!({ "issuer": "https://AS.example/tenant" }),
            "is of another issuer",
        ),
        (json!({ "issuer": null }), "names no `issuer`"),
        (json!({ "issuer": [AS] }), "`issuer` that is no text"),
        (json!({ "token_endpoint": null }), "names no `token_endpoint`"),
        (
            json!({ "token_endpoint": "http://as.example/token" }),
            "is not https",
        ),
        (
            json!({ "token_endpoint": "http://127.0.0.1/token" }),
            "is not https",
        ),
        (
            json!({ "token_endpoint": "https://a:b@as.example/token" }),
            "is no address",
        ),
        (
            json!({ "token_endpoint": "https://as.example/\n" }),
            "is no address",
        ),
        (json!({ "token_endpoint": 5 }), "`token_endpoint` that is no text"),
        (
            json!({ "token_endpoint": long }),
            "`token_endpoint` that is no text",
        ),
        (
            json!({ "authorization_endpoint": "javascript:alert(1)" }),
            "is not https",
        ),
        (
            json!({ "authorization_endpoint": "https://as.example/\u{1b}[2J" }),
            "is no address",
        ),
        (
            json!({ "registration_endpoint": "file:///etc/passwd" }),
            "is not https",
        ),
        (
            json!({ "token_endpoint_auth_methods_supported": "x" }),
            "no list of texts",
        ),
        (
            json!({ "code_challenge_methods_supported": [1] }),
            "no list of texts",
        ),
        (
            json!({ "authorization_response_iss_parameter_supported": "true" }),
            "neither true nor false",
        ),
    ] {
        let network = Network::new();
        network.put(METADATA, metadata(changes.clone()));
        let why = why(server(AS, false, &*network).await);
        assert!(why.contains(told), "{changes}: {why}");
    }
    for (body, told) in [
        (
            format!("{{\"x\":\"{}\"}}", "x".repeat(64 << 10)),
            "longer than 64 KiB",
        ),
        ("[]".to_owned(), "not a JSON object"),
        (
            format!("{{\"issuer\":\"{AS}\",\"issuer\":\"{AS}\"}}"),
            "not a JSON object",
        ),
    ] {
        let network = Network::new();
        network.put(METADATA, body);
        let why = why(server(AS, false, &*network).await);
        assert!(why.contains(told), "{why}");
    }
}

#[tokio::test]
async fn what_a_hostile_upstream_says_of_itself_is_refused() {
    for (changes, told) in [
        (json!({ "resource": null }), "names no `resource`"),
        (
            json!({ "authorization_servers": [] }),
            "names no `authorization_servers`",
        ),
        (json!({ "authorization_servers": AS }), "no list of texts"),
        (json!({ "authorization_servers": [1] }), "no list of texts"),
    ] {
        let network = Network::new();
        network.put(PRM, prm(changes));
        let why = why(resource(&url(MCP), &Hint::default(), &*network).await);
        assert!(why.contains(told), "{why}");
    }
    for place in [
        "http://mcp.example/prm",
        "http://localhost/prm",
        "javascript:alert(1)",
        "/relative",
        "https://169.254.169.254@mcp.example/",
    ] {
        let network = Network::new();
        let found = resource(&url(MCP), &hint(place), &*network).await;
        assert!(matches!(found, Err(Unfetched::Undiscovered { .. })), "{place}");
        assert_eq!(network.asked(), [""; 0]);
    }
    let network = Network::new();
    for issuer in [
        "http://as.example",
        "ftp://x",
        "https://as.example?x",
        "https://as.example#x",
        "",
    ] {
        assert!(server(issuer, false, &*network).await.is_err(), "{issuer}");
    }
    assert_eq!(network.asked(), [""; 0]);
    network.answer(METADATA, Answer::with(302, ""));
    let why = why(server(AS, false, &*network).await);
    assert!(why.contains("redirects"), "{why}");
}

#[tokio::test]
async fn an_upstream_on_this_machine_may_name_its_neighbours() {
    let network = Network::new();
    let prm =
        json!({ "resource": "http://localhost:1/mcp", "authorization_servers": ["http://127.0.0.1:2"] });
    network.put("http://localhost:1/.well-known/oauth-protected-resource/mcp", prm);
    let document: Value =
        json!({ "issuer": "http://127.0.0.1:2", "token_endpoint": "http://127.0.0.1:2/token" });
    network.put(
        "http://127.0.0.1:2/.well-known/oauth-authorization-server",
        document,
    );

    let upstream = url("http://localhost:1/mcp");
    let found = resource(&upstream, &Hint::default(), &*network).await.unwrap();
    server(&found.issuer, true, &*network).await.unwrap();
}
