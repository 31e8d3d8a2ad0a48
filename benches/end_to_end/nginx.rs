//! nginx as a plain reverse proxy: the least that a hop between client and server costs today.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use causeway_bench::{Outcome, Program};

/// How it is set up.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    /// Whether it writes a line for each call, as the gateway does.
    pub(crate) logging: bool,
    /// Connections of each worker, to clients and to the upstream together. It takes the memory for all at its start.
    pub(crate) connections: usize,
}

/// What calls need.
pub(crate) const FOR_CALLS: usize = 4096;

/// What 9,000 streams need, each with one to the upstream. When fewer than a sixteenth are free it closes connections
/// that wait for their next request.
pub(crate) const FOR_STREAMS: usize = 24_000;

/// Starts it on a free port with pooled connections to `upstream`.
pub(crate) fn start(directory: &Path, upstream: SocketAddr, setup: Setup) -> Outcome<(SocketAddr, Program)> {
    fs::create_dir_all(directory)?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration(directory, address, upstream, setup))?;
    // Debian keeps it where plain users do not look.
    let executable = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let mut command = Command::new(executable.unwrap_or("nginx"));
    command
        .arg("-e")
        .arg(directory.join("error.log"))
        .arg("-c")
        .arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let program = Program::start(command)
        .map_err(|error| format!("nginx did not start ({error}); `make bench` installs it"))?;

    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            let log = fs::read_to_string(directory.join("error.log")).unwrap_or_default();
            return Err(format!("nginx does not listen on {address}: {log}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((address, program))
}

fn configuration(directory: &Path, address: SocketAddr, upstream: SocketAddr, setup: Setup) -> String {
    let Setup {
        workers,
        logging,
        connections,
    } = setup;
    let directory = directory.display();
    let log = if logging {
        format!("{directory}/access.log")
    } else {
        "off".to_owned()
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {directory}/{kind};\n"))
        .collect();
    format!(
        "daemon off;
worker_processes {workers};
pid {directory}/nginx.pid;
events {{ worker_connections {connections}; }}
http {{
    access_log {log};
{temporary}    keepalive_requests 1000000000;
    upstream bench {{
        server {upstream};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location /static/ {{ root {directory}; }}
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_read_timeout 1h;
        }}
    }}
}}
"
    )
}
