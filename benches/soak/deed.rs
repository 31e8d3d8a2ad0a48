//! What clients do, well and badly: each deed is one client's whole visit.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_bench::{Outcome, Wire, answer, connect, greet, head, listen};
use rustix::process::{Pid, Signal, kill_process};

use crate::house::{CHILD, HTTP, House, SSE};

/// A child that is killed younger is taken for one that crashes at its start, and the next one has to wait.
const GROWN_UP: Duration = Duration::from_secs(11);

/// How long a stream is held before it is cut.
const HELD: Duration = Duration::from_secs(10);

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Calls, and takes the answer.
    Call,
    /// The same of a server of HTTP+SSE.
    CallSse,
    /// The same of a started server.
    CallChild,
    /// Begins a session and is never heard of again.
    Abandon,
    /// The same with a server that is started for it.
    AbandonChild,
    /// Goes while its call runs.
    Leave,
    /// The same where a server of HTTP+SSE runs the call.
    LeaveSse,
    /// The same where a child runs the call.
    LeaveChild,
    /// Sees its child killed, and calls again.
    Kill,
    /// Listens, and is cut off.
    Listen,
    /// Is a client of the 2024-11-05 transport that vanishes.
    Vanish,
    /// Has the file read again.
    Reload,
}

impl Deed {
    /// How often each is done in an hour.
    pub(crate) const EACH_HOUR: [(Deed, &'static str, u32); 12] = [
        (Self::Call, "calls", 36_000),
        (Self::CallSse, "calls of an SSE server", 3_600),
        (Self::CallChild, "calls of a child", 7_200),
        (Self::Abandon, "sessions abandoned", 9_000),
        (Self::AbandonChild, "sessions with a child abandoned", 1_000),
        (Self::Leave, "clients gone mid-call", 500),
        (Self::LeaveSse, "clients gone mid-call of an SSE server", 200),
        (Self::LeaveChild, "clients gone mid-call of a child", 300),
        (Self::Kill, "children killed", 1_000),
        (Self::Listen, "streams cut", 2_000),
        (Self::Vanish, "SSE clients vanished", 1_000),
        (Self::Reload, "reloads", 100),
    ];

    /// Does it.
    ///
    /// # Errors
    /// When something comes out unlike it should.
    pub(crate) async fn be_done(self, house: &House, number: usize) -> Outcome<()> {
        let at = house.clients;
        match self {
            Self::Call => Session::open(at, HTTP).await?.echo().await,
            Self::CallSse => Session::open(at, SSE).await?.echo().await,
            Self::CallChild => lone_call(at).await,
            Self::Abandon => Session::open(at, HTTP).await.map(drop),
            Self::AbandonChild => Session::open(at, CHILD).await.map(drop),
            Self::Leave => leave(at, HTTP).await,
            Self::LeaveSse => leave(at, SSE).await,
            Self::LeaveChild => leave(at, CHILD).await,
            Self::Kill => kill(house).await,
            Self::Listen => {
                let session = Session::open(at, HTTP).await?;
                let stream = listen(at, HTTP, &session.id).await?;
                tokio::time::sleep(HELD).await;
                drop(stream);
                Ok(())
            }
            Self::Vanish => {
                let mut wire = Wire::connect(at).await?;
                let stream = connect(&mut wire, at, HTTP).await?;
                tokio::time::sleep(HELD).await;
                drop(stream);
                Ok(())
            }
            Self::Reload => house.reload(number).map(drop),
        }
    }
}

/// A session of 2025-06-18.
pub(crate) struct Session {
    wire: Wire,
    at: SocketAddr,
    path: &'static str,
    id: String,
}

impl Session {
    pub(crate) async fn open(at: SocketAddr, path: &'static str) -> Outcome<Self> {
        let mut wire = Wire::connect(at).await?;
        let id = greet(&mut wire, at, path).await?;
        Ok(Self { wire, at, path, id })
    }

    /// Sends a call.
    pub(crate) async fn begin(&mut self, tool: &str, arguments: &str) -> Outcome<()> {
        let body = call(tool, arguments);
        let mut out = head(self.at, self.path, Some(&self.id), body.len());
        out.extend_from_slice(body.as_bytes());
        Ok(self.wire.send(&out).await?)
    }

    /// The text that a call is answered with.
    async fn call(&mut self, tool: &str, arguments: &str) -> Outcome<String> {
        self.begin(tool, arguments).await?;
        text(answer(&mut self.wire, tool, "200").await?.json())
    }

    async fn echo(&mut self) -> Outcome<()> {
        is_echo(&self.call("echo", r#"{"text":"soaked"}"#).await?)
    }

    async fn end(mut self) -> Outcome<()> {
        let request = format!(
            "DELETE {} HTTP/1.1\r\nHost: {}\r\nMcp-Session-Id: {}\r\n\r\n",
            self.path, self.at, self.id
        );
        self.wire.send(request.as_bytes()).await?;
        answer(&mut self.wire, "DELETE", "204").await.map(drop)
    }
}

/// A call without a session, on the child that all such calls share.
async fn lone_call(at: SocketAddr) -> Outcome<()> {
    let mut wire = Wire::connect(at).await?;
    let body = call("echo", r#"{"text":"soaked"}"#);
    let mut out = head(at, CHILD, None, body.len());
    out.extend_from_slice(body.as_bytes());
    wire.send(&out).await?;
    is_echo(&text(answer(&mut wire, "echo", "200").await?.json())?)
}

async fn leave(at: SocketAddr, path: &'static str) -> Outcome<()> {
    let mut session = Session::open(at, path).await?;
    session.begin("slow", r#"{"steps":5,"delay_ms":1000}"#).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn kill(house: &House) -> Outcome<()> {
    let mut session = Session::open(house.clients, CHILD).await?;
    let process: u32 = session.call("pid", "{}").await?.parse()?;
    tokio::time::sleep(GROWN_UP).await;
    // Whatever a server says: only what the gateway started is killed.
    if !house.gateway.family()?.contains(&process) {
        return Err("a child is none of the gateway's".into());
    }
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        kill_process(process, Signal::KILL)?;
    }
    // What comes of the session then is not the soak's affair, as long as something does.
    session.begin("echo", r#"{"text":"soaked"}"#).await?;
    session
        .wire
        .receive()
        .await?
        .ok_or("no answer after its child was killed")?;
    match session.end().await {
        Ok(()) => Ok(()),
        Err(error) if error.to_string().contains("404") => Ok(()),
        Err(error) => Err(error),
    }
}

fn call(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

fn text(json: &[u8]) -> Outcome<String> {
    let answer: serde_json::Value = serde_json::from_slice(json)?;
    let text = answer
        .pointer("/result/content/0/text")
        .and_then(serde_json::Value::as_str);
    Ok(text
        .ok_or_else(|| format!("an answer without text: {answer}"))?
        .to_owned())
}

fn is_echo(text: &str) -> Outcome<()> {
    match text.contains("soaked") {
        true => Ok(()),
        false => Err(format!("an echo said {text}").into()),
    }
}
