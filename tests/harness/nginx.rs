//! The real nginx, with a file of the documentation or what a test makes of it.
use std::{net::TcpListener, path::Path, process::Command};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{Program, within};

/// nginx, until it is dropped.
pub struct Nginx {
    address: String,
    // Dropped before its directory.
    _program: Program,
    _home: TempDir,
}

impl Nginx {
    /// Where it is; `make test` installs it where it can. Without it its tests say so and pass.
    pub fn executable() -> Option<&'static str> {
        let places = [
            "/usr/sbin/nginx",
            "/usr/local/sbin/nginx",
            "/opt/homebrew/bin/nginx",
        ];
        let found = places.into_iter().find(|path| Path::new(path).exists());
        if found.is_none() {
            eprintln!(
                "SKIPPED: nginx is not installed, so `docs/nginx.conf` was not tested; `scripts/need.sh nginx`"
            );
        }
        found
    }

    /// Starts it on a port of its own: `ADDRESS` in the text stands for where it listens, `HOME` for a directory with
    /// these files.
    pub async fn start(executable: &str, text: &str, files: &[(&str, &str)]) -> Self {
        let home = TempDir::new().expect("a temporary directory can be made");
        let at = home.path().display().to_string();
        for (name, content) in files {
            std::fs::write(home.path().join(name), content).expect("the directory is ours");
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a port on loopback is free");
        let address = free.local_addr().expect("it is bound").to_string();
        drop(free);
        let own: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {at}/{kind};\n"))
            .collect();
        let text = text
            .replace("ADDRESS", &address)
            .replace("HOME", &at)
            .replace("http {\n", &format!("http {{\n    access_log off;\n{own}"));
        let text = format!("daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log stderr;\n{text}");
        let file = home.path().join("nginx.conf");
        std::fs::write(&file, text).expect("the directory is ours");
        let mut command = Command::new(executable);
        command.arg("-e").arg("stderr").arg("-c").arg(&file);
        let program = Program::start("nginx", command);
        within("nginx to listen", async {
            while TcpStream::connect(&address).await.is_err() {
                assert!(!program.has_ended(), "nginx ended: {}", program.stderr());
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        Self {
            address,
            _program: program,
            _home: home,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }
}
