//! What a tool asks before it goes on (2026-07-28 basic §Multi-round-trip requests), and what the person at the terminal says.

use std::fmt;

use mcp::input::{InputRequest, InputRequired};
use mcp::{Method, Object};
use serde_json::{Map, Value, json};

use super::form::{self, Field};
use super::reader::Reader;
use crate::terminal::{Paint, harmless};

/// Answers to all questions of one result, and what is to be echoed with them.
pub(super) struct Answers {
    answers: Map<String, Value>,
    state: Option<String>,
}

/// Why a question was not answered.
pub(super) enum Unanswered {
    /// Nobody sits there; these are the questions.
    Nobody(Vec<String>),
    /// It is no question to a person.
    NotForPeople(String),
}

/// What the person does with a question.
enum Choice {
    Accept,
    Decline,
    Cancel,
}

impl Answers {
    /// Puts the questions one after the other.
    ///
    /// # Errors
    /// When nobody can answer them.
    pub(super) async fn to(asked: &InputRequired<'_>, reader: &mut Reader) -> Result<Self, Unanswered> {
        if let Some(other) = asked
            .requests
            .iter()
            .find(|request| request.method != Method::ElicitationCreate)
        {
            return Err(Unanswered::NotForPeople(
                harmless::line(other.method.as_str()).into_owned(),
            ));
        }
        if !reader.is_somebody() && !asked.requests.is_empty() {
            return Err(Unanswered::Nobody(asked.requests.iter().map(told).collect()));
        }
        let mut answers = Map::new();
        for request in &asked.requests {
            answers.insert(request.key.to_string(), answer(request, reader).await);
        }
        Ok(Self {
            answers,
            state: asked
                .state
                .map(|state| String::from_utf8_lossy(state).into_owned()),
        })
    }

    /// Members for the parameters of the same call, made again: JSON text with a comma before each.
    pub(super) fn params(&self) -> String {
        let mut text = String::new();
        if !self.answers.is_empty() {
            let answers = Value::Object(self.answers.clone());
            text = format!(r#","inputResponses":{answers}"#);
        }
        if let Some(state) = &self.state {
            text += &format!(r#","requestState":{state}"#);
        }
        text
    }
}

fn params(request: &InputRequest<'_>) -> Value {
    let params = request.params.as_deref().unwrap_or_default();
    serde_json::from_slice(params).unwrap_or_default()
}

/// The fields of a form.
fn fields(request: &InputRequest<'_>) -> Vec<Field> {
    let params = request
        .params
        .as_deref()
        .and_then(|params| Object::parse(params).ok());
    let schema = params.as_ref().and_then(|params| params.get("requestedSchema"));
    form::fields(schema.unwrap_or_default())
}

async fn answer(request: &InputRequest<'_>, reader: &mut Reader) -> Value {
    let params = params(request);
    let message = harmless::lines(params["message"].as_str().unwrap_or_default());
    reader.say(&format!("{}\n", reader.screen.paint(Paint::Bold, message.trim())));
    if params["mode"] == "url" {
        // Never opened by us: whether to go there is the user's decision, the whole address before their eyes.
        let url = harmless::line(params["url"].as_str().unwrap_or_default()).into_owned();
        reader.say(&format!("  {url}\nOpen it in a browser, then go on here.\n"));
    }
    match choice(reader).await {
        Choice::Decline => return json!({ "action": "decline" }),
        Choice::Cancel => return json!({ "action": "cancel" }),
        Choice::Accept if params["mode"] == "url" => return json!({ "action": "accept" }),
        Choice::Accept => {}
    }
    let mut content = Map::new();
    for field in &fields(request) {
        match filled(field, reader).await {
            Ok(Some(value)) => {
                content.insert(field.name().to_owned(), value);
            }
            Ok(None) => {}
            Err(NoMore) => return json!({ "action": "cancel" }),
        }
    }
    json!({ "action": "accept", "content": content })
}

/// Nobody answers any more.
struct NoMore;

/// The value of a field, asked for until it fits; `None` for one that is left out.
async fn filled(field: &Field, reader: &mut Reader) -> Result<Option<Value>, NoMore> {
    reader.say(&field.choices());
    loop {
        let line = reader.line(&field.question()).await.ok_or(NoMore)?;
        match field.value(&line) {
            Ok(value) => return Ok(value),
            Err(wrong) => reader.say(&format!("    {}\n", reader.screen.paint(Paint::Yellow, &wrong))),
        }
    }
}

async fn choice(reader: &mut Reader) -> Choice {
    loop {
        let Some(line) = reader.line("Answer? [Y]es, [d]ecline, [c]ancel: ").await else {
            return Choice::Cancel;
        };
        match line.to_lowercase().as_str() {
            "" | "y" | "yes" | "a" | "accept" => return Choice::Accept,
            "d" | "decline" | "n" | "no" => return Choice::Decline,
            "c" | "cancel" => return Choice::Cancel,
            _ => {}
        }
    }
}

/// A question and its fields in one line.
fn told(request: &InputRequest<'_>) -> String {
    let params = params(request);
    let message = harmless::line(params["message"].as_str().unwrap_or_default()).into_owned();
    if let Some(url) = params["url"].as_str() {
        return format!("{message} ({})", harmless::line(url));
    }
    let fields = fields(request);
    let names: Vec<_> = fields.iter().map(|field| harmless::line(field.name())).collect();
    match names.is_empty() {
        true => message,
        false => format!("{message} ({})", names.join(", ")),
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(questions) => {
                writeln!(f, "the tool asks something before it goes on:")?;
                for question in questions {
                    writeln!(f, "  {question}")?;
                }
                write!(
                    f,
                    "  answering needs a terminal: call it there, with the arguments on the command line"
                )
            }
            Self::NotForPeople(method) => {
                write!(f, "the tool asks for `{method}`, which a command line cannot do")
            }
        }
    }
}
