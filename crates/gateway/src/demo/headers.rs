//! The headers that repeat what a request says (2026-07-28 basic/transports/streamable-http §Server Validation).

use hyper::HeaderMap;
use serde_json::Value;

use super::catalog::MIRRORED;
use super::message::{Fault, Request};
use super::terms::Terms;

pub(super) const VERSION: &str = "mcp-protocol-version";
pub(super) const SESSION: &str = "mcp-session-id";

/// Refuses a request whose headers are missing or tell another story than its body.
pub(super) fn check(headers: &HeaderMap, terms: &Terms, request: &Request) -> Result<(), Fault> {
    let required = |name: &str| single(headers, name)?.ok_or_else(|| mismatch(name, "is missing"));
    if required(VERSION)? != terms.version {
        return Err(mismatch(VERSION, "is not the version in the body"));
    }
    if required("mcp-method")? != request.method {
        return Err(mismatch("mcp-method", "is not the method in the body"));
    }
    let named_by = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let name = request.params.get(named_by).and_then(Value::as_str);
    if name.is_some_and(|name| {
        decoded(headers, "mcp-name").map_or(true, |header| header.as_deref() != Some(name))
    }) {
        return Err(mismatch("mcp-name", "is missing or not the name in the body"));
    }

    let (tool, argument, header) = MIRRORED;
    if request.method != "tools/call" || name != Some(tool) {
        return Ok(());
    }
    let header = format!("mcp-param-{header}").to_ascii_lowercase();
    let value = request
        .params
        .get("arguments")
        .and_then(|arguments| arguments.get(argument)?.as_str());
    if decoded(headers, &header)?.as_deref() != value {
        return Err(mismatch(&header, "does not go with the argument in the body"));
    }
    Ok(())
}

/// A header that may stand at most once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(mismatch(name, "is given twice"));
    }
    match value.to_str() {
        Ok(value) => Ok(Some(value.trim_matches([' ', '\t']))),
        Err(_) => Err(mismatch(name, "has characters that a header cannot have")),
    }
}

/// A header whose value may be wrapped as `=?base64?…?=`.
fn decoded(headers: &HeaderMap, name: &str) -> Result<Option<String>, Fault> {
    let Some(value) = single(headers, name)? else {
        return Ok(None);
    };
    let Some(wrapped) = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    else {
        return Ok(Some(value.to_owned()));
    };
    let text = base64(wrapped).and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some)
        .ok_or_else(|| mismatch(name, "is not Base64 of UTF-8"))
}

fn mismatch(name: &str, why: &str) -> Fault {
    Fault::new(-32020, format!("Header mismatch: {name} {why}")).status(400)
}

/// Standard Base64 with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text
        .strip_suffix("==")
        .or_else(|| text.strip_suffix('='))
        .unwrap_or(text);
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_takes_padded_text_of_the_standard_alphabet_only() {
        assert_eq!(base64("ZWNobw==").as_deref(), Some(&b"echo"[..]));
        assert_eq!(base64("+/+/").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
        assert_eq!(base64("").as_deref(), Some(&[][..]));
        for broken in ["ZWNobw", "ZWNobw=", "ZW-o", "====", "Z==="] {
            assert_eq!(base64(broken), None, "{broken}");
        }
    }
}
