//! What two peers say to each other on a line that does not tell its revision: a pipe, or HTTP+SSE. Each message is
//! judged in the revision that was agreed on, and an answer as one to its request.
use std::collections::HashMap;

use serde_json::Value;

use crate::{LEGACY, MODERN, Side, schema};

/// A dialogue so far.
#[derive(Default)]
pub(crate) struct Dialogue {
    /// What the handshake came to, if there was one.
    agreed: Option<String>,
    /// The requests that have no answer yet, by the text of their ids.
    asked: HashMap<String, Asked>,
    /// Answers that were heard before their requests: over HTTP+SSE the two take different connections.
    early: HashMap<String, Value>,
}

struct Asked {
    method: String,
    revision: String,
}

/// What the judge says to one message.
pub(crate) struct Verdict {
    pub(crate) side: Side,
    pub(crate) revision: String,
    pub(crate) outcome: Result<(), String>,
}

impl Dialogue {
    /// The verdicts on what was said, one message or a batch.
    pub(crate) fn hear(&mut self, side: Side, said: Value) -> Vec<Verdict> {
        let messages = match said {
            Value::Array(all) => all,
            one => vec![one],
        };
        let each = messages.into_iter().flat_map(|message| match side {
            Side::Client => self.client(&message),
            Side::Server => self.server(message).into_iter().collect(),
        });
        each.collect()
    }

    /// Of a request whose answer was there before it there are two verdicts.
    fn client(&mut self, message: &Value) -> Vec<Verdict> {
        let revision = revision_on(message).unwrap_or_else(|| self.agreed());
        let mut verdicts = vec![Verdict {
            side: Side::Client,
            outcome: schema::judge_request(&revision, message),
            revision: revision.clone(),
        }];
        if message["method"] == "initialize" {
            // Until its answer says another.
            self.agreed = Some(revision.clone());
        }
        if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
            let (id, method) = (id.to_string(), method.to_owned());
            let early = self.early.remove(&id);
            self.asked.insert(id, Asked { method, revision });
            verdicts.extend(early.and_then(|early| self.server(early)));
        }
        verdicts
    }

    /// None yet on an answer to what was not heard.
    fn server(&mut self, message: Value) -> Option<Verdict> {
        let answers = message.get("method").is_none() && message.get("id").is_some_and(|id| !id.is_null());
        let asked = match answers {
            true => {
                let id = message["id"].to_string();
                let Some(asked) = self.asked.remove(&id) else {
                    self.early.insert(id, message);
                    return None;
                };
                asked
            }
            false => Asked {
                method: String::new(),
                revision: self.agreed(),
            },
        };
        let mut revision = asked.revision;
        if asked.method == "initialize"
            && let Some(agreed) = message["result"]["protocolVersion"].as_str()
        {
            self.agreed = Some(known(agreed));
            revision = self.agreed();
        }
        Some(Verdict {
            side: Side::Server,
            outcome: schema::judge_answer(&revision, &asked.method, &message),
            revision,
        })
    }

    /// Without a handshake only 2026-07-28 is spoken.
    fn agreed(&self) -> String {
        self.agreed.clone().unwrap_or_else(|| MODERN.to_owned())
    }
}

/// What a client's message itself says of its revision.
pub(crate) fn revision_on(message: &Value) -> Option<String> {
    let params = &message["params"];
    let said = match message["method"].as_str() {
        Some("initialize") => params["protocolVersion"].as_str(),
        _ => params["_meta"]["io.modelcontextprotocol/protocolVersion"].as_str(),
    };
    said.map(known)
}

/// A peer may ask for a revision that does not exist; it is judged by the oldest.
fn known(revision: &str) -> String {
    match LEGACY.contains(&revision) || revision == MODERN {
        true => revision.to_owned(),
        false => LEGACY[0].to_owned(),
    }
}
