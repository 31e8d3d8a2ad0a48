//! The cheapest server that still answers truly: one thread, bytes found rather than parsed, calls echoed. The path says
//! which era it is of.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use causeway_bench::{Letter, Outcome, Program, Wire};
use memchr::memmem;
use tokio::net::{TcpListener, TcpStream};

/// What every session of ours begins with: a call under another name did not keep its session.
const SESSION: &str = "bench-";

/// Where it is a server with sessions that says nothing outside of calls.
pub(crate) const PATH: &str = "/mcp";

/// Where it speaks 2026-07-28 and nothing else.
pub(crate) const MODERN: &str = "/modern";

/// Where it is such a server with [`TOOLS`] tools of a usual size, `echo` among them …
pub(crate) const CATALOG: &str = "/catalog";

/// … and where that takes [`COLD_FOR`] to answer anything.
pub(crate) const COLD: &str = "/cold";

pub(crate) const TOOLS: usize = 50;

pub(crate) const COLD_FOR: Duration = Duration::from_secs(10);

/// Where GET is answered by a stream on which nothing is ever said.
pub(crate) const HELD: &str = "/held";

const HELD_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
    X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n: hi\n\n\r\n";

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Held for its end: dropping it ends the process.
    _program: Program,
}

/// Starts this executable once more, as the upstream.
pub(crate) fn start() -> Outcome<Upstream> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("upstream")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut program = Program::start(command)?;
    let mut line = String::new();
    BufReader::new(program.stdout()?).read_line(&mut line)?;
    Ok(Upstream {
        address: line.trim().parse()?,
        _program: program,
    })
}

/// Prints the address and serves until standard input ends, which it does with whoever started this.
pub(crate) async fn serve() -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = ended.send(());
    });
    tokio::select! {
        accepted = accept(listener) => accepted,
        _ = end => Ok(()),
    }
}

async fn accept(listener: TcpListener) -> Outcome<()> {
    for number in 0_u64.. {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, number));
    }
    Ok(())
}

async fn converse(stream: TcpStream, number: u64) -> std::io::Result<()> {
    let mut wire = Wire::new(stream)?;
    let mut out = Vec::with_capacity(2048);
    while let Some(letter) = wire.receive().await? {
        if letter.start == "GET" && letter.path == HELD {
            wire.send(HELD_HEAD).await?;
            drop(out);
            return wire.closed().await;
        }
        if letter.path == COLD {
            tokio::time::sleep(COLD_FOR).await;
        }
        out.clear();
        answer(&letter, number, &mut out);
        wire.send(&out).await?;
    }
    Ok(())
}

fn answer(letter: &Letter, number: u64, out: &mut Vec<u8>) {
    let body = letter.body.as_slice();
    match letter.start.as_str() {
        "POST" => {}
        "DELETE" => return write(out, "200 OK", "", &[]),
        _ => return write(out, "405 Method Not Allowed", "Allow: POST, DELETE\r\n", &[]),
    }
    let Some(id) = after(body, br#""id":"#, b",}") else {
        return write(out, "202 Accepted", "", &[]);
    };
    let method = after(body, br#""method":""#, b"\"").unwrap_or_default();
    if letter.path == MODERN {
        return answer_modern(method, body, id, FEW, out);
    }
    if [CATALOG, COLD].contains(&letter.path.as_str()) {
        return answer_modern(method, body, id, many(), out);
    }
    match method {
        b"initialize" => {
            let session = format!("Mcp-Session-Id: {SESSION}{number}\r\n");
            let revision = after(body, br#""protocolVersion":""#, b"\"").unwrap_or_default();
            let (before, behind) = (
                br#","result":{"protocolVersion":""#,
                br#"","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"0"}}}"#,
            );
            write(out, "200 OK", &session, &[ANSWER, id, before, revision, behind]);
        }
        b"ping" => write(out, "200 OK", "", &[ANSWER, id, br#","result":{}}"#]),
        b"tools/list" => {
            let result = br#","result":{"tools":[{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}]}}"#;
            write(out, "200 OK", "", &[ANSWER, id, result]);
        }
        b"tools/call"
            if letter
                .session
                .as_ref()
                .is_some_and(|session| session.starts_with(SESSION)) =>
        {
            write_result(out, id, body, br#"],"isError":false}}"#);
        }
        b"tools/call" => {
            let error = br#","error":{"code":-32001,"message":"Session not found"}}"#;
            write(out, "404 Not Found", "", &[ANSWER, id, error]);
        }
        _ => {
            let error = br#","error":{"code":-32601,"message":"Method not found"}}"#;
            write(out, "200 OK", "", &[ANSWER, id, error]);
        }
    }
}

/// What has no sessions asks each request which revision it is of.
fn answer_modern(method: &[u8], body: &[u8], id: &[u8], tools: &[u8], out: &mut Vec<u8>) {
    if memmem::find(body, br#"protocolVersion":"2026-07-28""#).is_none() || method == b"initialize" {
        let error = br#","error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"]}}}"#;
        return write(out, "400 Bad Request", "", &[ANSWER, id, error]);
    }
    match method {
        b"server/discover" => {
            let result = br#","result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"public","resultType":"complete"}}"#;
            write(out, "200 OK", "", &[ANSWER, id, result]);
        }
        b"tools/list" => {
            let (before, behind) = (
                br#","result":{"tools":["#,
                br#"],"ttlMs":60000,"cacheScope":"public","resultType":"complete"}}"#,
            );
            write(out, "200 OK", "", &[ANSWER, id, before, tools, behind]);
        }
        b"tools/call" => write_result(out, id, body, br#"],"isError":false,"resultType":"complete"}}"#),
        _ => {
            let error = br#","error":{"code":-32601,"message":"Method not found"}}"#;
            write(out, "404 Not Found", "", &[ANSWER, id, error]);
        }
    }
}

/// Two tools.
const FEW: &[u8] = br#"{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}},{"name":"fill","inputSchema":{"type":"object"}}"#;

/// [`TOOLS`] of them, of some 400 bytes.
fn many() -> &'static [u8] {
    static MANY: OnceLock<Vec<u8>> = OnceLock::new();
    MANY.get_or_init(|| {
        let tool = |number: usize| {
            let name = match number {
                0 => "echo".to_owned(),
                _ => format!("search_documents_{number}"),
            };
            format!(
                r#"{{"name":"{name}","title":"Search documents","description":"Finds documents by their words, newest first, and tells where each of them was found and who wrote it.","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string","description":"What to look for"}},"limit":{{"type":"integer","minimum":1,"maximum":100}}}},"required":["text"]}},"annotations":{{"readOnlyHint":true}}}}"#
            )
        };
        let tools: Vec<String> = (0..TOOLS).map(tool).collect();
        tools.join(",").into_bytes()
    })
}

/// The text of the call, or what the tool `fill` is full of.
fn write_result(out: &mut Vec<u8>, id: &[u8], call: &[u8], behind: &[u8]) {
    let before = br#","result":{"content":["#;
    if memmem::find(call, br#""name":"fill""#).is_some() {
        return write(out, "200 OK", "", &[ANSWER, id, before, filling(), behind]);
    }
    let text = after(call, br#""text":""#, b"\"").unwrap_or_default();
    let (opening, closing) = (br#"{"type":"text","text":""#, br#""}"#);
    write(
        out,
        "200 OK",
        "",
        &[ANSWER, id, before, opening, text, closing, behind],
    );
}

/// Many blocks of content rather than a long one: a tree of them would be many times as large as the text.
fn filling() -> &'static [u8] {
    static FILLING: OnceLock<Vec<u8>> = OnceLock::new();
    FILLING.get_or_init(|| vec![BLOCK; BLOCKS].join(&b','))
}

/// How many blocks of content the tool `fill` gives.
pub(crate) const BLOCKS: usize = 50_000;

/// One of them, with the comma before it a hundred bytes: five megabytes in all.
pub(crate) const BLOCK: &[u8] = br#"{"type":"text","text":"a block of content like those that lists of found documents are made of....."}"#;

const ANSWER: &[u8] = br#"{"jsonrpc":"2.0","id":"#;

/// What stands between `key` and the first of `ends`.
fn after<'a>(body: &'a [u8], key: &[u8], ends: &[u8]) -> Option<&'a [u8]> {
    let rest = &body[memmem::find(body, key)? + key.len()..];
    let end = rest.iter().position(|byte| ends.contains(byte))?;
    Some(&rest[..end])
}

fn write(out: &mut Vec<u8>, status: &str, fields: &str, body: &[&[u8]]) {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let media = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {status}\r\n{media}{fields}Content-Length: {length}\r\n\r\n"
    );
    for part in body {
        out.extend_from_slice(part);
    }
}
