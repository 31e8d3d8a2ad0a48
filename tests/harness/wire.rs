//! HTTP/1.1 as the tests need it: exact bytes out, and in as they come.
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Header lines in the order in which they stood; names are compared without case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of the only line of this name; several of them fail the test, since nobody may choose among them.
    pub fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(
            all.len() < 2,
            "header `{name}` stands {} times: {self:?}",
            all.len()
        );
        all.first().copied()
    }

    /// All values of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Sets one header, in place of what stood there under that name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

/// The first line of a request or response, and its header.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) first: String,
    pub(crate) headers: Headers,
}

/// How the end of a body is known.
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads messages off a connection, keeping what came early.
pub(crate) struct Reader<R> {
    from: R,
    early: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            early: Vec::new(),
        }
    }

    /// The connection itself.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    /// The connection, and what was read from it beyond the head.
    pub(crate) fn into_parts(self) -> (R, Vec<u8>) {
        (self.from, self.early)
    }

    /// The next head, or `None` where the other side has closed before it.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(at) = find(&self.early, b"\r\n\r\n") {
                break at;
            }
            if !self.more().await? {
                return match self.early.is_empty() {
                    true => Ok(None),
                    false => Err(broken(format!(
                        "closed inside a head: {:?}",
                        String::from_utf8_lossy(&self.early)
                    ))),
                };
            }
        };
        let text = String::from_utf8_lossy(&self.early[..end]).into_owned();
        self.early.drain(..end + 4);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Some(Head {
            first,
            headers: Headers(headers),
        }))
    }

    /// The body that follows a request's head.
    pub(crate) async fn request_body(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        self.body_of(head, Framing::Length(0)).await?.whole(self).await
    }

    /// The body that follows a response's head.
    pub(crate) async fn response_body(&mut self, head: &Head) -> io::Result<Body> {
        let status = head.first.split(' ').nth(1).unwrap_or_default();
        match status {
            "100" | "204" | "304" => Ok(Body::ended()),
            _ => self.body_of(head, Framing::UntilClose).await,
        }
    }

    async fn body_of(&mut self, head: &Head, otherwise: Framing) -> io::Result<Body> {
        let framing = match (
            head.headers.get("transfer-encoding"),
            head.headers.get("content-length"),
        ) {
            (Some(_), Some(_)) => return Err(broken("both a length and a transfer encoding".into())),
            (Some("chunked"), None) => Framing::Chunked,
            (Some(other), None) => return Err(broken(format!("transfer encoding {other}"))),
            (None, Some(length)) => {
                Framing::Length(length.parse().map_err(|_| broken(format!("length {length}")))?)
            }
            (None, None) => otherwise,
        };
        let ended = matches!(framing, Framing::Length(0));
        Ok(Body { framing, ended })
    }

    /// Waits for the other side to close. Whatever it says before that is ignored.
    pub(crate) async fn closed(&mut self) {
        while let Ok(true) = self.more().await {
            self.early.clear();
        }
    }

    /// Reads on; false at the end.
    pub(crate) async fn more(&mut self) -> io::Result<bool> {
        let count = self.from.read_buf(&mut self.early).await?;
        Ok(count > 0)
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.early, b"\r\n") {
                let line = String::from_utf8_lossy(&self.early[..at]).into_owned();
                self.early.drain(..at + 2);
                return Ok(line);
            }
            if !self.more().await? {
                return Err(broken("closed inside a chunk".into()));
            }
        }
    }

    async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.early.len() < count {
            if !self.more().await? {
                return Err(broken(format!(
                    "closed {} bytes before the end",
                    count - self.early.len()
                )));
            }
        }
        Ok(self.early.drain(..count).collect())
    }
}

/// A body in the middle of being read.
pub(crate) struct Body {
    framing: Framing,
    ended: bool,
}

impl Body {
    /// One that is over.
    pub(crate) fn ended() -> Self {
        Self {
            framing: Framing::Length(0),
            ended: true,
        }
    }

    /// Some more bytes as they arrive, or `None` after the last. A body that ends before its announced end is an error.
    pub(crate) async fn part<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> io::Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        match self.framing {
            Framing::Length(length) => {
                self.ended = true;
                reader.exactly(length).await.map(Some)
            }
            Framing::UntilClose => {
                if reader.early.is_empty() && !reader.more().await? {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut reader.early)))
            }
            Framing::Chunked => {
                let line = reader.line().await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size =
                    usize::from_str_radix(size, 16).map_err(|_| broken(format!("chunk size {line:?}")))?;
                let part = reader.exactly(size).await?;
                reader.line().await?;
                self.ended = size == 0;
                Ok((size > 0).then_some(part))
            }
        }
    }

    pub(crate) async fn whole<R: AsyncRead + Unpin>(mut self, reader: &mut Reader<R>) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(part) = self.part(reader).await? {
            whole.extend(part);
        }
        Ok(whole)
    }
}

/// Splits a Server-Sent Events stream into the data of its events. Strict: `\n` line ends only, as the gateway writes
/// them itself and never copies those of a server.
#[derive(Default)]
pub(crate) struct Events {
    early: Vec<u8>,
    /// The id that stood last, in an event with data or without.
    pub(crate) last_id: Option<String>,
}

/// One event that has data.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Events {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.early.extend_from_slice(bytes);
    }

    /// The next complete event that has data.
    pub(crate) fn next(&mut self) -> Option<Event> {
        while let Some(end) = find(&self.early, b"\n\n") {
            let block: Vec<u8> = self.early.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("events are UTF-8");
            assert!(
                !block.contains('\r'),
                "a bare carriage return inside an event: {block:?}"
            );
            let mut name = "message";
            let mut data = Vec::new();
            for line in block.lines() {
                match line.split_once(':') {
                    Some(("", _)) => {}
                    Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value)),
                    Some(("event", value)) => name = value.trim(),
                    Some(("id", value)) => self.last_id = Some(value.trim().to_owned()),
                    Some(("retry", _)) => {}
                    _ => assert!(line.is_empty(), "not a line of an event: {line:?}"),
                }
            }
            let data = data.join("\n");
            if !data.is_empty() {
                let name = name.to_owned();
                return Some(Event { name, data });
            }
        }
        None
    }
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn broken(what: String) -> io::Error {
    io::Error::other(what)
}
