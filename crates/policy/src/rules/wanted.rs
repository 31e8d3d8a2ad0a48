//! Wanted values: what a condition compares a claim, an argument or a parameter with.

use std::borrow::Cow;

use config::{Field, Problem, Value, scalar};
use wildmatch::WildMatch;

/// A text as it is written in the file, or a pattern in which `*` stands for any letters and `?` for one.
#[derive(Debug, Clone)]
pub(super) struct Glob {
    pub(super) written: String,
    /// Nothing for a text without either.
    pattern: Option<WildMatch>,
}

/// Any of these will do; where there are none, nothing will.
pub(super) type AnyOf = Vec<Wanted>;

/// What a value should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Text(Glob),
    Number(Decimal),
    Flag(bool),
}

/// What a value is, where it is one and not many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(Decimal),
    Flag(bool),
    Null,
}

/// A number by its digits, so that `1.10` is `1.1`, `100` is `1e2`, and one of thirty digits is itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; none of zero itself.
    digits: String,
    /// Of ten, by which the digits are taken after a point before them all.
    exponent: i64,
}

impl Glob {
    pub(super) fn new(written: &str) -> Self {
        Self {
            written: written.to_owned(),
            pattern: written.contains(['*', '?']).then(|| WildMatch::new(written)),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.matches(text),
            None => self.written == text,
        }
    }

    /// Whether it matches whatever the other does. It may say no where that is so, never yes where it is not.
    pub(super) fn covers(&self, other: &Self) -> bool {
        covers(&self.written, |text| self.matches(text), &other.written)
    }
}

/// Whether the first pattern, as it is written and as it `matches`, matches whatever the second does.
pub(super) fn covers(one: &str, matches: impl Fn(&str) -> bool, other: &str) -> bool {
    // A `*` of the other is a letter here, which only our own `*` matches, and that matches many as well; `?` would
    // match the letter and not the many.
    let is_sure = !one.contains('?') || !other.contains(['*', '?']);
    one == other || (is_sure && matches(other))
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Glob {}

impl Wanted {
    pub(super) fn is_met_by(&self, value: &Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Text(glob), Scalar::Text(text)) => glob.matches(text),
            (Self::Number(wanted), Scalar::Number(number)) => wanted == number,
            (Self::Flag(wanted), Scalar::Flag(flag)) => wanted == flag,
            (Self::Text(_) | Self::Number(_) | Self::Flag(_), _) => false,
        }
    }

    /// Whether a server that takes `"3"` for 3, or 1 for `true`, might find it so. `written` is the value's JSON.
    pub(super) fn may_be_met_by(&self, value: &Scalar<'_>, written: &str) -> bool {
        match (self, value) {
            (Self::Text(glob), Scalar::Number(_) | Scalar::Flag(_)) => glob.matches(written),
            (Self::Number(wanted), Scalar::Text(text)) => Decimal::of(text.trim()).as_ref() == Some(wanted),
            (Self::Flag(wanted), Scalar::Text(text)) => {
                let (yes, no) = (["true", "1", "yes", "on"], ["false", "0", "no", "off"]);
                let words = if *wanted { yes } else { no };
                words.iter().any(|word| text.trim().eq_ignore_ascii_case(word))
            }
            (Self::Flag(wanted), Scalar::Number(number)) => *wanted != (*number == Decimal::default()),
            (Self::Text(_) | Self::Number(_) | Self::Flag(_), _) => false,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.covers(other),
            (Self::Text(_) | Self::Number(_) | Self::Flag(_), _) => self == other,
        }
    }
}

/// Whether each of the others is covered by one of these.
pub(super) fn all_covered(these: &[Wanted], others: &[Wanted]) -> bool {
    let is_covered = |other: &Wanted| these.iter().any(|wanted| wanted.covers(other));
    others.iter().all(is_covered)
}

/// Reads one value, or a list of those of which any will do.
pub(super) fn any_of(field: &Field<'_>) -> Option<AnyOf> {
    match field.node().map(|node| &node.value) {
        Some(Value::List(items)) if items.is_empty() => {
            warn_empty(field, "nobody");
            Some(Vec::new())
        }
        Some(Value::List(_)) => field.list()?.iter().map(one).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_)) | None => {
            Some(vec![one(field)?])
        }
    }
}

fn one(field: &Field<'_>) -> Option<Wanted> {
    match field.node().map(|node| &node.value) {
        Some(Value::Text(text)) => Some(Wanted::Text(Glob::new(text))),
        Some(Value::Bool(flag)) => Some(Wanted::Flag(*flag)),
        Some(Value::Number(number)) => {
            let decimal = Decimal::of(number);
            if decimal.is_none() {
                let text = format!("`{}` is no number that JSON knows", scalar::shown(number));
                field.report(text, Some("write its digits alone, or put it in quotes"));
            }
            decimal.map(Wanted::Number)
        }
        Some(Value::Null | Value::List(_) | Value::Map(_)) | None => {
            let instead = "to compare parts of it write a path: `filter.kind: inv*`";
            field.report("expected text, a number, `true` or `false`", Some(instead));
            None
        }
    }
}

/// Says that an empty list is a word for nobody, or nothing.
pub(super) fn warn_empty(field: &Field<'_>, whom: &str) {
    let text = format!("an empty list matches {whom}");
    let problem = Problem::new(Some(field.at()), field.path(), text);
    let hint = "leave the key out if it does not matter";
    field.problems().add(problem.hint(hint).warning());
}

impl Decimal {
    /// The number that a JSON text says; nothing for another text, and for an exponent of more than 17 digits.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, tens(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (mantissa, ""),
        };
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let leads_with_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leads_with_zero || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let all = [whole, fraction].concat();
        let digits = all.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self::default());
        }
        let leading = i64::try_from(all.len() - digits.len()).ok()?;
        Some(Self {
            is_negative,
            exponent: i64::try_from(whole.len()).ok()? - leading + exponent,
            digits: digits.trim_end_matches('0').to_owned(),
        })
    }
}

fn tens(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain =
        !digits.is_empty() && digits.len() < 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for (one, other) in [
            ("1.10", "1.1"),
            ("100", "1e2"),
            ("1E+2", "100.0"),
            ("0.001", "1e-3"),
            ("-0", "0"),
            ("0e5", "0.00"),
            ("18446744073709551617", "18446744073709551617.0"),
        ] {
            assert_eq!(Decimal::of(one), Decimal::of(other), "{one} and {other}");
            assert!(Decimal::of(one).is_some(), "{one}");
        }
        for (one, other) in [
            ("1", "-1"),
            ("1", "10"),
            ("18446744073709551616", "18446744073709551617"),
        ] {
            assert_ne!(Decimal::of(one), Decimal::of(other), "{one} and {other}");
        }
        for text in [
            "",
            "-",
            "+1",
            "01",
            "1.",
            ".5",
            "0x1f",
            "1_000",
            ".inf",
            "1e",
            "1e999999999999999999",
            "NaN",
        ] {
            assert_eq!(Decimal::of(text), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_only_what_it_surely_matches() {
        for (one, other, covers_it) in [
            ("*", "a*", true),
            ("a*", "ab*", true),
            ("a*", "a?", true),
            ("a*", "abc", true),
            ("a?", "a*", false),
            ("a?", "a?", true),
            ("?b", "ab", true),
            ("ab", "a*", false),
            ("A*", "ab", false),
        ] {
            assert_eq!(
                Glob::new(one).covers(&Glob::new(other)),
                covers_it,
                "{one} and {other}"
            );
        }
    }
}
