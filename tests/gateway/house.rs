//! The house: which crates may know each other, where the engine's types may be named, how files are called.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Crate by crate, what it may use; arrows point down, and siblings never meet.
const ARROWS: [(&str, &[&str]); 8] = [
    (
        "gateway",
        &["proxy", "upstream", "policy", "audit", "mcp", "config", "egress"],
    ),
    (
        "proxy",
        &["upstream", "policy", "audit", "mcp", "config", "egress"],
    ),
    ("upstream", &["mcp", "config", "egress"]),
    ("policy", &["mcp", "config", "egress"]),
    ("audit", &["mcp", "config", "egress"]),
    ("mcp", &[]),
    ("config", &[]),
    ("egress", &[]),
];

/// Where pingora may be named.
fn may_name_the_engine(file: &str) -> bool {
    file.starts_with("egress/")
        || [
            "proxy/src/app.rs",
            "proxy/src/downstream.rs",
            "proxy/src/listen.rs",
        ]
        .contains(&file)
        || file.starts_with("proxy/src/listen/")
        || file.starts_with("proxy/src/downstream/")
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("crates")
}

/// `pingora_core::…`, and not the same word in a text.
fn names_a_crate_of_it(code: &str) -> bool {
    let mut rest = code;
    while let Some((_, after)) = rest.split_once("pingora_") {
        let end = after
            .find(|letter: char| !letter.is_ascii_lowercase() && letter != '_')
            .unwrap_or(after.len());
        if after[end..].starts_with("::") {
            return true;
        }
        rest = after;
    }
    false
}

/// All Rust files of all crates, by their path below `crates/`.
fn files() -> BTreeMap<String, String> {
    files_below(&crates())
}

fn files_below(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// The crates of the house that a manifest names as dependencies, of any kind.
fn arrows(manifest: &str) -> BTreeSet<String> {
    let house: Vec<_> = ARROWS.iter().map(|(name, _)| *name).collect();
    let mut found = BTreeSet::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            // `[dependencies.mcp]` is an arrow too.
            found.extend(
                section
                    .rsplit_once("dependencies.")
                    .map(|(_, name)| name.to_owned()),
            );
        } else if section.ends_with("dependencies")
            && let Some(name) = line.split(['.', '=', ' ']).next()
        {
            found.insert(name.to_owned());
            // `other = { package = "causeway-mcp" }` is the same crate under another name.
            found.extend(
                house
                    .iter()
                    .filter(|name| line.contains(&format!("causeway-{name}\"")))
                    .map(|name| (*name).to_owned()),
            );
            found.extend(
                house
                    .iter()
                    .filter(|name| line.contains(&format!("../{name}\"")))
                    .map(|name| (*name).to_owned()),
            );
        }
    }
    found.retain(|name| house.contains(&name.as_str()));
    found
}

#[test]
fn arrows_point_down_and_siblings_never_meet() {
    let found: BTreeSet<_> = fs::read_dir(crates())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let planned: BTreeSet<_> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, planned, "the house has eight rooms");

    for (name, allowed) in ARROWS {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        let arrows = arrows(&manifest);

        let wrong: Vec<_> = arrows
            .iter()
            .filter(|to| !allowed.contains(&to.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{name} may not know {wrong:?}");
    }
}

#[test]
fn the_engine_is_named_in_few_places() {
    for (file, text) in files() {
        let names = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.contains("pingora::") || code.contains("use pingora") || names_a_crate_of_it(code)
        });
        assert!(!names || may_name_the_engine(&file), "{file} names pingora");
    }
    for (name, _) in ARROWS {
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        let uses = manifest.lines().any(|line| line.starts_with("pingora"));
        assert!(
            !uses || ["proxy", "egress"].contains(&name),
            "{name} depends on pingora"
        );
    }
}

#[test]
fn a_file_is_called_after_what_is_in_it() {
    for (file, text) in files() {
        assert!(!file.ends_with("/mod.rs"), "{file}: `foo.rs` beside `foo/`");
        assert!(
            text.starts_with("//! "),
            "{file} does not say in its first line what it holds"
        );
    }
}

/// What nobody opens is not compiled, and a test there passes whatever it says.
#[test]
fn every_room_has_a_door() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = files();
    for room in ["tests", "benches"] {
        let found = files_below(&root.join(room)).into_iter();
        files.extend(found.map(|(file, text)| (format!("{room}/{file}"), text)));
    }
    let benches = fs::read_to_string(root.join("benches/Cargo.toml")).unwrap();
    for file in files.keys() {
        let (folder, name) = file.trim_end_matches(".rs").rsplit_once('/').unwrap();
        // A file beside the manifest's own folders is a target by itself.
        let is_a_target = ["main", "lib"].contains(&name)
            || folder.ends_with("/tests")
            || (folder == "benches" && benches.contains(&format!("path = \"{name}.rs\"")));
        let before = ["/lib.rs", "/main.rs", ".rs"].map(|end| format!("{folder}{end}"));
        let mut before = before.iter().filter_map(|file| files.get(file));
        let opens = |text: &String| {
            text.lines()
                .any(|line| line.trim().ends_with(&format!("mod {name};")))
        };
        assert!(is_a_target || before.any(opens), "nobody opens {file}");
    }
}

#[test]
fn the_protocol_does_no_io() {
    for (file, text) in files()
        .into_iter()
        .filter(|(file, _)| file.starts_with("mcp/src/"))
    {
        for forbidden in [
            "async fn",
            ".await",
            "std::net",
            "std::fs",
            "std::process",
            "std::thread",
            "tokio",
            "stdout",
            "println!",
        ] {
            let named = text
                .lines()
                .any(|line| line.split("//").next().unwrap_or_default().contains(forbidden));
            assert!(!named, "{file} names {forbidden}");
        }
    }
}

#[test]
fn an_arrow_is_seen_however_it_is_written() {
    for manifest in [
        "[dependencies]\nmcp.workspace = true\n",
        "[dependencies]\nmcp = { workspace = true }\n",
        "[dev-dependencies]\nmcp = { path = \"../mcp\" }\n",
        "[dependencies.mcp]\nworkspace = true\n",
        "[dependencies]\nprotocol = { path = \"../mcp\", package = \"causeway-mcp\" }\n",
        "[target.'cfg(unix)'.dependencies]\nmcp.workspace = true\n",
    ] {
        assert_eq!(arrows(manifest), BTreeSet::from(["mcp".to_owned()]), "{manifest}");
    }
    assert_eq!(
        arrows("[package]\nname = \"mcp\"\n[features]\nmcp = []\n"),
        BTreeSet::new()
    );
}

/// A page that names tests is no better than the tests it names.
#[test]
fn every_fault_is_shown_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let shown: Vec<(&str, &str)> = page
        .split('`')
        .filter_map(|word| word.rsplit_once("::"))
        .filter(|(chapter, _)| *chapter != "chapter" && *chapter != "crate")
        .collect();

    assert!(shown.len() > 30, "{shown:?}");
    for (chapter, test) in shown {
        let chapter = chapter.replace("::", "/");
        let chapter = fs::read_to_string(root.join(format!("tests/gateway/{chapter}.rs"))).unwrap();
        assert!(
            chapter.contains(&format!("fn {test}()")),
            "there is no test {test}"
        );
    }
}
