//! The fields of a form that a tool asks to be filled in, and what fits into each (2026-07-28 client/elicitation §Requested
//! Schema: a flat object of strings, numbers, booleans and choices).

use std::fmt::Write as _;

use mcp::Object;
use serde_json::{Number, Value, json};

use crate::terminal::harmless;

/// One field.
pub(super) struct Field {
    name: String,
    schema: Value,
    required: bool,
}

/// What may be chosen: the value that is sent, and what it is called.
type Choice<'a> = (&'a str, &'a str);

/// The fields of a schema, JSON text, in their order there.
pub(super) fn fields(schema: &[u8]) -> Vec<Field> {
    let Ok(schema) = Object::parse(schema) else {
        return Vec::new();
    };
    let required = schema
        .get("required")
        .and_then(|names| serde_json::from_slice(names).ok());
    let required: Vec<String> = required.unwrap_or_default();
    let properties = schema
        .get("properties")
        .and_then(|properties| Object::parse(properties).ok());
    let Some(properties) = properties else {
        return Vec::new();
    };
    let members = properties.members().iter();
    members
        .map(|member| Field {
            name: member.key.to_string(),
            schema: properties
                .get(&member.key)
                .and_then(|schema| serde_json::from_slice(schema).ok())
                .unwrap_or_default(),
            required: required.iter().any(|name| *name == member.key),
        })
        .collect()
}

impl Field {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it is for and what can be chosen, as lines before the question; none for most.
    pub(super) fn choices(&self) -> String {
        let mut text = String::new();
        if let Some(description) = self.text("description") {
            let _ = writeln!(text, "  {}", harmless::line(description));
        }
        for (place, (value, title)) in self.options().iter().enumerate() {
            let shown = if title.is_empty() { value } else { title };
            let _ = writeln!(text, "    {}  {}", place + 1, harmless::line(shown));
        }
        text
    }

    /// `Name (number, optional) [3]: `
    pub(super) fn question(&self) -> String {
        let title = harmless::line(self.text("title").unwrap_or(&self.name));
        let kind = match self.kind() {
            "boolean" => "y or n",
            "array" => "numbers from the list, with commas between",
            _ if !self.options().is_empty() => "a number from the list",
            "integer" => "a whole number",
            "number" => "a number",
            _ => self.text("format").unwrap_or("text"),
        };
        let optional = if self.required { "" } else { ", optional" };
        let default = match &self.schema["default"] {
            Value::Null => String::new(),
            Value::String(text) => format!(" [{}]", harmless::line(text)),
            Value::Bool(yes) => format!(" [{}]", if *yes { "y" } else { "n" }),
            other => format!(" [{}]", harmless::line(&other.to_string())),
        };
        format!("  {title} ({}{optional}){default}: ", harmless::line(kind))
    }

    /// What a line means here; `None` for a field that is left out.
    ///
    /// # Errors
    /// In words, what would fit.
    pub(super) fn value(&self, line: &str) -> Result<Option<Value>, String> {
        if line.is_empty() {
            return match &self.schema["default"] {
                Value::Null if self.required => Err("this one is needed; Ctrl-D cancels".into()),
                Value::Null => Ok(None),
                default => Ok(Some(default.clone())),
            };
        }
        let value = match self.kind() {
            "boolean" => yes_or_no(line)?,
            "integer" => self.within(integer(line)?)?,
            "number" => self.within(number(line)?)?,
            "array" => self.several(line)?,
            _ if !self.options().is_empty() => json!(self.one(line)?),
            _ => self.of_length(line)?,
        };
        Ok(Some(value))
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.schema[member].as_str()
    }

    fn kind(&self) -> &str {
        self.text("type").unwrap_or("string")
    }

    /// `enum` with or without `enumNames`, or `oneOf`; of a list those of its items, where they may be `anyOf`.
    fn options(&self) -> Vec<Choice<'_>> {
        let schema = match self.kind() {
            "array" => &self.schema["items"],
            _ => &self.schema,
        };
        let titled = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
        if let Some(titled) = titled {
            let titled = titled.iter();
            return titled
                .filter_map(|one| Some((one["const"].as_str()?, one["title"].as_str().unwrap_or_default())))
                .collect();
        }
        let values = schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
        let name = |place: usize| schema["enumNames"][place].as_str().unwrap_or_default();
        let values = values.iter().enumerate();
        values
            .filter_map(|(place, value)| Some((value.as_str()?, name(place))))
            .collect()
    }

    /// One of the options, by its number, its value or its title.
    fn one(&self, word: &str) -> Result<&str, String> {
        let options = self.options();
        let exact = options
            .iter()
            .find(|(value, title)| *value == word || *title == word);
        let numbered = || options.get(word.parse::<usize>().ok()?.checked_sub(1)?);
        // What is asked for is a number of the list, where it may be one.
        let found = numbered().or(exact).map(|(value, _)| *value);
        found.ok_or_else(|| format!("`{word}` is not among them; a number from 1 to {}", options.len()))
    }

    fn several(&self, line: &str) -> Result<Value, String> {
        let words = line.split(',').map(str::trim).filter(|word| !word.is_empty());
        let mut chosen: Vec<&str> = Vec::new();
        for word in words {
            let one = if self.options().is_empty() {
                Ok(word)
            } else {
                self.one(word)
            };
            let one = one?;
            if !chosen.contains(&one) {
                chosen.push(one);
            }
        }
        let count = chosen.len() as u64;
        match (self.schema["minItems"].as_u64(), self.schema["maxItems"].as_u64()) {
            (Some(least), _) if count < least => Err(format!("at least {least} of them")),
            (_, Some(most)) if count > most => Err(format!("at most {most} of them")),
            _ => Ok(json!(chosen)),
        }
    }

    fn within(&self, number: Number) -> Result<Value, String> {
        let value = number.as_f64().unwrap_or_default();
        let bound = |member: &str| self.schema[member].as_f64();
        match (bound("minimum"), bound("maximum")) {
            (Some(least), _) if value < least => Err(format!("at least {least}")),
            (_, Some(most)) if value > most => Err(format!("at most {most}")),
            _ => Ok(Value::Number(number)),
        }
    }

    fn of_length(&self, line: &str) -> Result<Value, String> {
        let count = line.chars().count() as u64;
        match (
            self.schema["minLength"].as_u64(),
            self.schema["maxLength"].as_u64(),
        ) {
            (Some(least), _) if count < least => return Err(format!("at least {least} characters")),
            (_, Some(most)) if count > most => return Err(format!("at most {most} characters")),
            _ => {}
        }
        match self.text("format") {
            Some("email") if !line.contains('@') => Err("this is no address of mail".into()),
            Some("uri") if !line.contains(':') => {
                Err("a URI begins with its scheme, as in `https://…`".into())
            }
            Some("date") if !is_date(line) => Err("a date is written 2026-07-28".into()),
            Some("date-time") if !line.get(..10).is_some_and(is_date) || !line.contains('T') => {
                Err("a time is written 2026-07-28T12:00:00Z".into())
            }
            Some(_) | None => Ok(json!(line)),
        }
    }
}

fn yes_or_no(line: &str) -> Result<Value, String> {
    match line.to_lowercase().as_str() {
        "y" | "yes" | "true" => Ok(json!(true)),
        "n" | "no" | "false" => Ok(json!(false)),
        _ => Err("y or n".into()),
    }
}

fn integer(line: &str) -> Result<Number, String> {
    line.parse::<i64>()
        .map(Number::from)
        .map_err(|_| format!("`{line}` is no whole number"))
}

fn number(line: &str) -> Result<Number, String> {
    let whole = line.parse::<i64>().map(Number::from).ok();
    whole
        .or_else(|| Number::from_f64(line.parse().ok()?))
        .ok_or_else(|| format!("`{line}` is no number"))
}

/// `2026-07-28`
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits =
        |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.as_slice(), [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Value, line: &str, expected: Result<Value, &str>) {
        let form = json!({ "properties": { "f": schema }, "required": ["f"] });
        let field = &fields(form.to_string().as_bytes())[0];
        let value = field.value(line).map(|value| value.unwrap_or(Value::Null));
        match expected {
            Ok(expected) => assert_eq!(value, Ok(expected), "{line}"),
            Err(words) => assert!(
                value.as_ref().is_err_and(|said| said.contains(words)),
                "{line}: {value:?}"
            ),
        }
    }

    #[test]
    fn what_is_typed_is_judged_by_the_schema() {
        let number = json!({ "type": "integer", "minimum": 1, "maximum": 9 });
        check(number.clone(), "7", Ok(json!(7)));
        check(number.clone(), "0", Err("at least 1"));
        check(number.clone(), "10", Err("at most 9"));
        check(number.clone(), "seven", Err("no whole number"));
        check(number, "", Err("needed"));
        check(json!({ "type": "number" }), "1.5", Ok(json!(1.5)));
        check(json!({ "type": "number" }), "NaN", Err("no number"));
        check(json!({ "type": "boolean" }), "yes", Ok(json!(true)));
        check(
            json!({ "type": "boolean", "default": false }),
            "",
            Ok(json!(false)),
        );
        check(
            json!({ "type": "string", "minLength": 3 }),
            "ab",
            Err("at least 3"),
        );
        check(json!({ "type": "string", "format": "email" }), "ab", Err("mail"));
        check(
            json!({ "type": "string", "format": "date" }),
            "tomorrow",
            Err("2026-07-28"),
        );
        check(json!({ "type": "string" }), "1", Ok(json!("1")));
    }

    #[test]
    fn a_choice_is_made_by_number_value_or_title() {
        let titled = json!({ "type": "string", "oneOf": [
            { "const": "r", "title": "Red" }, { "const": "g", "title": "Green" },
        ] });
        for line in ["2", "g", "Green"] {
            check(titled.clone(), line, Ok(json!("g")));
        }
        check(titled, "3", Err("from 1 to 2"));
        let named = json!({ "type": "string", "enum": ["a", "b"], "enumNames": ["Ada", "Bob"] });
        check(named, "Bob", Ok(json!("b")));
        let several = json!({ "type": "array", "items": { "enum": ["a", "b", "c"] }, "minItems": 2 });
        check(several.clone(), "1, c", Ok(json!(["a", "c"])));
        check(several, "1,1", Err("at least 2"));
    }
}
