//! How long reading takes. Run it with `cargo test --release -p causeway-mcp -- --ignored --nocapture speed`.

use super::message;
use bytes::Bytes;
use mcp::expose::{Alias, Names, Style, place, uri};
use mcp::{Id, Limits, Message, Method};
use std::hint::black_box;
use std::time::Instant;

fn call(length: usize) -> Bytes {
    let head = r#"{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"ExampleClient","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{},"progressToken":"abc-1"},"name":"search","arguments":{"limit":10,"filters":["#;
    let tail = "{}]}}}";
    let mut text = head.to_owned();
    let mut row = 0;
    while text.len() + tail.len() < length {
        text += &format!(r#"{{"field":"title","value":"some text of a row, number {row}","boost":1.5}},"#);
        row += 1;
    }
    (text + tail).into()
}

/// A result that is one long string.
fn blob(length: usize) -> Bytes {
    let text = "QUJD".repeat(length / 4);
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"image","data":"{text}"}}]}}}}"#)
        .into()
}

fn time(what: &str, rounds: u32, mut deed: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..rounds {
        deed();
    }
    println!("{what}: {:?}", start.elapsed() / rounds);
}

#[test]
#[ignore = "a measurement, not a test"]
fn speed_of_reading_and_editing() {
    let limits = Limits::default();
    for (what, bytes, rounds) in [
        ("call", call(1024), 200_000),
        ("call", call(65_536), 5_000),
        ("blob", blob(1 << 20), 500),
    ] {
        let length = bytes.len();
        time(&format!("{what} of {length} bytes read"), rounds, || {
            black_box(Message::parse(black_box(bytes.clone()), &limits).is_ok());
        });
        let read = message(std::str::from_utf8(&bytes).expect("it is text"));
        time(
            &format!("{what} of {length} bytes given another id"),
            rounds,
            || {
                black_box(read.with_id(black_box(&Id::number(7))));
            },
        );
    }
}

#[test]
#[ignore = "a measurement, not a test"]
fn speed_of_exposing() {
    let limits = Limits::default();
    let alias = Alias::parse("docs").expect("an alias");
    let link = r#"{"uri":"note://a/b/c","type":"resource_link","name":"some text"},"#;
    let head = r#"{"jsonrpc":"2.0","id":1,"result":{"content":["#;
    let links = format!("{head}{}]}}}}", link.repeat(240_000).trim_end_matches(','));
    for (what, bytes, rounds) in [
        ("240,000 links", Bytes::from(links), 10),
        ("blob", blob(1 << 20), 500),
        ("blob", blob(1 << 10), 200_000),
    ] {
        let length = bytes.len();
        time(&format!("{what} of {length} bytes read"), rounds, || {
            black_box(Message::parse(black_box(bytes.clone()), &limits).is_ok());
        });
        let read = message(std::str::from_utf8(&bytes).expect("it is text"));
        time(&format!("{what} of {length} bytes exposed"), rounds, || {
            black_box(place::answer(&Method::ToolsCall, &read, &mut |_, text| {
                Some(uri::expose(&alias, text).into_owned())
            }));
        });
    }

    let said: Vec<String> = (0..5_000)
        .map(|number| format!("tool_of_some_kind_{number}"))
        .collect();
    let build = || Names::new(Style::LlmSafe, [(alias.clone(), said.iter().map(String::as_str))]);
    time("5,000 names read", 100, || _ = black_box(build()));
    let names = build();
    time("a name resolved", 200_000, || {
        _ = black_box(names.resolve(black_box("docs__tool_of_some_kind_4711"), |_| true));
    });
}
