//! The table: which members of which message are places, for all revisions at once.
//!
//! A revision that has no such member has none of these to edit, and where one means another thing it is told apart
//! by what stands beside it.

use super::Place;
use super::shape::{Case, Shape};
use crate::method::Method;

/// The parameters of a request or a notification, of whichever side sends it.
pub(super) fn params(method: &Method) -> Option<&'static Shape> {
    Some(match method {
        Method::ToolsCall => &CALL,
        Method::PromptsGet => &GET,
        Method::ResourcesRead => &READ,
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe | Method::NotificationsResourcesUpdated => {
            &RESOURCE
        }
        Method::CompletionComplete => &COMPLETE,
        Method::SubscriptionsListen | Method::NotificationsSubscriptionsAcknowledged => &FOLLOWED,
        Method::TasksUpdate => &UPDATE,
        Method::NotificationsTasks => &TASK,
        Method::SamplingCreateMessage => &CONVERSATION,
        _ => return None,
    })
}

/// The result of a request, of whichever side answers it.
pub(super) fn result(asked: &Method) -> Option<&'static Shape> {
    Some(match asked {
        Method::ToolsList => &TOOLS,
        Method::PromptsList => &PROMPTS,
        Method::ResourcesList => &RESOURCES,
        Method::ResourcesTemplatesList => &TEMPLATES,
        Method::ToolsCall | Method::TasksResult => &CALLED,
        Method::PromptsGet => &GOT,
        Method::ResourcesRead => &CONTENTS,
        Method::TasksGet => &TASK,
        Method::SamplingCreateMessage => &SAID,
        _ => return None,
    })
}

/// An element of a list, by the request that asks for it.
pub(super) fn item(listing: &Method) -> Option<&'static Shape> {
    Some(match listing {
        Method::ToolsList => &TOOL,
        Method::PromptsList => &PROMPT,
        Method::ResourcesList => &RESOURCE,
        Method::ResourcesTemplatesList => &TEMPLATE,
        _ => return None,
    })
}

/// An error, whatever was asked: a resource that is not there (2026-07-28 resources §Error Handling).
pub(super) static ERROR: Shape = Shape::Object(&[("data", Shape::As(&RESOURCE))]);

// What a client asks for.

static CALL: Shape = Shape::Object(&[("name", TOOL_NAME), ("inputResponses", Shape::As(&ANSWERS))]);
static GET: Shape = Shape::Object(&[("name", PROMPT_NAME), ("inputResponses", Shape::As(&ANSWERS))]);
static READ: Shape = Shape::Object(&[("uri", URI), ("inputResponses", Shape::As(&ANSWERS))]);
static UPDATE: Shape = Shape::Object(&[("inputResponses", Shape::As(&ANSWERS))]);
static COMPLETE: Shape = Shape::Object(&[(
    "ref",
    Shape::Tagged(
        "type",
        &[
            case(&["ref/prompt"], "name", PROMPT_NAME),
            case(&["ref/resource"], "uri", Shape::Text(Place::Template)),
        ],
    ),
)]);
static FOLLOWED: Shape = Shape::Object(&[(
    "notifications",
    Shape::Object(&[("resourceSubscriptions", Shape::Array(&URI))]),
)]);

// What a server lists.

static TOOLS: Shape = Shape::Object(&[("tools", Shape::Array(&TOOL))]);
static TOOL: Shape = Shape::Object(&[("name", TOOL_NAME), ("_meta", Shape::As(&VIEW))]);
static PROMPTS: Shape = Shape::Object(&[("prompts", Shape::Array(&PROMPT))]);
static PROMPT: Shape = Shape::Object(&[("name", PROMPT_NAME)]);
static RESOURCES: Shape = Shape::Object(&[("resources", Shape::Array(&RESOURCE))]);
static RESOURCE: Shape = Shape::Object(&[("uri", URI)]);
static TEMPLATES: Shape = Shape::Object(&[("resourceTemplates", Shape::Array(&TEMPLATE))]);
static TEMPLATE: Shape = Shape::Object(&[("uriTemplate", Shape::Text(Place::Template))]);

/// `_meta` of a tool or of its result: the view that shows it (MCP Apps), in the form of today and that of before.
static VIEW: Shape = Shape::Object(&[
    ("ui", Shape::Object(&[("resourceUri", URI)])),
    ("ui/resourceUri", URI),
]);

// What a server answers: the end of a call, or what it has to ask before.

static CALLED: Shape = Shape::Object(&[
    ("content", Shape::As(&BLOCKS)),
    ("_meta", Shape::As(&VIEW)),
    ("inputRequests", Shape::As(&QUESTIONS)),
]);
static GOT: Shape = Shape::Object(&[
    (
        "messages",
        Shape::Array(&Shape::Object(&[("content", Shape::As(&BLOCKS))])),
    ),
    ("inputRequests", Shape::As(&QUESTIONS)),
]);
static CONTENTS: Shape = Shape::Object(&[
    ("contents", Shape::Array(&RESOURCE)),
    ("inputRequests", Shape::As(&QUESTIONS)),
]);

/// A task and what has become of it (SEP-2663): the result of the call that it was.
static TASK: Shape = Shape::Object(&[
    ("result", Shape::As(&CALLED)),
    ("error", Shape::As(&ERROR)),
    ("inputRequests", Shape::As(&QUESTIONS)),
]);

/// The content of a tool's result or of a prompt's message: blocks, or one.
static BLOCKS: Shape = Shape::Content(&Shape::Tagged("type", &[LINK, EMBEDDED]));
const LINK: Case = case(&["resource_link"], "uri", URI);
const EMBEDDED: Case = case(&["resource"], "resource", Shape::As(&RESOURCE));

// What a server asks in the middle of a call, and what the client answers: messages of a model.

/// Questions by name (2026-07-28).
static QUESTIONS: Shape = Shape::Map(&Shape::Tagged(
    "method",
    &[case(
        &["sampling/createMessage"],
        "params",
        Shape::As(&CONVERSATION),
    )],
));
static CONVERSATION: Shape = Shape::Object(&[("messages", Shape::Array(&SAID))]);

/// Answers by name (2026-07-28). That of a user has `content` as well, but those are the fields of a form, and nobody
/// has a role there.
static ANSWERS: Shape = Shape::Map(&Shape::Tagged(
    "role",
    &[case(&["user", "assistant"], "content", Shape::As(&SAID_BLOCKS))],
));

/// A message of a model's conversation.
static SAID: Shape = Shape::Object(&[("content", Shape::As(&SAID_BLOCKS))]);
static SAID_BLOCKS: Shape = Shape::Content(&Shape::Tagged(
    "type",
    &[
        LINK,
        EMBEDDED,
        case(&["tool_result"], "content", Shape::As(&BLOCKS)),
    ],
));

const TOOL_NAME: Shape = Shape::Text(Place::Tool);
const PROMPT_NAME: Shape = Shape::Text(Place::Prompt);
const URI: Shape = Shape::Text(Place::Uri);

const fn case(is: &'static [&'static str], member: &'static str, shape: Shape) -> Case {
    Case { is, member, shape }
}
