//! What 2026-07-28 brought: requests that stand on their own, results that say what they are and how long they
//! hold, questions that end a call; and what it took away: tasks within the protocol, `elicitationId`.

mod tool;

use super::{Capability, Ends, Extra, Put, Step, Structured, Way, ends};
use crate::capability::TASKS_EXTENSION;
use crate::code;
use crate::json::quote;
use crate::meta;
use crate::method::Method;
use crate::patch::Patch;
use crate::revision::Revision;
use crate::translate::error::{Recoded, capabilities_named, speaks_of_nothing_found};
use crate::translate::unaskable::Unaskable;
use crate::translate::value::{Members, Value};

pub(super) static STEP: Step = Step {
    revision: Revision::V2026_07_28,
    down: Way {
        meta: &[
            meta::PROTOCOL_VERSION,
            meta::CLIENT_CAPABILITIES,
            meta::CLIENT_INFO,
            meta::LOG_LEVEL,
            meta::SUBSCRIPTION_ID,
            meta::SERVER_INFO,
        ],
        params: ROUNDS_AND_TASKS,
        result: &[
            ends(&[], "resultType"),
            ends(CACHEABLE, "ttlMs"),
            ends(CACHEABLE, "cacheScope"),
        ],
        notices: &[
            Method::NotificationsSubscriptionsAcknowledged,
            Method::NotificationsTasks,
        ],
        // No answer to a question has it in either revision, but a client may well put it on everything.
        reply: &[ends(&[], "resultType")],
        client: CLIENT,
        server: SERVER,
        tool: Some(tool::down),
        structured: Structured::Objects,
        error: error_down,
        ask,
        ..Way::PASS
    },
    up: Way {
        meta: &[meta::RELATED_TASK],
        params: ROUNDS_AND_TASKS,
        put: &[
            // A result of an earlier revision is an end, whatever it says of itself.
            Put {
                of: &[],
                member: "resultType",
                json: r#""complete""#,
                fits: |json| json == r#""complete""#,
            },
            Put {
                of: CACHEABLE,
                member: "ttlMs",
                json: "0",
                fits: is_count,
            },
            Put {
                of: CACHEABLE,
                member: "cacheScope",
                json: r#""private""#,
                fits: |json| matches!(json, r#""private""# | r#""public""#),
            },
        ],
        notices: &[
            Method::NotificationsElicitationComplete,
            Method::NotificationsTasksStatus,
        ],
        question: &[
            ends(&[], "task"),
            ends(&[Method::ElicitationCreate], "elicitationId"),
        ],
        client: CLIENT,
        server: SERVER,
        tool: Some(tool::up),
        error: error_up,
        ..Way::PASS
    },
};

/// The calls that may be made in rounds. On others these members are anybody's.
const IN_ROUNDS: &[Method] = &[Method::ToolsCall, Method::PromptsGet, Method::ResourcesRead];

/// What has a meaning on one side of the step only: who sends it from the other cannot have meant that.
const ROUNDS_AND_TASKS: &[Ends] = &[
    ends(&[Method::ToolsCall], "task"),
    ends(IN_ROUNDS, "inputResponses"),
    ends(IN_ROUNDS, "requestState"),
];

/// The results that say how long they hold (2026-07-28 `CacheableResult`).
const CACHEABLE: &[Method] = &[
    Method::ServerDiscover,
    Method::ToolsList,
    Method::PromptsList,
    Method::ResourcesList,
    Method::ResourcesTemplatesList,
    Method::ResourcesRead,
];

const CLIENT: &[Capability] = &[
    Capability::Whole("tasks"),
    Capability::Part("roots", "listChanged"),
    Capability::Part("extensions", TASKS_EXTENSION),
];
const SERVER: &[Capability] = &[
    Capability::Whole("tasks"),
    Capability::Part("extensions", TASKS_EXTENSION),
];

fn is_count(json: &str) -> bool {
    json.bytes().all(|byte| byte.is_ascii_digit())
}

fn error_down(asked: &Method, code: i64, error: &Members<'_>) -> Recoded {
    match (asked, code) {
        (Method::ResourcesRead | Method::ResourcesSubscribe, code::INVALID_PARAMS)
            if speaks_of_nothing_found(error) =>
        {
            Recoded::Code(code::RESOURCE_NOT_FOUND)
        }
        (_, code::MISSING_CAPABILITY) => {
            let mut words = "the server needs a client capability that was not declared".to_owned();
            if let Some(names) = capabilities_named(error) {
                words += ": ";
                words += &names;
            }
            Recoded::Wrapped(Some(words))
        }
        (_, code::HEADER_MISMATCH | code::UNSUPPORTED_VERSION) => Recoded::Wrapped(None),
        _ => Recoded::Same,
    }
}

fn error_up(asked: &Method, code: i64, _: &Members<'_>) -> Recoded {
    match (asked, code) {
        (Method::ResourcesRead | Method::ResourcesSubscribe, code::RESOURCE_NOT_FOUND) => {
            Recoded::Code(code::INVALID_PARAMS)
        }
        // 2026-07-28 keeps these to itself, and lets go of the first.
        (_, code::RESOURCE_NOT_FOUND | -32099..=-32020) => Recoded::Wrapped(None),
        _ => Recoded::Same,
    }
}

fn ask(method: &Method, params: Value<'_>, name: &str, patch: &mut Patch) -> Result<Extra, Unaskable> {
    match method {
        Method::ElicitationCreate => Ok(name_of_a_visit(params, name)),
        Method::SamplingCreateMessage => {
            tool::results_down(params, patch);
            Ok(Extra::new())
        }
        _ => Ok(Extra::new()),
    }
}

/// 2025-11-25 wants an id for a visit to a URL, by which its end can be told.
fn name_of_a_visit(params: Value<'_>, name: &str) -> Extra {
    let nameless = params.members(&["mode", "elicitationId"]).is_some_and(|params| {
        params.string("mode").as_deref() == Some("url") && params.get("elicitationId").is_none()
    });
    match nameless {
        true => vec![("elicitationId", quote(name))],
        false => Extra::new(),
    }
}
