//! The arguments of a tool that a call repeats in headers, because the tool's schema says so
//! (2026-07-28 basic/transports/streamable-http §Custom Headers from Tool Parameters).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::agree::mismatch;
use super::{MCP_PARAM_PREFIX, Values, decode_value, encode_value};
use crate::json;
use crate::message::Message;
use crate::refusal::Refusal;

/// The member of a schema that says so.
pub(super) const ANNOTATION: &str = "x-mcp-header";

/// Bytes of a schema that are read for annotations, if it may have any.
const LONGEST: usize = 1024 * 1024;

/// Annotated arguments of one tool.
const MOST: usize = 64;

/// Bytes of the name in one annotation.
const LONGEST_NAME: usize = 128;

/// The largest integer that every client can say exactly, and the negative of the smallest: 2^53 − 1.
const SAFE: i64 = (1 << 53) - 1;

/// The arguments of one tool that its calls repeat in headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    annotated: Vec<Annotated>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Annotated {
    /// The header's name, in lower case.
    header: Box<str>,
    /// The members that lead to it, from `params.arguments` on.
    path: Vec<Box<str>>,
}

/// Why the annotations of a tool make it one that is not to be listed or called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidAnnotation {
    /// It is no string, empty, too long, or no name of a header.
    Name,
    /// It stands twice, letters' case aside.
    Twice,
    /// What it annotates is no string, integer or boolean.
    Type,
    /// It stands where no chain of `properties` leads.
    Place,
    /// There are more than 64.
    TooMany,
    /// The schema is longer than 1 MiB, no JSON, or nested too deeply to be read.
    Unreadable,
}

impl fmt::Display for InvalidAnnotation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            InvalidAnnotation::Name => "an `x-mcp-header` is no name of a header",
            InvalidAnnotation::Twice => "an `x-mcp-header` stands twice",
            InvalidAnnotation::Type => "an `x-mcp-header` annotates no string, integer or boolean",
            InvalidAnnotation::Place => "an `x-mcp-header` stands where no chain of `properties` leads",
            InvalidAnnotation::TooMany => "more than 64 parameters have an `x-mcp-header`",
            InvalidAnnotation::Unreadable => "its schema cannot be read for `x-mcp-header`",
        })
    }
}

impl std::error::Error for InvalidAnnotation {}

impl Parameters {
    /// Those of a tool with this `inputSchema`, which is JSON text.
    ///
    /// # Errors
    /// If one annotation is not as it must be: then the tool is not to be listed to a client that reaches
    /// its server over HTTP.
    pub fn of_schema(schema: &[u8]) -> Result<Parameters, InvalidAnnotation> {
        // Hardly any tool has one, and a name may be written with escapes.
        let may_have = |word: &str| memchr::memmem::find(schema, word.as_bytes()).is_some();
        if !may_have(ANNOTATION) && !may_have("\\u") {
            return Ok(Parameters::default());
        }
        if schema.len() > LONGEST {
            return Err(InvalidAnnotation::Unreadable);
        }
        let schema: Value = serde_json::from_slice(schema).map_err(|_| InvalidAnnotation::Unreadable)?;
        let mut found = Found::default();
        found.schema(&schema, Some(&mut Vec::new()))?;
        Ok(Parameters {
            annotated: found.annotated,
        })
    }

    /// Whether no argument is repeated.
    pub fn is_empty(&self) -> bool {
        self.annotated.is_empty()
    }

    /// The headers of this call: their names in lower case, and their values as they stand on the wire. An
    /// argument that is absent or `null` has none.
    pub fn mirror(&self, call: &Message) -> Vec<(&str, String)> {
        let arguments = call.params_member("arguments");
        let headers = self.annotated.iter().filter_map(|annotated| {
            let value = annotated.value(arguments)?.said();
            Some((&*annotated.header, encode_value(&value).into_owned()))
        });
        headers.collect()
    }

    /// Checks that the headers repeat the arguments of the call; `lines` finds all lines of the header with
    /// this name in lower case.
    ///
    /// # Errors
    /// 400 and `-32020` if one is missing, stands twice or where there is no argument, cannot be read, or
    /// says something else.
    pub fn agree<'a>(&self, lines: impl Fn(&str) -> Values<'a>, call: &Message) -> Result<(), Refusal> {
        let arguments = call.params_member("arguments");
        for annotated in &self.annotated {
            let refuse = |words: &str| Err(mismatch(&annotated.header, words));
            let (line, value) = match (lines(&annotated.header), annotated.value(arguments)) {
                (Values::Absent, None) => continue,
                (Values::Absent, Some(_)) => return refuse("is missing"),
                (Values::One(_) | Values::Several(_), None) => return refuse("repeats nothing in the body"),
                (Values::Several(_), Some(_)) => return refuse("stands more than once"),
                (Values::One(line), Some(value)) => (line, value),
            };
            match decode_value(line) {
                Ok(said) if value.is_said_by(&said) => {}
                Ok(_) => return refuse("does not match the body"),
                Err(error) => return refuse(&error.to_string()),
            }
        }
        Ok(())
    }
}

impl Annotated {
    /// The argument, if it has a value that a header can say.
    fn value<'a>(&self, arguments: Option<&'a [u8]>) -> Option<Argument<'a>> {
        let mut value = arguments?;
        for member in &self.path {
            value = json::member(value, member)?;
        }
        match value.first()? {
            b'"' => json::decode_bytes(value).map(Argument::Text),
            b't' | b'f' => std::str::from_utf8(value)
                .ok()
                .map(|text| Argument::Text(text.into())),
            b'-' | b'0'..=b'9' => std::str::from_utf8(value).ok().map(Argument::Number),
            // `null` is as absent; an array or an object is not what the schema allows, and refused for that.
            _ => None,
        }
    }
}

/// An argument as its header says it.
enum Argument<'a> {
    /// A string or a boolean, letter by letter.
    Text(Cow<'a, str>),
    /// A number, by its value.
    Number(&'a str),
}

impl<'a> Argument<'a> {
    fn said(self) -> Cow<'a, str> {
        match self {
            Argument::Text(text) => text,
            Argument::Number(number) => numerically(number).unwrap_or(Cow::Borrowed(number)),
        }
    }

    fn is_said_by(&self, said: &str) -> bool {
        match self {
            Argument::Text(text) => text == said,
            Argument::Number(number) => {
                *number == said || numerically(number).is_some_and(|value| numerically(said) == Some(value))
            }
        }
    }
}

/// An integer within the safe range in its shortest form, however it is written; none for anything else.
fn numerically(text: &str) -> Option<Cow<'static, str>> {
    let begins = text.strip_prefix('-').unwrap_or(text);
    if !begins.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let integer = match text.parse::<i64>() {
        Ok(integer) => integer,
        Err(_) => {
            let float: f64 = text.parse().ok()?;
            #[expect(clippy::cast_possible_truncation, reason = "checked on the same line")]
            #[expect(clippy::cast_precision_loss, reason = "2^53 − 1 is exact")]
            let integer = (float.fract() == 0.0 && float.abs() <= SAFE as f64).then_some(float as i64);
            integer?
        }
    };
    (-SAFE..=SAFE)
        .contains(&integer)
        .then(|| Cow::Owned(integer.to_string()))
}

/// Annotations met so far.
#[derive(Default)]
struct Found {
    annotated: Vec<Annotated>,
    names: HashSet<Box<str>>,
}

impl Found {
    /// Reads a schema. `path` leads there from the root, unless something else than `properties` lies
    /// between.
    fn schema(
        &mut self,
        schema: &Value,
        mut path: Option<&mut Vec<Box<str>>>,
    ) -> Result<(), InvalidAnnotation> {
        let Value::Object(members) = schema else {
            return Ok(());
        };
        if let Some(annotation) = members.get(ANNOTATION) {
            let path = path.as_deref().filter(|path| !path.is_empty());
            self.annotation(annotation, members.get("type"), path)?;
        }
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    for (name, property) in properties {
                        match path.as_deref_mut() {
                            Some(path) => {
                                path.push(name.as_str().into());
                                self.schema(property, Some(path))?;
                                path.pop();
                            }
                            None => self.schema(property, None)?,
                        }
                    }
                }
                (
                    "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies",
                    Value::Object(schemas),
                ) => {
                    for schema in schemas.values() {
                        self.schema(schema, None)?;
                    }
                }
                ("oneOf" | "anyOf" | "allOf" | "prefixItems" | "items", Value::Array(schemas)) => {
                    for schema in schemas {
                        self.schema(schema, None)?;
                    }
                }
                (
                    "items"
                    | "additionalItems"
                    | "additionalProperties"
                    | "contains"
                    | "contentSchema"
                    | "else"
                    | "if"
                    | "not"
                    | "propertyNames"
                    | "then"
                    | "unevaluatedItems"
                    | "unevaluatedProperties",
                    schema,
                ) => self.schema(schema, None)?,
                // Anything else holds no schema: what stands in a `default` or an `enum` annotates nothing.
                _ => {}
            }
        }
        Ok(())
    }

    fn annotation(
        &mut self,
        annotation: &Value,
        kind: Option<&Value>,
        path: Option<&Vec<Box<str>>>,
    ) -> Result<(), InvalidAnnotation> {
        let name = annotation.as_str().unwrap_or_default();
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_token) {
            return Err(InvalidAnnotation::Name);
        }
        let path = path.ok_or(InvalidAnnotation::Place)?;
        if !is_primitive(kind) {
            return Err(InvalidAnnotation::Type);
        }
        let header: Box<str> = format!("{MCP_PARAM_PREFIX}{}", name.to_ascii_lowercase()).into();
        if !self.names.insert(header.clone()) {
            return Err(InvalidAnnotation::Twice);
        }
        if self.annotated.len() == MOST {
            return Err(InvalidAnnotation::TooMany);
        }
        self.annotated.push(Annotated {
            header,
            path: path.clone(),
        });
        Ok(())
    }
}

/// `string`, `integer` or `boolean`; that it may be `null` besides changes nothing in its header.
fn is_primitive(kind: Option<&Value>) -> bool {
    let primitive = |kind: &Value| matches!(kind.as_str(), Some("string" | "integer" | "boolean"));
    match kind {
        Some(Value::Array(kinds)) => {
            let mut others = kinds.iter().filter(|kind| kind.as_str() != Some("null"));
            others.next().is_some_and(primitive) && others.next().is_none()
        }
        Some(kind) => primitive(kind),
        None => false,
    }
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
