//! What an expression is given: JSON as CEL has it.
//!
//! Whole numbers of 64 bits are `int` or `uint`, all others `double`, with the digits that it holds.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Value as Json, json};

use super::super::Subject;
use super::super::arguments::{Arguments, Doubt, fold};
use super::super::conditions;
use super::MOST_READ;
use super::reads::{Fields, Reads};

/// What expressions read of a caller. What it does not have is not there; who is anonymous is no principal and has no
/// claims.
pub(super) fn caller(caller: &super::super::Caller<'_>, reads: &Reads) -> Json {
    let mut all = serde_json::Map::new();
    let identity = caller.identity;
    let claims = match (&reads.claims, identity) {
        (Fields::None, _) => None,
        (Fields::All, Some(identity)) => Some(Json::Object(identity.claims.clone())),
        (Fields::These(these), Some(identity)) => {
            let claims = these
                .iter()
                .filter_map(|name| Some((name.clone(), identity.claims.get(name)?.clone())));
            Some(claims.collect())
        }
        (Fields::All | Fields::These(_), None) => Some(json!({})),
    };
    all.extend(claims.map(|claims| ("claims".to_owned(), claims)));
    if let Fields::These(these) = &reads.params {
        let params = these
            .iter()
            .filter_map(|name| Some((name.clone(), Json::from((caller.parameters)(name)?))));
        all.insert("params".to_owned(), params.collect());
    }
    if reads.principal != Fields::None {
        let principal = identity.map(|identity| {
            let members = [
                ("id", Some(json!(identity.subject))),
                ("source", Some(json!(&*identity.source))),
                ("name", identity.name.as_ref().map(|name| json!(name))),
                ("tenant", identity.tenant.as_ref().map(|tenant| json!(tenant))),
                ("roles", Some(json!(identity.roles))),
            ];
            let members = members.into_iter().filter(|(name, _)| reads.principal.has(name));
            members.filter_map(|(name, value)| Some((name, value?))).collect()
        });
        all.insert("principal".to_owned(), principal.unwrap_or_default());
    }
    if reads.route {
        all.insert("route".to_owned(), caller.route.into());
    }
    Json::Object(all)
}

/// What a tool declares of itself, and the protocol's defaults; of anything else nothing.
pub(super) fn annotations(subject: &Subject<'_>) -> Result<Value, Doubt> {
    let Subject::Tool { annotations, .. } = *subject else {
        return Ok(Value::Null);
    };
    let mut declared = HashMap::new();
    for hint in conditions::HINTS {
        declared.insert(Key::from(hint.key.to_owned()), Value::Bool(hint.of(annotations)?));
    }
    Ok(map(declared))
}

/// The arguments that are read, and how long they are.
pub(super) fn arguments(arguments: &Arguments<'_>, reads: &Reads) -> Result<(Value, usize), Doubt> {
    let mut values = HashMap::new();
    let mut length: usize = 0;
    let mut seen = HashSet::new();
    let Some(object) = arguments.object()? else {
        return Ok((map(HashMap::new()), 0));
    };
    for member in object.members() {
        if reads.confuses(&member.key) {
            return Err(Doubt::TwoReadings);
        }
        if !reads.args.has(&member.key) {
            continue;
        }
        if !seen.insert(fold(&member.key).into_owned()) {
            return Err(Doubt::TwoReadings);
        }
        let json = member.value.of(object.text());
        length = length.saturating_add(json.len() + member.key.len());
        if length > MOST_READ {
            return Err(Doubt::TooLarge);
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let is_confusing = Cell::new(false);
        let build = Build {
            reads: Some((reads, &is_confusing)),
        };
        let failed = |_| {
            if is_confusing.get() {
                Doubt::TwoReadings
            } else {
                Doubt::Unreadable
            }
        };
        let value = build.deserialize(&mut reader).map_err(failed)?;
        values.insert(Key::from(member.key.clone().into_owned()), value);
    }
    Ok((map(values), length))
}

/// JSON that is not a caller's own words.
pub(super) fn of(json: &Json) -> Option<Value> {
    Build { reads: None }.deserialize(json).ok()
}

fn map(members: HashMap<Key, Value>) -> Value {
    Value::Map(Map {
        map: Arc::new(members),
    })
}

/// Builds a value. Of hostile JSON, in which keys may stand twice, it says whether they do.
#[derive(Clone, Copy)]
struct Build<'r> {
    reads: Option<(&'r Reads, &'r Cell<bool>)>,
}

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::UInt(number), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::List(Arc::new(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut values = HashMap::new();
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if let Some((reads, is_confusing)) = self.reads
                && (reads.confuses(&key) || !seen.insert(fold(&key).into_owned()))
            {
                is_confusing.set(true);
                return Err(A::Error::custom("two readings"));
            }
            let value = members.next_value_seed(self)?;
            values.insert(Key::from(key), value);
        }
        Ok(map(values))
    }
}
