//! Ids: their text kept, compared by type and value.

use mcp::Id;
use std::hash::{BuildHasher, RandomState};

fn id(raw: &str) -> Id {
    Id::parse(raw.as_bytes()).unwrap_or_else(|| panic!("{raw} is an id"))
}

#[test]
fn spellings_of_one_value_are_equal_and_hash_alike() {
    let long = "1".repeat(100);
    let state = RandomState::new();
    for (one, other) in [
        ("1", "1.0"),
        ("1", "10e-1"),
        ("100", "1e2"),
        ("100", "1E+2"),
        ("15", "1.5e1"),
        ("15", "0.0150e3"),
        ("0", "-0"),
        ("0", "0.00e7"),
        ("-10", "-1e1"),
        (&long, &format!("{long}.000")),
        (r#""1""#, r#""\u0031""#),
        (r#""é""#, r#""\u00e9""#),
        (r#""a/b""#, r#""a\/b""#),
    ] {
        assert_eq!(id(one), id(other));
        assert_eq!(
            state.hash_one(id(one)),
            state.hash_one(id(other)),
            "{one} {other}"
        );
        assert_eq!(id(one).raw(), one);
        assert_eq!(id(other).raw(), other);
    }
}

#[test]
fn other_values_and_types_differ() {
    for (one, other) in [
        ("1", r#""1""#),
        ("1", "-1"),
        ("1", "10"),
        ("101", "1001"),
        ("12345678901234567890123", "12345678901234567890124"),
        (r#""a""#, r#""A""#),
        (r#""1.0""#, r#""1""#),
    ] {
        assert_ne!(id(one), id(other));
    }
}

#[test]
fn what_cannot_be_an_id_is_none() {
    for raw in [
        "",
        "null",
        "true",
        "[]",
        "{}",
        "1.5",
        "15e-1",
        "1 2",
        "01",
        r#""\udc00""#,
        "\"",
        "1e10000000000",
    ] {
        assert_eq!(Id::parse(raw.as_bytes()), None, "{raw}");
    }
}

#[test]
fn an_id_of_our_own_reads_as_its_value() {
    for number in [0, 7, 100, u64::MAX] {
        assert_eq!(Id::number(number).as_u64(), Some(number));
        assert_eq!(Id::number(number).raw(), number.to_string());
    }
    for text in [
        "",
        "7",
        "a \"b\"\n",
        "a string of more than thirty-eight bytes, é included",
    ] {
        assert_eq!(Id::text(text).as_text().as_deref(), Some(text));
        assert_eq!(Id::parse(Id::text(text).raw().as_bytes()), Some(Id::text(text)));
    }
}

#[test]
fn only_numbers_that_fit_are_u64() {
    for (raw, number) in [
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("1e19", Some(10_000_000_000_000_000_000)),
        ("1e20", None),
        ("-1", None),
        ("-0", Some(0)),
        ("2.0", Some(2)),
        (r#""7""#, None),
    ] {
        assert_eq!(id(raw).as_u64(), number, "{raw}");
    }
}
