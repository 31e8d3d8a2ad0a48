//! One client, with a session or of 2026-07-28: calls a tool with 1 KiB, and believes no answer unchecked.

use std::borrow::Cow;
use std::net::SocketAddr;

use causeway_bench::{Outcome, Wire, answer, greet, head, head_with, unlike};
use serde::Deserialize;

/// The length of a call's body, exactly.
const BODY: usize = 1024;

/// What a client, or a server, speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-11-25, in a session.
    Legacy,
    /// 2026-07-28, without.
    Modern,
}

impl Era {
    /// Its revision.
    pub(crate) fn revision(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }

    /// How the parameters of a call end.
    fn end_of_call(self) -> &'static str {
        match self {
            Self::Legacy => "}}",
            Self::Modern => {
                r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"causeway-bench","version":"0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#
            }
        }
    }
}

pub(crate) struct Session {
    era: Era,
    number: usize,
    tool: &'static str,
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
    /// Where `tool` is what the tool that echoes is called.
    pub(crate) async fn open(
        era: Era,
        number: usize,
        address: SocketAddr,
        path: &str,
        tool: &'static str,
    ) -> Outcome<Self> {
        let mut wire = Wire::connect(address).await?;
        let head = head_of_call(&mut wire, era, address, path, tool, BODY).await?;
        Ok(Self {
            era,
            number,
            tool,
            wire,
            head,
            out: Vec::new(),
        })
    }

    /// Calls the tool and checks that the answer is to this call of this session.
    pub(crate) async fn call(&mut self, call: usize) -> Outcome<()> {
        self.out.clear();
        self.out.extend_from_slice(&self.head);
        let text = write_call(&mut self.out, self.era, self.tool, self.number, call);
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

/// The head of a client's calls of a tool, after what its era wants to come first.
pub(crate) async fn head_of_call(
    wire: &mut Wire,
    era: Era,
    address: SocketAddr,
    path: &str,
    tool: &str,
    length: usize,
) -> Outcome<Vec<u8>> {
    Ok(match era {
        Era::Legacy => {
            let id = greet(wire, address, path).await?;
            head(address, path, Some(&id), length)
        }
        Era::Modern => {
            let revision = era.revision();
            let lines =
                format!("MCP-Protocol-Version: {revision}\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n");
            head_with(address, path, &lines, length)
        }
    })
}

/// The request for a list of tools, of 2026-07-28.
pub(crate) fn list_request(address: SocketAddr, path: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{}"#,
        Era::Modern.end_of_call().trim_start_matches(',')
    );
    let lines = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n";
    let mut request = head_with(address, path, lines, body.len());
    request.extend_from_slice(body.as_bytes());
    request
}

/// The body of a call of the tool that gives much.
pub(crate) fn call_for_much(era: Era, call: usize) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{call},"method":"tools/call","params":{{"name":"fill","arguments":{{}}{}"#,
        era.end_of_call()
    )
}

/// Appends a call's body of [`BODY`] bytes and says where in `out` its text lies.
fn write_call(
    out: &mut Vec<u8>,
    era: Era,
    tool: &str,
    session: usize,
    call: usize,
) -> std::ops::Range<usize> {
    let begin = out.len();
    out.extend_from_slice(
        format!(
            r#"{{"jsonrpc":"2.0","id":{call},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":""#
        )
        .as_bytes(),
    );
    let text = out.len();
    // The text names its call, so that a crossed answer cannot pass for the right one.
    out.extend_from_slice(format!("session {session} call {call} ").as_bytes());
    let end = [r#""}"#, era.end_of_call()];
    out.resize(begin + BODY - end[0].len() - end[1].len(), b'.');
    let text = text..out.len();
    end.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_kibibyte_of_json_that_names_itself() {
        for era in [Era::Legacy, Era::Modern] {
            let mut out = b"head".to_vec();

            let text = write_call(&mut out, era, "echo", 3, 27);

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
}
