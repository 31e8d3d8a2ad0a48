//! The tools of the small server. Users are asked in the way of the era: by a request, or by a result that says what is
//! missing.
use std::sync::Arc;

use rmcp::{ErrorData, RoleServer, model::*, service::RequestContext};
use serde_json::{Value, json};

use crate::{
    GREETING,
    world::{Change, World},
};

pub(crate) fn all() -> Vec<Tool> {
    let tool = |name: &'static str, fields: Value| {
        let schema = json!({ "type": "object", "properties": fields });
        let Value::Object(schema) = schema else {
            unreachable!("it is one")
        };
        Tool::new(name, name, Arc::new(schema))
    };
    let text = || json!({ "type": "string" });
    vec![
        tool("echo", json!({ "message": text() })),
        tool("steps", json!({ "key": text(), "count": { "type": "integer" } })),
        tool("open", json!({ "key": text() })),
        tool("ended", json!({ "key": text() })),
        tool("log", json!({})),
        tool("sample", json!({})),
        tool("elicit", json!({})),
        tool("visit", json!({})),
        tool("roots", json!({})),
        tool("touch", json!({})),
        tool("grow", json!({})),
        tool("measure", json!({ "text": text() })),
        tool("fill", json!({ "size": { "type": "integer" } })),
    ]
}

pub(crate) async fn call(
    world: &World,
    params: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = Value::Object(params.arguments.clone().unwrap_or_default());
    let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    let said = match params.name.as_ref() {
        "echo" => text("message"),
        "steps" => {
            steps(
                world,
                &text("key"),
                arguments["count"].as_u64().unwrap_or(1),
                &context,
            )
            .await?
        }
        "open" => {
            world.open(&text("key"));
            "opened".to_owned()
        }
        "ended" => {
            world.ended(&text("key")).await;
            "cancelled".to_owned()
        }
        "log" => {
            let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!("a line"));
            context
                .peer
                .notify_logging_message(message)
                .await
                .map_err(failed)?;
            "logged".to_owned()
        }
        "sample" | "elicit" | "visit" | "roots" => return ask(&params, &context).await,
        "touch" => {
            if is_modern(&context) {
                world.tell(Change::Greeting);
            } else {
                let updated = ResourceUpdatedNotificationParam::new(GREETING);
                context
                    .peer
                    .notify_resource_updated(updated)
                    .await
                    .map_err(failed)?;
            }
            "touched".to_owned()
        }
        "grow" => {
            if is_modern(&context) {
                world.tell(Change::Tools);
            } else {
                context.peer.notify_tool_list_changed().await.map_err(failed)?;
            }
            "grown".to_owned()
        }
        "measure" => text("text").len().to_string(),
        "fill" => "x".repeat(usize::try_from(arguments["size"].as_u64().unwrap_or(0)).unwrap_or(0)),
        other => return Err(ErrorData::invalid_params(format!("unknown tool {other}"), None)),
    };
    Ok(tell(said))
}

fn tell(text: String) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

/// Reports step after step, each only once the one before has been answered by `open`.
async fn steps(
    world: &World,
    key: &str,
    count: u64,
    context: &RequestContext<RoleServer>,
) -> Result<String, ErrorData> {
    for step in 1..=count {
        if let Some(token) = context.meta.get_progress_token() {
            #[allow(clippy::cast_precision_loss, reason = "tests take a few steps")]
            let report = ProgressNotificationParam::new(token, step as f64).with_total(count as f64);
            context.peer.notify_progress(report).await.map_err(failed)?;
        }
        tokio::select! {
            () = world.opened(key, step) => {}
            () = context.ct.cancelled() => {
                world.cancel(key);
                return Err(ErrorData::internal_error("cancelled", None));
            }
        }
    }
    Ok(format!("{count} steps of {key}"))
}

async fn ask(
    params: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let question = question(&params.name)?;
    let answer = if !is_modern(context) {
        answer_of(context, question).await?
    } else if let Some(answer) = params.input_responses.as_ref().and_then(|all| all.get("it")) {
        answer.clone()
    } else {
        return Ok(InputRequiredResult::from_input_requests([("it".to_owned(), question)].into()).into());
    };
    let said = match params.name.as_ref() {
        "sample" => {
            // One block, or a list of them, by revision.
            let content = &answer["content"];
            content["text"]
                .as_str()
                .or(content[0]["text"].as_str())
                .map(str::to_owned)
        }
        "elicit" => answer["content"]["name"]
            .as_str()
            .map(|name| format!("hello, {name}")),
        "visit" => answer["action"].as_str().map(str::to_owned),
        _ => answer["roots"][0]["uri"].as_str().map(str::to_owned),
    };
    said.map(tell)
        .ok_or_else(|| failed(format!("no answer in {answer}")))
}

fn question(tool: &str) -> Result<InputRequest, ErrorData> {
    let form =
        json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
    let question = match tool {
        "sample" => InputRequest::CreateMessage(CreateMessageRequest::new(CreateMessageRequestParams::new(
            vec![SamplingMessage::user_text("What?")],
            10,
        ))),
        "elicit" => {
            InputRequest::Elicitation(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
                meta: None,
                message: "What is your name?".to_owned(),
                requested_schema: serde_json::from_value(form).map_err(failed)?,
            }))
        }
        "visit" => {
            let params = json!({
                "mode": "url", "message": "Look at this.", "url": "https://example.com/page", "elicitationId": "page",
            });
            InputRequest::Elicitation(ElicitRequest::new(
                serde_json::from_value(params).map_err(failed)?,
            ))
        }
        _ => InputRequest::ListRoots(ListRootsRequest::default()),
    };
    Ok(question)
}

async fn answer_of(context: &RequestContext<RoleServer>, question: InputRequest) -> Result<Value, ErrorData> {
    let peer = &context.peer;
    let answer = match question {
        InputRequest::CreateMessage(request) => {
            serde_json::to_value(peer.create_message(request.params).await.map_err(failed)?)
        }
        InputRequest::Elicitation(request) => {
            serde_json::to_value(peer.create_elicitation(request.params).await.map_err(failed)?)
        }
        InputRequest::ListRoots(_) => serde_json::to_value(peer.list_roots().await.map_err(failed)?),
        _ => return Err(failed("a question of another kind")),
    };
    answer.map_err(failed)
}

fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= "2026-07-28")
}

fn failed(why: impl ToString) -> ErrorData {
    ErrorData::internal_error(why.to_string(), None)
}
