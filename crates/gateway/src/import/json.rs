//! JSON as people write it into settings: with comments and commas too many. Each value knows its line.

use jsonc_parser::ast::{ObjectPropName, Value as Ast};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; a name may stand twice.
    Object(Vec<(String, Node)>),
}

/// Reads a text. Deep nesting is refused, not recursed over.
///
/// # Errors
/// Line and column, and what is wrong there; nothing of the text, which may be secret.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        // What no client takes is a mistake here, too.
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options).map_err(|error| {
        format!(
            "{}:{}: {}",
            error.line_display(),
            error.column_display(),
            words(&error)
        )
    })?;
    let lines = Lines::of(text);
    let value = parsed.value.ok_or("1:1: there is nothing in it")?;
    Ok(node(&value, &lines))
}

fn words(error: &jsonc_parser::errors::ParseError) -> String {
    let mut words = error.kind().to_string();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    words
}

fn node(ast: &Ast<'_>, lines: &Lines) -> Node {
    let (start, value) = match ast {
        Ast::NullKeyword(null) => (null.range.start, Value::Null),
        Ast::BooleanLit(flag) => (flag.range.start, Value::Bool(flag.value)),
        Ast::NumberLit(number) => (number.range.start, Value::Number(number.value.to_owned())),
        Ast::StringLit(text) => (text.range.start, Value::Text(text.value.to_string())),
        Ast::Array(array) => {
            let items = array.elements.iter().map(|item| node(item, lines));
            (array.range.start, Value::List(items.collect()))
        }
        Ast::Object(object) => {
            let members = object.properties.iter().map(|member| {
                let name = match &member.name {
                    ObjectPropName::String(name) => name.value.to_string(),
                    ObjectPropName::Word(name) => name.value.to_owned(),
                };
                // Where it is called is where one looks for it.
                let line = lines.at(member.range.start);
                (
                    name,
                    Node {
                        line,
                        ..node(&member.value, lines)
                    },
                )
            });
            (object.range.start, Value::Object(members.collect()))
        }
    };
    Node {
        line: lines.at(start),
        value,
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(place, _)| place).collect())
    }

    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|end| *end < byte) + 1
    }
}

impl Node {
    /// The members of an object; none of anything else.
    pub(super) fn members(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// A member; of several of that name the last, as clients take it.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        let mut members = self.members().iter().rev();
        members.find(|(member, _)| member == name).map(|(_, node)| node)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    pub(super) fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text of a text, a number or a flag, as clients hand it on.
    pub(super) fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::List(_) | Value::Object(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_no_mistakes() {
        let text = "// first\n{ /* a */ \"a\": [1.50, true,],\n\n  \"b\": null, // last\n}\n";
        let root = parse(text).unwrap();

        assert_eq!(root.line, 2);
        assert_eq!(root.get("b").unwrap().line, 4);
        assert_eq!(
            root.get("a").unwrap().items().unwrap()[0].scalar().as_deref(),
            Some("1.50")
        );
    }

    #[test]
    fn mistakes_have_a_place_and_repeat_nothing() {
        for (text, expected) in [
            ("{\n  \"key\": s3cret }", "2:10: "),
            ("{'a': 1}", "1:2: "),
            ("{\"a\": 1 \"b\": 2}", "1:8: "),
            ("", "1:1: "),
        ] {
            let said = parse(text).unwrap_err();
            assert!(
                said.starts_with(expected) && !said.contains("s3cret"),
                "{text}: {said}"
            );
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
