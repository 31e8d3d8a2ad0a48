//! URIs with aliases, and back.

use super::alias;
use mcp::expose::uri::{expose, is_shared, reveal};
use proptest::prelude::*;
use std::borrow::Cow;

const KNOWN: [&str; 4] = ["a", "b", "a-b", "docs"];

fn known(text: &str) -> Option<usize> {
    KNOWN.iter().position(|alias| *alias == text)
}

fn revealed(uri: &str) -> Option<(&'static str, Cow<'_, str>)> {
    reveal(uri, known).map(|(index, original)| (KNOWN[index], original))
}

#[test]
fn each_kind_has_its_form_and_comes_back() {
    for (original, exposed) in [
        ("file:///x?y#z", "docs+file:///x?y#z"),
        ("urn:isbn:0451450523", "docs+urn:isbn:0451450523"),
        ("ui://board/main", "ui://docs+board/main"),
        ("UI://board", "UI://docs+board"),
        ("ui://", "ui://docs+"),
        ("ui:board", "docs+ui:board"),
        ("note://{name}{?page}", "docs+note://{name}{?page}"),
        ("{+path}", "docs+{+path}"),
        ("ui://{+path}", "ui://docs+{+path}"),
        ("http:x", "docs+http:x"),
        ("", "docs+"),
        ("/etc/passwd", "docs+/etc/passwd"),
        ("a+file:///x", "docs+a+file:///x"),
        ("docs+x", "docs+docs+x"),
        ("ui://a+x", "ui://docs+a+x"),
        ("+", "docs++"),
        ("ünï:\u{0}\"", "docs+ünï:\u{0}\""),
    ] {
        assert_eq!(expose(&alias("docs"), original), exposed);
        assert_eq!(revealed(exposed), Some(("docs", original.into())), "{exposed}");
    }
}

#[test]
fn what_clients_may_fetch_stays_and_says_nothing() {
    for uri in ["http://x/a+b", "https://x", "HtTpS://docs+x", "https://{host}/x"] {
        assert!(is_shared(uri));
        assert!(matches!(expose(&alias("docs"), uri), Cow::Borrowed(same) if same == uri));
        assert_eq!(revealed(uri), None);
    }
}

#[test]
fn what_has_no_alias_that_is_known_leads_nowhere() {
    for uri in [
        "",
        "file:///x",
        "git+ssh://x",
        "Docs+x",
        "+x",
        "ui://x",
        "ui://c+x",
        "ui://docs",
        " docs+x",
    ] {
        assert_eq!(revealed(uri), None, "{uri}");
    }
}

/// The template `{scheme}://x` is exposed as `a+{scheme}://x`, and filled in by a client.
#[test]
fn a_template_of_schemes_leads_to_what_was_meant() {
    assert_eq!(revealed("a+https://x"), Some(("a", "https://x".into())));
    assert_eq!(revealed("a+ui://x"), Some(("a", "ui://x".into())));
}

proptest! {
    #[test]
    fn what_is_exposed_is_revealed(
        server in prop::sample::select(KNOWN.to_vec()),
        uri in prop_oneof![
            any::<String>(),
            "((ui|UI|http|file|a|b)[+:]){0,3}(//)?[+a{}]{0,4}",
            "(?i)(https?|ui)://.{0,5}",
        ],
    ) {
        let exposed = expose(&alias(server), &uri);
        if is_shared(&uri) {
            prop_assert_eq!(&*exposed, &*uri);
        } else {
            prop_assert_eq!(revealed(&exposed), Some((server, Cow::Borrowed(&*uri))));
            prop_assert_eq!(exposed.len(), uri.len() + server.len() + 1);
        }
    }

    /// Whatever the order of both, exposing what was revealed leads to the same place.
    #[test]
    fn what_is_revealed_stays_the_same_place(uri in "(ui://)?(a|b|c)?[+]?(ui://|https?://|x:)?[+a]{0,3}") {
        if let Some((server, original)) = revealed(&uri)
            && !is_shared(&original)
        {
            let again = expose(&alias(server), &original).into_owned();
            prop_assert_eq!(revealed(&again), Some((server, original)));
        }
    }
}
