//! TLS in front: which certificate a client is shown, a renewed one, clients that prove who they are, and those who only
//! pretend to begin.
use std::sync::Arc;

use harness::{
    Authority, Carrier, Exit, Gate, Gateway, Mood, Pair, Reply, Running, Server, check, connect, within,
};
use rustls::ClientConfig;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A gateway to be, with certificates beside its file, and the section that names them.
fn with(certificates: &[(&str, &Pair)], more: &str) -> Gateway {
    let gateway = Gateway::new();
    let listed: Vec<String> = certificates
        .iter()
        .map(|(name, pair)| {
            let cert = gateway.file(&format!("{name}.pem"), &pair.cert);
            let key = gateway.file(&format!("{name}.key"), &pair.key);
            format!("{{ cert: {cert}, key: {key} }}")
        })
        .collect();
    gateway.config(&format!("tls: {{ certificates: [{}]{more} }}", listed.join(", ")))
}

/// The first name of the certificate that a client is shown who asks for this one.
async fn shown(gateway: &Running, name: &str, tls: &Arc<ClientConfig>) -> Vec<u8> {
    let stream = within("a handshake", connect(gateway.address(), name, Arc::clone(tls))).await;
    let stream = stream.unwrap_or_else(|error| panic!("{name}: {error}"));
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(pair.cert.as_bytes())
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_name_it_asks_for() {
    let authority = Authority::new();
    let first = authority.server(&["localhost", "127.0.0.1"]);
    let named = authority.server(&["tools.example.com"]);
    let wild = authority.server(&["*.example.com"]);
    let gateway = with(&[("first", &first), ("named", &named), ("wild", &wild)], "")
        .demo()
        .start()
        .await;
    let tls = authority.believed(&[], None);

    for (name, certificate) in [
        ("localhost", &first),
        // No name is asked for by who connects to an address.
        ("127.0.0.1", &first),
        ("tools.example.com", &named),
        ("Tools.Example.COM", &named),
        ("other.example.com", &wild),
    ] {
        assert!(shown(&gateway, name, &tls).await == der(certificate), "{name}");
    }
    // The first is for everybody else, who then judge for themselves.
    for name in ["example.com", "a.b.example.com"] {
        let refused = connect(gateway.address(), name, Arc::clone(&tls)).await;
        assert!(
            refused.unwrap_err().to_string().contains("not valid for name"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn both_protocols_are_offered_and_a_call_passes_by_each() {
    let authority = Authority::new();
    let pair = authority.server(&["localhost"]);
    let gateway = with(&[("own", &pair)], "").demo().start().await;

    let h1 = Carrier::by_tls(gateway.address(), authority.believed(&["http/1.1"], None)).await;
    let none = Carrier::by_tls(gateway.address(), authority.believed(&[], None)).await;
    let h2 = Carrier::by_h2(
        gateway.address(),
        Some(authority.believed(&["h2", "http/1.1"], None)),
    )
    .await;

    for carrier in [&h1, &none, &h2] {
        let called = carrier
            .client("/mcp/demo")
            .modern()
            .call("echo", json!({ "text": "hi" }))
            .await;
        assert_eq!(called["content"][0]["text"], "hi");
        let session = carrier.client("/mcp/demo").legacy("2025-11-25").await;
        let called = session.call("echo", json!({ "text": "hi" })).await;
        assert_eq!(called["content"][0]["text"], "hi");
    }
    let said = gateway.program().stdout().join("\n");
    assert!(
        said.contains(&format!("listening on https://{}", gateway.address())),
        "{said}"
    );
    assert!(
        said.contains(&format!("curl -s https://{}", gateway.address())),
        "{said}"
    );
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_who_comes_and_open_streams_do_not_notice() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        Reply::after(
            &held,
            Reply::result(request, &json!({ "resultType": "complete", "content": [] })),
        )
    });
    let server = server.start().await;
    let (authority, later) = (Authority::new(), Authority::new());
    let pair = authority.server(&["localhost"]);
    let gateway = with(&[("own", &pair)], "").server("docs", &server).start().await;
    let carriers = [
        Carrier::by_tls(gateway.address(), authority.believed(&["http/1.1"], None)).await,
        Carrier::by_h2(gateway.address(), Some(authority.believed(&["h2"], None))).await,
    ];
    let mut sent = Vec::new();
    for carrier in &carriers {
        let client = carrier.client("/mcp").modern();
        sent.push(client.send("tools/call", json!({ "name": "echo" })).await);
    }
    within("both calls", async {
        while server.asked("tools/call").len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    // In between the key is not the certificate's: what was loaded before goes on.
    let renewed = later.server(&["localhost"]);
    gateway.replace("own.pem", &renewed.cert);
    gateway
        .refused("the key does not belong to the certificate")
        .await;
    assert!(shown(&gateway, "localhost", &authority.believed(&[], None)).await == der(&pair));
    gateway.replace("own.key", &renewed.key);
    gateway.reloaded("").await;

    assert!(shown(&gateway, "localhost", &later.believed(&[], None)).await == der(&renewed));
    gate.open();
    for sent in sent {
        assert_eq!(sent.answer().await.status, 200);
    }
}

#[tokio::test]
async fn tls_neither_comes_nor_goes_while_the_gateway_runs() {
    let pair = Authority::new().server(&["localhost"]);
    let gateway = with(&[("own", &pair)], "").demo().start().await;
    let document = gateway.document();
    let without: Vec<&str> = document
        .lines()
        .filter(|line| !line.starts_with("tls:"))
        .collect();

    gateway.replace("gateway.yaml", &without.join("\n"));

    gateway
        .refused("tls: this cannot change while the gateway runs")
        .await;
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_told_with_its_line() {
    let authority = Authority::new();
    let (own, other) = (
        authority.server(&["a.example"]),
        authority.server(&["b.example", "A.example"]),
    );
    let old = authority.expired(&["c.example"]);
    let nobody = authority.client("", &[]);
    let gateway = Gateway::new();
    for (name, text) in [
        ("own.pem", &own.cert),
        ("own.key", &own.key),
        ("other.pem", &other.cert),
        ("other.key", &other.key),
        ("old.pem", &old.cert),
        ("old.key", &old.key),
        ("nobody.pem", &nobody.cert),
        ("nobody.key", &nobody.key),
        ("ca.pem", &authority.pem()),
    ] {
        gateway.file(name, text);
    }
    let at = gateway.file("empty", "");
    let home = at.strip_suffix("/empty").unwrap();
    let judge = async |tls: &str| {
        let text = format!("upstreams:\n  demo: {{ command: causeway, args: [demo] }}\ntls:\n{tls}");
        check(&text.replace("AT", home)).await
    };

    for (tls, words) in [
        ("  certificates: []", "3: tls: there is no certificate in it"),
        ("  client_ca: AT/ca.pem", "3: tls: `certificates` is missing"),
        (
            "  certificates:\n    - { cert: AT/own.pem }",
            "5: tls.certificates[0]: `key` is missing",
        ),
        (
            "  certificates:\n    - { cert: AT/gone.pem, key: AT/own.key }",
            "5: tls.certificates[0].cert: there is no file `",
        ),
        (
            "  certificates:\n    - { cert: AT/empty, key: AT/own.key }",
            "5: tls.certificates[0].cert: there is no certificate in it",
        ),
        (
            "  certificates:\n    - { cert: AT/own.pem, key: AT/own.pem }",
            "5: tls.certificates[0].key: there is no private key in it",
        ),
        (
            "  certificates:\n    - { cert: AT/own.pem, key: AT/other.key }",
            "5: tls.certificates[0].key: the key does not belong to the certificate",
        ),
        (
            "  certificates:\n    - { cert: AT/nobody.pem, key: AT/nobody.key }",
            "5: tls.certificates[0].cert: the certificate names no host",
        ),
        (
            "  certificates:\n    - { cert: AT/own.pem, key: AT/own.key }\n    - { cert: AT/other.pem, key: AT/other.key }",
            "6: tls.certificates[1]: another certificate is for `a.example` too",
        ),
        (
            "  certificates: [{ cert: AT/own.pem, key: AT/own.key }]\n  client_certificate: optional",
            "5: tls.client_certificate: nobody's certificates are believed without `client_ca`",
        ),
        (
            "  certificates: [{ cert: AT/own.pem, key: AT/own.key }]\n  client_ca: AT/own.key",
            "5: tls.client_ca: there is no certificate in it",
        ),
        (
            "  certificates: [{ cert: AT/own.pem, key: AT/own.key }]\n  client_ca: AT/ca.pem\n  client_certificate: optoinal",
            "6: tls.client_certificate: `optoinal` is not a choice here; did you mean `optional`?",
        ),
    ] {
        let (exit, said) = judge(tls).await;
        assert_eq!(exit, Exit::Code(2), "{tls}\n{said}");
        assert!(said.contains(words), "{words}\n{said}");
        assert!(!said.contains("PRIVATE KEY"), "{said}");
    }
    let (exit, said) = judge("  certificates: [{ cert: AT/old.pem, key: AT/old.key }]").await;
    assert_eq!(exit, Exit::Code(0), "{said}");
    assert!(
        said.contains("warning: tls.certificates[0].cert: this certificate has expired"),
        "{said}"
    );
}

#[tokio::test]
async fn who_connects_and_does_not_begin_is_not_waited_for() {
    let authority = Authority::new();
    let pair = authority.server(&["localhost"]);
    let bounds = "bounds: { arrival: 1s, idle: 1s }";
    let encrypted = with(&[("own", &pair)], "").demo().config(bounds).start().await;
    let clear = Gateway::new().demo().config(bounds).start().await;
    let closed = async |what: &str, mut stream: Box<dyn Stream>| {
        let mut said = Vec::new();
        // A reset is an end too.
        let end = within(format!("the end of {what}"), stream.read_to_end(&mut said)).await;
        drop(end);
        said
    };

    let silent = TcpStream::connect(encrypted.address()).await.unwrap();
    let mut hello = TcpStream::connect(encrypted.address()).await.unwrap();
    // The first bytes of a ClientHello, and no more.
    hello.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    let h2 = authority.believed(&["h2"], None);
    let agreed = connect(encrypted.address(), "localhost", h2).await.unwrap();
    let mut part = TcpStream::connect(clear.address()).await.unwrap();
    part.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut idle = TcpStream::connect(clear.address()).await.unwrap();
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();

    tokio::join!(
        closed("a silent connection", Box::new(silent)),
        closed("half a ClientHello", Box::new(hello)),
        closed("TLS without a request", Box::new(agreed)),
        closed("half a preface", Box::new(part)),
        closed("HTTP/2 without a request", Box::new(idle)),
    );
}

/// Something with two directions.
trait Stream: tokio::io::AsyncRead + Unpin {}

impl<S: tokio::io::AsyncRead + Unpin> Stream for S {}

#[tokio::test]
async fn without_tls_the_shortest_requests_are_answered_too() {
    let gateway = Gateway::new().demo().start().await;

    for (request, status) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], "HTTP/1.1 "),
        (b"P\r\n\r\n", "HTTP/1.1 400"),
        (b"PRI * HTTP/1.1\r\n\r\n", "HTTP/1.1 "),
    ] {
        let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        let _ = within("an answer", stream.read_to_string(&mut said)).await;
        assert!(said.starts_with(status), "{request:?}: {said}");
    }
}

#[tokio::test]
async fn a_client_must_come_with_a_certificate_where_the_file_says_so() {
    let (authority, others) = (Authority::new(), Authority::new());
    let pair = authority.server(&["localhost"]);
    let ca = Authority::new();
    let (good, bad) = (ca.client("ci", &[]), others.client("ci", &[]));
    let gateway = async |mode: &str| {
        let own = with(&[("own", &pair)], &format!(", client_ca: ca.pem{mode}"));
        own.file("ca.pem", &ca.pem());
        own.demo().start().await
    };
    let (required, optional) = (gateway("").await, gateway(", client_certificate: optional").await);
    let status = async |gateway: &Running, own: Option<&Pair>| {
        let tls = authority.believed(&["http/1.1"], own);
        let carrier = Carrier::by_tls(gateway.address(), tls).await;
        let sent = carrier.client("/health").fetching("GET").await;
        sent.try_begun().await.map(|exchange| exchange.status)
    };

    assert_eq!(status(&required, Some(&good)).await, Some(200));
    assert_eq!(status(&required, None).await, None);
    assert_eq!(status(&required, Some(&bad)).await, None);
    assert_eq!(status(&optional, Some(&good)).await, Some(200));
    assert_eq!(status(&optional, None).await, Some(200));
    assert_eq!(status(&optional, Some(&bad)).await, None);
}

/// A gateway that knows clients by certificates, and Ann by a key too.
async fn knowing(server: &Pair, ca: &Authority) -> Running {
    let gateway = with(
        &[("own", server)],
        ", client_ca: ca.pem, client_certificate: optional",
    );
    gateway.file("ca.pem", &ca.pem());
    gateway
        .config(
            "auth:
  keys: [{ name: ann, key: \"${env:X_TEST_ANN}\" }]
  certificates:
    - { subject: CN=ci.example.com, roles: [ci] }
    - { san: \"spiffe://example.org/agent/*\", roles: [agent], tenant: acme }
",
        )
        .environment("X_TEST_ANN", "cw_annannannannannannannannannannannannann")
        .demo()
        .start()
        .await
}

#[tokio::test]
async fn a_certificate_says_who_calls_where_nothing_else_does() {
    let (authority, ca) = (Authority::new(), Authority::new());
    let gateway = knowing(&authority.server(&["localhost"]), &ca).await;
    let pairs = [
        ca.client("ci.example.com", &[]),
        ca.client("x", &["spiffe://example.org/agent/7"]),
        ca.client("somebody", &["spiffe://example.com/agent/7"]),
    ];
    let echo = async |own: Option<&Pair>, authorization: Option<&str>| {
        let mut said = Vec::new();
        let h1 = Carrier::by_tls(gateway.address(), authority.believed(&["http/1.1"], own)).await;
        let h2 = Carrier::by_h2(gateway.address(), Some(authority.believed(&["h2"], own))).await;
        for carrier in [&h1, &h2] {
            let mut client = carrier.client("/mcp/demo").modern();
            if let Some(authorization) = authorization {
                client = client.with("Authorization", authorization);
            }
            let answer = client
                .ask(
                    "tools/call",
                    json!({ "name": "echo", "arguments": { "text": "hi" } }),
                )
                .await;
            said.push(answer.status);
        }
        said
    };
    let principals = || {
        let records = gateway.records().into_iter();
        let calls = records.filter(|record| record["method"] == "tools/call");
        let mut named: Vec<_> = calls
            .map(|record| record["principal"].as_str().unwrap().to_owned())
            .collect();
        named.dedup();
        named
    };

    assert_eq!(echo(Some(&pairs[0]), None).await, [200, 200]);
    assert_eq!(echo(Some(&pairs[1]), None).await, [200, 200]);
    // What is said decides, good or bad, before what is proved.
    let ann = "Bearer cw_annannannannannannannannannannannannann";
    assert_eq!(echo(Some(&pairs[0]), Some(ann)).await, [200, 200]);
    assert_eq!(echo(Some(&pairs[0]), Some("Bearer cw_nobody")).await, [401, 401]);
    // A certificate of nobody whom the file names, and none at all.
    assert_eq!(echo(Some(&pairs[2]), None).await, [401, 401]);
    assert_eq!(echo(None, None).await, [401, 401]);

    let wanted = ["CN=ci.example.com", "spiffe://example.org/agent/7", "ann"];
    harness::until("three principals on record", || {
        (principals() == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_of_a_certificate_is_its_bearers_alone() {
    let (authority, ca) = (Authority::new(), Authority::new());
    let gateway = knowing(&authority.server(&["localhost"]), &ca).await;
    let (ci, agent) = (
        ca.client("ci.example.com", &[]),
        ca.client("x", &["spiffe://example.org/agent/7"]),
    );
    let by = async |own: &Pair| {
        let tls = authority.believed(&["h2"], Some(own));
        Carrier::by_h2(gateway.address(), Some(tls)).await
    };
    let (first, other) = (by(&ci).await, by(&agent).await);
    // Renewed: another certificate of the same name.
    let again = by(&ca.client("ci.example.com", &[])).await;

    let client = first.client("/mcp/demo").legacy("2025-11-25").await;

    let list = |client: harness::Client| async move { client.ask("tools/list", json!({})).await.status };
    assert_eq!(list(client.clone().moved_to(other.address())).await, 404);
    assert_eq!(list(client.clone().moved_to(again.address())).await, 200);
}

#[tokio::test]
async fn an_authority_that_is_taken_away_is_believed_on_no_connection_any_more() {
    let (authority, ca, next) = (Authority::new(), Authority::new(), Authority::new());
    let gateway = knowing(&authority.server(&["localhost"]), &ca).await;
    let own = ca.client("ci.example.com", &[]);
    let tls = authority.believed(&["h2"], Some(&own));
    let carrier = Carrier::by_h2(gateway.address(), Some(tls)).await;
    let client = carrier.client("/mcp/demo").modern();
    let list = async || client.ask("tools/list", json!({})).await.status;
    assert_eq!(list().await, 200);

    gateway.replace("ca.pem", &format!("{}{}", next.pem(), ca.pem()));
    gateway.reloaded("").await;
    assert_eq!(list().await, 200, "the authority is one of two now");

    let before = gateway.program().stdout().len();
    gateway.replace("ca.pem", &next.pem());
    harness::until("another reload", || {
        (gateway.program().stdout().len() > before).then_some(())
    })
    .await;
    assert_eq!(list().await, 401);
}

#[tokio::test]
async fn who_is_known_by_a_certificate_must_be_asked_for_one() {
    let pair = Authority::new().server(&["localhost"]);
    let auth = "auth: { certificates: [{ san: a.example }] }\n";
    let clear = Gateway::new().config(auth).demo();
    let encrypted = with(&[("own", &pair)], "").config(auth).demo();

    for gateway in [clear, encrypted] {
        let (exit, said) = gateway.fail().await;
        assert_eq!(exit, Exit::Code(2), "{said}");
        let words = "auth.certificates: clients are not asked for certificates; name the authority";
        assert!(said.contains(words), "{said}");
    }
}
