//! Which era a message belongs to: the table of the protocol reference, row by row.

use super::message;
use mcp::era::{decide, decide_batch};
use mcp::header::{Mirrored, Values};
use mcp::{Decision, Era, Message, Refusal, Revision, code};

const LEGACY: [Revision; 4] = [
    Revision::V2024_11_05,
    Revision::V2025_03_26,
    Revision::V2025_06_18,
    Revision::V2025_11_25,
];

fn version(value: &str) -> Values<'_> {
    Values::One(value.as_bytes())
}

fn only_version(value: &str) -> Mirrored<'_> {
    Mirrored {
        version: version(value),
        ..Mirrored::default()
    }
}

/// The headers of a modern `tools/list`.
fn listing(value: &str) -> Mirrored<'_> {
    Mirrored {
        method: version("tools/list"),
        ..only_version(value)
    }
}

/// A request with this `_meta`.
fn request(method: &str, meta: &str) -> Message {
    message(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"_meta":{meta}}}}}"#
    ))
}

fn claims(version: &str) -> String {
    format!(
        r#"{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    )
}

fn bare(method: &str) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#))
}

fn legacy(revision: Revision) -> Result<Decision, Refusal> {
    Ok(Decision {
        era: Era::Legacy,
        revision,
        handshake: false,
    })
}

const MODERN: Result<Decision, Refusal> = Ok(Decision {
    era: Era::Modern,
    revision: Revision::V2026_07_28,
    handshake: false,
});

fn refused(outcome: Result<Decision, Refusal>, code: i64) -> Refusal {
    let refusal = outcome.expect_err("it is refused");
    assert_eq!((refusal.status, refusal.code), (400, code), "{refusal}");
    refusal
}

#[test]
fn e0_a_batch_belongs_to_2025_03_26_only() {
    use Revision::{V2025_03_26, V2025_06_18, V2026_07_28};
    let none = Values::Absent;

    assert_eq!(decide_batch(none, None), Ok(V2025_03_26));
    assert_eq!(decide_batch(version("2025-03-26"), None), Ok(V2025_03_26));
    assert_eq!(decide_batch(none, Some(V2025_03_26)), Ok(V2025_03_26));
    for (version, session) in [
        (version("2025-06-18"), None),
        (version("2026-07-28"), None),
        (version("v999"), None),
        (Values::Several(b"2025-03-26"), None),
        (none, Some(V2025_06_18)),
        (none, Some(V2026_07_28)),
    ] {
        let refusal = decide_batch(version, session).expect_err("no batches");
        assert_eq!((refusal.status, refusal.code), (400, code::INVALID_REQUEST));
    }
}

#[test]
fn e1_a_modern_version_in_the_body_makes_a_request_modern() {
    assert_eq!(
        decide(
            &listing("2026-07-28"),
            None,
            &request("tools/list", &claims("2026-07-28"))
        ),
        MODERN
    );
}

#[test]
fn e1_modern_meta_beats_the_method_even_for_initialize() {
    let headers = Mirrored {
        method: version("initialize"),
        ..only_version("2026-07-28")
    };

    assert_eq!(
        decide(&headers, None, &request("initialize", &claims("2026-07-28"))),
        MODERN
    );
}

#[test]
fn e1_a_session_does_not_make_a_modern_request_legacy() {
    let request = request("tools/list", &claims("2026-07-28"));

    assert_eq!(
        decide(&listing("2026-07-28"), Some(Revision::V2025_11_25), &request),
        MODERN
    );
}

#[test]
fn e1_a_legacy_version_in_the_body_under_a_modern_header_is_a_mismatch() {
    let request = request("tools/list", &claims("2025-11-25"));

    refused(
        decide(&listing("2026-07-28"), None, &request),
        code::HEADER_MISMATCH,
    );
    refused(decide(&listing("v999"), None, &request), code::HEADER_MISMATCH);
}

#[test]
fn e1_a_legacy_version_in_the_body_alone_is_just_data() {
    let request = request("tools/list", &claims("2025-11-25"));

    assert_eq!(
        decide(&Mirrored::default(), None, &request),
        legacy(Revision::V2025_03_26)
    );
    assert_eq!(
        decide(&only_version("2025-06-18"), None, &request),
        legacy(Revision::V2025_06_18)
    );
}

#[test]
fn e1_a_version_that_is_no_string_is_a_modern_mistake() {
    let request = request(
        "tools/list",
        r#"{"io.modelcontextprotocol/protocolVersion":2026}"#,
    );

    refused(decide(&Mirrored::default(), None, &request), code::INVALID_PARAMS);
}

#[test]
fn e2_initialize_opens_a_legacy_session_whatever_the_header_says() {
    let handshake = |asked: &str| {
        message(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":{asked}}}}}"#
        ))
    };
    let opens = |revision| {
        Ok(Decision {
            era: Era::Legacy,
            revision,
            handshake: true,
        })
    };

    for header in [
        Mirrored::default(),
        only_version("2025-06-18"),
        only_version("2026-07-28"),
        only_version("v999"),
    ] {
        for revision in LEGACY {
            assert_eq!(
                decide(&header, None, &handshake(&format!("\"{revision}\""))),
                opens(revision)
            );
        }
        for asked in ["\"2026-07-28\"", "\"v999\"", "5"] {
            assert_eq!(
                decide(&header, None, &handshake(asked)),
                opens(Revision::LATEST_LEGACY)
            );
        }
        assert_eq!(
            decide(&header, None, &bare("initialize")),
            opens(Revision::LATEST_LEGACY)
        );
    }
}

#[test]
fn e3_a_modern_header_without_meta_lacks_the_meta() {
    refused(
        decide(&listing("2026-07-28"), None, &bare("tools/list")),
        code::INVALID_PARAMS,
    );
}

#[test]
fn e4_a_legacy_request_has_the_version_of_its_session_its_header_or_the_assumed_one() {
    let list = bare("tools/list");

    for revision in LEGACY {
        assert_eq!(
            decide(&only_version(revision.as_str()), None, &list),
            legacy(revision)
        );
        assert_eq!(
            decide(&Mirrored::default(), Some(revision), &list),
            legacy(revision)
        );
        assert_eq!(
            decide(&only_version("2025-11-25"), Some(revision), &list),
            legacy(revision)
        );
    }
    assert_eq!(
        decide(&Mirrored::default(), None, &list),
        legacy(Revision::V2025_03_26)
    );
}

#[test]
fn e4_legacy_clients_answer_requests() {
    let answer = message(r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#);

    assert_eq!(
        decide(&Mirrored::default(), Some(Revision::V2025_11_25), &answer),
        legacy(Revision::V2025_11_25)
    );
}

#[test]
fn e5_an_unknown_version_is_answered_so_that_both_eras_can_read_it() {
    let refusal = refused(
        decide(&only_version("v999"), None, &bare("tools/list")),
        code::UNSUPPORTED_VERSION,
    );

    assert_eq!(
        refusal.data.as_deref(),
        Some(
            r#"{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"v999"}"#
        )
    );
    refused(
        decide(
            &only_version("v999"),
            Some(Revision::V2025_11_25),
            &bare("tools/list"),
        ),
        code::UNSUPPORTED_VERSION,
    );
    refused(
        decide(
            &Mirrored {
                version: Values::Several(b"2025-11-25"),
                ..Mirrored::default()
            },
            None,
            &bare("tools/list"),
        ),
        code::UNSUPPORTED_VERSION,
    );
}

#[test]
fn e5_an_unknown_version_with_modern_signs_lacks_the_meta() {
    let reserved = request(
        "tools/list",
        r#"{"io.modelcontextprotocol/clientCapabilities":{}}"#,
    );

    refused(
        decide(&listing("v999"), None, &bare("tools/list")),
        code::INVALID_PARAMS,
    );
    refused(
        decide(&only_version("v999"), None, &reserved),
        code::INVALID_PARAMS,
    );
}

#[test]
fn missing_meta_comes_before_headers_and_headers_before_the_version() {
    let no_version = request(
        "tools/list",
        r#"{"io.modelcontextprotocol/clientCapabilities":{}}"#,
    );
    let no_capabilities = request(
        "tools/list",
        r#"{"io.modelcontextprotocol/protocolVersion":"v999"}"#,
    );

    // The two orders that the conformance suite fixes.
    refused(
        decide(&listing("2026-07-28"), None, &no_version),
        code::INVALID_PARAMS,
    );
    refused(
        decide(
            &listing("2026-07-28"),
            None,
            &request("tools/list", &claims("v999")),
        ),
        code::HEADER_MISMATCH,
    );
    refused(
        decide(&Mirrored::default(), None, &no_capabilities),
        code::INVALID_PARAMS,
    );
    refused(
        decide(
            &Mirrored::default(),
            None,
            &request("tools/list", &claims("2026-07-28")),
        ),
        code::HEADER_MISMATCH,
    );
    let unsupported = decide(&listing("v999"), None, &request("tools/list", &claims("v999")));
    assert!(
        refused(unsupported, code::UNSUPPORTED_VERSION)
            .data
            .is_some_and(|data| data.contains("v999"))
    );
}

#[test]
fn capabilities_must_be_an_object_and_the_log_level_one_of_eight() {
    let request = |members: &str| {
        request(
            "tools/list",
            &format!(r#"{{"io.modelcontextprotocol/protocolVersion":"2026-07-28",{members}}}"#),
        )
    };
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    let decide = |members: &str| decide(&listing("2026-07-28"), None, &request(members));

    refused(
        decide(r#""io.modelcontextprotocol/clientCapabilities":[]"#),
        code::INVALID_PARAMS,
    );
    for level in ["\"loud\"", "5", "null"] {
        let members = format!(r#"{capabilities},"io.modelcontextprotocol/logLevel":{level}"#);
        refused(decide(&members), code::INVALID_PARAMS);
    }
    assert_eq!(
        decide(&format!(
            r#"{capabilities},"io.modelcontextprotocol/logLevel":"notice""#
        )),
        MODERN
    );
}

#[test]
fn a_modern_client_sends_no_answers() {
    for answer in [
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#,
    ] {
        refused(
            decide(&only_version("2026-07-28"), None, &message(answer)),
            code::INVALID_REQUEST,
        );
    }
}

#[test]
fn a_modern_notification_needs_neither_meta_nor_headers() {
    let bare = message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
    let claiming = |version: &str| {
        let meta = claims(version);
        message(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"_meta":{meta}}}}}"#
        ))
    };

    assert_eq!(decide(&only_version("2026-07-28"), None, &bare), MODERN);
    assert_eq!(
        decide(&Mirrored::default(), None, &claiming("2026-07-28")),
        MODERN
    );
    refused(
        decide(&Mirrored::default(), None, &claiming("v999")),
        code::UNSUPPORTED_VERSION,
    );
}

#[test]
fn a_requested_version_is_echoed_only_so_far() {
    let data = Refusal::unsupported_version(&"\"x".repeat(10_000))
        .data
        .expect("it has data");

    assert!(data.len() < 300, "{}", data.len());
}
