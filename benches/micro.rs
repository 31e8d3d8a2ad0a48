//! What reading and writing one message costs, in nanoseconds: the best of several runs, since noise only ever adds.

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mcp::frame::sse::write_event;
use mcp::translate::Said;
use mcp::{Between, Id, Limits, LineReader, Message, Method, Revision, SseReader};

const RUNS: usize = 15;
const REPEATS: u32 = 20_000;
/// The length of a message, as in the end-to-end benchmark.
const LENGTH: usize = 1024;
const MAXIMUM: usize = 1024 * 1024;
/// The length of a large result, and how often one is handled in a run.
const LARGE: usize = 5_000_000;
const FEW: u32 = 20;

fn main() {
    let limits = Limits::default();
    let call = padded(
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":""#,
        r#""}}}"#,
    );
    let modern = padded(
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"0"},"io.modelcontextprotocol/clientCapabilities":{}},"name":"echo","arguments":{"text":""#,
        r#""}}}"#,
    );
    let answer = padded(
        r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":""#,
        r#""}],"isError":false}}"#,
    );
    let parsed = Message::parse(call.clone(), &limits).expect("the call above is a message");
    let other = Id::parse(b"4711").expect("a number is an id");
    let mut event = BytesMut::new();
    write_event(&mut event, Some("message"), &answer);
    let line = [&answer[..], b"\n"].concat();

    println!("ns per message of {LENGTH} bytes, the best of {RUNS} runs\n");
    measure("parse tools/call", || {
        Message::parse(call.clone(), &limits).is_ok()
    });
    measure("parse tools/call of 2026-07-28", || {
        Message::parse(modern.clone(), &limits).is_ok()
    });
    measure("parse its answer", || {
        Message::parse(answer.clone(), &limits).is_ok()
    });
    measure("replace the id", || parsed.with_id(&other));
    measure("write an event", || {
        event.clear();
        write_event(&mut event, Some("message"), &answer);
        event.len()
    });
    let event = event.freeze();
    let mut events = SseReader::new(MAXIMUM);
    measure("read an event", || {
        events.push(&event);
        events.by_ref().count()
    });
    let mut lines = LineReader::new(MAXIMUM);
    measure("read a line", || {
        lines.push(&line);
        lines.by_ref().count()
    });

    between_eras(
        &parsed,
        &Message::parse(answer, &limits).expect("the answer above is a message"),
    );
    let content = format!(
        r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[{{"type":"text","text":"{}"}}],"isError":false}}}}"#,
        "some text, ".repeat(LARGE / 11)
    );
    large(&Bytes::from(content));
}

/// A client with a session and a server of 2026-07-28.
const TO_MODERN: Between = Between {
    client: Revision::V2025_06_18,
    server: Revision::V2026_07_28,
};
/// A client of 2026-07-28 and a server with sessions.
const TO_LEGACY: Between = Between {
    client: Revision::V2026_07_28,
    server: Revision::V2025_06_18,
};
const SAME: Between = Between {
    client: Revision::V2025_06_18,
    server: Revision::V2025_06_18,
};

fn between_eras(call: &Message, answer: &Message) {
    let said = Said {
        capabilities: br#"{"roots":{},"elicitation":{}}"#,
        client_info: Some(br#"{"name":"bench","version":"0"}"#),
        log_level: None,
    };
    let modern = TO_MODERN.request(call, &said);
    let complete = TO_LEGACY.answer(&Method::ToolsCall, answer);

    println!("\nns per message of {LENGTH} bytes between revisions\n");
    measure("a call, equal revisions", || SAME.request(call, &said));
    measure("a call to 2026-07-28", || TO_MODERN.request(call, &said));
    measure("a call from 2026-07-28", || TO_LEGACY.request(&modern, &said));
    measure("an answer, equal revisions", || {
        SAME.answer(&Method::ToolsCall, answer)
    });
    measure("an answer from 2026-07-28", || {
        TO_MODERN.answer(&Method::ToolsCall, &complete)
    });
    measure("an answer to 2026-07-28", || {
        TO_LEGACY.answer(&Method::ToolsCall, answer)
    });
}

fn large(content: &Bytes) {
    let limits = Limits::default();
    let answer = Message::parse(content.clone(), &limits).expect("a large answer is a message");
    let complete = TO_LEGACY.answer(&Method::ToolsCall, &answer);

    println!("\nns per result of {LARGE} bytes\n");
    measure_few("parse", || Message::parse(content.clone(), &limits).is_ok());
    measure_few("equal revisions", || SAME.answer(&Method::ToolsCall, &answer));
    measure_few("from 2026-07-28", || {
        TO_MODERN.answer(&Method::ToolsCall, &complete)
    });
    measure_few("to 2026-07-28", || TO_LEGACY.answer(&Method::ToolsCall, &answer));
}

fn padded(begin: &str, end: &str) -> Bytes {
    let text = ".".repeat(LENGTH - begin.len() - end.len());
    Bytes::from([begin, text.as_str(), end].concat())
}

fn measure<T>(name: &str, deed: impl FnMut() -> T) {
    best_of(REPEATS, name, deed);
}

fn measure_few<T>(name: &str, deed: impl FnMut() -> T) {
    best_of(FEW, name, deed);
}

fn best_of<T>(repeats: u32, name: &str, mut deed: impl FnMut() -> T) {
    let run = |deed: &mut dyn FnMut() -> T| {
        let begun = Instant::now();
        for _ in 0..repeats {
            black_box(deed());
        }
        begun.elapsed() / repeats
    };
    let best = (0..RUNS).map(|_| run(&mut deed)).min().unwrap_or_default();
    println!("{name:<34}{:>8}", best.as_nanos());
}
