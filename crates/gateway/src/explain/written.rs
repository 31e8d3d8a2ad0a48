//! Rules as they are written, each in one line, however many it has in the file.

use config::{Node, Problems, Source, Value};

/// The section `allow`.
pub(super) struct Written {
    rules: Vec<Node>,
}

impl Written {
    pub(super) fn of(source: &Source) -> Self {
        let allow = source
            .parse(&Problems::default())
            .and_then(|root| member(root, "allow"));
        let list = match allow {
            Some(node) if matches!(node.value, Value::Map(_)) => member(node, "rules"),
            other => other,
        };
        let rules = match list.map(|list| list.value) {
            Some(Value::List(rules)) => rules,
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_)) | None => {
                Vec::new()
            }
        };
        Self { rules }
    }

    /// The rule of this place in the list, from 0.
    pub(super) fn rule(&self, index: usize) -> String {
        self.rules.get(index).map(line).unwrap_or_default()
    }
}

fn member(node: Node, key: &str) -> Option<Node> {
    match node.value {
        Value::Map(entries) => {
            let found = entries.into_iter().find(|entry| entry.key == key);
            found.map(|entry| entry.node)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => None,
    }
}

fn line(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.clone(),
        Value::Text(text) => word(text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(line).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|entry| format!("{}: {}", word(&entry.key), line(&entry.node)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text, in quotes where it could be taken for something else.
fn word(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null");
    match is_plain {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_line_however_it_is_written() {
        let rules = "
  - roles: [user, \"true\"]
    arguments:
      limit: 1.50
      region: \"eu*\"   # not the others
    effect: deny
  - {}
";
        for text in [
            format!("allow:{rules}"),
            format!("allow:\n  dry_run: true\n  rules:{rules}"),
        ] {
            let written = Written::of(&Source::from_text("gateway.yaml", &text));
            assert_eq!(
                written.rule(0),
                r#"{ roles: [user, "true"], arguments: { limit: 1.50, region: "eu*" }, effect: deny }"#
            );
            assert_eq!((written.rule(1).as_str(), written.rule(2).as_str()), ("{}", ""));
        }
    }
}
