//! What a server says of itself, told to a client of the other era (`protocol.md` §2.1, §2.2).

use mcp::revision::supported_versions_json;
use mcp::translate::Between;
use mcp::{Message, Object, Revision, meta};

/// The result of `initialize`, for a client that asked a server of 2026-07-28: what the server says by
/// `server/discover`. None when it does not say what it can do.
pub(crate) fn of_discovery(introduction: &Message, agreed: Revision) -> Option<String> {
    let said = Object::parse(introduction.result()?).ok()?;
    let between = Between {
        client: agreed,
        server: Revision::V2026_07_28,
    };
    let capabilities = between.server_capabilities(said.get("capabilities")?);
    // Servers from before the last word on this say who they are beside `_meta`.
    let meta = said.get("_meta").and_then(|meta| Object::parse(meta).ok());
    let name = meta
        .as_ref()
        .and_then(|meta| meta.get(meta::SERVER_INFO))
        .or_else(|| said.get("serverInfo"));
    let mut text = format!(
        r#"{{"protocolVersion":"{agreed}","capabilities":{},"serverInfo":{}"#,
        String::from_utf8_lossy(&capabilities),
        name.map_or_else(gateway, |name| String::from_utf8_lossy(name).into_owned()),
    );
    if let Some(instructions) = said.get("instructions") {
        text += r#","instructions":"#;
        text += &String::from_utf8_lossy(instructions);
    }
    text += "}";
    Some(text)
}

/// The result of `server/discover`, for a client that asked a server before 2026-07-28: what the server says in the
/// handshake of a session that we began. It is told as it is now, and for nobody else.
pub(super) fn of_handshake(introduction: &Message, between: Between) -> Option<String> {
    let said = Object::parse(introduction.result()?).ok()?;
    let capabilities = between.server_capabilities(said.get("capabilities")?);
    let name = said.get("serverInfo");
    let mut text = format!(
        r#"{{"resultType":"complete","supportedVersions":{},"capabilities":{}"#,
        supported_versions_json(),
        String::from_utf8_lossy(&capabilities),
    );
    if let Some(instructions) = said.get("instructions") {
        text += r#","instructions":"#;
        text += &String::from_utf8_lossy(instructions);
    }
    text += &format!(
        r#","ttlMs":0,"cacheScope":"private","_meta":{{"{}":{}}}}}"#,
        meta::SERVER_INFO,
        name.map_or_else(gateway, |name| String::from_utf8_lossy(name).into_owned()),
    );
    Some(text)
}

/// A server that does not say its name is known by ours.
fn gateway() -> String {
    format!(
        r#"{{"name":"causeway","version":"{}"}}"#,
        env!("CARGO_PKG_VERSION")
    )
}

/// The `params` of a greeting as they are kept for a server that knows no sessions: what its client can be asked,
/// and who it is. Cut to what fits into a session's id.
pub(crate) fn kept(params: &[u8], bound: usize) -> Option<Box<str>> {
    let whole = std::str::from_utf8(params).ok()?;
    if whole.len() <= bound {
        return Some(whole.into());
    }
    let said = Object::parse(params).ok()?;
    let part = |name: &str| Some(String::from_utf8_lossy(said.get(name)?).into_owned());
    let object = |members: Vec<Option<(&str, String)>>| {
        let members: Vec<String> = members
            .into_iter()
            .flatten()
            .map(|(name, value)| format!(r#""{name}":{value}"#))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    let capabilities = part("capabilities").unwrap_or_else(|| "{}".into());
    let asked = mcp::ClientCapabilities::new(capabilities.as_bytes());
    let url = asked.elicitation_url().then(|| ("url", "{}".to_owned()));
    let form = asked.elicitation_form().then(|| ("form", "{}".to_owned()));
    let elicits = url.is_some() || form.is_some();
    let short = object(vec![
        asked.sampling().then(|| ("sampling", "{}".to_owned())),
        asked.roots().then(|| ("roots", "{}".to_owned())),
        elicits.then(|| ("elicitation", object(vec![form, url]))),
    ]);
    let client = part("clientInfo");
    [
        (capabilities.as_str(), client.clone()),
        (&short, client),
        (&short, None),
    ]
    .into_iter()
    .map(|(capabilities, client)| {
        object(vec![
            Some(("capabilities", capabilities.to_owned())),
            client.map(|client| ("clientInfo", client)),
        ])
    })
    .find(|text| text.len() <= bound)
    .map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_greeting_keeps_what_its_client_can_be_asked() {
        let params = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{{"roots":{{}},"elicitation":{{"url":{{}}}},"extensions":{{"x":"{}"}}}},"clientInfo":{{"name":"a","version":"1"}}}}"#,
            "x".repeat(2000)
        );

        let kept = kept(params.as_bytes(), 1024).unwrap();

        assert_eq!(
            &*kept,
            r#"{"capabilities":{"roots":{},"elicitation":{"url":{}}},"clientInfo":{"name":"a","version":"1"}}"#
        );
    }

    #[test]
    fn a_short_one_is_kept_as_it_is() {
        let params = r#"{ "capabilities":{"x":1.10} }"#;
        assert_eq!(kept(params.as_bytes(), 1024).as_deref(), Some(params));
    }

    #[test]
    fn one_that_says_too_much_of_its_name_keeps_the_rest() {
        let params = format!(
            r#"{{"capabilities":{{"sampling":{{}}}},"clientInfo":{{"name":"{}","version":"1"}}}}"#,
            "x".repeat(2000)
        );
        assert_eq!(
            kept(params.as_bytes(), 1024).as_deref(),
            Some(r#"{"capabilities":{"sampling":{}}}"#)
        );
    }
}
