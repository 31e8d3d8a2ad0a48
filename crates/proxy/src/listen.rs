//! Listeners: opened before anything else, so that a taken port is one line and not a process that
//! lives without a door; then handed to the engine, which runs until it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::listeners::ListenerConfig;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::Fds;
use pingora::services::listening::Service;
use tokio::sync::watch;

use crate::app::App;
use crate::generation::Generation;

/// Read at once from a connection. The engine's own default, 64 KiB, is paid by every idle stream.
const READ_BUFFER: usize = 4 * 1024;

/// One open listener.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A page of the admin listener: status, content type and text for a path, or nothing there.
pub trait Page: Send + Sync + 'static {
    /// The answer to a GET of this path.
    fn get(&self, path: &str) -> Option<(u16, &'static str, Vec<u8>)>;
}

/// Opens a listener.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(address: SocketAddr) -> std::io::Result<Door> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Door { listener, address })
}

impl Door {
    /// Its address; with a port of 0, the one that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves clients at this door until `stop` turns true; then no connection is accepted any more.
/// Those that are open end with the runtime that called this.
pub async fn serve_clients(door: Door, current: Arc<ArcSwap<Generation>>, stop: watch::Receiver<bool>) {
    serve(door, "clients", App { current }, stop).await;
}

/// Serves pages at this door until `stop` turns true.
pub async fn serve_pages(door: Door, page: Arc<dyn Page>, stop: watch::Receiver<bool>) {
    serve(door, "admin", Admin { page }, stop).await;
}

/// Runs one service of the engine on the caller's runtime. The engine's own `Server` would bring a
/// runtime for each service, a sleep of its own at the end, and a process that stays up without a
/// listener when binding fails; none of that is needed once the listener is open.
async fn serve<A>(door: Door, name: &str, app: A, stop: watch::Receiver<bool>)
where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let key = door.address.to_string();
    let mut fds = Fds::new();
    fds.add(key.clone(), door.listener.into_raw_fd());
    let mut listener = ListenerConfig::tcp(key);
    listener = listener.l4_buffer(L4BufferSettings {
        read: Some(READ_BUFFER),
        write: None,
    });
    let mut service = Service::new(name.to_owned(), app);
    service.add_listener(listener);
    let fds = Arc::new(parking_lot::Mutex::new(fds));
    pingora::services::Service::start_service(&mut service, Some(fds), stop, 1).await;
}

struct Admin {
    page: Arc<dyn Page>,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, http: &mut ServerSession) -> Response<Vec<u8>> {
        let request = http.req_header();
        let found = (request.method == http::Method::GET)
            .then(|| self.page.get(request.uri.path()))
            .flatten();
        let (status, kind, body) = found.unwrap_or((404, "text/plain", b"there is nothing here\n".to_vec()));
        let mut response = Response::new(body);
        *response.status_mut() =
            http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
        let length = http::HeaderValue::from(response.body().len());
        response
            .headers_mut()
            .insert(http::header::CONTENT_LENGTH, length);
        response
    }
}
