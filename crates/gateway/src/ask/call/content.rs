//! What a tool returned, for people to read: texts as they are, and of the rest what it is.

use mcp::Object;
use serde_json::Value;

use crate::terminal::{Paint, Screen, harmless};

/// The blocks of a result, JSON text, one after the other; its structured content where there are none.
pub(super) fn shown(result: &str, screen: Screen) -> String {
    let structured = Object::parse(result.as_bytes()).ok();
    let structured = structured
        .as_ref()
        .and_then(|result| result.get("structuredContent"));
    let result: Value = serde_json::from_str(result).unwrap_or_default();
    let blocks = result["content"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if blocks.is_empty() {
        return structured
            .filter(|content| *content != b"null")
            .map_or(String::new(), |content| {
                with_end(&harmless::json(&indented(&String::from_utf8_lossy(content))))
            });
    }
    blocks.iter().map(|item| block(item, screen)).collect()
}

fn block(block: &Value, screen: Screen) -> String {
    let text = |member: &str| block[member].as_str();
    match text("type").unwrap_or_default() {
        "text" => with_end(&harmless::lines(text("text").unwrap_or_default())),
        "resource_link" => {
            let title = text("title").or(text("name")).unwrap_or_default();
            let description = text("description").unwrap_or_default();
            let uri = screen.paint(Paint::Bold, &harmless::line(text("uri").unwrap_or_default()));
            let parts = [
                harmless::line(title),
                harmless::line(description),
                kind(block).into(),
            ];
            let parts: Vec<&str> = parts
                .iter()
                .map(|part| &**part)
                .filter(|part| !part.is_empty())
                .collect();
            format!("{uri}  {}\n", parts.join(", "))
        }
        "resource" => resource(&block["resource"], screen),
        kind @ ("image" | "audio") => {
            let data = text("data").unwrap_or_default();
            let mime = harmless::line(text("mimeType").unwrap_or(kind));
            noted(screen, &format!("{kind}: {mime}, {}", size(decoded(data))))
        }
        other => {
            let bytes = block.to_string().len();
            noted(
                screen,
                &format!("{}: {}; `--json` shows it", harmless::line(other), size(bytes)),
            )
        }
    }
}

fn resource(resource: &Value, screen: Screen) -> String {
    let uri = harmless::line(resource["uri"].as_str().unwrap_or_default());
    let mime = resource["mimeType"]
        .as_str()
        .map(harmless::line)
        .unwrap_or_default();
    let comma = if mime.is_empty() { "" } else { ", " };
    if let Some(blob) = resource["blob"].as_str() {
        return noted(screen, &format!("{uri}: {mime}{comma}{}", size(decoded(blob))));
    }
    let text = resource["text"].as_str().unwrap_or_default();
    let colon = if mime.is_empty() { "" } else { ": " };
    noted(screen, &format!("{uri}{colon}{mime}")) + &with_end(&harmless::lines(text))
}

/// A link's type and size, as far as it says.
fn kind(link: &Value) -> String {
    let mime = link["mimeType"]
        .as_str()
        .map(|mime| harmless::line(mime).into_owned());
    let bytes = link["size"]
        .as_u64()
        .and_then(|bytes| usize::try_from(bytes).ok())
        .map(size);
    let parts: Vec<String> = mime.into_iter().chain(bytes).collect();
    parts.join(", ")
}

fn noted(screen: Screen, text: &str) -> String {
    screen.paint(Paint::Dim, &format!("[{text}]")) + "\n"
}

fn with_end(text: &str) -> String {
    match text.is_empty() || text.ends_with('\n') {
        true => text.to_owned(),
        false => format!("{text}\n"),
    }
}

/// JSON text over several lines, its members in their order and its numbers as they were written.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut last = ' ';
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    for c in json.chars() {
        if quoted {
            text.push(c);
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        let opened = matches!(last, '{' | '[');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if opened != closes && (opened || closes) {
            line(&mut text, depth);
        }
        text.push(c);
        match c {
            '"' => quoted = true,
            '{' | '[' => depth += 1,
            ',' => line(&mut text, depth),
            ':' => text.push(' '),
            _ => {}
        }
        last = c;
    }
    text
}

/// Bytes that base64 text stands for.
fn decoded(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

fn size(bytes: usize) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if size >= 1024.0 {
            size /= 1024.0;
            unit = larger;
        }
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_those_of_the_bytes() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (3 << 20, "3.0 MiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(
            (decoded(""), decoded("YQ=="), decoded("YWI="), decoded("YWJj")),
            (0, 1, 2, 3)
        );
    }

    #[test]
    fn json_is_spread_over_lines() {
        let json = r#"{"b":[1.50,{}, []],"a":{"t":"x{\"y\\\\"},"e":null}"#;
        let expected = r#"{
  "b": [
    1.50,
    {},
    []
  ],
  "a": {
    "t": "x{\"y\\\\"
  },
  "e": null
}"#;
        assert_eq!(indented(json), expected);
    }

    #[test]
    fn a_block_of_an_unknown_kind_is_named() {
        let result = json!({ "content": [{ "type": "hologram\u{1b}", "data": 1 }] });
        let shown = shown(&result.to_string(), Screen::stdout());
        assert!(shown.starts_with("[hologram\\u{1b}: "), "{shown}");
    }
}
