//! The front door of a gateway, from outside: requests of 2026-07-28 to one route, as any client would make them.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use egress::{Client, Deadlines, Request, Response, Target};
use http::{HeaderName, HeaderValue, Method};
use mcp::{Id, Limits, Message, Object, SseReader, header};

use crate::terminal::harmless;

/// The longest answer, event or list that is read, in bytes.
const LONGEST: usize = 256 << 20;

/// Who is silent for longer is not there any more: a gateway ends calls after `max_timeout`, an hour unless its file says more.
const SILENCE: Duration = Duration::from_secs(24 * 3600);

/// The longest text of an error that is shown, in characters.
const SHOWN: usize = 2_000;

/// Where to knock, as it stands on the command line.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Address {
    /// The path of the endpoint there, as clients use it [default: /mcp]
    #[arg(long, value_name = "PATH")]
    pub(super) route: Option<String>,
    /// Where the gateway listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7080")]
    gateway: String,
    /// A header to send, such as 'Authorization: Bearer …'; may be given again
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = a_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One route of one gateway.
pub(crate) struct Door {
    client: std::sync::Arc<Client>,
    target: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
    next: u64,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The command line names nothing that can be reached.
    Address(String),
    /// Nobody answers there.
    Unreachable(egress::Error),
    /// HTTP was answered, and no MCP.
    Status(u16, String),
    /// An error of the protocol.
    Refused { status: u16, code: i64, message: String },
    /// What came is no answer.
    Broken(String),
}

impl Door {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn new(address: &Address) -> Result<Self, Trouble> {
        let route = address.route.as_deref().unwrap_or("/mcp");
        let slash = if route.starts_with('/') { "" } else { "/" };
        let url = format!("{}{slash}{route}", address.gateway.trim_end_matches('/'));
        let target = Target::parse(&url).map_err(Trouble::Address)?;
        let client = client().map_err(|error| {
            let directory = std::env::temp_dir();
            Trouble::Address(format!(
                "`{}` cannot be used: {error}; set TMPDIR",
                directory.display()
            ))
        })?;
        Ok(Self {
            client,
            target,
            headers: address.headers.clone(),
            next: 1,
        })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.target.url()
    }

    /// Asks, tells what is said before the answer, and returns the answer: a result. `params` are the members of the
    /// parameters, JSON text with a comma before each; `repeated` are arguments of a tool that stand in headers, too.
    ///
    /// Dropping the question ends it: the connection is closed, which cancels a call.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        params: &str,
        repeated: Option<&header::Parameters>,
        heard: &mut dyn FnMut(&Message),
    ) -> Result<Message, Trouble> {
        let id = self.next;
        self.next += 1;
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"causeway","version":"{version}"}},"io.modelcontextprotocol/clientCapabilities":{{"elicitation":{{"form":{{}},"url":{{}}}}}},"io.modelcontextprotocol/logLevel":"info","progressToken":{id}}}{params}}}}}"#
        );
        let request = Message::parse(text.into(), &limits())
            .map_err(|error| Trouble::Broken(format!("this request cannot be made: {error}")))?;
        let mut headers = self.headers.clone();
        headers.push((
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ));
        let accepted = HeaderValue::from_static("application/json, text/event-stream");
        headers.push((http::header::ACCEPT, accepted));
        let repeated = repeated
            .map(|repeated| repeated.mirror(&request))
            .unwrap_or_default();
        let mirrored = header::mirror(&request);
        for (name, value) in mirrored
            .iter()
            .map(|(name, value)| (*name, value))
            .chain(repeated.iter().map(|(name, value)| (*name, value)))
        {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                headers.push((name, value));
            }
        }
        let exchange = Request {
            method: Method::POST,
            target: &self.target,
            headers: &headers,
            body: request.bytes().clone(),
            repeatable: false,
        };
        let deadlines = Deadlines {
            connect: Duration::from_secs(10),
            silence: Some(SILENCE),
            ..Deadlines::default()
        };
        let mut response = self
            .client
            .send(exchange, deadlines)
            .await
            .map_err(Trouble::Unreachable)?;
        let kind = response.header(http::header::CONTENT_TYPE);
        let streams = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if streams {
            return answered(&mut response, &Id::number(id), heard).await;
        }
        let status = response.status().as_u16();
        let body = response.body(LONGEST).await.map_err(Trouble::Unreachable)?;
        let parsed = Message::parse(body.clone(), &limits());
        match parsed {
            Ok(message) if message.result().is_some() || message.error().is_some() => {
                outcome(status, message)
            }
            Ok(_) | Err(_) if status != 200 => Err(Trouble::Status(status, excerpt(&body))),
            Ok(_) | Err(_) => Err(Trouble::Broken("what answers there does not speak MCP".into())),
        }
    }
}

/// The client believes the roots that it was given a file of; the file is needed no longer than that.
fn client() -> std::io::Result<std::sync::Arc<Client>> {
    let directory = tempfile::tempdir()?;
    let bundle = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    Client::new(directory.path(), bundle.as_deref())
}

/// Reads the stream until the answer.
async fn answered(
    response: &mut Response,
    id: &Id,
    heard: &mut dyn FnMut(&Message),
) -> Result<Message, Trouble> {
    let mut events = SseReader::new(LONGEST);
    while let Some(piece) = response.piece().await.map_err(Trouble::Unreachable)? {
        events.push(&piece);
        for event in events.by_ref() {
            let event = event.map_err(|error| Trouble::Broken(error.to_string()))?;
            if event.data.is_empty() {
                continue;
            }
            let message = Message::parse(event.data, &limits())
                .map_err(|error| Trouble::Broken(format!("an event is no message: {error}")))?;
            let answers = message.result().is_some() || message.error().is_some();
            if answers && (message.id() == Some(id) || message.id().is_none()) {
                return outcome(200, message);
            }
            heard(&message);
        }
    }
    Err(Trouble::Broken("the answer ended before its result".into()))
}

fn outcome(status: u16, message: Message) -> Result<Message, Trouble> {
    let Some(error) = message.error() else {
        return Ok(message);
    };
    let words = Object::parse(error).ok();
    let words = words.as_ref().and_then(|error| error.get_text("message"));
    Err(Trouble::Refused {
        status,
        code: message.error_code().unwrap_or_default(),
        message: clipped(&words.unwrap_or_default()),
    })
}

fn limits() -> Limits {
    Limits {
        depth: 200,
        ..Limits::default()
    }
}

fn excerpt(body: &Bytes) -> String {
    clipped(&String::from_utf8_lossy(&body[..body.len().min(SHOWN)]))
}

fn clipped(text: &str) -> String {
    let text: String = text.chars().take(SHOWN).collect();
    harmless::line(&text).into_owned()
}

/// `Name: value`, as curl takes it. What is wrong is said without the value, which may be secret.
fn a_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written 'Name: value'")?;
    let name: HeaderName = name
        .trim()
        .parse()
        .map_err(|_| "its name is no name of a header")?;
    if [http::header::HOST, http::header::CONTENT_LENGTH].contains(&name) {
        return Err(format!(
            "`{name}` is made of the address and the message; leave it out"
        ));
    }
    let value = HeaderValue::from_str(value.trim()).map_err(|_| "its value cannot be sent in a header")?;
    Ok((name, value))
}

impl Trouble {
    /// What to do about it, when there is something.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Address(_) | Self::Broken(_) => None,
            Self::Unreachable(error) if matches!(error.reason, egress::Reason::Tls(_)) => {
                Some("SSL_CERT_FILE names the certificates that are believed in place of the system's")
            }
            Self::Unreachable(_) => Some("is the gateway running? `--gateway URL` says where it listens"),
            Self::Status(401 | 403, _)
            | Self::Refused {
                status: 401 | 403, ..
            } => Some("`--header 'Authorization: Bearer …'` says who you are"),
            Self::Status(404, _)
            | Self::Refused {
                status: 404,
                code: mcp::code::INVALID_REQUEST,
                ..
            } => Some(
                "`--route PATH` names the endpoint, and `--gateway URL` where clients connect, not the admin address",
            ),
            Self::Status(_, _) => Some("is this where clients connect, and not its admin address?"),
            Self::Refused { code, .. } => match *code {
                mcp::code::INVALID_PARAMS => Some("`causeway tools --json` shows what each tool takes"),
                mcp::code::MISSING_CAPABILITY => {
                    Some("it asks its client for more than a command line can do")
                }
                mcp::code::UPSTREAM_UNAVAILABLE => {
                    Some("`causeway status` shows which servers are down, and why")
                }
                mcp::code::INTERNAL_ERROR => Some("`causeway status` and the gateway's log may say more"),
                _ => None,
            },
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => f.write_str(why),
            Self::Unreachable(error) => write!(f, "{error}"),
            Self::Status(status, text) if text.is_empty() => write!(f, "it answers {status}"),
            Self::Status(status, text) => write!(f, "it answers {status}: {text}"),
            Self::Refused { code, message, .. } => write!(f, "{message} ({code})"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}
