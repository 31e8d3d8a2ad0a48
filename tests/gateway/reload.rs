//! A changed file: served whole, or not at all and with the reason; whoever is not concerned does not notice.
mod removal;

use std::{collections::BTreeMap, os::unix::fs::symlink};

use harness::{Exit, Gate, Gateway, Mood, Reply, Running, Server, causeway, is_alive, misbehave, until};
use serde_json::{Value, json};

/// How often the file changes to another good one, and to a bad one, while calls run.
const CHANGES: usize = 100;

/// Clients that call all the while.
const CALLERS: usize = 8;

/// Streams of each kind that are open all the while.
const STREAMS: usize = 500;

/// A child that says where its process ids can be read, as an upstream of the file.
fn child(gateway: &Gateway, name: &str) -> String {
    misbehave(&["--era", "modern", "--pids", &gateway.file(name, "")])
}

/// The processes that a child of this name had, in the order of their starts.
fn pids(gateway: &Running, name: &str) -> Vec<u32> {
    let text = std::fs::read_to_string(gateway.home().join(name)).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

async fn call(gateway: &Running, path: &str) {
    gateway
        .client(path)
        .modern()
        .call("echo", json!({ "message": "hi" }))
        .await;
}

/// What the status page says of the file.
async fn configuration(gateway: &Running) -> Value {
    gateway.admin("/status").await.last()["configuration"].clone()
}

#[tokio::test]
async fn a_changed_file_is_served() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new().demo().start().await;
    let document = gateway.document();
    let more = format!("upstreams:\n  more: {{ url: \"{}\" }}", server.url());

    gateway.replace("gateway.yaml", &document.replace("upstreams:", &more));
    gateway.reloaded("added more").await;
    call(&gateway, "/mcp/more").await;
    // It is introduced as those of the start are.
    let says = |line: &str| line.starts_with("upstream more").then_some(());
    gateway.program().line("what `more` is", says).await;
    let configuration = configuration(&gateway).await;
    let metrics = gateway.admin("/metrics").await.text();
    assert_eq!(
        (&configuration["reloads"], &configuration["refused"]),
        (&json!(1), &Value::Null)
    );
    assert!(
        metrics.contains(r#"causeway_reloads_total{outcome="loaded"} 1"#),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"causeway_upstream_up{upstream="more"} 1"#),
        "{metrics}"
    );

    gateway.replace("gateway.yaml", &document);
    gateway.reloaded("removed more").await;
    let answer = gateway
        .client("/mcp/more")
        .modern()
        .ask("tools/list", json!({}))
        .await;
    assert_eq!(answer.status, 404, "{answer:?}");
    // What was counted for it goes with it.
    loop {
        let metrics = gateway.admin("/metrics").await.text();
        if !metrics.contains("\"more\"") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_mistaken_file_changes_nothing_and_says_why() {
    let gateway = Gateway::new().demo().start().await;
    let document = gateway.document();
    let line = document.lines().count() + 1;

    gateway.replace("gateway.yaml", &format!("{document}hostss: [a.example]\n"));
    gateway
        .refused(&format!(
            "gateway.yaml:{line}: `hostss` is not a key we know; did you mean `hosts`?"
        ))
        .await;
    call(&gateway, "/mcp").await;
    let told = configuration(&gateway).await;
    assert!(
        told["refused"].as_str().unwrap().contains("did you mean `hosts`"),
        "{told}"
    );
    let metrics = gateway.admin("/metrics").await.text();
    assert!(
        metrics.contains(r#"causeway_reloads_total{outcome="refused"} 1"#),
        "{metrics}"
    );
    let mut status = std::process::Command::new(causeway());
    status.arg("status").arg(gateway.admin_url());
    let status = harness::Program::start("causeway status", status);
    assert_eq!(status.ended().await, Exit::Code(0));
    assert!(
        status.stdout().join("\n").contains("did you mean `hosts`"),
        "{:?}",
        status.stdout()
    );

    // A file that is half there, and then whole.
    gateway.replace("gateway.yaml", &document[..document.find("demo").unwrap() + 8]);
    gateway.refused("gateway.yaml:5").await;
    call(&gateway, "/mcp").await;
    gateway.replace("gateway.yaml", &document);
    gateway.reloaded("all upstreams stay").await;
    assert_eq!(configuration(&gateway).await["refused"], Value::Null);

    std::fs::remove_file(gateway.home().join("gateway.yaml")).unwrap();
    gateway.refused("there is no such file").await;
    call(&gateway, "/mcp").await;
}

#[tokio::test]
async fn sighup_reads_the_file_even_unchanged() {
    let gateway = Gateway::new().demo().start().await;

    gateway.hang_up();

    gateway.reloaded("all upstreams stay").await;
    call(&gateway, "/mcp").await;
}

#[tokio::test]
async fn a_secret_that_is_rotated_goes_along_from_then_on() {
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new();
    let secret = gateway.file("secret", "first-secret\n");
    let yaml = format!(
        "{{ url: \"{}\", headers: {{ Authorization: \"Bearer ${{file:{secret}}}\" }} }}",
        server.url()
    );
    let gateway = gateway.upstream("docs", yaml).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;

    gateway.replace("secret", "second-secret\n");
    gateway.reloaded("all upstreams stay").await;
    server.forget();
    client.call("echo", json!({ "message": "hi" })).await;

    assert_eq!(
        server.only("tools/call").headers.get("authorization"),
        Some("Bearer second-secret")
    );
    let said = format!(
        "{}{}",
        gateway.program().stderr(),
        gateway.program().stdout().join("")
    );
    assert!(!said.contains("-secret"), "{said}");
}

#[tokio::test]
async fn a_directory_that_is_swapped_below_a_link_is_seen() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new();
    let home = std::path::PathBuf::from(gateway.file("anchor", ""))
        .parent()
        .unwrap()
        .to_owned();
    for version in ["1", "2"] {
        std::fs::create_dir(home.join(version)).unwrap();
        std::fs::write(home.join(version).join("token"), format!("token-{version}")).unwrap();
    }
    symlink("1", home.join("..data")).unwrap();
    symlink("..data/token", home.join("token")).unwrap();
    let file = home.join("token").display().to_string();
    let yaml = format!(
        "{{ url: \"{}\", headers: {{ X-Token: \"${{file:{file}}}\" }} }}",
        server.url()
    );
    let gateway = gateway.upstream("docs", yaml).start().await;

    symlink("2", home.join("..next")).unwrap();
    std::fs::rename(home.join("..next"), home.join("..data")).unwrap();
    gateway.reloaded("all upstreams stay").await;
    server.forget();
    call(&gateway, "/mcp").await;

    assert_eq!(server.only("tools/call").headers.get("x-token"), Some("token-2"));
}

#[tokio::test]
async fn only_children_that_are_concerned_end() {
    let gateway = Gateway::new();
    let (stays, changes, goes) = (
        child(&gateway, "stays"),
        child(&gateway, "changes"),
        child(&gateway, "goes"),
    );
    let gateway = gateway
        .upstream("stays", stays)
        .upstream("changes", changes)
        .upstream("goes", &goes);
    let gateway = gateway.config("hosts: [one.example]").start().await;
    for name in ["stays", "changes", "goes"] {
        call(&gateway, &format!("/mcp/{name}")).await;
    }
    let before: BTreeMap<_, _> = ["stays", "changes", "goes"]
        .map(|name| (name, pids(&gateway, name)[0]))
        .into();

    let document = gateway.document().replace(&format!("  goes: {goes}\n"), "");
    let document = document.replace("/changes\"] }", "/changes\"], env: { NEW: new } }");
    gateway.replace("gateway.yaml", &document);
    gateway.reloaded("changed changes; removed goes").await;

    until("the end of the two", || {
        (!is_alive(before["changes"]) && !is_alive(before["goes"])).then_some(())
    })
    .await;
    call(&gateway, "/mcp/stays").await;
    call(&gateway, "/mcp/changes").await;
    assert_eq!(
        pids(&gateway, "stays"),
        [before["stays"]],
        "nothing happened to it"
    );
    assert_eq!(pids(&gateway, "changes").len(), 2);
    assert_eq!(pids(&gateway, "goes").len(), 1);
    assert_eq!(gateway.stop().await, Exit::Code(0));
}

#[tokio::test]
async fn a_call_to_a_removed_server_finishes() {
    let gate = Gate::closed();
    let waits = gate.clone();
    let server = Server::of(Mood::Dual).on("tools/call", move |request| {
        let result = json!({ "content": [{ "type": "text", "text": "done" }], "resultType": "complete" });
        Reply::after(&waits, Reply::result(request, &result))
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).demo().start().await;
    let before = gateway.document();
    let docs = format!("  docs: {{ url: \"{}\" }}\n", server.url());
    let sent = gateway
        .client("/mcp/docs")
        .modern()
        .send("tools/call", json!({ "name": "echo" }))
        .await;
    server.asked_for("tools/call").await;

    gateway.replace("gateway.yaml", &before.replace(&docs, ""));
    gateway.reloaded("removed docs").await;
    let refused = gateway
        .client("/mcp/docs")
        .modern()
        .ask("tools/call", json!({ "name": "echo" }))
        .await;
    assert_eq!(refused.status, 404, "{refused:?}");
    // It comes back before the former one has ended.
    gateway.replace("gateway.yaml", &before);
    gateway.reloaded("added docs").await;
    gate.open();

    assert_eq!(sent.answer().await.result()["content"][0]["text"], "done");
    call(&gateway, "/mcp/docs").await;
}

#[tokio::test]
async fn a_stop_ends_what_was_removed_before() {
    let gateway = Gateway::new();
    let pids_file = gateway.file("hangs", "");
    let hangs = misbehave(&[
        "--era",
        "modern",
        "--hang-on",
        "vendor/hang",
        "--pids",
        &pids_file,
    ]);
    let gateway = gateway
        .upstream("hangs", &hangs)
        .demo()
        .config("grace: 1s")
        .start()
        .await;
    let _waiting = gateway
        .client("/mcp/hangs")
        .modern()
        .send("vendor/hang", json!({}))
        .await;
    until("the child to run", || {
        (!pids(&gateway, "hangs").is_empty()).then_some(())
    })
    .await;

    let document = gateway.document().replace(&format!("  hangs: {hangs}\n"), "");
    gateway.replace("gateway.yaml", &document.replace("grace: 1s", "grace: 1h"));
    gateway.reloaded("removed hangs").await;
    assert!(is_alive(pids(&gateway, "hangs")[0]), "its call may still finish");
    gateway.replace("gateway.yaml", &document);
    gateway.reloaded("all upstreams stay").await;

    assert_eq!(gateway.stop().await, Exit::Code(0));
    assert!(!is_alive(pids(&gateway, "hangs")[0]));
}

#[tokio::test]
async fn sessions_go_on_as_long_as_their_key_is_known() {
    const ONE: &str = "one-one-one-one-one-one-one-one-one";
    const TWO: &str = "two-two-two-two-two-two-two-two-two";
    let server = Server::start(Mood::Sessionful("2025-06-18")).await;
    let gateway = Gateway::new().server("docs", &server);
    let gateway = gateway
        .config(&format!("session: {{ key: {ONE} }}"))
        .start()
        .await;
    let session = |text: &str| {
        gateway
            .document()
            .replace(&format!("session: {{ key: {ONE} }}"), text)
    };
    let (next, last) = (
        session(&format!(
            "session: {{ key: {TWO}, previous: {ONE} }}\nhosts: [next.example]"
        )),
        session(&format!("session: {{ key: {TWO} }}")),
    );
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let ended = gateway.client("/mcp").legacy("2025-06-18").await;
    assert_eq!(ended.fetch("DELETE").await.status, 204);

    gateway.replace("gateway.yaml", &next);
    gateway.reloaded("all upstreams stay").await;
    client.call("echo", json!({ "message": "still here" })).await;
    assert_eq!(
        ended.ask("tools/list", json!({})).await.status,
        404,
        "ended is ended"
    );

    gateway.replace("gateway.yaml", &last);
    until("the second reload", || {
        let lines = gateway.program().stdout();
        (lines.iter().filter(|line| line.starts_with("reloaded ")).count() == 2).then_some(())
    })
    .await;
    assert_eq!(
        client.ask("tools/list", json!({})).await.status,
        404,
        "its key is gone"
    );
}

#[tokio::test]
async fn what_cannot_change_is_refused_by_its_name() {
    let gateway = Gateway::new().demo().start().await;
    let document = gateway.document();
    for (before, after, key) in [
        ("listen: 127.0.0.1:0", "listen: 127.0.0.1:1", ":1: listen:"),
        ("admin: 127.0.0.1:0", "admin: off", ":2: admin:"),
        ("/state\n", "/elsewhere\n", ":3: state:"),
        ("upstreams:", "audit: { to: stdout }\nupstreams:", ":4: audit.to:"),
    ] {
        // The rest of such a file is not served either.
        let changed = document
            .replacen(before, after, 1)
            .replace("  demo:", "  renamed:");
        gateway.replace("gateway.yaml", &changed);
        gateway.hang_up();
        gateway
            .refused(&format!(
                "gateway.yaml{key} this cannot change while the gateway runs; restart it"
            ))
            .await;
        call(&gateway, "/mcp/demo").await;
    }
}

#[tokio::test]
async fn hosts_bounds_and_pages_follow_the_file() {
    let gateway = Gateway::new().demo().config("hosts: [one.example]").start().await;
    let from = |host: &'static str| gateway.client("/mcp").with("host", host).modern();
    assert_eq!(from("two.example").ask("tools/list", json!({})).await.status, 403);
    assert_eq!(from("one.example").ask("tools/list", json!({})).await.status, 200);

    let document = gateway.document().replace("one.example", "two.example");
    gateway.replace("gateway.yaml", &format!("{document}bounds: {{ body: 2KiB }}\n"));
    gateway.reloaded("").await;

    assert_eq!(from("one.example").ask("tools/list", json!({})).await.status, 403);
    assert_eq!(from("two.example").ask("tools/list", json!({})).await.status, 200);
    let long = json!({ "name": "echo", "arguments": { "text": "x".repeat(4096) } });
    assert_eq!(from("two.example").ask("tools/call", long).await.status, 413);
    let address = gateway.admin_url().replace("http://", "");
    for (host, status) in [("one.example", 403), ("two.example", 200)] {
        let page = harness::Client::new(&address, "/status").with("host", host);
        assert_eq!(page.fetch("GET").await.status, status, "{host}");
    }
}

#[tokio::test]
async fn the_log_follows_the_file() {
    let gateway = Gateway::new()
        .demo()
        .config("telemetry: { log: \"off\" }")
        .start()
        .await;

    let document = gateway.document().replace("log: \"off\"", "log: info");
    gateway.replace("gateway.yaml", &document);
    gateway.reloaded("all upstreams stay").await;
    gateway.stop().await;

    assert!(
        gateway.program().stderr().contains("stopping; once more"),
        "{}",
        gateway.program().stderr()
    );
}

/// What a gauge or a counter shows, all its lines together.
async fn shown(gateway: &Running, name: &str) -> u64 {
    let metrics = gateway.admin("/metrics").await.text();
    let lines = metrics
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_calls_nor_streams_notice_a_reload() {
    let server = Server::start(Mood::Dual).await;
    let gateway = Gateway::new();
    let stays = child(&gateway, "stays");
    let gateway = gateway
        .server("docs", &server)
        .upstream("stays", stays)
        .start()
        .await;
    let before = gateway.document();
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let client = gateway.client("/mcp/docs").legacy("2025-06-18").await;
        for client in [client, gateway.client("/mcp/docs/sse")] {
            let stream = client.with("Accept", "text/event-stream").fetching("GET").await;
            streams.push(stream.begun().await);
        }
    }
    assert_eq!(shown(&gateway, "causeway_held_streams").await, 2 * STREAMS as u64);

    reload_under_load(&gateway, &["/mcp/docs", "/mcp/stays"], CHANGES).await;

    assert_eq!(pids(&gateway, "stays").len(), 1);
    assert_eq!(shown(&gateway, "causeway_held_streams").await, 2 * STREAMS as u64);
    // They end with their server, and cleanly.
    let docs = format!("  docs: {{ url: \"{}\" }}\n", server.url());
    gateway.replace("gateway.yaml", &before.replace(&docs, ""));
    gateway.reloaded(", docs").await;
    for mut stream in streams {
        assert!(stream.is_stream());
        stream.rest().await;
    }
}

#[tokio::test]
async fn no_event_is_lost_or_doubled_over_a_reload() {
    let gate = Gate::closed();
    let said = |n: u64| json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": n } });
    let waits = gate.clone();
    let server = Server::of(Mood::Sessionful("2025-06-18")).on("GET", move |_| {
        Reply::stream()
            .event(&said(1))
            .wait(&waits)
            .event(&said(2))
            .event(&said(3))
            .wait(&Gate::closed())
    });
    let server = server.start().await;
    let gateway = Gateway::new().server("docs", &server).start().await;
    let client = gateway.client("/mcp").legacy("2025-06-18").await;
    let mut stream = client
        .with("Accept", "text/event-stream")
        .fetching("GET")
        .await
        .begun()
        .await;
    assert_eq!(stream.message().await.unwrap()["params"]["data"], 1);

    for change in 0..3 {
        let document = format!(
            "{}grace: {change}s\n",
            gateway.document().replace("grace: ", "# ")
        );
        gateway.replace("gateway.yaml", &document);
        gateway.hang_up();
        until("one reload more", || {
            let lines = gateway.program().stdout();
            (lines.iter().filter(|line| line.starts_with("reloaded ")).count() > change).then_some(())
        })
        .await;
    }
    gate.open();

    assert_eq!(stream.message().await.unwrap()["params"]["data"], 2);
    assert_eq!(stream.message().await.unwrap()["params"]["data"], 3);
    let listening = server
        .requests()
        .iter()
        .filter(|request| request.verb == "GET")
        .count();
    assert_eq!(listening, 1, "the server did not notice either");
}

/// Changes the file this often to a good one, and as often to a bad one, while clients call on these paths.
async fn reload_under_load(gateway: &Running, paths: &[&str], changes: usize) {
    let (done, _) = tokio::sync::watch::channel(false);
    let callers: Vec<_> = paths
        .iter()
        .cycle()
        .take(CALLERS)
        .map(|path| {
            let client = gateway.client(path).modern();
            let done = done.subscribe();
            tokio::spawn(async move {
                let mut calls = 0;
                while !*done.borrow() {
                    client.call("echo", json!({ "message": "hi" })).await;
                    calls += 1;
                }
                calls
            })
        })
        .collect();

    let document = gateway.document();
    for change in 0..changes {
        let another = misbehave(&["--era", "modern", "--told", &format!("n{change}")]);
        let good = format!("upstreams:\n  n{change}: {another}");
        gateway.replace("gateway.yaml", &document.replace("upstreams:", &good));
        gateway.hang_up();
        gateway.reloaded(&format!("added n{change}")).await;
        gateway.replace("gateway.yaml", &format!("{document}wrong{change}: true\n"));
        gateway.hang_up();
        gateway
            .refused(&format!("`wrong{change}` is not a key we know"))
            .await;
    }

    done.send_replace(true);
    for caller in callers {
        assert!(caller.await.unwrap() > 0, "it called all the while");
    }
}
