//! HTTP: which door a request goes through.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::era::Era;
use super::reply::{self, Body};
use super::server::Server;
use super::site::{Manners, Site};
use super::{sse, streamable};

/// The largest message taken, over any transport.
pub(super) const LARGEST: usize = 64 << 20;

/// Serves until the process is told to stop.
pub(super) async fn serve(
    server: Arc<Server>,
    address: SocketAddr,
    manners: Manners,
    quiet: bool,
) -> ExitCode {
    let bound = TcpListener::bind(address)
        .await
        .and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !quiet {
        eprintln!("listening on http://{address}/mcp");
    }
    let site = Arc::new(Site::new(server.clone(), manners));

    let mut connections = JoinSet::new();
    let stop = super::told_to_stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((connection, _)) => {
                    connections.spawn(converse(site.clone(), connection));
                }
                // Most likely there are no file descriptors left; some may be free in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    server.closing.send_replace(true);
    let closed = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_millis(250), closed).await;
    ExitCode::SUCCESS
}

/// One connection, until either side ends it.
async fn converse(site: Arc<Site>, connection: TcpStream) {
    let _ = connection.set_nodelay(true);
    let mut closing = site.server.closing.subscribe();
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(answer(&site, request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service);
    tokio::pin!(connection);
    tokio::select! {
        // An error here is a client that went away, which is its right.
        _ = &mut connection => return,
        _ = closing.wait_for(|closing| *closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

async fn answer(site: &Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    if is_foreign(request.headers()) {
        return reply::plain(403, "this origin may not talk to this server\n");
    }
    let legacy = site.server.era != Era::Modern;
    match (request.uri().path(), request.method()) {
        ("/mcp", &Method::POST) => match read(request).await {
            Ok((headers, _, body)) => Box::pin(streamable::post(site, headers, body)).await,
            Err(refusal) => refusal,
        },
        ("/mcp", &Method::GET) if legacy => streamable::get(site, request.headers()),
        ("/mcp", &Method::DELETE) if legacy => streamable::delete(site, request.headers()),
        ("/sse", &Method::GET) if legacy => sse::open(site),
        ("/messages", &Method::POST) if legacy => match read(request).await {
            Ok((headers, query, body)) => sse::post(site, query.as_deref(), headers, &body).await,
            Err(refusal) => refusal,
        },
        ("/mcp", _) => not_allowed("POST"),
        ("/sse", _) if legacy => not_allowed("GET"),
        ("/messages", _) if legacy => not_allowed("POST"),
        _ => reply::plain(404, "the MCP endpoint is /mcp\n"),
    }
}

pub(super) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = reply::plain(405, "method not allowed\n");
    response
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    response
}

/// A page of another site must not reach a server on its reader's machine (all revisions, §Security Warning).
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let Some((_, authority)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return true;
    };
    let own = headers
        .get(header::HOST)
        .is_some_and(|host| host.as_bytes() == authority.as_bytes());
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => authority,
    };
    !own && !matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Takes in a POST: its headers, its query and its bounded body.
async fn read(request: Request<Incoming>) -> Result<(HeaderMap, Option<String>, Bytes), Response<Body>> {
    let (head, body) = request.into_parts();
    let kind = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(reply::plain(415, "Content-Type must be application/json\n"));
    }
    match Limited::new(body, LARGEST).collect().await {
        Ok(body) => Ok((head.headers, head.uri.query().map(str::to_owned), body.to_bytes())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(reply::plain(413, "the message is too large\n"))
        }
        Err(_) => Err(reply::plain(400, "the body ended early\n")),
    }
}
