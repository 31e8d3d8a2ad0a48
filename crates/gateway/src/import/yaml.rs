//! Our file, written as one would by hand.

use std::fmt::Write as _;

use super::entry::{Entry, Written};
use super::variables::Variables;
use crate::terminal::harmless;

/// A list that is longer stands over several lines.
const WIDE: usize = 100;

/// The whole document.
pub(super) fn document(from: &[&str], variables: &Variables, entries: &[Entry]) -> String {
    let mut text = format!("# Imported from {}.\n", from.join(", "));
    let described: Vec<(&str, &str)> = variables.described().collect();
    if !described.is_empty() {
        text.push_str("# To be set in the environment of the gateway:\n");
        let width = described.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, description) in described {
            let line = format!("#   {name:width$}  {}", harmless::line(description));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text.push_str("\nupstreams:\n");
    for (place, entry) in entries.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        for comment in &entry.comments {
            let _ = writeln!(text, "  # {}", harmless::line(comment));
        }
        let _ = writeln!(text, "  {}:", scalar(&entry.name));
        for (key, value) in &entry.keys {
            write(&mut text, key, value);
        }
    }
    text
}

fn write(text: &mut String, key: &str, value: &Written) {
    let _ = match value {
        Written::Text(value) => writeln!(text, "    {key}: {}", scalar(value)),
        Written::Duration(length) => writeln!(text, "    {key}: {length}"),
        Written::Flag(flag) => writeln!(text, "    {key}: {flag}"),
        Written::List(items) => {
            let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
            let line = format!("    {key}: [{}]", items.join(", "));
            match line.chars().count() <= WIDE {
                true => writeln!(text, "{line}"),
                false => {
                    let items: String = items.iter().map(|item| format!("      - {item}\n")).collect();
                    write!(text, "    {key}:\n{items}")
                }
            }
        }
        Written::Picked { allow, deny } => {
            let _ = writeln!(text, "    {key}:");
            for (word, names) in [("allow", allow), ("deny", deny)] {
                if !names.is_empty() {
                    let names: Vec<String> = names.iter().map(|name| scalar(name)).collect();
                    let _ = writeln!(text, "      {word}: [{}]", names.join(", "));
                }
            }
            Ok(())
        }
        Written::Map(pairs) => {
            let pairs: String = pairs
                .iter()
                .map(|(name, value)| format!("      {}: {}\n", scalar(name), scalar(value)))
                .collect();
            write!(text, "    {key}:\n{pairs}")
        }
    };
}

/// A text, in quotes unless every reader of YAML takes it for just this text, also within `[…]`.
fn scalar(text: &str) -> String {
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '_' | '.' | '/' | '-' | '@' | '+' | '=' | '~')
            || (is_url && matches!(c, ':' | '?' | '&' | '%'))
    };
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_' | '.'))
        // An option is no item of a list, which has a space behind its dash.
        || (text.starts_with('-') && text[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '-') && text != "---");
    // `true`, `no`, `null` and the like; `.5`, `.inf` and `...` are of no use without quotes either.
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let word = words.contains(&text.to_lowercase().as_str());
    let numeric = text.starts_with('.') && !text.starts_with("./") && !text.starts_with("../");
    match begins && text.chars().all(plain) && !text.ends_with(':') && !word && !numeric {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// In double quotes. What is not seen is an escape, so that nothing hides in the file.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if harmless::is_harmful(c) => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Field, Problems, Source};

    /// What our own reader makes of it.
    fn read(yaml: &str) -> Option<String> {
        let problems = Problems::default();
        let source = Source::from_text("test", yaml);
        let root = source.parse(&problems)?;
        let mut fields = Field::root(&root, &problems).fields()?;
        let list = fields.required("a").list()?;
        let text = list.first()?.text()?.value;
        Some(text)
    }

    #[test]
    fn every_text_is_read_as_it_was_written() {
        for text in [
            "",
            "a",
            "-y",
            "--x",
            "-",
            "--",
            "---",
            "...",
            ".",
            "~",
            "a b",
            "a: b",
            "a #b",
            "#a",
            "true",
            "No",
            "null",
            "1",
            "1.5",
            ".5",
            "0x1f",
            "1e3",
            "12:30:45",
            "2026-07-28",
            "@scope/name@1.2",
            "&a",
            "*a",
            "!a",
            "%a",
            "`a",
            "'a'",
            "\"a\"",
            "{a}",
            "[a]",
            "a,b",
            "a]b",
            "a}b",
            "${X}",
            "Bearer ${X:-y}",
            "a\\b",
            "C:\\x",
            "a\nb",
            "a\tb",
            "ü",
            "\u{85}",
            "\u{2028}",
            "\u{1b}",
            "\u{e0041}",
            "=",
            "<<",
            "a=b",
            "?",
            "? a",
            "| a",
            "> a",
            " a",
            "a ",
            "y",
            "/",
            "../x",
            "https://a/?b=c&d=%20",
            "https://a:",
        ] {
            let yaml = format!("a: [{}]\n", scalar(text));
            assert_eq!(read(&yaml).as_deref(), Some(text), "{yaml}");
        }
        assert_eq!(scalar("@a/b"), "\"@a/b\"");
        assert_eq!(scalar("-y"), "-y");
        assert_eq!(scalar("https://a/?b=c"), "https://a/?b=c");
    }
}
