//! `causeway import`: files of clients become ours. Of each folder below `fixtures/import`, what lies in `input` is imported,
//! `expected.yaml` is what comes out, and `expected.txt` what is told. `UPDATE_FIXTURES=1` writes these two anew.
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use harness::Exit;
use tempfile::TempDir;

use super::{command, piped};

/// What a directory is called in what is expected.
const HERE: &str = "/home/ada/project";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import")
}

/// Copies a folder, and gives the files with servers in it, by their paths there.
fn copied(from: &Path, to: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.join(&folder)).unwrap();
        for entry in fs::read_dir(from.join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if from.join(&path).is_dir() {
                folders.push(path);
                continue;
            }
            fs::copy(from.join(&path), to.join(&path)).unwrap();
            if path.extension().is_some_and(|kind| kind == "json") {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

async fn imported(home: &Path, arguments: &[&str]) -> (Exit, String, String) {
    let mut import = command(&["import"]);
    import.args(arguments).current_dir(home);
    piped(import).await
}

/// A home with these files.
fn home(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let home = tempfile::Builder::new().prefix("import-").tempdir().unwrap();
    let path = home.path().canonicalize().unwrap();
    for (name, text) in files {
        fs::write(path.join(name), text).unwrap();
    }
    (home, path)
}

fn servers(names: &[&str]) -> String {
    let servers: Vec<String> = names
        .iter()
        .map(|name| format!("\"{name}\": {{ \"command\": \"x\" }}"))
        .collect();
    format!("{{ \"mcpServers\": {{\n{}\n}} }}", servers.join(",\n"))
}

#[tokio::test]
async fn files_of_clients_become_ours_and_pass_check() {
    let folders = fs::read_dir(fixtures())
        .unwrap()
        .map(|folder| folder.unwrap().path());
    let mut seen = 0;
    for folder in folders {
        let (_home, path) = home(&[]);
        let files = copied(&folder.join("input"), &path);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();

        let (exit, yaml, told) = imported(&path, &files).await;

        assert_eq!(exit, Exit::Code(0), "{folder:?}: {told}");
        for (name, text) in [("expected.yaml", &yaml), ("expected.txt", &told)] {
            let shown = text.replace(&path.display().to_string(), HERE);
            // The last folder has another name, too.
            let last = path.file_name().unwrap().to_str().unwrap();
            let shown = format!("{}\n", shown.replace(last, "project").trim_end());
            if std::env::var_os("UPDATE_FIXTURES").is_some() {
                fs::write(folder.join(name), &shown).unwrap();
            }
            let expected = fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert_eq!(shown, expected, "{folder:?}: {name}");
        }
        assert!(!told.contains("s3cret"), "{folder:?}: {told}");
        let needed = told
            .lines()
            .find_map(|line| line.strip_prefix("to be set in the environment of the gateway: "));
        let needed = needed
            .unwrap_or_default()
            .split(", ")
            .filter(|name| !name.is_empty());
        fs::write(path.join("gateway.yaml"), &yaml).unwrap();
        let mut check = command(&["check", "gateway.yaml"]);
        check.current_dir(&path).env_clear().env("HOME", "/home/ada");
        check.envs(needed.map(|name| (name, "value")));
        let (exit, _, mistakes) = piped(check).await;
        assert_eq!(exit, Exit::Code(0), "{folder:?}: {mistakes}\n{yaml}");
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

#[tokio::test]
async fn a_name_that_stands_twice_is_a_mistake_that_names_both() {
    let (_home, path) = home(&[
        ("a.json", &servers(&["x", "docs"])),
        ("b.json", &servers(&["docs"])),
        ("c.json", &servers(&["y", "y"])),
    ]);

    let (exit, said, told) = imported(&path, &["a.json", "b.json", "c.json"]).await;

    assert_eq!((exit, said.as_str()), (Exit::Code(2), ""));
    assert!(told.contains("b.json:2: `docs` stands in a.json:3 too"), "{told}");
    assert!(told.contains("c.json:3: `y` stands in c.json:2 too"), "{told}");
}

#[tokio::test]
async fn what_is_no_such_file_says_which_are_understood() {
    let (_home, path) = home(&[
        ("package.json", r#"{ "name": "x", "dependencies": {} }"#),
        ("broken.json", "{\n  \"mcpServers\": { \"a\": s3cret }\n}"),
        ("list.json", r#"{ "mcpServers": [] }"#),
        (
            "none.json",
            r#"{ "mcpServers": { "a": { "type": "ws", "url": "wss://a.example" } } }"#,
        ),
    ]);
    for (file, words) in [
        (
            "package.json",
            &["package.json: no servers", "mcpServers", "VS Code"][..],
        ),
        ("broken.json", &["broken.json:2:24: "]),
        ("list.json", &["list.json:1: ", "mcpServers"]),
        (
            "none.json",
            &[
                "`ws` is not spoken here",
                "no server in it that could be imported",
            ],
        ),
        ("absent.json", &["absent.json: it cannot be read"]),
    ] {
        let (exit, said, told) = imported(&path, &[file]).await;

        assert_eq!((exit, said.as_str()), (Exit::Code(2), ""), "{told}");
        for word in words {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(!told.contains("s3cret"), "{told}");
    }
}

#[tokio::test]
async fn nothing_is_overwritten_unless_told() {
    let (_home, path) = home(&[("a.json", &servers(&["x"]))]);
    let out = path.join("gateway.yaml");
    fs::write(&out, "mine").unwrap();

    let (refused, _, told) = imported(&path, &["a.json", "--out", "gateway.yaml"]).await;
    assert_eq!(refused, Exit::Code(1));
    assert!(told.contains("--force"), "{told}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "mine");

    let (forced, said, _) = imported(&path, &["a.json", "--out", "gateway.yaml", "--force"]).await;
    assert_eq!((forced, said.as_str()), (Exit::Code(0), ""));
    assert!(
        fs::read_to_string(&out)
            .unwrap()
            .contains("upstreams:\n  x:\n    command: x\n")
    );

    let (made, _, _) = imported(&path, &["a.json", "--out", "new.yaml"]).await;
    assert_eq!(made, Exit::Code(0));
    for file in [out, path.join("new.yaml")] {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{} may hold secrets", file.display());
    }
}

#[tokio::test]
async fn names_do_nothing_to_the_terminal_or_the_file() {
    let (_home, path) = home(&[("a.json", &servers(&["x\\u001b[2J\\nlisten: 0.0.0.0:1\\u202e"]))]);

    let (exit, yaml, told) = imported(&path, &["a.json"]).await;

    assert_eq!(exit, Exit::Code(0));
    for shown in [&yaml, &told] {
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        assert!(!shown.lines().any(|line| line.starts_with("listen")), "{shown}");
    }
}
