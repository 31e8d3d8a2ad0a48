//! The vault as its users, its thieves and its other processes see it.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::Identity;

const OLD: &str = "an old key of thirty-two bytes..";
const NEW: &str = "a new key of thirty-two bytes...";
const CANARY: &str = "canary-ghp_0123456789";

fn ring(key: &str, previous: Option<&str>) -> KeyRing {
    KeyRing::new(&Secret::from(key), previous.map(Secret::from).as_ref()).unwrap()
}

fn vault(directory: &TempDir) -> Vault {
    Vault::open(&directory.path().join("secrets"), ring(NEW, None)).unwrap()
}

fn principal(subject: &str) -> Principal {
    Principal::Known(Arc::new(Identity::new(&"key".into(), "key", subject)))
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The files of principals.
fn files(vault: &Vault) -> Vec<PathBuf> {
    let entries = fs::read_dir(vault.files.directory()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| !path.ends_with(LOCK)).collect()
}

fn value(vault: &Vault, subject: &str, name: &str) -> Option<String> {
    let value = vault.get(&principal(subject), name).unwrap();
    value.map(|value| value.expose().to_owned())
}

#[test]
fn a_value_is_had_by_whom_it_belongs_to_and_by_nobody_else() {
    let directory = directory();
    let vault = vault(&directory);
    let (ann, bob) = (principal("ann"), principal("bob"));

    vault.set(&ann, "github_token", CANARY.into()).unwrap();
    vault.set(&bob, "github_token", "other".into()).unwrap();
    vault.set(&ann, "b", "2".into()).unwrap();

    assert_eq!(value(&vault, "ann", "github_token").as_deref(), Some(CANARY));
    assert_eq!(value(&vault, "bob", "github_token").as_deref(), Some("other"));
    assert_eq!(value(&vault, "eve", "github_token"), None);
    assert_eq!(vault.names(&ann).unwrap(), ["b", "github_token"]);
    assert_eq!(vault.get(&Principal::Anonymous, "b").unwrap(), None);
    assert!(matches!(
        vault.set(&Principal::Anonymous, "b", "x".into()),
        Err(Unkept::Anonymous)
    ));

    assert!(vault.remove(&ann, "b").unwrap());
    assert!(!vault.remove(&ann, "b").unwrap());
    assert_eq!(value(&vault, "ann", "b"), None);
    assert!(vault.remove(&ann, "github_token").unwrap());
    assert_eq!(files(&vault).len(), 1);
}

#[test]
fn nothing_of_a_value_or_of_its_principal_is_in_the_directory() {
    let directory = directory();
    let vault = vault(&directory);
    vault
        .set(&principal("ann.lee"), "github_token", CANARY.into())
        .unwrap();

    let [path] = &files(&vault)[..] else { panic!() };
    let text = format!("{} {}", path.display(), fs::read_to_string(path).unwrap());
    for hidden in [CANARY, "canary", "github", "ann"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert!(!format!("{vault:?}").contains("canary"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(vault.files.directory())), (0o600, 0o700));
}

#[test]
fn a_changed_file_is_seen_and_refused() {
    let directory = directory();
    let vault = vault(&directory);
    vault.set(&principal("ann"), "t", CANARY.into()).unwrap();
    let path = files(&vault).remove(0);
    let whole = fs::read(&path).unwrap();

    let mut changed: Vec<Vec<u8>> = (0..whole.len())
        .flat_map(|at| {
            let mut bit = whole.clone();
            bit[at] ^= 1;
            let mut letter = whole.clone();
            letter[at] = if letter[at] == b'A' { b'B' } else { b'A' };
            [bit, letter, whole[..at].to_vec()]
        })
        .collect();
    changed.extend([
        vec![0xff; 100],
        [&whole[..], b"\n"].concat(),
        vec![b'A'; 2_000_000],
    ]);
    for text in changed {
        if text == whole {
            continue;
        }
        fs::write(&path, &text).unwrap();
        vault.reload();
        let got = vault.get(&principal("ann"), "t");
        assert!(matches!(got, Err(Unkept::Sealed(_))), "{got:?}");
        assert!(vault.set(&principal("ann"), "t", "x".into()).is_err());
    }
    fs::write(&path, &whole).unwrap();
    vault.reload();
    assert_eq!(value(&vault, "ann", "t").as_deref(), Some(CANARY));
}

#[test]
fn anothers_file_does_not_open_under_my_name() {
    let directory = directory();
    let vault = vault(&directory);
    vault.set(&principal("ann"), "t", CANARY.into()).unwrap();
    let anns = files(&vault).remove(0);
    vault.set(&principal("eve"), "t", "mine".into()).unwrap();
    let eves = files(&vault).into_iter().find(|path| *path != anns).unwrap();

    fs::copy(&anns, &eves).unwrap();

    assert!(matches!(
        vault.get(&principal("eve"), "t"),
        Err(Unkept::Sealed(path)) if path == eves
    ));
    // Nor if its name were sealed with it: whose it is stands in it.
    let name = vault.name(&owner(&principal("eve")).unwrap());
    let content = Content {
        owner: owner(&principal("ann")).unwrap(),
        values: [("t".to_owned(), Secret::from(CANARY))].into(),
    };
    let sealed = vault
        .files
        .keys()
        .seal(Purpose::UserSecret, name.as_bytes(), &content.encode());
    fs::write(&eves, sealed.to_string()).unwrap();
    assert!(vault.get(&principal("eve"), "t").is_err());
}

#[test]
fn what_was_sealed_for_another_name_does_not_open_even_for_its_owner() {
    let directory = directory();
    let vault = vault(&directory);
    vault.set(&principal("ann"), "t", CANARY.into()).unwrap();
    let path = files(&vault).remove(0);
    let content = Content {
        owner: owner(&principal("ann")).unwrap(),
        values: [("t".to_owned(), Secret::from("other"))].into(),
    };
    for name in [&b"0123456789abcdef"[..], b""] {
        let elsewhere = vault
            .files
            .keys()
            .seal(Purpose::UserSecret, name, &content.encode());
        fs::write(&path, elsewhere.to_string()).unwrap();
        assert!(matches!(
            vault.get(&principal("ann"), "t"),
            Err(Unkept::Sealed(_))
        ));
    }

    let name = vault.name(&content.owner);
    let other = vault
        .files
        .keys()
        .seal(Purpose::Stored, name.as_bytes(), &content.encode());
    fs::write(&path, other.to_string()).unwrap();
    assert!(matches!(
        vault.get(&principal("ann"), "t"),
        Err(Unkept::Sealed(_))
    ));
}

#[test]
fn a_file_that_another_process_replaced_is_seen() {
    let directory = directory();
    let (ours, theirs) = (vault(&directory), vault(&directory));
    ours.set(&principal("ann"), "t", "1".into()).unwrap();
    assert_eq!(value(&ours, "ann", "t").as_deref(), Some("1"));

    theirs.set(&principal("ann"), "t", "2".into()).unwrap();
    assert_eq!(value(&ours, "ann", "t").as_deref(), Some("2"));
    theirs.remove(&principal("ann"), "t").unwrap();
    assert_eq!(value(&ours, "ann", "t"), None);
    assert_eq!(ours.recent.kept().0, 0);
}

#[test]
fn while_another_process_writes_nothing_is_changed() {
    let directory = directory();
    let (ours, theirs) = (vault(&directory), vault(&directory));
    ours.set(&principal("ann"), "t", "1".into()).unwrap();

    let alone = theirs.alone().unwrap();

    assert!(matches!(
        ours.set(&principal("ann"), "t", "2".into()),
        Err(Unkept::Busy)
    ));
    assert_eq!(value(&ours, "ann", "t").as_deref(), Some("1"));
    drop(alone);
    ours.set(&principal("ann"), "t", "2".into()).unwrap();
}

#[test]
fn what_the_key_before_sealed_opens_and_is_sealed_anew() {
    let directory = directory();
    let at = directory.path().join("secrets");
    let before = Vault::open(&at, ring(OLD, None)).unwrap();
    for subject in ["ann", "bob", "cyd"] {
        before.set(&principal(subject), "t", subject.into()).unwrap();
    }

    let rotated = Vault::open(&at, ring(NEW, Some(OLD))).unwrap();
    assert_eq!(value(&rotated, "ann", "t").as_deref(), Some("ann"));
    rotated.set(&principal("ann"), "u", "new".into()).unwrap();
    assert_eq!(value(&rotated, "ann", "t").as_deref(), Some("ann"));
    assert_eq!(files(&rotated).len(), 3);
    // One that was changed by a replica that still has the key before.
    before.set(&principal("ann"), "t", "late".into()).unwrap();
    fs::write(at.join("0".repeat(64)), "AAAA.AAAA").unwrap();

    let renewed = rotated.renew().unwrap();

    assert_eq!(
        renewed,
        Renewed {
            sealed: 3,
            unopened: 1
        }
    );
    let after = Vault::open(&at, ring(NEW, None)).unwrap();
    for subject in ["ann", "bob", "cyd"] {
        assert_eq!(value(&after, subject, "t").as_deref(), Some(subject));
    }
    assert_eq!(files(&after).len(), 4);
    let again = rotated.renew().unwrap();
    assert_eq!(
        again,
        Renewed {
            sealed: 0,
            unopened: 1
        }
    );
}

#[test]
fn there_are_bounds() {
    let directory = directory();
    let vault = vault(&directory);
    let ann = principal("ann");
    let long = "ä".repeat(LONGEST_VALUE / 2);
    for number in 0..MOST_VALUES {
        let name = format!("{number:0LONGEST_NAME$}");
        vault.set(&ann, &name, long.as_str().into()).unwrap();
    }
    vault
        .set(&ann, &"0".repeat(LONGEST_NAME), "again".into())
        .unwrap();
    assert!(matches!(
        vault.set(&ann, "more", "x".into()),
        Err(Unkept::TooMany)
    ));
    assert!(fs::metadata(&files(&vault)[0]).unwrap().len() < crate::sealed::LONGEST_FILE);
    assert_eq!(value(&vault, "ann", &format!("{:064}", 63)), Some(long));
    for name in ["", "a/b", "..\0", "ä", &"x".repeat(65)] {
        assert!(
            matches!(vault.set(&ann, name, "x".into()), Err(Unkept::Name)),
            "{name}"
        );
    }
    for value in ["", &"x".repeat(LONGEST_VALUE + 1)] {
        assert!(matches!(vault.set(&ann, "0", value.into()), Err(Unkept::Value)));
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let values: Arc<Values> = Arc::new([("t".to_owned(), Secret::from("x".repeat(8192)))].into());
    let directory = directory();
    let vault = vault(&directory);
    let stamp = Stamp::of(&fs::metadata(directory.path()).unwrap());
    for number in 0..3_000_u32 {
        let mut owner = [0; 32];
        owner[..4].copy_from_slice(&number.to_le_bytes());
        vault.recent.keep(owner, stamp, &values);
        assert!(vault.recent.get(&[0; 32], &stamp).is_some());
    }
    let (principals, bytes) = vault.recent.kept();
    assert_eq!((principals, bytes), (2_047, 2_047 * 8_193));
}

#[test]
fn what_is_not_ours_is_not_read() {
    let whole = Content {
        owner: [7; 32],
        values: [("name".to_owned(), Secret::from("value"))].into(),
    }
    .encode();
    let read = Content::decode(&whole).unwrap();
    assert_eq!((read.owner, read.values["name"].expose()), ([7; 32], "value"));
    for length in (0..whole.len()).filter(|length| *length != 33) {
        assert!(Content::decode(&whole[..length]).is_none(), "{length}");
    }
    let mut endless = whole.clone();
    endless[33..37].fill(0xff);
    assert!(Content::decode(&endless).is_none());
}
