//! The arguments of a call, as a rule looks into them: hostile JSON, in which a key may stand twice.
//!
//! A server reads its arguments with a parser of its own. Where two parsers could read two things (a key that stands
//! twice, or in other letters than the rule's), and where a value has another shape than the rule looks for, there is
//! a [`Doubt`]: no rule allows on it, and a rule that denies does.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use mcp::Object;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::wanted::{AnyOf, Decimal, Scalar};

/// Why it cannot be said what a server will read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The JSON cannot be read.
    Unreadable,
    /// A key stands there twice, or spelled with other capitals.
    TwoReadings,
    /// A value is not of the kind that the rule compares.
    Shape,
    /// There is more of it than is looked into.
    TooLarge,
    /// The expression of the rule failed on it.
    Failed,
}

/// How a condition stands to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    Yes,
    No,
    Doubt(Doubt),
}

/// How many elements of a list are looked at: a list of two bytes each would take sixteen times the room of its text.
const MOST_ELEMENTS: usize = 10_000;

/// What stands at a path.
enum Look<'a> {
    Absent,
    /// At least one.
    Values(Vec<&'a [u8]>),
    Doubt(Doubt),
}

/// Those of a call, or none, of which the outermost object is read once.
pub(super) struct Arguments<'a> {
    json: Option<&'a [u8]>,
    object: OnceCell<Result<Object<'a>, Doubt>>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(json: Option<&'a [u8]>) -> Self {
        Self {
            json,
            object: OnceCell::new(),
        }
    }

    /// The object that they are; nothing where there are none.
    pub(super) fn object(&self) -> Result<Option<&Object<'a>>, Doubt> {
        let Some(json) = self.json.filter(|json| json.trim_ascii() != b"null") else {
            return Ok(None);
        };
        let read = || Object::parse(json).map_err(|_| Doubt::Unreadable);
        self.object
            .get_or_init(read)
            .as_ref()
            .map(Some)
            .map_err(|doubt| *doubt)
    }
}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How a condition on the argument at `path` stands to these. Where there is a list, `every` of it must be wanted, or
/// any: who allows must be sure of all that is asked for, who denies of one.
pub(super) fn met(arguments: &Arguments<'_>, path: &[String], wanted: &AnyOf, every: bool) -> Met {
    let (object, (name, rest)) = match (arguments.object(), path.split_first()) {
        (Ok(Some(object)), Some(path)) => (object, path),
        (Ok(_), _) => return Met::No,
        (Err(doubt), _) => return Met::Doubt(doubt),
    };
    let found = match of(object, name) {
        Ok(Some(value)) => look(value, rest),
        Ok(None) => Look::Absent,
        Err(doubt) => Look::Doubt(doubt),
    };
    let mut values = match found {
        Look::Absent => return Met::No,
        Look::Doubt(doubt) => return Met::Doubt(doubt),
        Look::Values(values) => values.into_iter(),
    };
    let mut doubt = None;
    let mut meets = |json: &[u8]| match scalar(json) {
        Ok((value, written)) => {
            let is_met = wanted.iter().any(|wanted| wanted.is_met_by(&value));
            if !is_met && wanted.iter().any(|wanted| wanted.may_be_met_by(&value, written)) {
                doubt = Some(Doubt::Shape);
            }
            is_met
        }
        Err(found) => {
            doubt = Some(found);
            false
        }
    };
    let is_met = if every {
        values.all(&mut meets)
    } else {
        values.any(&mut meets)
    };
    match doubt {
        _ if is_met => Met::Yes,
        Some(doubt) => Met::Doubt(doubt),
        None => Met::No,
    }
}

fn look<'a>(json: &'a [u8], path: &[String]) -> Look<'a> {
    let json = json.trim_ascii();
    let Some((name, rest)) = path.split_first() else {
        return match json.first() {
            Some(b'[') => match elements(json) {
                Ok(values) if values.is_empty() => Look::Absent,
                Ok(values) => Look::Values(values),
                Err(doubt) => Look::Doubt(doubt),
            },
            _ => Look::Values(vec![json]),
        };
    };
    match json.first() {
        Some(b'{') => match member(json, name) {
            Ok(Some(value)) => look(value, rest),
            Ok(None) => Look::Absent,
            Err(doubt) => Look::Doubt(doubt),
        },
        Some(b'[') => match elements(json) {
            Ok(elements) => each(&elements, path),
            Err(doubt) => Look::Doubt(doubt),
        },
        Some(b'n') => Look::Absent,
        _ => Look::Doubt(Doubt::Shape),
    }
}

/// What stands at the path in any of the elements of a list, which are no lists themselves.
fn each<'a>(elements: &[&'a [u8]], path: &[String]) -> Look<'a> {
    let mut values = Vec::new();
    for element in elements {
        if element.trim_ascii_start().first() == Some(&b'[') {
            return Look::Doubt(Doubt::Shape);
        }
        match look(element, path) {
            // An element without it is not among those wanted.
            Look::Absent => values.push(&b"null"[..]),
            Look::Values(more) => values.extend(more),
            Look::Doubt(doubt) => return Look::Doubt(doubt),
        }
    }
    if values.is_empty() {
        Look::Absent
    } else {
        Look::Values(values)
    }
}

/// The member of that name, if none else could be taken for it.
pub(super) fn member<'a>(object: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, Doubt> {
    let object = Object::parse(object).map_err(|_| Doubt::Unreadable)?;
    of(&object, name)
}

fn of<'a>(object: &Object<'a>, name: &str) -> Result<Option<&'a [u8]>, Doubt> {
    let folded = fold(name);
    let mut found = None;
    for member in object.members() {
        if member.key == name {
            if found.is_some() {
                return Err(Doubt::TwoReadings);
            }
            found = Some(member.value.of(object.text()));
        } else if is_spelled(&member.key, &folded) {
            return Err(Doubt::TwoReadings);
        }
    }
    Ok(found)
}

/// Without capitals, as parsers that do not tell them apart would compare it.
pub(super) fn fold(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        let has_capitals = name.bytes().any(|byte| byte.is_ascii_uppercase());
        return if has_capitals {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        };
    }
    // By way of capitals: `ſ` is a small letter already, and equal to `s`.
    let letters = name
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    letters.collect::<String>().into()
}

fn is_spelled(key: &str, folded: &str) -> bool {
    if key.is_ascii() {
        key.eq_ignore_ascii_case(folded)
    } else {
        fold(key) == folded
    }
}

fn elements(list: &[u8]) -> Result<Vec<&[u8]>, Doubt> {
    let mut reader = serde_json::Deserializer::from_slice(list);
    let elements = reader.deserialize_seq(Elements).map_err(|_| Doubt::Unreadable)?;
    elements.ok_or(Doubt::TooLarge)
}

/// Takes a list apart; nothing if it has more elements than are looked at.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Option<Vec<&'de [u8]>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element::<&'de RawValue>()? {
            if elements.len() <= MOST_ELEMENTS {
                elements.push(element.get().as_bytes());
            }
        }
        Ok((elements.len() <= MOST_ELEMENTS).then_some(elements))
    }
}

/// A value that is one, and its JSON.
fn scalar(json: &[u8]) -> Result<(Scalar<'_>, &str), Doubt> {
    let json = json.trim_ascii();
    let written = std::str::from_utf8(json).map_err(|_| Doubt::Unreadable)?;
    let value = match json.first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(written).map_err(|_| Doubt::Unreadable)?;
            Scalar::Text(text.into())
        }
        Some(b't') => Scalar::Flag(true),
        Some(b'f') => Scalar::Flag(false),
        Some(b'n') => Scalar::Null,
        Some(b'{' | b'[') => return Err(Doubt::Shape),
        _ => Scalar::Number(Decimal::of(written).ok_or(Doubt::Unreadable)?),
    };
    Ok((value, written))
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "it cannot be read",
            Self::TwoReadings => "a key stands there twice, or in other capitals",
            Self::Shape => "it is not of the kind that is compared",
            Self::TooLarge => "it is more than is looked into",
            Self::Failed => "the expression fails on it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::wanted::{Glob, Wanted};
    use super::*;

    #[test]
    fn a_list_is_looked_at_up_to_a_bound() {
        let eu = vec![Wanted::Text(Glob::new("eu"))];
        for (count, found) in [
            (MOST_ELEMENTS, Met::Yes),
            (MOST_ELEMENTS + 1, Met::Doubt(Doubt::TooLarge)),
        ] {
            let list = vec![r#""eu""#; count].join(",");
            let json = format!(r#"{{"region":[{list}]}}"#);
            let arguments = Arguments::new(Some(json.as_bytes()));
            assert_eq!(
                met(&arguments, &["region".to_owned()], &eu, true),
                found,
                "{count}"
            );
        }
    }

    #[test]
    fn a_number_in_quotes_is_in_doubt() {
        let wanted = vec![
            Wanted::Number(Decimal::of("3").expect("it is one")),
            Wanted::Flag(true),
        ];
        for (json, found) in [
            (r#"{"a":3.0}"#, Met::Yes),
            (r#"{"a":true}"#, Met::Yes),
            (r#"{"a":4}"#, Met::Doubt(Doubt::Shape)),
            (r#"{"a":0}"#, Met::No),
            (r#"{"a":"3"}"#, Met::Doubt(Doubt::Shape)),
            (r#"{"a":" True "}"#, Met::Doubt(Doubt::Shape)),
            (r#"{"a":"4"}"#, Met::No),
            (r#"{"a":false}"#, Met::No),
        ] {
            assert_eq!(
                met(
                    &Arguments::new(Some(json.as_bytes())),
                    &["a".to_owned()],
                    &wanted,
                    false
                ),
                found,
                "{json}"
            );
        }
    }

    #[test]
    fn what_could_be_read_as_two_things_is_in_doubt() {
        let eu = vec![Wanted::Text(Glob::new("eu*"))];
        for (path, json, every, any) in [
            ("region", r#"{"region":"eu"}"#, Met::Yes, Met::Yes),
            ("region", r#"{"region":"us"}"#, Met::No, Met::No),
            ("region", r#"{"reg\u0069on":"eu"}"#, Met::Yes, Met::Yes),
            ("region", r#"{}"#, Met::No, Met::No),
            ("region", r#"{"region":null}"#, Met::No, Met::No),
            ("region", r#"{"region":1}"#, Met::No, Met::No),
            ("region", r#"{"region":["eu","eu-2"]}"#, Met::Yes, Met::Yes),
            ("region", r#"{"region":["eu","us"]}"#, Met::No, Met::Yes),
            ("region", r#"{"region":[]}"#, Met::No, Met::No),
            ("a.b", r#"{"a":{"b":"eu"}}"#, Met::Yes, Met::Yes),
            ("a.b", r#"{"a.b":"eu"}"#, Met::No, Met::No),
            ("a.b", r#"{"a":[{"b":"eu"},{"b":"us"}]}"#, Met::No, Met::Yes),
            ("a.b", r#"{"a":[{"b":"eu"},{}]}"#, Met::No, Met::Yes),
            ("a.b", r#"{"a":null}"#, Met::No, Met::No),
        ] {
            let path: Vec<_> = path.split('.').map(str::to_owned).collect();
            assert_eq!(
                met(&Arguments::new(Some(json.as_bytes())), &path, &eu, true),
                every,
                "{json}"
            );
            assert_eq!(
                met(&Arguments::new(Some(json.as_bytes())), &path, &eu, false),
                any,
                "{json}"
            );
        }
        for (path, json, doubt) in [
            ("region", r#"{"region":"eu","region":"us"}"#, Doubt::TwoReadings),
            ("region", r#"{"Region":"us"}"#, Doubt::TwoReadings),
            ("region", r#"{"region":"eu","REGION":"us"}"#, Doubt::TwoReadings),
            ("keys", r#"{"Key\u017f":"us"}"#, Doubt::TwoReadings),
            ("region", r#"{"region":{"a":"eu"}}"#, Doubt::Shape),
            ("region", r#"{"region":[["eu"]]}"#, Doubt::Shape),
            ("a.b", r#"{"a":"{\"b\":\"eu\"}"}"#, Doubt::Shape),
            ("region", r#"{"region":"\ud800"}"#, Doubt::Unreadable),
            ("region", r#"["#, Doubt::Unreadable),
            ("region", "7", Doubt::Unreadable),
            ("region", r#"{"region":"eu""#, Doubt::Unreadable),
        ] {
            let path: Vec<_> = path.split('.').map(str::to_owned).collect();
            for every in [true, false] {
                let found = met(&Arguments::new(Some(json.as_bytes())), &path, &eu, every);
                assert_eq!(found, Met::Doubt(doubt), "{json}");
            }
        }
    }
}
