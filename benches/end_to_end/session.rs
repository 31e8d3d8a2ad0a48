//! One client of revision 2025-06-18: greets, calls a tool with 1 KiB, and believes no answer unchecked.

use std::borrow::Cow;
use std::net::SocketAddr;

use causeway_bench::{Outcome, Wire, answer, greet, head, unlike};
use serde::Deserialize;

/// The length of a call's body, exactly.
const BODY: usize = 1024;

pub(crate) struct Session {
    number: usize,
    wire: Wire,
    /// The head of every call: all bodies have one length.
    head: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: usize,
    #[serde(borrow)]
    result: Echo<'a>,
}

#[derive(Deserialize)]
struct Echo<'a> {
    #[serde(borrow)]
    content: Vec<Text<'a>>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Session {
    pub(crate) async fn open(number: usize, address: SocketAddr, path: &str) -> Outcome<Self> {
        let mut wire = Wire::connect(address).await?;
        let id = greet(&mut wire, address, path).await?;
        Ok(Self {
            number,
            wire,
            head: head(address, path, Some(&id), BODY),
            out: Vec::new(),
        })
    }

    /// Calls the tool and checks that the answer is to this call of this session.
    pub(crate) async fn call(&mut self, call: usize) -> Outcome<()> {
        self.out.clear();
        self.out.extend_from_slice(&self.head);
        let text = write_call(&mut self.out, self.number, call);
        self.wire.send(&self.out).await?;
        let letter = answer(&mut self.wire, "tools/call", "200").await?;
        let json = letter.json();
        let parsed: Answer =
            serde_json::from_slice(json).map_err(|error| unlike(json, &error.to_string()))?;
        if parsed.id != call {
            return Err(unlike(json, &format!("its id is not {call}")));
        }
        if parsed
            .result
            .content
            .first()
            .is_none_or(|part| part.text.as_bytes() != &self.out[text])
        {
            return Err(unlike(json, "its text is not what was sent"));
        }
        Ok(())
    }
}

/// Appends a call's body of [`BODY`] bytes and says where in `out` its text lies.
fn write_call(out: &mut Vec<u8>, session: usize, call: usize) -> std::ops::Range<usize> {
    let begin = out.len();
    out.extend_from_slice(
        format!(
            r#"{{"jsonrpc":"2.0","id":{call},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":""#
        )
        .as_bytes(),
    );
    let text = out.len();
    // The text names its call, so that a crossed answer cannot pass for the right one.
    out.extend_from_slice(format!("session {session} call {call} ").as_bytes());
    let end = r#""}}}"#;
    out.resize(begin + BODY - end.len(), b'.');
    let text = text..out.len();
    out.extend_from_slice(end.as_bytes());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_kibibyte_of_json_that_names_itself() {
        let mut out = b"head".to_vec();

        let text = write_call(&mut out, 3, 27);

        assert_eq!(out.len(), 4 + BODY);
        let call: serde_json::Value = serde_json::from_slice(&out[4..]).expect("a call is JSON");
        assert_eq!(call["id"], 27);
        assert_eq!(
            call["params"]["arguments"]["text"].as_str().map(str::as_bytes),
            Some(&out[text.clone()])
        );
        assert!(out[text].starts_with(b"session 3 call 27 "));
    }
}
