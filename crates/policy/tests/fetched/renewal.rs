//! A login serves until somebody ends it, over restarts, other processes and disks that are full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use config::{KeyRing, Secret};
use policy::Principal;
use policy::fetched::{Account, Beginning, Fetched, Hint, Logins, Unfetched, Whose};
use serde_json::json;
use tempfile::TempDir;

use crate::world::{Answer, MCP, NOW, Network, TOKEN, at, auth, changed, fetched_with, grant, token, url};

const LOGIN: &str = "login: { client_id: us }";

fn logins(directory: &Path) -> Arc<Logins> {
    let key = Secret::from("a new key of thirty-two bytes...");
    let keys = KeyRing::new(&key, None).unwrap();
    Arc::new(Logins::open(&directory.join("logins"), keys).unwrap())
}

/// A server that takes each refresh token once, and ends the login when it sees one twice.
fn rotates(network: &Network) {
    network.script(TOKEN, |sent| {
        let number = sent.before;
        let expected = format!("refresh-canary-{}", number.saturating_sub(1));
        if number > 0 && sent.form("refresh_token") != Some(expected) {
            return Answer::with(400, json!({ "error": "invalid_grant" }));
        }
        let changes = json!({ "refresh_token": format!("refresh-canary-{number}") });
        Answer::of(grant(&format!("access-canary-{number}"), changes))
    });
}

/// Logs in, which is the first thing that is asked of the server.
async fn log_in(network: &Network) -> Account {
    let beginning = Beginning {
        upstream: "crm",
        url: &url(MCP),
        auth: &auth(LOGIN),
        hint: &Hint::default(),
        redirect: "http://127.0.0.1:7777/callback",
        document: None,
    };
    let (address, mut pending) = beginning.begin(network).await.unwrap();
    let query = address.split_once('?').unwrap().1;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, state) = pairs.find(|(name, _)| name == "state").unwrap();
    let query = format!("code=c&state={state}");
    pending.finish(&query, network, at(NOW)).await.unwrap()
}

struct World {
    directory: TempDir,
    network: Arc<Network>,
}

impl World {
    /// One in which somebody is logged in.
    async fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
            network: Network::described(),
        };
        rotates(&world.network);
        world.logins().keep(&log_in(&world.network).await).unwrap();
        world
    }

    fn logins(&self) -> Arc<Logins> {
        logins(self.directory.path())
    }

    /// A gateway that was just started.
    fn gateway(&self) -> Fetched {
        self.gateway_of(LOGIN)
    }

    fn gateway_of(&self, text: &str) -> Fetched {
        fetched_with(text, &self.network, None, Some(&self.logins()))
    }

    fn refreshed(&self) -> usize {
        self.network.sent(TOKEN).len() - 1
    }
}

async fn text(fetched: &Fetched, second: u64) -> String {
    token(fetched, second).await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_call_without_a_login_says_how_to_log_in() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::described();
    rotates(&network);
    let logins = logins(directory.path());
    let fetched = fetched_with(LOGIN, &network, None, Some(&logins));

    let why = token(&fetched, 0).await.unwrap_err();
    assert_eq!(
        why,
        Unfetched::NotLoggedIn {
            upstream: "crm".to_owned()
        }
    );
    assert!(why.to_string().contains("causeway login crm"), "{why}");

    // And it is seen at once that somebody did.
    logins.keep(&log_in(&network).await).unwrap();
    assert_eq!(text(&fetched, 1).await, "access-canary-0");
    assert!(logins.forget("crm").unwrap());
    assert!(!logins.forget("crm").unwrap());
}

#[tokio::test]
async fn a_login_is_renewed_and_outlives_a_restart() {
    let world = World::new().await;

    let gateway = world.gateway();
    assert_eq!(text(&gateway, 1).await, "access-canary-0");
    assert_eq!(text(&gateway, 1000).await, "access-canary-1");
    let sent = world.network.sent(TOKEN).pop().unwrap();
    assert_eq!(sent.form("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(sent.form("resource").as_deref(), Some(MCP));
    assert_eq!(sent.form("client_id").as_deref(), Some("us"));
    drop(gateway);

    let gateway = world.gateway();
    assert_eq!(text(&gateway, 1001).await, "access-canary-1");
    assert_eq!(text(&gateway, 2000).await, "access-canary-2");
    assert_eq!(world.refreshed(), 2);
}

#[tokio::test]
async fn two_processes_renew_a_login_once() {
    let world = World::new().await;
    let (ours, theirs) = (world.gateway(), world.gateway());
    let (one, other) = tokio::join!(text(&ours, 1000), text(&theirs, 1000));
    assert_eq!(
        (one.as_str(), other.as_str()),
        ("access-canary-1", "access-canary-1")
    );
    assert_eq!(world.refreshed(), 1);
}

#[tokio::test]
async fn the_new_refresh_token_is_on_disk_before_the_token_is_used() {
    let world = World::new().await;
    let before = world.logins().get("crm").unwrap().unwrap();
    // Whoever is cut off after this answer finds the new one.
    text(&world.gateway(), 1000).await;
    let after = world.logins().get("crm").unwrap().unwrap();
    assert_ne!(before, after);
    assert_eq!(text(&world.gateway(), 2000).await, "access-canary-2");
}

#[tokio::test]
async fn a_disk_that_takes_nothing_costs_no_login_as_long_as_we_run() {
    let world = World::new().await;
    let at = world.directory.path().join("logins");
    let gateway = world.gateway();
    let old = world.logins().get("crm").unwrap();
    // A directory where the new file would be made: also root cannot write it.
    let mut files = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_none()).unwrap();
    let blocked = file.with_extension("new");
    fs::create_dir(&blocked).unwrap();

    assert_eq!(text(&gateway, 1000).await, "access-canary-1");
    assert_eq!(world.logins().get("crm").unwrap(), old);
    assert_eq!(text(&gateway, 2000).await, "access-canary-2");

    fs::remove_dir(&blocked).unwrap();
    assert_eq!(text(&gateway, 3000).await, "access-canary-3");
    drop(gateway);
    assert_eq!(text(&world.gateway(), 3001).await, "access-canary-3");
    assert_eq!(text(&world.gateway(), 4000).await, "access-canary-4");
}

#[tokio::test]
async fn a_login_that_was_ended_is_one_to_be_made_again() {
    let world = World::new().await;
    world
        .network
        .answer(TOKEN, Answer::with(400, json!({ "error": "invalid_grant" })));
    let gateway = world.gateway();
    for second in [1000, 1001] {
        let why = token(&gateway, second).await.unwrap_err();
        assert!(matches!(why, Unfetched::NotLoggedIn { .. }), "{why}");
    }
    assert_eq!(world.refreshed(), 1);
    assert_eq!(world.logins().get("crm").unwrap(), None);
}

#[tokio::test]
async fn a_server_that_fails_ends_no_login() {
    let world = World::new().await;
    world.network.answer(TOKEN, Answer::with(503, ""));
    let why = token(&world.gateway(), 1000).await.unwrap_err();
    assert!(matches!(why, Unfetched::Unreachable { .. }), "{why}");
    assert!(world.logins().get("crm").unwrap().is_some());
}

#[tokio::test]
async fn a_refused_token_is_renewed_though_it_lasts() {
    let world = World::new().await;
    let gateway = world.gateway();
    let us = Whose {
        principal: &Principal::Anonymous,
        token: None,
    };
    let first = token(&gateway, 1).await.unwrap();
    let second = gateway
        .reject(&us, &first, [&b"Bearer"[..]], at(NOW + 2))
        .await
        .unwrap();
    assert_eq!(second.expose(), "access-canary-1");
    let third = gateway.reject(&us, &second, [&b"Bearer"[..]], at(NOW + 3)).await;
    assert_eq!(third, Err(Unfetched::Rejected));
    assert_eq!(world.refreshed(), 1);
}

#[tokio::test]
async fn a_login_without_a_refresh_token_serves_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::described();
    network.put(TOKEN, grant("once", json!({})));
    let logins = logins(directory.path());
    logins.keep(&log_in(&network).await).unwrap();
    let gateway = fetched_with(LOGIN, &network, None, Some(&logins));
    assert_eq!(text(&gateway, 1).await, "once");
    assert_eq!(text(&gateway, 580).await, "once");
    let why = token(&gateway, 600).await.unwrap_err();
    assert!(matches!(why, Unfetched::NotLoggedIn { .. }), "{why}");
}

#[tokio::test]
async fn a_login_is_for_the_upstream_issuer_and_client_that_it_was_made_for() {
    let world = World::new().await;
    for (text, good) in [
        ("login: {}", true),
        ("login: { issuer: https://as.example/tenant }", true),
        ("login: { issuer: https://another.example }", false),
        ("login: { client_id: another }", false),
    ] {
        let had = token(&world.gateway_of(text), 1).await;
        assert_eq!(had.is_ok(), good, "{text}: {had:?}");
    }
    let with = policy::fetched::With {
        outside: Arc::clone(&world.network) as Arc<dyn policy::authn::Outside>,
        minter: None,
        logins: Some(world.logins()),
    };
    let moved = Fetched::new("crm", url("https://evil.example/mcp"), auth(LOGIN), with);
    assert!(matches!(
        token(&moved, 1).await,
        Err(Unfetched::NotLoggedIn { .. })
    ));
}

#[tokio::test]
async fn nothing_of_a_login_is_in_its_file() {
    let world = World::new().await;
    let at = world.directory.path().join("logins");
    assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&at).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("canary") && !text.contains("crm"), "{text}");
        assert!(!path.to_str().unwrap().contains("crm"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        if path.extension().is_none() {
            fs::write(&path, format!("{text}x")).unwrap();
        }
    }
    let why = token(&world.gateway(), 1).await.unwrap_err();
    assert!(matches!(why, Unfetched::Unkept { .. }), "{why}");
    assert!(why.to_string().contains("log in again"), "{why}");
}

#[tokio::test]
async fn what_is_kept_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::described();
    let answer = grant("t", json!({ "refresh_token": "r" }));
    network.put(TOKEN, changed(answer, json!({ "expires_in": 100 })));
    let account = log_in(&network).await;
    let logins = logins(directory.path());
    logins.keep(&account).unwrap();
    assert_eq!(logins.get("crm").unwrap(), Some(account));
    assert_eq!(logins.get("docs").unwrap(), None);
}
