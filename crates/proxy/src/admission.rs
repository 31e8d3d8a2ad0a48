//! Whether a call may be made: by the rules, then by the rates. Both are asked for each call, whatever is remembered of
//! the results of earlier ones, and before anything is contacted, so that a refused call costs its server nothing.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use mcp::{Era, Kind, Message, Method};
use policy::rates::{self, Scope};
use policy::rules::{Effect, Selection, Subject};
use policy::{Limited, What};
use upstream::catalog::Item;
use upstream::{Headers, Listing, Upstream};

use crate::aggregate::catalog;
use crate::answer::Answer;
use crate::bridge;
use crate::call::{Call, Visit};
use crate::failure::Failure;
use crate::generation::Generation;
use crate::naming::{Nowhere, named, nowhere};
use crate::protected::{Fault, challenge};
use crate::serve::injected;
use crate::shown::subject;

/// What a caller is told of a call that no rule allows as it stands, where no rule says it better.
const NOT_ALLOWED: &str = "the rules of this gateway do not allow this call with these arguments";

/// What an Open WebUI is told that calls for itself.
pub(crate) const NEEDS_USER: &str = "this call needs a user, and Open WebUI named none: set `ENABLE_FORWARD_USER_INFO_HEADERS` and \
     `FORWARD_USER_INFO_HEADER_JWT_SECRET` there";

/// Whether a call might be another's if its client said whose it is.
pub(crate) fn needs_user(visit: &Visit) -> bool {
    visit
        .principal
        .identity()
        .is_some_and(|identity| identity.is_connection)
}

/// Lets a call through to this server, or answers it.
///
/// # Errors
/// When it may not be made and that is no tool's answer: what it names is not its caller's to know of, its token lacks
/// scopes, or its caller has used up what it may do.
pub(crate) async fn judge(
    current: &Generation,
    call: &mut Call,
    upstream: &Arc<Upstream>,
) -> Result<Option<Answer>, Failure> {
    if call.message.kind() != Kind::Request {
        return Ok(None);
    }
    if let Some(selection) = call.visit.rules.clone()
        && let Some(answer) = Box::pin(by_rules(current, call, upstream, &selection)).await?
    {
        return Ok(Some(answer));
    }
    match by_rates(current, call, Some(&upstream.name)) {
        Ok(()) => Ok(None),
        Err(limited) if limited.scope == Scope::Tool && is_tool(call) => {
            Ok(Some(told(call, &limited.to_string())))
        }
        Err(limited) => Err(Failure::Limited(limited)),
    }
}

/// Counts what an endpoint of many servers answers itself.
///
/// # Errors
/// When its caller has used up what it may do.
pub(crate) fn count(current: &Generation, call: &mut Call) -> Result<(), Failure> {
    by_rates(current, call, None).map_err(Failure::Limited)
}

/// What asks for a token with more scopes, when a call of this would be allowed with them, and that is all it lacks.
pub(crate) fn lacking_scopes(call: &Call, upstream: &str, (what, original): (What, &str)) -> Option<Failure> {
    let selection = call.visit.rules.as_ref()?;
    let arguments = call.message.params_member("arguments");
    let decision = selection.decide(upstream, &subject(what, original, None), arguments);
    let lacking = decision.effect == Effect::Deny && !decision.scopes.is_empty();
    let resource = call.visit.resource.as_deref();
    lacking.then(|| Failure::Scopes(challenge(resource, Fault::Scopes(decision.scopes))))
}

async fn by_rules(
    current: &Generation,
    call: &mut Call,
    upstream: &Arc<Upstream>,
    selection: &Selection,
) -> Result<Option<Answer>, Failure> {
    let named = named(&call.message)?;
    let item = match &named {
        Some((What::Tool, tool)) if current.trusts(&upstream.name) => {
            declared(current, call, upstream, tool).await
        }
        _ => None,
    };
    let subject = match &named {
        Some((what, original)) => subject(*what, original, item.as_ref().map(|item| &*item.text)),
        None if is_of_everybody(&call.message) => return Ok(None),
        None => Subject::Other,
    };
    let arguments = call.message.params_member("arguments");
    let decision = selection.decide(&upstream.name, &subject, arguments);
    call.entry
        .decided(decision.effect, decision.rule.map(policy::rules::Rule::line));
    if decision.effect == Effect::Allow {
        return Ok(None);
    }
    if current.is_dry_run() {
        call.entry.only_dry();
        return Ok(None);
    }
    if !decision.scopes.is_empty() {
        let resource = call.visit.resource.as_deref();
        return Err(Failure::Scopes(challenge(
            resource,
            Fault::Scopes(decision.scopes),
        )));
    }
    if needs_user(&call.visit) && is_tool(call) {
        return Ok(Some(told(call, NEEDS_USER)));
    }
    if !selection.shows(&upstream.name, &subject) {
        return Err(match &named {
            Some((what, original)) => nowhere(*what, &as_called(call, original), Nowhere::Unknown),
            None => return Ok(unknown_method(call)),
        });
    }
    let words = match (decision.effect, decision.rule.and_then(|rule| rule.message())) {
        (Effect::Ask, _) => {
            "this call needs somebody's approval, and the gateway has no way to ask for it here"
        }
        (_, Some(message)) => message,
        (_, None) => NOT_ALLOWED,
    };
    match is_tool(call) {
        true => {
            let words = words.to_owned();
            Ok(Some(told(call, &words)))
        }
        false => Err(Failure::NotAllowed(words.to_owned())),
    }
}

/// Takes what a call costs of what its caller may do.
fn by_rates(current: &Generation, call: &mut Call, upstream: Option<&str>) -> Result<(), Limited> {
    let (Some(method), Some(source)) = (call.message.method(), call.visit.source) else {
        return Ok(());
    };
    if current.rates.is_empty() {
        return Ok(());
    }
    let tool = match method {
        Method::ToolsCall => call.message.subject(),
        _ => None,
    };
    let permit = current.rates.admit(
        &rates::Subject {
            principal: &call.visit.principal,
            address: source,
            route: &call.visit.route.path,
            method,
            upstream,
            tool: tool.as_deref(),
        },
        Instant::now(),
    )?;
    call.entry.permitted(permit);
    Ok(())
}

/// How a server declares a tool, where that is known.
async fn declared(current: &Generation, call: &Call, upstream: &Arc<Upstream>, tool: &str) -> Option<Item> {
    let headers = Headers {
        injected: injected(current, &call.visit, upstream).ok()?,
        passed: Vec::new(),
    };
    let catalog = catalog(upstream, &headers).await?;
    catalog.list(Listing::Tools)?.get(tool).cloned()
}

/// What everybody may ask a server that they may reach: how it is greeted, and what it lists, of which each is shown
/// what is theirs. A task is known to who has its id.
fn is_of_everybody(message: &Message) -> bool {
    matches!(
        message.method(),
        Some(
            Method::Initialize
                | Method::Ping
                | Method::ToolsList
                | Method::ResourcesList
                | Method::ResourcesTemplatesList
                | Method::PromptsList
                | Method::LoggingSetLevel
                | Method::ServerDiscover
                | Method::SubscriptionsListen
                | Method::TasksGet
                | Method::TasksUpdate
                | Method::TasksCancel
                | Method::TasksResult
        )
    )
}

/// A method that its caller is not to know of.
fn unknown_method(call: &Call) -> Option<Answer> {
    let answer = bridge::here::unknown(call.message.id()?, call.message.method()?);
    Some(Answer::said(answer))
}

/// What the client called it.
fn as_called<'c>(call: &'c Call, original: &'c str) -> Cow<'c, str> {
    let said = call.said.as_ref().and_then(|said| said.subject());
    said.unwrap_or(Cow::Borrowed(original))
}

fn is_tool(call: &Call) -> bool {
    call.message.method() == Some(&Method::ToolsCall)
}

/// A tool's answer that says why it was not called (`protocol.md` RS-10).
fn told(call: &Call, words: &str) -> Answer {
    let complete = match call.era {
        Era::Modern => r#""resultType":"complete","#,
        Era::Legacy => "",
    };
    let text = serde_json::Value::from(words);
    let result = format!(r#"{{{complete}"isError":true,"content":[{{"type":"text","text":{text}}}]}}"#);
    match call.message.id() {
        Some(id) => Answer::said(Message::result_reply(id, &result)),
        None => Answer::accepted(),
    }
}
