//! Names of many servers: how they are made, and what each leads to.

use super::alias;
use mcp::expose::{Named, Names, Style, Unresolved};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

const STYLES: [Style; 3] = [Style::LlmSafe, Style::Spec, Style::Bare];

type Servers<'n> = [(&'n str, Vec<&'n str>)];

fn names(style: Style, servers: &Servers<'_>) -> Names {
    let servers = servers
        .iter()
        .map(|(server, names)| (alias(server), names.iter().copied()));
    Names::new(style, servers)
}

/// What is listed, in order; what was left out is `-`.
fn listed(names: &Names, servers: &Servers<'_>) -> Vec<String> {
    every(servers)
        .map(|named| {
            names
                .exposed(named)
                .map_or("-".to_owned(), |name| name.into_owned())
        })
        .collect()
}

fn every(servers: &Servers<'_>) -> impl Iterator<Item = Named> {
    servers
        .iter()
        .enumerate()
        .flat_map(|(server, (_, names))| (0..names.len()).map(move |place| Named { server, place }))
}

fn resolve(names: &Names, exposed: &str) -> Result<(usize, usize), Unresolved> {
    names
        .resolve(exposed, |_| true)
        .map(|named| (named.server, named.place))
}

#[test]
fn an_alias_and_two_underscores_make_a_name() {
    let servers = [
        ("a", vec!["b__c", "_x", "search", ""]),
        ("a-b", vec!["c", "search"]),
    ];
    for style in [Style::LlmSafe, Style::Spec] {
        let names = names(style, &servers);

        assert_eq!(
            listed(&names, &servers),
            ["a__b__c", "a___x", "a__search", "a__", "a-b__c", "a-b__search"]
        );
        assert_eq!(resolve(&names, "a__b__c"), Ok((0, 0)));
        assert_eq!(resolve(&names, "a-b__c"), Ok((1, 0)));
        assert_eq!(resolve(&names, "a___x"), Ok((0, 1)));
        assert_eq!(resolve(&names, "a__"), Ok((0, 3)));
        assert_eq!(resolve(&names, "c"), Ok((1, 0)));
        assert_eq!(resolve(&names, "search"), Err(Unresolved::Ambiguous));
        for unknown in [
            "a__c",
            "b__c_",
            "a-b__b__c",
            "a_search",
            "A__search",
            "a__search ",
            "__search",
        ] {
            assert_eq!(resolve(&names, unknown), Err(Unresolved::Unknown), "{unknown}");
        }
    }
}

#[test]
fn a_name_that_not_every_vendor_takes_ends_in_a_hash() {
    let long = "x".repeat(70);
    let servers = [(
        "a",
        vec!["files.get", "files/get", "größe", &long, "get", "files_get"],
    )];
    let names = names(Style::LlmSafe, &servers);

    let listed = listed(&names, &servers);

    assert_eq!(listed[0], "a__files_get_547f3291");
    assert_eq!(listed[1], "a__files_get_da39443e");
    assert_eq!(listed[2], "a__gr__e_ad6e0ede");
    assert_eq!(listed[3], format!("a__{}_56ba59da", "x".repeat(52)));
    assert_eq!(listed[3].len(), 64);
    assert_eq!(listed[4..], ["a__get", "a__files_get"]);
    // What is written with an alias before it is never taken for what looks alike.
    assert_eq!(resolve(&names, "a__files.get"), Ok((0, 0)));
    assert_eq!(resolve(&names, "a__files_get"), Ok((0, 5)));
    assert_eq!(resolve(&names, "files.get"), Ok((0, 0)));
    assert_eq!(resolve(&names, "a__files_get_547F3291"), Err(Unresolved::Unknown));
    assert_eq!(resolve(&names, "a__files_put_547f3291"), Err(Unresolved::Unknown));
}

#[test]
fn sixty_four_bytes_are_not_too_long() {
    let (fits, exceeds) = ("x".repeat(61), "x".repeat(62));
    let servers = [("a", vec![fits.as_str(), exceeds.as_str()])];

    let listed = listed(&names(Style::LlmSafe, &servers), &servers);

    assert_eq!(listed[0], format!("a__{fits}"));
    assert!(listed[1].len() == 64 && listed[1] != format!("a__{exceeds}"));
}

#[test]
fn a_name_that_looks_like_the_hash_of_another_keeps_its_own() {
    let plain = [("a", vec!["files.get"])];
    let [hashed] = &listed(&names(Style::LlmSafe, &plain), &plain)[..] else {
        panic!("one name");
    };
    let copy = hashed.strip_prefix("a__").expect("its alias");
    let servers = [("a", vec!["files.get", copy]), ("b", vec!["files.get"])];
    let names = names(Style::LlmSafe, &servers);

    let listed = listed(&names, &servers);

    assert_ne!(&listed[0], hashed);
    assert_eq!(&listed[1], hashed);
    assert_eq!(resolve(&names, hashed), Ok((0, 1)));
    assert_eq!(resolve(&names, &listed[0]), Ok((0, 0)));
}

#[test]
fn what_a_server_says_twice_is_listed_once() {
    let servers = [("a", vec!["x", "y", "x"]), ("b", vec!["x", "x", "u.v", "u.v"])];
    let names = names(Style::LlmSafe, &servers);

    let listed = listed(&names, &servers);

    assert_eq!(listed[..5], ["a__x", "a__y", "-", "b__x", "-"]);
    assert_eq!(listed[6], "-");
    assert_eq!(resolve(&names, "a__x"), Ok((0, 0)));
    assert_eq!(resolve(&names, "u.v"), Ok((1, 2)));
    assert_eq!(names.original(Named { server: 0, place: 2 }), Some("x"));
    assert_eq!(names.original(Named { server: 0, place: 3 }), None);
    assert_eq!(names.exposed(Named { server: 2, place: 0 }), None);
}

#[test]
fn bare_names_are_those_that_one_server_has() {
    let servers = [
        ("a", vec!["search", "read.me", "b__x", "c__x", ""]),
        ("b", vec!["search", "x", "x.y"]),
        ("none", vec![]),
    ];
    let names = names(Style::Bare, &servers);

    let listed = listed(&names, &servers);

    // `b__x` could be what the server b calls x, whether or not that is prefixed today.
    assert_eq!(
        listed,
        [
            "a__search",
            "read.me",
            "a__b__x",
            "c__x",
            "a__",
            "b__search",
            "x",
            "x.y"
        ]
    );
    assert_eq!(resolve(&names, "b__x"), Ok((1, 1)));
    assert_eq!(resolve(&names, "a__read.me"), Ok((0, 1)));
    assert_eq!(resolve(&names, "search"), Err(Unresolved::Ambiguous));
}

#[test]
fn what_is_not_visible_does_not_exist() {
    let servers = [("a", vec!["search", "x.y"]), ("b", vec!["search"])];
    let names = names(Style::LlmSafe, &servers);
    let only = |server| move |named: Named| named.server == server;
    let exposed = names
        .exposed(Named { server: 0, place: 1 })
        .expect("listed")
        .into_owned();

    assert_eq!(
        names.resolve("search", only(1)),
        Ok(Named { server: 1, place: 0 })
    );
    for hidden in ["a__search", "x.y", "a__x.y", exposed.as_str()] {
        assert_eq!(
            names.resolve(hidden, only(1)),
            Err(Unresolved::Unknown),
            "{hidden}"
        );
        assert!(names.resolve(hidden, only(0)).is_ok());
    }
}

#[test]
fn the_same_name_on_ten_servers_is_ten_names() {
    let aliases: Vec<String> = (0..10).map(|number| format!("s{number}")).collect();
    let servers: Vec<(&str, Vec<&str>)> = aliases
        .iter()
        .map(|alias| (alias.as_str(), vec!["echo", "e.o"]))
        .collect();
    for style in STYLES {
        let names = names(style, &servers);

        let listed = listed(&names, &servers);

        assert_eq!(listed.iter().collect::<HashSet<_>>().len(), 20);
        assert_eq!(listed[14], "s7__echo");
        assert_eq!(resolve(&names, "s7__echo"), Ok((7, 0)));
        assert_eq!(resolve(&names, "echo"), Err(Unresolved::Ambiguous));
    }
    let nobody = names(Style::LlmSafe, &[]);
    assert!(nobody.is_empty());
    assert_eq!(resolve(&nobody, ""), Err(Unresolved::Unknown));
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab._é]{0,4}",
        2 => "(a|b|a-b)__[ab.]{0,2}",
        1 => any::<String>(),
        1 => "[a-c.]{50,80}",
    ]
}

/// Servers with names likely to get into each other's way, some of them the hashes of others.
fn any_servers() -> impl Strategy<Value = Vec<(&'static str, Vec<String>)>> {
    let aliases = Just(vec!["a", "b", "a-b", "abcdefghijklmnop"]).prop_shuffle();
    let lists = prop::collection::vec(prop::collection::vec(any_name(), 0..8), 1..5);
    (aliases, lists).prop_map(|(aliases, mut lists)| {
        for (alias, list) in aliases.iter().zip(&mut lists) {
            let server = [(*alias, list.iter().map(String::as_str).collect())];
            let copies = listed(&names(Style::LlmSafe, &server), &server);
            let prefix = format!("{alias}__");
            list.extend(
                copies
                    .iter()
                    .step_by(2)
                    .filter_map(|copy| Some(copy.strip_prefix(&prefix)?.to_owned())),
            );
        }
        aliases.into_iter().zip(lists).collect()
    })
}

fn borrowed<'n>(servers: &'n [(&'n str, Vec<String>)]) -> Vec<(&'n str, Vec<&'n str>)> {
    servers
        .iter()
        .map(|(alias, names)| (*alias, names.iter().map(String::as_str).collect()))
        .collect()
}

fn is_safe(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

proptest! {
    #[test]
    fn each_name_stands_for_one_thing_and_leads_there(
        servers in any_servers(),
        style in prop::sample::select(STYLES.to_vec()),
    ) {
        let servers = borrowed(&servers);
        let names = names(style, &servers);

        let mut stands_for = BTreeMap::new();
        for named in every(&servers) {
            let original = servers[named.server].1[named.place];
            prop_assert_eq!(names.original(named), Some(original));
            let Some(exposed) = names.exposed(named) else {
                let list = &servers[named.server].1;
                prop_assert!(list[..named.place].contains(&original), "{} is missing", original);
                continue;
            };
            prop_assert!(style != Style::LlmSafe || is_safe(&exposed), "{}", exposed);
            prop_assert_eq!(names.resolve(&exposed, |_| true), Ok(named));
            prop_assert_eq!(stands_for.insert(exposed.into_owned(), named), None);
        }
    }

    #[test]
    fn another_server_changes_no_name_that_has_its_alias(
        servers in any_servers(),
        style in prop::sample::select(STYLES.to_vec()),
    ) {
        let servers = borrowed(&servers);
        let fewer = &servers[..servers.len() - 1];
        let (before, after) = (names(style, fewer), names(style, &servers));

        for named in every(fewer) {
            let (then, now) = (before.exposed(named), after.exposed(named));
            let was_bare = style == Style::Bare && then.as_deref() == before.original(named);
            prop_assert!(then == now || was_bare, "{:?} became {:?}", then, now);
        }
    }

    #[test]
    fn the_order_of_the_servers_changes_no_name(
        servers in any_servers(),
        style in prop::sample::select(STYLES.to_vec()),
    ) {
        let servers = borrowed(&servers);
        let mut turned = servers.clone();
        turned.reverse();
        let sorted = |servers: &Servers<'_>| {
            let mut all = listed(&names(style, servers), servers);
            all.sort();
            all
        };

        prop_assert_eq!(sorted(&servers), sorted(&turned));
    }
}
