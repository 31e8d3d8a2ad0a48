//! A client's first steps, and the streams it may hold.

use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::wire::{Letter, Wire, read_head};

/// What a client with a session speaks.
const REVISION: &str = "2025-11-25";

const GREETING: &[u8] = br#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"causeway-bench","version":"0"}}}"#;

const READY: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Begins a session and says that the client is ready; the id of the session.
///
/// # Errors
/// When it is refused.
pub async fn greet(wire: &mut Wire, address: SocketAddr, path: &str) -> Outcome<String> {
    let mut out = head(address, path, None, GREETING.len());
    out.extend_from_slice(GREETING);
    wire.send(&out).await?;
    let welcome = answer(wire, "initialize", "200").await?;
    let id = welcome
        .session
        .ok_or("the answer to initialize carries no Mcp-Session-Id")?;
    let mut out = head(address, path, Some(&id), READY.len());
    out.extend_from_slice(READY);
    wire.send(&out).await?;
    answer(wire, "notifications/initialized", "202").await?;
    Ok(id)
}

/// Opens a stream for a session.
///
/// # Errors
/// When it is refused.
pub async fn listen(address: SocketAddr, path: &str, session: &str) -> Outcome<TcpStream> {
    let lines = of_session(session);
    let (stream, _) = get(address, path, &lines).await?;
    Ok(stream)
}

/// Opens a stream of the 2024-11-05 transport, with its handshake done over `wire`.
///
/// # Errors
/// When it is refused, or ends.
pub async fn connect(wire: &mut Wire, address: SocketAddr, path: &str) -> Outcome<TcpStream> {
    let (mut stream, mut seen) = get(address, path, "").await?;
    let endpoint = loop {
        let said = String::from_utf8_lossy(&seen);
        let found = said
            .split_once("data: ")
            .and_then(|(_, rest)| rest.split_once('\n'));
        if let Some((endpoint, _)) = found {
            break endpoint.trim().to_owned();
        }
        more(&mut stream, &mut seen).await?;
    };
    for (message, answer) in [(GREETING, true), (READY, false)] {
        let mut out = head(address, &endpoint, None, message.len());
        out.extend_from_slice(message);
        wire.send(&out).await?;
        let taken = wire
            .receive()
            .await?
            .ok_or("the connection closed on a message")?;
        if taken.start != "202" {
            return Err(format!("a message got status {}", taken.start).into());
        }
        while answer && memmem::find(&seen, b"serverInfo").is_none() {
            more(&mut stream, &mut seen).await?;
        }
    }
    Ok(stream)
}

/// Opens a stream, and returns it with the head and whatever came with it.
async fn get(address: SocketAddr, path: &str, lines: &str) -> Outcome<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut seen = Vec::new();
    loop {
        more(&mut stream, &mut seen).await?;
        if let Some((letter, _)) = read_head(&seen)? {
            return match letter.start == "200" && letter.streamed {
                true => Ok((stream, seen)),
                false => Err(format!("GET {path} got status {} and no stream", letter.start).into()),
            };
        }
    }
}

async fn more(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Outcome<()> {
    match stream.read_buf(seen).await? {
        0 => Err("the stream ended".into()),
        _ => Ok(()),
    }
}

/// The answer to what was sent, which has this status.
///
/// # Errors
/// When it has another, or none comes.
pub async fn answer(wire: &mut Wire, method: &str, status: &str) -> Outcome<Letter> {
    let letter = wire
        .receive()
        .await?
        .ok_or_else(|| format!("the connection closed on {method}"))?;
    if letter.start != status {
        return Err(unlike(
            &letter.body,
            &format!("{method} got status {}", letter.start),
        ));
    }
    Ok(letter)
}

/// What came instead of what should have.
pub fn unlike(body: &[u8], why: &str) -> Box<dyn std::error::Error + Send + Sync> {
    let body: String = String::from_utf8_lossy(body).chars().take(300).collect();
    format!("{why}: {body}").into()
}

/// The head of a POST with a body of this length.
pub fn head(address: SocketAddr, path: &str, session: Option<&str>, length: usize) -> Vec<u8> {
    head_with(
        address,
        path,
        &session.map(of_session).unwrap_or_default(),
        length,
    )
}

/// The same with these lines, each with its end.
pub fn head_with(address: SocketAddr, path: &str, lines: &str, length: usize) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{lines}Content-Length: {length}\r\n\r\n"
    )
    .into_bytes()
}

fn of_session(id: &str) -> String {
    format!("MCP-Protocol-Version: {REVISION}\r\nMcp-Session-Id: {id}\r\n")
}
