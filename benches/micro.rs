//! What reading and writing one message costs, in nanoseconds: the best of several runs, since noise only ever adds.

use std::hint::black_box;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use mcp::frame::sse::write_event;
use mcp::{Id, Limits, LineReader, Message, SseReader};

const RUNS: usize = 15;
const REPEATS: u32 = 20_000;
/// The length of a message, as in the end-to-end benchmark.
const LENGTH: usize = 1024;
const MAXIMUM: usize = 1024 * 1024;

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
}

fn padded(begin: &str, end: &str) -> Bytes {
    let text = ".".repeat(LENGTH - begin.len() - end.len());
    Bytes::from([begin, text.as_str(), end].concat())
}

fn measure<T>(name: &str, mut deed: impl FnMut() -> T) {
    let run = |deed: &mut dyn FnMut() -> T| {
        let begun = Instant::now();
        for _ in 0..REPEATS {
            black_box(deed());
        }
        begun.elapsed() / REPEATS
    };
    let best = (0..RUNS).map(|_| run(&mut deed)).min().unwrap_or_default();
    println!("{name:<34}{:>8}", best.as_nanos());
}
