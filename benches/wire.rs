//! Just enough HTTP/1.1 for both ends of the benchmark: keep-alive, lengths and chunks.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection and what has been read from it but not yet asked for.
pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// One request or answer, received whole.
#[derive(Default)]
pub struct Letter {
    /// A request's method, an answer's status.
    pub start: String,
    /// A request's path and query.
    pub path: String,
    /// `Mcp-Session-Id`.
    pub session: Option<String>,
    /// Everything behind the head.
    pub body: Vec<u8>,
    /// Whether it is a stream of events.
    pub streamed: bool,
    length: usize,
    chunked: bool,
}

impl Letter {
    /// The message in the body: all of it, or the last event of a stream.
    pub fn json(&self) -> &[u8] {
        if !self.streamed {
            return &self.body;
        }
        self.body
            .split(|&byte| byte == b'\n')
            .filter_map(|line| line.strip_prefix(b"data:"))
            .next_back()
            .unwrap_or_default()
    }
}

impl Wire {
    /// Around a connection.
    ///
    /// # Errors
    /// When the connection is broken already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::with_capacity(8 * 1024),
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next letter; `None` when the peer has closed between two.
    ///
    /// # Errors
    /// When it is cut short, or no HTTP.
    pub async fn receive(&mut self) -> io::Result<Option<Letter>> {
        let (mut letter, head) = loop {
            if let Some(read) = read_head(&self.unread)? {
                break read;
            }
            if !self.fill().await? {
                return if self.unread.is_empty() {
                    Ok(None)
                } else {
                    Err(broken("the head is cut short"))
                };
            }
        };
        self.unread.drain(..head);
        if letter.chunked {
            while let Some(chunk) = self.chunk().await? {
                letter.body.extend_from_slice(&chunk);
            }
        } else {
            letter.body = self.take(letter.length).await?;
        }
        Ok(Some(letter))
    }

    /// Waits until the peer has closed, without the memory for anything that it might send.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn closed(mut self) -> io::Result<()> {
        self.unread = Vec::new();
        let mut byte = [0; 1];
        while self.stream.read(&mut byte).await? > 0 {}
        Ok(())
    }

    async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = loop {
            if let Some(end) = memchr::memmem::find(&self.unread, b"\r\n") {
                break self.take(end + 2).await?;
            }
            self.more().await?;
        };
        let length = std::str::from_utf8(&line)
            .ok()
            .and_then(|line| usize::from_str_radix(line.trim_end().split(';').next()?, 16).ok())
            .ok_or_else(|| broken("a chunk has no length"))?;
        let mut chunk = self.take(length + 2).await?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.fill().await? {
            Ok(())
        } else {
            Err(broken("the body is cut short"))
        }
    }

    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }
}

/// A letter still without its body, and the length of its head; `None` while the head is not whole.
///
/// # Errors
/// When it is no HTTP.
pub(crate) fn read_head(bytes: &[u8]) -> io::Result<Option<(Letter, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut path = None;
    let (start, length, fields) = if bytes.starts_with(b"HTTP/") {
        let mut answer = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(length) = answer.parse(bytes).map_err(broken)? else {
            return Ok(None);
        };
        (answer.code.map(|code| code.to_string()), length, answer.headers)
    } else {
        let mut request = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(length) = request.parse(bytes).map_err(broken)? else {
            return Ok(None);
        };
        path = request.path.map(str::to_owned);
        (request.method.map(str::to_owned), length, request.headers)
    };
    let mut letter = Letter {
        start: start.unwrap_or_default(),
        path: path.unwrap_or_default(),
        ..Letter::default()
    };
    for field in fields {
        let value = || std::str::from_utf8(field.value).map_err(broken);
        if field.name.eq_ignore_ascii_case("content-length") {
            letter.length = value()?.parse().map_err(broken)?;
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            letter.chunked = value()?.eq_ignore_ascii_case("chunked");
        } else if field.name.eq_ignore_ascii_case("content-type") {
            letter.streamed = value()?.starts_with("text/event-stream");
        } else if field.name.eq_ignore_ascii_case("mcp-session-id") {
            letter.session = Some(value()?.to_owned());
        }
    }
    Ok(Some((letter, length)))
}

fn broken(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
