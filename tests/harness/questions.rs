//! Questions to users in the words of both eras: as a request in the middle of a call, and as a result in place of it.
use serde_json::{Map, Value, json};

/// A question before it is put: its method, and its parameters.
#[derive(Clone, Debug)]
pub struct Question {
    method: &'static str,
    params: Value,
}

/// For a name, by a form.
pub fn name() -> Question {
    let form =
        json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
    Question {
        method: "elicitation/create",
        params: json!({ "message": "What is your name?", "requestedSchema": form }),
    }
}

/// For a visit to a page, in the words of 2026-07-28.
pub fn visit(url: &str) -> Question {
    Question {
        method: "elicitation/create",
        params: json!({ "mode": "url", "message": "Look at this.", "url": url }),
    }
}

/// For a completion.
pub fn completion() -> Question {
    let message = json!({ "role": "user", "content": { "type": "text", "text": "What?" } });
    Question {
        method: "sampling/createMessage",
        params: json!({ "messages": [message], "maxTokens": 10 }),
    }
}

/// For the roots.
pub fn roots() -> Question {
    Question {
        method: "roots/list",
        params: json!({}),
    }
}

impl Question {
    /// The same with another member in its parameters.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.params[member] = value;
        self
    }

    /// As a request of the earlier revisions.
    pub fn request(&self, id: &str) -> Value {
        json!({ "jsonrpc": "2.0", "id": id, "method": self.method, "params": self.params })
    }

    /// As one of the input requests of 2026-07-28, which has no `mode` where it is the usual one.
    fn input(&self) -> Value {
        json!({ "method": self.method, "params": self.params })
    }
}

/// The result of 2026-07-28 that asks these questions, each under its key.
pub fn input_required(questions: &[(&str, Question)], state: Option<&str>) -> Value {
    let requests: Map<String, Value> = questions
        .iter()
        .map(|(key, question)| ((*key).to_owned(), question.input()))
        .collect();
    let mut result = json!({ "resultType": "input_required" });
    if !requests.is_empty() {
        result["inputRequests"] = Value::Object(requests);
    }
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    result
}

/// What a user says who fills in the form of [`name`].
pub fn named(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

/// What a model says.
pub fn completed(text: &str) -> Value {
    json!({ "role": "assistant", "model": "m", "content": { "type": "text", "text": text } })
}
