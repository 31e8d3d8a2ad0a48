//! Listeners: opened before anything else, so that a taken port is one line and not a process that
//! lives without a door; then handed to the engine, which runs until it is told to stop.

mod arrival;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::Response;
use pingora::apps::http_app::ServeHttp;
use pingora::http::RequestHeader;
use pingora::listeners::ListenerConfig;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::Fds;
use pingora::services::listening::Service;
use policy::Principal;
use policy::authn::{Expected, Presented};
use tokio::sync::watch;

use arrival::Front;

use crate::app::{page, single};
use crate::generation::Generation;

/// Reads go straight to who wants the bytes: heads and bodies are read into buffers of their own, each at least
/// as large as one here would be, so that one here would only be paid for, by every idle connection. The
/// engine's default is 64 KiB.
const READ_BUFFER: usize = 0;

/// Pages for whoever asks: a kubelet knows us by an address that no file names.
const HEALTH: [&str; 4] = ["/health", "/healthz", "/ready", "/readyz"];

const TEXT: &str = "text/plain";

/// Roles of those who run the gateway.
const OPERATORS: [&str; 2] = ["admin", "operator"];

const NOT_AN_OPERATOR: &[u8] =
    b"these pages are for callers with the role `operator` or `admin` (`auth` in the file)\n";

/// One open listener.
pub struct Listener {
    socket: TcpListener,
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
pub fn bind(address: SocketAddr) -> std::io::Result<Listener> {
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

impl Listener {
    /// Its address; with a port of 0, the one that was found.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Serves clients on this listener until `stop` turns true; then no connection is accepted any more.
/// Those that are open end with the runtime that called this.
pub async fn serve_clients(
    listener: Listener,
    current: Arc<ArcSwap<Generation>>,
    stop: watch::Receiver<bool>,
) {
    serve(listener, "clients", Front { current }, stop).await;
}

/// Serves pages on this listener until `stop` turns true, to those whom the gate of the generation lets in.
pub async fn serve_pages(
    listener: Listener,
    current: Arc<ArcSwap<Generation>>,
    page: Arc<dyn Page>,
    stop: watch::Receiver<bool>,
) {
    let is_open = !listener.address.ip().is_loopback();
    let admin = Admin {
        current,
        page,
        is_open,
    };
    serve(listener, "admin", admin, stop).await;
}

/// Runs one service of the engine on the caller's runtime. The engine's own `Server` would bring a
/// runtime for each service, a sleep of its own at the end, and a process that stays up without a
/// listener when binding fails; none of that is needed once the listener is open.
async fn serve<A>(listener: Listener, name: &str, app: A, stop: watch::Receiver<bool>)
where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let key = listener.address.to_string();
    let mut fds = Fds::new();
    fds.add(key.clone(), listener.socket.into_raw_fd());
    let listener = ListenerConfig::tcp(key).l4_buffer(L4BufferSettings {
        read: Some(READ_BUFFER),
        write: None,
    });
    let mut service = Service::new(name.to_owned(), app);
    service.add_listener(listener);
    let fds = Arc::new(parking_lot::Mutex::new(fds));
    pingora::services::Service::start_service(&mut service, Some(fds), stop, 1).await;
}

struct Admin {
    current: Arc<ArcSwap<Generation>>,
    page: Arc<dyn Page>,
    /// To other machines.
    is_open: bool,
}

impl Admin {
    /// Whether the file says that who asks is one of those who run the gateway. Where it says nothing of callers, all
    /// are.
    async fn is_operator(&self, request: &RequestHeader) -> bool {
        let current = self.current.load_full();
        let Some(authn) = &current.authn else { return true };
        let presented = Presented {
            headers: &request.headers,
            query: request.uri.query(),
            certificate: None,
            expected: Expected { audiences: &[] },
            now: SystemTime::now(),
        };
        let principal = authn.identify(&presented).await.ok();
        let identity = principal.as_ref().and_then(Principal::identity);
        identity.is_some_and(|identity| identity.roles.iter().any(|role| OPERATORS.contains(&&**role)))
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, http: &mut ServerSession) -> Response<Vec<u8>> {
        let request = http.req_header();
        let path = request.uri.path();
        let host = single(&request.headers, http::header::HOST)
            .or(request.uri.authority().map(|authority| authority.as_str()));
        let allowed = match HEALTH.contains(&path) {
            true => Ok(()),
            false => self.current.load().admin_gate.judge(host, page(&request.headers)),
        };
        // Large, and only where the pages are open to other machines.
        let known = match self.is_open && !HEALTH.contains(&path) {
            true => Box::pin(self.is_operator(request)).await,
            false => true,
        };
        let (status, kind, body) = match allowed {
            Err(denied) => (403, TEXT, format!("{denied}\n").into_bytes()),
            Ok(()) if !known => (401, TEXT, NOT_AN_OPERATOR.to_vec()),
            Ok(()) => (request.method == http::Method::GET)
                .then(|| self.page.get(path))
                .flatten()
                .unwrap_or((404, TEXT, b"there is nothing here\n".to_vec())),
        };
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
