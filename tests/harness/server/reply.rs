//! What a server answers: whole, in parts, late, or not at all.
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{Gate, wire::Headers};

use super::Request;

/// An answer to be given, well or badly.
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Body,
}

pub(super) enum Body {
    Whole(Vec<u8>),
    Stream(Vec<Act>),
    Raw(Vec<Act>),
}

/// What a message is made of: the answers so far.
type Conclusion = Box<dyn FnOnce(&[Value]) -> Value + Send>;

/// One thing after the other that is done with a connection.
pub(super) enum Act {
    Bytes(Vec<u8>),
    Wait(Gate),
    Hear(Value),
    Tell(Conclusion),
    Work(Duration),
    Feed(mpsc::Receiver<String>),
    Close,
    Reset,
}

impl Reply {
    /// A bare status.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Headers::default(),
            body: Body::Whole(Vec::new()),
        }
    }

    /// Any body.
    pub fn with(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Body::Whole(body.into()),
            ..Self::new(status)
        }
        .header("Content-Type", kind)
    }

    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::with(status, "application/json", body.to_string())
    }

    /// The result of a request.
    pub fn result(request: &Request, result: &Value) -> Self {
        Self::json(200, &answer(request, result))
    }

    /// A result made of exactly these bytes.
    pub fn result_of(request: &Request, result: &str) -> Self {
        let id = &request.json()["id"];
        Self::with(
            200,
            "application/json",
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}"),
        )
    }

    /// A JSON-RPC error in answer to a request.
    pub fn error(request: &Request, code: i64, message: &str) -> Self {
        let error = json!({ "code": code, "message": message });
        Self::json(
            200,
            &json!({ "jsonrpc": "2.0", "id": request.json()["id"], "error": error }),
        )
    }

    /// A refusal that does not say of what.
    pub fn id_less(status: u16, code: i64, message: &str) -> Self {
        Self::json(
            status,
            &json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } }),
        )
    }

    /// A stream of events, told act by act; it ends well unless told otherwise.
    pub fn stream() -> Self {
        Self {
            body: Body::Stream(Vec::new()),
            ..Self::new(200)
        }
        .header("Content-Type", "text/event-stream")
    }

    /// Exactly these bytes in place of HTTP, and then a close.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Body::Raw(vec![Act::Bytes(bytes.into()), Act::Close]),
            ..Self::new(0)
        }
    }

    /// Nothing until the gate opens, which it may never do; then the answer.
    pub fn after(gate: &Gate, reply: Self) -> Self {
        let mut acts = vec![Act::Wait(gate.clone())];
        acts.extend(reply.acts());
        Self {
            body: Body::Raw(acts),
            ..Self::new(0)
        }
    }

    /// Nothing, ever.
    pub fn silence() -> Self {
        Self::after(&Gate::closed(), Self::new(500))
    }

    /// A reset of the connection in place of an answer.
    pub fn reset() -> Self {
        Self {
            body: Body::Raw(vec![Act::Reset]),
            ..Self::new(0)
        }
    }

    /// The same reply with a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Then: one event with this message.
    #[must_use]
    pub fn event(self, message: &Value) -> Self {
        self.raw(event(message))
    }

    /// Then: this question, and nothing more until it was answered.
    #[must_use]
    pub fn ask(self, question: &Value) -> Self {
        self.event(question).hear(&question["id"])
    }

    /// Then: nothing until the question with this id was answered.
    #[must_use]
    pub fn hear(self, question: &Value) -> Self {
        self.then(Act::Hear(question.clone()))
    }

    /// Then: the result of the request, made of the answers so far in the order in which they were waited for.
    #[must_use]
    pub fn conclude(
        self,
        request: &Request,
        result: impl FnOnce(&[Value]) -> Value + Send + 'static,
    ) -> Self {
        let request = request.clone();
        self.then(Act::Tell(Box::new(move |answers| {
            answer(&request, &result(answers))
        })))
    }

    /// Then: one event with the result of the request.
    #[must_use]
    pub fn result_event(self, request: &Request, result: &Value) -> Self {
        self.event(&answer(request, result))
    }

    /// Then: these bytes of the stream, whatever they are.
    #[must_use]
    pub fn raw(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Act::Bytes(chunk(bytes.as_ref())))
    }

    /// Then: nothing until the gate opens.
    #[must_use]
    pub fn wait(self, gate: &Gate) -> Self {
        self.then(Act::Wait(gate.clone()))
    }

    /// Then: nothing for as long as the work takes.
    #[must_use]
    pub fn work(self, time: Duration) -> Self {
        self.then(Act::Work(time))
    }

    /// Then: a close in the middle of the stream.
    #[must_use]
    pub fn cut(self) -> Self {
        self.then(Act::Close)
    }

    /// Then: a reset in the middle of the stream.
    #[must_use]
    pub fn torn(self) -> Self {
        self.then(Act::Reset)
    }

    pub(super) fn then(mut self, act: Act) -> Self {
        match &mut self.body {
            Body::Stream(acts) => acts.push(act),
            Body::Whole(_) | Body::Raw(_) => panic!("only a stream goes on"),
        }
        self
    }

    pub(super) fn acts(self) -> Vec<Act> {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        for (name, value) in &self.headers.0 {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.body {
            Body::Raw(acts) => acts,
            Body::Whole(body) => {
                if self.status != 204 {
                    head.push_str(&format!("Content-Length: {}\r\n", body.len()));
                }
                let mut bytes = format!("{head}\r\n").into_bytes();
                bytes.extend(body);
                vec![Act::Bytes(bytes)]
            }
            Body::Stream(acts) => {
                head.push_str("Transfer-Encoding: chunked\r\n\r\n");
                let end = Act::Bytes(b"0\r\n\r\n".to_vec());
                std::iter::once(Act::Bytes(head.into_bytes()))
                    .chain(acts)
                    .chain([end])
                    .collect()
            }
        }
    }
}

/// One event with a message in it.
pub(super) fn event(message: &Value) -> Vec<u8> {
    format!("event: message\ndata: {message}\n\n").into_bytes()
}

/// One piece of a body of unknown length.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend(bytes);
    chunk.extend(b"\r\n");
    chunk
}

fn answer(request: &Request, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": request.json()["id"], "result": result })
}
