//! What outlives a restart, for whom, and what makes room.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::*;
use crate::catalog::store::Store;

const KEY: [u8; 32] = [7; 32];

/// A state directory, and the server behind it.
struct Case {
    home: TempDir,
    server: Lister,
}

impl Case {
    fn new(server: Lister) -> Self {
        Self {
            home: TempDir::new().unwrap(),
            server,
        }
    }

    fn store(&self, key: [u8; 32]) -> Arc<Store> {
        Store::open(&self.home.path().join("catalogs"), key, Handle::current())
    }

    /// The upstream as a gateway finds it that was just started.
    fn started(&self, reach: &str) -> (Arc<Upstream>, Arc<Store>) {
        let store = self.store(KEY);
        let place = store.place("docs", &[reach]);
        (Arc::new(self.server.unshared().cataloguing(place)), store)
    }

    /// Reads the catalogs of these credentials, and stops when they are written.
    async fn ran(&self, reach: &str, who: &[&str]) {
        let (upstream, store) = self.started(reach);
        for who in who {
            upstream.catalog(&headers(who), WITHIN).await.unwrap();
        }
        written(&store).await;
        upstream.stop().await;
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.home.path().join("catalogs")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The server does not answer any more.
    fn hangs(&self) {
        self.server.is(|manner| manner.takes = Duration::from_secs(3600));
    }
}

async fn written(store: &Store) {
    while store.is_writing() {
        wait(Duration::from_millis(100)).await;
    }
}

async fn at_once(upstream: &Arc<Upstream>, who: &str) -> Option<Arc<Catalog>> {
    let headers = headers(who);
    upstream.catalog(&headers, Duration::from_secs(1)).await.ok()
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_shown_after_a_restart_and_read_anew() {
    let case = Case::new(Lister::modern(&[]));
    case.server.is(|manner| {
        manner.declares = r#"{"tools":{},"prompts":{}}"#.into();
        manner.says = r#","ttlMs":60000,"cacheScope":"public""#.into();
    });
    let tool =
        r#"{"name":"é","x":1.10,"inputSchema":{"properties":{"b":{"type":"string","x-mcp-header":"B"}}}}"#;
    case.server.lists(Listing::Tools, &[tool.into()]);
    case.server.lists(Listing::Prompts, &[]);
    case.ran("http://host", &["ann"]).await;
    let (upstream, _) = case.started("http://host");
    let first = {
        let (fresh, _) = case.started("http://elsewhere");
        fresh.catalog(&headers("ann"), WITHIN).await.unwrap()
    };

    case.hangs();
    let catalog = at_once(&upstream, "ann").await.expect("it is there at once");
    assert_eq!(catalog.generation, first.generation);
    let list = catalog.list(Listing::Tools).unwrap();
    assert_eq!(&*list.items[0].text, tool.as_bytes());
    assert!(list.is_public && list.is_whole && !list.parameters("é").unwrap().is_empty());
    assert_eq!(list.ttl, Some(Duration::from_secs(60)));
    assert_eq!(catalog.profile.instructions, first.profile.instructions);
    assert!(catalog.list(Listing::Prompts).unwrap().items.is_empty());
    assert!(catalog.list(Listing::Resources).is_none());

    case.server.is(|manner| manner.takes = Duration::ZERO);
    case.server.has(&["new"]);
    wait(Duration::from_secs(600)).await;
    let anew = upstream.catalog(&headers("ann"), WITHIN).await.unwrap();
    assert_eq!(tools(&anew), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn another_url_other_credentials_or_another_key_find_nothing() {
    let case = Case::new(Lister::legacy(&["a"]));
    case.ran("http://host", &["ann"]).await;
    case.hangs();

    let (upstream, _) = case.started("http://host");
    assert!(at_once(&upstream, "bob").await.is_none());
    assert!(at_once(&upstream, "ann").await.is_some());
    let (elsewhere, _) = case.started("http://other");
    assert!(at_once(&elsewhere, "ann").await.is_none());
    let place = case.store([8; 32]).place("docs", &["http://host"]);
    let other_key = Arc::new(case.server.unshared().cataloguing(place));
    assert!(at_once(&other_key, "ann").await.is_none());

    // What is reached otherwise now is forgotten as it was reached before.
    case.server.is(|manner| manner.takes = Duration::ZERO);
    let before = case.files();
    case.ran("http://other", &["ann"]).await;
    let after = case.files();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
}

#[tokio::test(start_paused = true)]
async fn files_are_private_and_tell_neither_url_nor_credentials() {
    let case = Case::new(Lister::modern(&["a"]));
    case.ran("http://host/?key=secret", &["Bearer secret"]).await;

    let [file] = &case.files()[..] else {
        panic!("{:?}", case.files())
    };
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(file), mode(file.parent().unwrap())), (0o600, 0o700));
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("inputSchema"));
    for told in [&text, file.to_str().unwrap()] {
        assert!(!told.contains("secret") && !told.contains("host"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_as_one_that_is_not_there() {
    let case = Case::new(Lister::modern(&["a"]));
    case.ran("http://host", &["ann"]).await;
    let good = fs::read_to_string(&case.files()[0]).unwrap();
    for bad in [
        String::new(),
        "{".into(),
        "[]".into(),
        "\u{0}\u{0}".into(),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("2026-07-28", "tomorrow"),
        good.replace("\"list\":\"tools\"", "\"list\":\"spoons\""),
        good[..good.len() - 2].to_owned(),
        format!("{good}{}", " ".repeat(17 << 20)),
    ] {
        assert_ne!(bad, good);
        fs::write(&case.files()[0], &bad).unwrap();
        let (upstream, store) = case.started("http://host");
        let catalog = upstream.catalog(&headers("ann"), WITHIN).await.unwrap();
        assert_eq!(tools(&catalog), ["a"]);
        written(&store).await;
        assert_eq!(fs::read_to_string(&case.files()[0]).unwrap().len(), good.len());
        upstream.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_each_upstream_the_eight_used_last_are_kept_and_nothing_for_ever() {
    let case = Case::new(Lister::modern(&["a"]));
    let many: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    case.ran("http://host", &many).await;
    let old = SystemTime::now() - Duration::from_secs(60);
    for file in case.files() {
        fs::File::open(file).unwrap().set_modified(old).unwrap();
    }
    assert_eq!(case.files().len(), 8);
    case.ran("http://host", &["3"]).await;
    let ancient = case.home.path().join("catalogs/gone.gone.gone.json");
    fs::write(&ancient, "{}").unwrap();
    let then = SystemTime::now() - Duration::from_secs(31 * 24 * 3600);
    fs::File::open(&ancient).unwrap().set_modified(then).unwrap();

    case.ran("http://host", &["8"]).await;

    assert_eq!(case.files().len(), 8);
    assert!(!ancient.exists());
    case.hangs();
    let (upstream, _) = case.started("http://host");
    for who in ["3", "8"] {
        assert!(at_once(&upstream, who).await.is_some(), "{who}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_unused_longest_makes_room_in_memory_over_all_upstreams() {
    let case = Case::new(Lister::modern(&[]));
    let big = format!(
        r#"{{"name":"big","inputSchema":{{}},"x":"{}"}}"#,
        "x".repeat(9 << 20)
    );
    case.server.lists(Listing::Tools, &[big]);
    let store = case.store(KEY);
    let of = |name: &str| Arc::new(case.server.unshared().cataloguing(store.place(name, &["x"])));
    let (one, other) = (of("one"), of("other"));

    for (upstream, who) in [(&one, "ann"), (&one, "bob"), (&other, "ann")] {
        upstream.catalog(&headers(who), WITHIN).await.unwrap();
    }
    one.catalog(&headers("ann"), WITHIN).await.unwrap();
    assert_eq!(case.server.count("tools/list"), 3);
    other.catalog(&headers("bob"), WITHIN).await.unwrap();
    assert_eq!(case.server.count("tools/list"), 4);

    one.catalog(&headers("ann"), WITHIN).await.unwrap();
    assert_eq!(case.server.count("tools/list"), 4, "it was used after the others");
    one.catalog(&headers("bob"), WITHIN).await.unwrap();
    assert_eq!(case.server.count("tools/list"), 5, "it made room");
}
