//! An ear on the line between two peers: everything passes as it is, and every message is judged by the official schema of
//! the revision that it was said in.
//!
//! Over Streamable HTTP each exchange says its revision, and an answer stands behind its request. Over HTTP+SSE what is POSTed
//! and what comes on the one stream are brought together by the address that the stream begins with.
use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    MODERN,
    dialogue::{Dialogue, Verdict, revision_on},
    schema,
    wire::{Event, Events, Head, Reader},
};

/// What may lie between a peer and its judge. A judge that is slower slows the line down.
const BUFFER: usize = 1 << 20;

/// Requests on one connection whose answers have not begun. Nobody pipelines.
const PIPELINE: usize = 64;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Whoever connected.
    Client,
    /// Whoever was connected to.
    Server,
}

/// A listening ear. Dropping it hangs up.
pub struct Tap {
    address: String,
    heard: Arc<Mutex<Heard>>,
    accepting: JoinHandle<()>,
}

/// All that was heard so far.
#[derive(Default)]
struct Heard {
    /// How many messages of each side and revision were judged.
    judged: BTreeMap<(Side, String), usize>,
    wrong: Vec<Wrong>,
    /// Sessions of HTTP+SSE, by the path that they POST to.
    dialogues: HashMap<String, Dialogue>,
}

/// A message that its schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wrong {
    /// Who said it.
    pub side: Side,
    /// In which revision.
    pub revision: String,
    /// What the schema says to it, and the message.
    pub problem: String,
}

/// What a request was, for those who judge its answer.
#[derive(Default)]
struct Asked {
    revision: String,
    methods: HashMap<String, String>,
}

impl Wrong {
    /// Five megabytes are as clear in their first thousand.
    pub(crate) fn new(side: Side, revision: &str, problem: &str) -> Self {
        let mut end = problem.len().min(1500);
        while !problem.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            side,
            revision: revision.to_owned(),
            problem: problem[..end].to_owned(),
        }
    }
}

impl Tap {
    /// Listens on the line to this address.
    pub async fn before(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port on loopback is free");
        let own = listener.local_addr().expect("it is bound").to_string();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (to, shared) = (address.to_owned(), Arc::clone(&heard));
        let accepting = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (to, heard) = (to.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // Whoever hangs up in the middle is no business of the line.
                    let _ = pass(from, &to, heard).await;
                });
            }
        });
        Self {
            address: own,
            heard,
            accepting,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same URL by way of this ear.
    pub fn url(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        format!("{scheme}://{}{path}", self.address)
    }

    /// How many messages were judged, by side and revision.
    pub fn judged(&self) -> BTreeMap<(Side, String), usize> {
        self.heard.lock().expect("no judge panics with it").judged.clone()
    }

    /// What was said that should not be.
    pub fn wrong(&self) -> Vec<Wrong> {
        self.heard.lock().expect("no judge panics with it").wrong.clone()
    }
}

/// What the peer between two taps, one in front of it and one behind, said wrong by itself. What came to it wrong and was
/// passed on is its author's.
pub fn wrong_between(front: &Tap, back: &Tap) -> Vec<Wrong> {
    own_of(&front.wrong(), &back.wrong())
}

fn own_of(front: &[Wrong], back: &[Wrong]) -> Vec<Wrong> {
    let to_client = front
        .iter()
        .filter(|wrong| wrong.side == Side::Server && !back.contains(wrong));
    let to_server = back
        .iter()
        .filter(|wrong| wrong.side == Side::Client && !front.contains(wrong));
    to_client.chain(to_server).cloned().collect()
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The path and query of a URL, or of what is one already.
fn path_of(url: &str) -> &str {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => url,
    }
}

/// The host and port of a URL.
pub fn address_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

async fn pass(client: TcpStream, to: &str, heard: Arc<Mutex<Heard>>) -> io::Result<()> {
    let server = TcpStream::connect(to).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (requests, requests_copy) = duplex(BUFFER);
    let (answers, answers_copy) = duplex(BUFFER);
    let (ask, asked) = mpsc::channel(PIPELINE);
    let judges = [
        tokio::spawn(judge_requests(requests_copy, ask, Arc::clone(&heard))),
        tokio::spawn(judge_answers(answers_copy, asked, heard)),
    ];
    // Either side may hang up first; the other hears it at once, as it would without an ear.
    tokio::join!(
        copy(from_client, to_server, requests),
        copy(from_server, to_client, answers)
    );
    for judge in judges {
        // A judge that fell silent over something that is no HTTP has said what it could.
        let _ = judge.await;
    }
    Ok(())
}

/// Passes on what is said, and repeats it to the judge for as long as that listens.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut judge: DuplexStream) {
    let mut part = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut part).await {
        if count == 0 || to.write_all(&part[..count]).await.is_err() {
            break;
        }
        let _ = judge.write_all(&part[..count]).await;
    }
    let _ = to.shutdown().await;
}

async fn judge_requests(
    from: DuplexStream,
    ask: mpsc::Sender<Asked>,
    heard: Arc<Mutex<Heard>>,
) -> io::Result<()> {
    let mut from = Reader::new(from);
    while let Some(head) = from.head().await? {
        let body = from.request_body(&head).await?;
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = head.first.split(' ');
        // Of all addresses in these tests only the one that a stream tells has a query.
        if let (Some("POST"), Some(path)) = (words.next(), words.next())
            && path.contains('?')
        {
            hear_on_stream(&heard, path, Side::Client, message);
            if ask.send(Asked::default()).await.is_err() {
                break;
            }
            continue;
        }
        let messages = match message {
            Value::Array(all) => all,
            Value::Null => Vec::new(),
            one => vec![one],
        };
        let revision = messages.first().map(|first| revision_of(&head, first));
        let revision = revision.unwrap_or_else(|| version_in(&head));
        let mut methods = HashMap::new();
        for message in &messages {
            if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
                methods.insert(id.to_string(), method.to_owned());
            }
            let verdict = schema::judge_request(&revision, message);
            note(&heard, Side::Client, &revision, verdict);
        }
        if ask.send(Asked { revision, methods }).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn judge_answers(
    from: DuplexStream,
    mut asked: mpsc::Receiver<Asked>,
    heard: Arc<Mutex<Heard>>,
) -> io::Result<()> {
    let mut from = Reader::new(from);
    while let Some(head) = from.head().await? {
        let Some(asked) = asked.recv().await else { break };
        let kind = head.headers.get("content-type").unwrap_or_default().to_owned();
        let mut body = from.response_body(&head).await?;
        if kind.starts_with("text/event-stream") {
            let mut events = Lines::default();
            let mut told = None;
            while let Some(part) = body.part(&mut from).await? {
                for event in events.feed(&part) {
                    if event.name == "endpoint" {
                        told = Some(path_of(&event.data).to_owned());
                    }
                    let Ok(message) = serde_json::from_str(&event.data) else {
                        continue;
                    };
                    match &told {
                        Some(path) => hear_on_stream(&heard, path, Side::Server, message),
                        None => judge_answer(&heard, &asked, &message),
                    }
                }
            }
        } else {
            let whole = body.whole(&mut from).await?;
            match serde_json::from_slice(&whole) {
                Ok(Value::Array(all)) => all.iter().for_each(|one| judge_answer(&heard, &asked, one)),
                Ok(message) if kind.starts_with("application/json") => judge_answer(&heard, &asked, &message),
                _ => {}
            }
        }
    }
    Ok(())
}

fn judge_answer(heard: &Mutex<Heard>, asked: &Asked, message: &Value) {
    // A refusal before there was a session is in nobody's words.
    if message.get("jsonrpc").is_none() {
        return;
    }
    let method = asked
        .methods
        .get(&message["id"].to_string())
        .map_or("", String::as_str);
    let agreed = message["result"]["protocolVersion"].as_str();
    let revision = match (agreed, method) {
        (Some(agreed), "initialize") => agreed,
        _ => &asked.revision,
    };
    let verdict = schema::judge_answer(revision, method, message);
    note(heard, Side::Server, revision, verdict);
}

/// Judges what belongs to the stream that has told this path.
fn hear_on_stream(heard: &Mutex<Heard>, path: &str, side: Side, message: Value) {
    let verdicts = {
        let mut heard = heard.lock().expect("no judge panics with it");
        let dialogue = heard.dialogues.entry(path.to_owned()).or_default();
        dialogue.hear(side, message)
    };
    for Verdict {
        side,
        revision,
        outcome,
    } in verdicts
    {
        note(heard, side, &revision, outcome);
    }
}

fn note(heard: &Mutex<Heard>, side: Side, revision: &str, verdict: Result<(), String>) {
    let mut heard = heard.lock().expect("no judge panics with it");
    *heard.judged.entry((side, revision.to_owned())).or_default() += 1;
    if let Err(problem) = verdict {
        heard.wrong.push(Wrong::new(side, revision, &problem));
    }
}

/// What a request counts as that does not say: the only revision with streams that had no header for it.
const UNSAID: &str = "2025-03-26";

fn version_in(head: &Head) -> String {
    let versions = head.headers.all("mcp-protocol-version");
    versions.first().copied().unwrap_or(UNSAID).to_owned()
}

fn revision_of(head: &Head, message: &Value) -> String {
    let said = revision_on(message).unwrap_or_else(|| version_in(head));
    // A client may name one that does not exist.
    match crate::LEGACY.contains(&said.as_str()) || said == MODERN {
        true => said,
        false => UNSAID.to_owned(),
    }
}

/// Events as servers write them: some end their lines with `\r\n`, which the gateway never does.
#[derive(Default)]
struct Lines(Events);

impl Lines {
    fn feed(&mut self, part: &[u8]) -> Vec<Event> {
        let part: Vec<u8> = part.iter().copied().filter(|byte| *byte != b'\r').collect();
        self.0.feed(&part);
        std::iter::from_fn(|| self.0.next()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_is_its_authors() {
        let wrong = |side, problem| Wrong::new(side, MODERN, problem);
        let (passed_on, own) = (
            wrong(Side::Server, "a server's"),
            wrong(Side::Server, "a gateway's"),
        );
        let (asked, own_question) = (
            wrong(Side::Client, "a client's"),
            wrong(Side::Client, "a gateway's"),
        );

        let front = [passed_on.clone(), own.clone(), asked.clone()];
        let back = [passed_on, asked, own_question.clone()];

        assert_eq!(own_of(&front, &back), [own, own_question]);
    }
}
