//! The tools: one for each thing a tool can do.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::call::{Call, Question, Stop};
use super::catalog;
use super::changes::Change;
use super::level::Level;
use super::message::Fault;
use super::resources;
use super::revision::Revision;
use super::server::{Server, page};

/// The most bytes `big` returns.
const BIGGEST: u64 = 64 << 20;

pub(super) fn list(call: &Call) -> Result<Value, Fault> {
    let extra = call.server.extra.load(Ordering::Relaxed);
    page(call, "tools", catalog::tools(call.revision(), extra), 8)
}

pub(super) async fn call(call: &Call) -> Result<Value, Stop> {
    let name = call.param("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Fault::invalid_params("Invalid params: name must be a string"))?;
    let none = Map::new();
    let arguments = Arguments(match call.param("arguments") {
        None => &none,
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(Fault::invalid_params("Invalid params: arguments must be an object").into()),
    });

    let unfinished = Unfinished(&call.server);
    let outcome = match name {
        "echo" => arguments.text("text").map(text),
        "add" => add(call, &arguments),
        "slow" => slow(call, &arguments).await,
        "fail" => Err(Stop::Failed("This tool always fails.".to_owned())),
        "error" => Err(error(&arguments)),
        "image" => Ok(json!({ "content": [
            { "type": "image", "data": resources::LOGO, "mimeType": "image/png" },
        ] })),
        "structured" => Ok(structured(call, measurements())),
        "big" => arguments
            .integer("bytes", 0, BIGGEST)
            .map(|bytes| text("x".repeat(bytes as usize))),
        "log" => log(call, &arguments).await,
        "ask" => ask(call, &arguments).await,
        "sample" => sample(call, &arguments).await,
        "roots" => roots(call).await,
        "headers" => Ok(text(headers(call).to_string())),
        "environment" => environment(&arguments),
        "counter" => {
            let count = call.server.counter.fetch_add(1, Ordering::Relaxed) + 1;
            call.server.changed(Change::Counter);
            Ok(text(count.to_string()))
        }
        "pid" => Ok(text(std::process::id().to_string())),
        "touch" => {
            let listed = !call.server.extra.fetch_xor(true, Ordering::Relaxed);
            call.server.changed(Change::Tools);
            call.server.changed(Change::Counter);
            Ok(text(if listed {
                "extra is listed now"
            } else {
                "extra is gone"
            }))
        }
        "link" => Ok(link(call)),
        "cancelled" => Ok(text(call.server.cancelled.load(Ordering::Relaxed).to_string())),
        "extra" if call.server.extra.load(Ordering::Relaxed) => Ok(text("extra")),
        _ => Err(Fault::invalid_params(format!("Unknown tool: {name}")).into()),
    };
    unfinished.finished();
    outcome
}

/// Counts the call as cancelled unless it came to its end: a cancelled call is a dropped future.
struct Unfinished<'a>(&'a Server);

impl Unfinished<'_> {
    fn finished(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.cancelled.fetch_add(1, Ordering::Relaxed);
    }
}

fn add(call: &Call, arguments: &Arguments<'_>) -> Result<Value, Stop> {
    let (a, b) = (arguments.number("a")?, arguments.number("b")?);
    let whole = a.as_i64().zip(b.as_i64()).and_then(|(a, b)| a.checked_add(b));
    let sum = match (whole, a.as_f64().zip(b.as_f64())) {
        (Some(sum), _) => json!(sum),
        (None, Some((a, b))) if (a + b).is_finite() => json!(a + b),
        _ => return Err(Stop::Failed("the sum is too large".to_owned())),
    };
    let mut result = text(sum.to_string());
    if call.revision() >= Revision::V2506 {
        result["structuredContent"] = json!({ "sum": sum });
    }
    Ok(result)
}

async fn slow(call: &Call, arguments: &Arguments<'_>) -> Result<Value, Stop> {
    let steps = arguments.integer("steps", 1, 100)?;
    let delay = Duration::from_millis(arguments.integer("delay_ms", 0, 60_000)?);
    for step in 1..=steps {
        // Said as the step begins: the TypeScript client drops progress that the result follows at once.
        call.progress(step, steps).await;
        tokio::time::sleep(delay).await;
    }
    Ok(text(format!("done after {steps} steps")))
}

fn error(arguments: &Arguments<'_>) -> Stop {
    let code = arguments.0.get("code").and_then(Value::as_i64).unwrap_or(-32603);
    Fault::new(code, "This tool always answers with an error")
        .data(json!({ "tool": "error" }))
        .into()
}

async fn log(call: &Call, arguments: &Arguments<'_>) -> Result<Value, Stop> {
    let level = match arguments.0.get("level") {
        None => Level(1),
        Some(name) => Level::parse(name)
            .ok_or_else(|| Stop::Failed(format!("level must be one of {}", Level::NAMES.join(", "))))?,
    };
    let count = match arguments.0.get("count") {
        None => 1,
        Some(_) => arguments.integer("count", 0, 1000)?,
    };
    for number in 1..=count {
        call.log(level, format!("message {number} of {count}")).await;
    }
    Ok(text(format!("logged {count} times")))
}

async fn ask(call: &Call, arguments: &Arguments<'_>) -> Result<Value, Stop> {
    let mut params = json!({
        "message": arguments.text("question")?,
        "requestedSchema": {
            "type": "object",
            "properties": { "answer": { "type": "string", "title": "Answer" } },
            "required": ["answer"],
        },
    });
    if call.revision() >= Revision::V2511 {
        params["mode"] = "form".into();
    }
    let response = call.ask(Question::Elicitation, params).await?;
    match response.get("action").and_then(Value::as_str) {
        Some("accept") => match response.pointer("/content/answer") {
            Some(Value::String(answer)) => Ok(text(format!("answer: {answer}"))),
            Some(_) | None => Err(Stop::Failed("the answer has no text in `answer`".to_owned())),
        },
        Some("decline") => Ok(text("declined")),
        Some("cancel") => Ok(text("cancelled")),
        Some(_) | None => Err(Stop::Failed("the answer has no known action".to_owned())),
    }
}

async fn sample(call: &Call, arguments: &Arguments<'_>) -> Result<Value, Stop> {
    let prompt = arguments.text("prompt")?;
    let params = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }],
        "maxTokens": 100,
    });
    let response = call.ask(Question::Sampling, params).await?;
    // Newer clients may send several blocks where older ones send one.
    let blocks: Vec<&Value> = match response.get("content") {
        Some(Value::Array(blocks)) => blocks.iter().collect(),
        Some(block) => vec![block],
        None => Vec::new(),
    };
    let texts: Vec<&str> = blocks
        .into_iter()
        .filter_map(|block| block.get("text")?.as_str())
        .collect();
    if texts.is_empty() {
        return Err(Stop::Failed("the model's answer has no text".to_owned()));
    }
    Ok(text(texts.join("\n")))
}

async fn roots(call: &Call) -> Result<Value, Stop> {
    let response = call.ask(Question::Roots, json!({})).await?;
    let Some(roots) = response.get("roots").and_then(Value::as_array) else {
        return Err(Stop::Failed("the answer has no roots".to_owned()));
    };
    let uris: Vec<&str> = roots
        .iter()
        .filter_map(|root| root.get("uri")?.as_str())
        .collect();
    Ok(text(uris.join("\n")))
}

/// The headers as a JSON object; several lines of one name are joined as RFC 9110 §5.3 says.
fn headers(call: &Call) -> Value {
    let mut seen = Map::new();
    let headers = call.headers.iter().flat_map(|headers| headers.iter());
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match seen.get_mut(name.as_str()) {
            Some(Value::String(line)) => *line = format!("{line}, {value}"),
            Some(_) | None => {
                seen.insert(name.to_string(), value.into());
            }
        }
    }
    Value::Object(seen)
}

fn environment(arguments: &Arguments<'_>) -> Result<Value, Stop> {
    let names = arguments.0.get("names").and_then(Value::as_array);
    let names: Option<Vec<&str>> = names.and_then(|names| names.iter().map(Value::as_str).collect());
    let Some(names) = names else {
        return Err(Stop::Failed("names must be an array of strings".to_owned()));
    };
    let values: Map<String, Value> = names
        .into_iter()
        .map(|name| (name.to_owned(), json!(std::env::var(name).ok())))
        .collect();
    Ok(text(Value::Object(values).to_string()))
}

fn link(call: &Call) -> Value {
    let first = if call.revision() >= Revision::V2506 {
        json!({
            "type": "resource_link", "uri": "demo://logo.png", "name": "logo", "title": "Logo",
            "mimeType": "image/png",
        })
    } else {
        json!({ "type": "text", "text": "logo <demo://logo.png> (image/png)" })
    };
    json!({ "content": [first, { "type": "resource", "resource": resources::greeting() }] })
}

fn measurements() -> Value {
    json!({
        "place": { "name": "Lindau", "coordinates": { "latitude": 47.55, "longitude": 9.69 } },
        "readings": [
            { "hour": 6, "celsius": 8.5, "rain": false },
            { "hour": 12, "celsius": 17.25, "rain": false },
            { "hour": 18, "celsius": 14, "rain": true },
        ],
    })
}

/// The same twice, since older clients read only the text (2025-06-18 server/tools §Structured Content).
fn structured(call: &Call, content: Value) -> Value {
    let mut result = text(content.to_string());
    if call.revision() >= Revision::V2506 {
        result["structuredContent"] = content;
    }
    result
}

fn text(text: impl Into<String>) -> Value {
    json!({ "content": [{ "type": "text", "text": text.into() }] })
}

/// A tool's arguments. What does not fit is told to the model, which may correct itself.
struct Arguments<'a>(&'a Map<String, Value>);

impl Arguments<'_> {
    fn text(&self, name: &str) -> Result<String, Stop> {
        let value = self.0.get(name).and_then(Value::as_str).map(str::to_owned);
        value.ok_or_else(|| Stop::Failed(format!("{name} must be a string")))
    }

    fn number(&self, name: &str) -> Result<&Value, Stop> {
        let value = self.0.get(name).filter(|value| value.is_number());
        value.ok_or_else(|| Stop::Failed(format!("{name} must be a number")))
    }

    fn integer(&self, name: &str, least: u64, most: u64) -> Result<u64, Stop> {
        // `3.0` is an integer to JSON Schema.
        let whole = |value: &Value| {
            value
                .as_f64()
                .filter(|number| number.fract() == 0.0 && *number >= 0.0)
        };
        let value = self
            .0
            .get(name)
            .and_then(|value| value.as_u64().or(whole(value).map(|number| number as u64)));
        let value = value.filter(|value| (least..=most).contains(value));
        value.ok_or_else(|| Stop::Failed(format!("{name} must be an integer from {least} to {most}")))
    }
}
