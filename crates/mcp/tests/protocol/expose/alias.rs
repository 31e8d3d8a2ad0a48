//! What servers of a file are called in names and URIs.

use super::alias;
use mcp::expose::{Alias, aliases};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

fn derived(names: &[&str]) -> Vec<String> {
    let servers = names.iter().map(|name| (*name, None));
    aliases(servers).iter().map(Alias::to_string).collect()
}

#[test]
fn an_alias_is_a_letter_and_fifteen_more() {
    for fits in ["a", "a-b", "a--", "a234567890123456", "github"] {
        assert_eq!(Alias::parse(fits).expect(fits).as_str(), fits);
    }
    for wrong in [
        "",
        "-a",
        "1a",
        "A",
        "a_b",
        "a+b",
        "a.b",
        "é",
        "aé",
        "a b",
        "a2345678901234567",
    ] {
        assert_eq!(Alias::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_name_makes_an_alias() {
    for (name, expected) in [
        ("github", "github"),
        ("GitHub", "github"),
        ("my_server", "my-server"),
        ("My.Own__Server_", "my-own-server"),
        ("1password", "s1password"),
        ("_x", "s-x"),
        ("...", "s"),
        ("", "s"),
        ("Ünïcode", "s-n-code"),
    ] {
        assert_eq!(derived(&[name]), [expected], "{name}");
    }
}

#[test]
fn what_is_cut_ends_in_digits_so_that_a_sibling_changes_nothing() {
    let alone = derived(&["company-internal-wiki"]);
    let both = derived(&["company-internal-jira", "company-internal-wiki"]);

    assert_eq!(alone[0], both[1]);
    assert_ne!(both[0], both[1]);
    assert_eq!(both[0].len(), 16);
    assert!(both[0].starts_with("company-int-"), "{}", both[0]);
}

#[test]
fn what_is_written_wins_and_then_what_is_an_alias_already() {
    let found = aliases([
        ("Wiki", None),
        ("wiki", None),
        ("jira", None),
        ("other", Some(alias("jira"))),
    ]);
    let found: Vec<&str> = found.iter().map(Alias::as_str).collect();

    assert!(found[0].starts_with("wiki-"), "{found:?}");
    assert_eq!(found[1], "wiki");
    assert!(found[2].starts_with("jira-"), "{found:?}");
    assert_eq!(found[3], "jira");
}

/// Names that are likely to make the same alias.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[aA][-_.]{0,2}[bB]?",
        "[A-Za-z0-9_.-]{1,64}",
        "(long-){3}[a-c]{1,3}"
    ]
}

proptest! {
    #[test]
    fn no_two_are_the_same_and_none_depends_on_the_order(
        names in prop::collection::btree_set(name(), 1..12),
        written in prop::collection::btree_set("[ab][-]?[ab]?", 0..3),
        turn in 0_usize..12,
    ) {
        let mut written = written.iter().map(|text| alias(text));
        let mut servers: Vec<(&str, Option<Alias>)> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            servers.push((name, if index % 4 == 0 { written.next() } else { None }));
        }

        let found = aliases(servers.iter().cloned());

        prop_assert_eq!(found.len(), servers.len());
        prop_assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len());
        for (found, (_, written)) in found.iter().zip(&servers) {
            prop_assert_eq!(Alias::parse(found.as_str()), Some(found.clone()));
            prop_assert!(written.is_none() || written.as_ref() == Some(found));
        }
        let by_name: BTreeMap<&str, Alias> = servers.iter().map(|(name, _)| *name).zip(found).collect();
        let places = turn % servers.len();
        servers.rotate_left(places);
        if turn % 2 == 0 {
            servers.reverse();
        }
        for ((name, _), turned) in servers.iter().zip(aliases(servers.iter().cloned())) {
            prop_assert_eq!(&by_name[name], &turned);
        }
    }
}
