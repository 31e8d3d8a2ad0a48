//! `causeway call`: calls a tool at an endpoint, answers what it asks, and shows what it returns.

mod arguments;
mod content;
mod questions;
mod reader;
mod form;
mod live;

use std::process::ExitCode;

use mcp::header::Parameters;
use mcp::input::{InputRequired, ResultType, result_type};
use mcp::{Message, Object};
use serde_json::Value;

use super::door::{Address, Door, Trouble};
use super::listing::{Listing, Which};
use crate::terminal::{Screen, harmless};
pub(crate) use arguments::Arguments;
use live::Live;
use questions::{Answers, Unanswered};
use reader::Reader;

/// A tool that asks more often than this does not want to be answered.
const ROUNDS: usize = 64;

/// Exit status after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Exit status for arguments that are no JSON.
const MISTAKEN: u8 = 2;

/// What to call, and where.
#[derive(clap::Args, Debug)]
pub(crate) struct Call {
    /// The tool, as `causeway tools` lists it
    tool: String,
    /// Its arguments: JSON, `@FILE` with it, or `-` for standard input
    arguments: Option<String>,
    /// The result as JSON, as it came
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    address: Address,
}

/// How a call ended otherwise than by a result.
enum Stop {
    Trouble(Trouble),
    Unanswered(Unanswered),
    /// It kept asking.
    TooOften,
}

/// Calls it. Ctrl-C ends the call, at the server too.
pub(crate) fn call(call: &Call) -> ExitCode {
    let arguments = match Arguments::read(call.arguments.as_deref()) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("causeway call: {wrong}");
            return ExitCode::from(MISTAKEN);
        }
    };
    super::with_runtime("call", async {
        tokio::select! {
            code = made(call, &arguments) => code,
            Ok(()) = tokio::signal::ctrl_c() => {
                if Screen::stderr().is_terminal() {
                    eprint!("\r\u{1b}[2K");
                }
                eprintln!("`{}` was interrupted; its call is cancelled", harmless::line(&call.tool));
                ExitCode::from(INTERRUPTED)
            }
        }
    })
}

async fn made(call: &Call, arguments: &Arguments) -> ExitCode {
    let mut door = match Door::new(&call.address) {
        Ok(door) => door,
        Err(trouble) => return super::failed("call", None, &trouble),
    };
    // What is listed says which arguments stand in headers, and which name may have been meant.
    let listed = Listing::read(&mut door, Which::Tools).await;
    if let Err(trouble @ (Trouble::Unreachable(_) | Trouble::Status(..))) = listed {
        return super::failed("call", Some(door.url()), &trouble);
    }
    let listed = listed.map_or(Vec::new(), |listed| listed.items);
    let listed: Vec<Object<'_>> = listed
        .iter()
        .filter_map(|tool| Object::parse(tool.get().as_bytes()).ok())
        .collect();
    let tool = listed
        .iter()
        .find(|tool| tool.get_text("name").as_deref() == Some(call.tool.as_str()));
    let repeated = tool
        .and_then(|tool| Parameters::of_schema(tool.get("inputSchema")?).ok())
        .unwrap_or_default();
    match finished(&mut door, call, arguments, &repeated).await {
        Ok(message) => shown(&message, call.json, &call.tool),
        Err(Stop::Unanswered(unanswered)) => {
            eprintln!("causeway call: {unanswered}");
            ExitCode::FAILURE
        }
        Err(Stop::TooOften) => {
            eprintln!("causeway call: it asked {ROUNDS} times, and was not answered again");
            ExitCode::FAILURE
        }
        Err(Stop::Trouble(trouble)) => {
            let at = format!("`{}` at {}", harmless::line(&call.tool), door.url());
            let unknown = matches!(trouble, Trouble::Refused { code, .. } if code == mcp::code::INVALID_PARAMS)
                && tool.is_none()
                && !listed.is_empty();
            if unknown {
                eprintln!(
                    "causeway call: {at}: {trouble}\n  {}",
                    nearest(&call.tool, &listed)
                );
                return ExitCode::FAILURE;
            }
            super::failed("call", Some(&at), &trouble)
        }
    }
}

/// Calls until there is a result, and answers what is asked between.
async fn finished(
    door: &mut Door,
    call: &Call,
    arguments: &Arguments,
    repeated: &Parameters,
) -> Result<Message, Stop> {
    let named = format!(
        r#","name":{},"arguments":{}"#,
        Value::from(call.tool.as_str()),
        arguments.json()
    );
    let mut reader = Reader::of(arguments);
    let mut more = String::new();
    for _ in 0..ROUNDS {
        let mut live = Live::new();
        let params = format!("{named}{more}");
        let answer = door
            .ask("tools/call", &params, Some(repeated), &mut |message| {
                live.hear(message)
            })
            .await;
        drop(live);
        let message = answer.map_err(Stop::Trouble)?;
        if result_type(&message) != ResultType::InputRequired {
            return Ok(message);
        }
        let asked = InputRequired::read(&message)
            .map_err(|why| Stop::Trouble(Trouble::Broken(format!("its questions cannot be read: {why}"))))?;
        let answers = Answers::to(&asked, &mut reader).await.map_err(Stop::Unanswered)?;
        more = answers.params();
    }
    Err(Stop::TooOften)
}

fn shown(message: &Message, json: bool, tool: &str) -> ExitCode {
    let result = message.result().unwrap_or_default();
    let text = String::from_utf8_lossy(result);
    if json {
        let text = match Screen::stdout().is_terminal() {
            true => harmless::json(&text),
            false => text,
        };
        super::print(&format!("{text}\n"));
    } else {
        super::print(&content::shown(&text, Screen::stdout()));
    }
    if let ResultType::Task | ResultType::Unknown(_) = result_type(message) {
        eprintln!(
            "causeway call: this is no result yet but something that goes on; `--json` shows all of it"
        );
        return ExitCode::FAILURE;
    }
    if message.is_tool_error() {
        eprintln!("`{}` says that it failed", harmless::line(tool));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What to say of a tool that is not listed.
fn nearest(name: &str, listed: &[Object<'_>]) -> String {
    let names: Vec<_> = listed.iter().filter_map(|tool| tool.get_text("name")).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let word = |name: &str| name.rsplit("__").next().unwrap_or_default().to_lowercase();
    let wanted = word(name);
    let mut near: Vec<&str> = config::scalar::nearest(name, &names).into_iter().collect();
    // Behind its alias a tool may be meant that was written without it, or with another.
    let behind = names.iter().filter(|listed| {
        let listed = word(listed);
        listed == wanted || config::scalar::nearest(&wanted, &[&listed]).is_some()
    });
    for name in behind {
        if !near.contains(name) {
            near.push(name);
        }
    }
    near.truncate(3);
    if near.is_empty() {
        return format!(
            "it is not among the {} tools that `causeway tools` lists",
            names.len()
        );
    }
    let near: Vec<String> = near
        .iter()
        .map(|name| format!("`{}`", harmless::line(name)))
        .collect();
    format!("did you mean {}?", near.join(" or "))
}
