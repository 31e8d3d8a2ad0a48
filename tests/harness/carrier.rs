//! What stands between a [`Client`](crate::Client), which speaks plain HTTP/1.1, and a gateway that is reached
//! otherwise: by TLS, by HTTP/2, or by both. It keeps nothing back and adds nothing, so that what a client sees of the
//! gateway is the gateway's: pieces pass as they come, who stops reading is not read for, and who leaves has left.
use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::SendRequest;
use http::{HeaderValue, Request, Uri, Version};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::wire::{Head, Reader};

/// Somebody who passes on. Dropping it ends its listener.
pub struct Carrier {
    address: String,
    accepting: JoinHandle<()>,
}

impl Carrier {
    /// Each connection is one by TLS, as `localhost`.
    pub async fn by_tls(gateway: &str, tls: Arc<ClientConfig>) -> Self {
        let gateway = gateway.to_owned();
        Self::listening(move |mut from| {
            let (gateway, tls) = (gateway.clone(), Arc::clone(&tls));
            async move {
                let mut to = connect(&gateway, "localhost", tls).await?;
                copy_bidirectional(&mut from, &mut to).await.map(drop)
            }
        })
        .await
    }

    /// All requests share one connection of HTTP/2: in the clear by prior knowledge, or by TLS as `localhost`. When it
    /// takes no more, since it ends or since as many are open on it as may be, another is opened.
    pub async fn by_h2(gateway: &str, tls: Option<Arc<ClientConfig>>) -> Self {
        let connections = Arc::new(Connections {
            gateway: gateway.to_owned(),
            tls,
            latest: Mutex::default(),
        });
        Self::listening(move |from| exchanges(from, Arc::clone(&connections))).await
    }

    async fn listening<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port on loopback is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let serving = serve(from);
                tokio::spawn(async move {
                    // Whoever closes in the middle is judged by the test, not here.
                    let _ = serving.await;
                });
            }
        });
        Self { address, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Somebody in front of it.
    pub fn client(&self, path: &str) -> crate::Client {
        crate::Client::new(&self.address, path)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A connection by TLS.
///
/// # Errors
/// What came of the handshake instead.
pub async fn connect(gateway: &str, name: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(gateway).await?;
    let name = ServerName::try_from(name.to_owned()).expect("it is a name");
    TlsConnector::from(tls).connect(name, stream).await
}

/// Connections of HTTP/2 to one gateway.
struct Connections {
    gateway: String,
    tls: Option<Arc<ClientConfig>>,
    /// The one that was opened last; those who use it hold the other half.
    latest: Mutex<Option<(SendRequest<Bytes>, Arc<()>)>>,
}

impl Connections {
    /// One that takes a request at once.
    async fn ready(&self) -> io::Result<(SendRequest<Bytes>, Arc<()>)> {
        let mut latest = self.latest.lock().await;
        if let Some((requests, used)) = &*latest
            && Arc::strong_count(used) <= requests.current_max_send_streams()
            && let Some(Ok(requests)) = requests.clone().ready().now_or_never()
        {
            return Ok((requests, Arc::clone(used)));
        }
        let stream = TcpStream::connect(&self.gateway).await?;
        let requests = match &self.tls {
            None => open(stream).await?,
            Some(tls) => {
                let name = ServerName::try_from("localhost").expect("it is a name");
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                open(stream).await?
            }
        };
        let used = Arc::new(());
        *latest = Some((requests.clone(), Arc::clone(&used)));
        Ok((requests.ready().await.map_err(io::Error::other)?, used))
    }
}

/// It ends when nobody is left who could send a request on it.
async fn open(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<SendRequest<Bytes>> {
    let connecting = h2::client::Builder::new()
        // A client that stops reading is to be felt soon; one does not hold up the others.
        .initial_window_size(65_535)
        .initial_connection_window_size(16 << 20)
        .handshake(stream)
        .await;
    let (requests, connection) = connecting.map_err(io::Error::other)?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(requests)
}

/// One connection of HTTP/1.1 and all its requests.
async fn exchanges(from: TcpStream, connections: Arc<Connections>) -> io::Result<()> {
    let (from, mut to) = from.into_split();
    let mut from = Reader::new(from);
    while let Some(head) = from.head().await? {
        let body = from.request_body(&head).await?;
        let answering = answer(&mut to, &connections, &head, body);
        tokio::pin!(answering);
        // Another request may come before this one is answered; an end takes it back.
        loop {
            tokio::select! {
                biased;
                answered = &mut answering => break answered?,
                more = from.more() => if !more? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

async fn answer(
    to: &mut (impl AsyncWrite + Unpin),
    connections: &Connections,
    head: &Head,
    body: Vec<u8>,
) -> io::Result<()> {
    let request = request(head)?;
    let (mut requests, _used) = connections.ready().await?;
    let (answer, mut sending) = requests
        .send_request(request, body.is_empty())
        .map_err(io::Error::other)?;
    if !body.is_empty() {
        sending.send_data(body.into(), true).map_err(io::Error::other)?;
    }
    let (head, mut body) = answer.await.map_err(io::Error::other)?.into_parts();
    let mut lines = format!("HTTP/1.1 {}\r\n", head.status.as_str()).into_bytes();
    for (name, value) in &head.headers {
        lines.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let is_empty = ["204", "304"].contains(&head.status.as_str());
    let is_chunked = !is_empty && !head.headers.contains_key("content-length");
    if is_chunked {
        lines.extend(b"Transfer-Encoding: chunked\r\n");
    }
    lines.extend(b"\r\n");
    to.write_all(&lines).await?;
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(io::Error::other)?;
        match is_chunked {
            true if piece.is_empty() => {}
            true => {
                to.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
                to.write_all(&piece).await?;
                to.write_all(b"\r\n").await?;
            }
            false => to.write_all(&piece).await?,
        }
        body.flow_control()
            .release_capacity(piece.len())
            .map_err(io::Error::other)?;
    }
    if is_chunked {
        to.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

fn request(head: &Head) -> io::Result<Request<()>> {
    let mut words = head.first.split(' ');
    let (verb, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authority = head.headers.get("host").unwrap_or_default();
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path);
    let mut request = Request::builder()
        .method(verb)
        .uri(uri.build().map_err(io::Error::other)?)
        .version(Version::HTTP_2)
        .body(())
        .map_err(io::Error::other)?;
    for (name, value) in &head.headers.0 {
        let name = name.to_ascii_lowercase();
        // What is of the connection stays with it (RFC 9113 §8.2.2).
        if ["host", "connection", "transfer-encoding", "upgrade", "keep-alive"].contains(&&*name) {
            continue;
        }
        let name = http::HeaderName::try_from(name).map_err(io::Error::other)?;
        let value = HeaderValue::try_from(value).map_err(io::Error::other)?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}
