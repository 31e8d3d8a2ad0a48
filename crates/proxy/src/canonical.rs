//! When two texts of JSON say the same: a digest in which spaces between tokens, the order of members and escapes in
//! strings do not count, and everything else does.
//!
//! In doubt two texts differ. Numbers are told by their digits, since `1.0` and `1` may be two things to a server; of
//! members of one name all count, since nobody knows which one a server takes.

use std::borrow::Cow;

use mcp::{Object, Span};
use sha2::{Digest as _, Sha256};

/// A value longer than this, in bytes, is told by its text as it is: each level of nesting is read once more, and
/// that must cost nobody a second.
const LONGEST: usize = 256 * 1024;

/// Adds a value. Recurses no deeper than what was nested in the body, which was bounded when it was read.
pub(crate) fn digest(hash: &mut Sha256, value: &[u8]) {
    if value.len() > LONGEST {
        return add(hash, b'~', value);
    }
    match value.first() {
        Some(b'{') => {
            if let Ok(object) = Object::parse(value) {
                return digest_object(hash, &object, |_| true);
            }
        }
        Some(b'[') => {
            if let Ok(items) = serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(value) {
                hash.update(b"[");
                for item in items {
                    digest(hash, item.get().as_bytes());
                }
                return hash.update(b"]");
            }
        }
        Some(b'"') => {
            if let Ok(text) = serde_json::from_slice::<Cow<'_, str>>(value) {
                return add(hash, b'"', text.as_bytes());
            }
        }
        Some(_) | None => {}
    }
    add(hash, b'=', value);
}

/// Adds an object, as far as its members are `counted`, which is asked by their names.
pub(crate) fn digest_object(hash: &mut Sha256, object: &Object<'_>, counted: impl Fn(&str) -> bool) {
    let text = object.text();
    let mut members: Vec<(&Cow<'_, str>, usize, Span)> = (0..)
        .zip(object.members())
        .map(|(place, member)| (&member.key, place, member.value))
        .filter(|(key, ..)| counted(key))
        .collect();
    members.sort_unstable_by_key(|(key, place, _)| (*key, *place));
    hash.update(b"{");
    for (key, _, value) in members {
        // A name that is no Unicode text stays as it is written, and must not be taken for what another spells out.
        let undecoded = matches!(key, Cow::Borrowed(_)) && key.contains('\\');
        add(hash, if undecoded { b'?' } else { b':' }, key.as_bytes());
        digest(hash, value.of(text));
    }
    hash.update(b"}");
}

/// Adds a text, with its length, so that no two rows of texts read the same. `kind` is what the text is.
pub(crate) fn add(hash: &mut Sha256, kind: u8, text: &[u8]) {
    hash.update([kind]);
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        digest(&mut hash, text.as_bytes());
        hash.finalize().into()
    }

    #[test]
    fn spaces_order_and_escapes_do_not_count() {
        for (one, other) in [
            (r#"{"a":1,"b":2}"#, r#"{ "b" : 2, "a":1 }"#),
            (r#"{"x":{"a":[],"b":null}}"#, r#"{"x":{"b":null,"a":[ ]}}"#),
            (r#"{"\u0061":"\u0041\/"}"#, r#"{"a":"A/"}"#),
            ("[1, 2.50]", "[1,2.50]"),
        ] {
            assert_eq!(of(one), of(other), "{one} {other}");
        }
    }

    #[test]
    fn what_may_mean_something_else_is_something_else() {
        let all = [
            "1",
            "1.0",
            "1e0",
            "01",
            r#""1""#,
            "true",
            "null",
            "[]",
            "{}",
            "[1]",
            "[[1]]",
            r#"{"a":1}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":2,"a":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"A":1}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{"b":1},"c":1}"#,
            r#"{"a":{"b":1,"c":1}}"#,
            r#"{"\ud800":1}"#,
            r#"{"\\ud800":1}"#,
            r#""\ud800""#,
            r#""\\ud800""#,
            "12345678901234567890123",
            "12345678901234567890124",
        ];
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                assert_ne!(of(one), of(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_nested_deep_and_long_costs_no_second() {
        let deep = format!(
            "{}{}{}",
            "[".repeat(200),
            "1,".repeat(5_000_000) + "1",
            "]".repeat(200)
        );
        let began = std::time::Instant::now();

        of(&deep);

        let took = began.elapsed();
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    }
}
