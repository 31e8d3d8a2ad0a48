//! Whether a result is what its method promises.
//!
//! Only the members that every revision requires, and only their JSON types: enough to tell an answer from
//! garbage, too little to refuse a server for being of another revision.

use super::Message;
use crate::json::Scanner;
use crate::method::Method;

impl Message {
    /// Whether this is a result with the top-level members that `method` promises.
    ///
    /// Where 2026-07-28 allows it, a result may instead ask for input; a tool call may also answer with a task, of
    /// either the 2025-11-25 or the 2026-07-28 form. The result of an unknown method may be any object.
    pub fn result_has_shape_of(&self, method: &Method) -> bool {
        let Some(result) = self.result() else { return false };
        let Ok(text) = std::str::from_utf8(result) else {
            return false;
        };
        let required = required(method);
        let mut found = 0_u8;
        let mut stands_in = false;
        let walked = Scanner::new(text, u8::MAX).object(|scanner, key| {
            let value = scanner.value()?;
            let value = scanner.text(value);
            for (index, member) in required.iter().enumerate() {
                found |= u8::from(member.name == key && member.kind.fits(value)) << index;
            }
            stands_in |= match key.as_ref() {
                "resultType" => {
                    asks_input(method) && value == r#""input_required""#
                        || *method == Method::ToolsCall && value == r#""task""#
                }
                "task" => *method == Method::ToolsCall && Json::Object.fits(value),
                _ => false,
            };
            Ok(())
        });
        walked.is_ok() && (stands_in || found.count_ones() as usize == required.len())
    }
}

struct Member {
    name: &'static str,
    kind: Json,
}

const fn array(name: &'static str) -> Member {
    Member {
        name,
        kind: Json::Array,
    }
}

const fn object(name: &'static str) -> Member {
    Member {
        name,
        kind: Json::Object,
    }
}

const fn string(name: &'static str) -> Member {
    Member {
        name,
        kind: Json::String,
    }
}

#[derive(Clone, Copy)]
enum Json {
    Array,
    Object,
    String,
}

impl Json {
    fn fits(self, value: &str) -> bool {
        value.starts_with(match self {
            Json::Array => '[',
            Json::Object => '{',
            Json::String => '"',
        })
    }
}

/// At most eight each.
fn required(method: &Method) -> &'static [Member] {
    match method {
        Method::Initialize => {
            const {
                &[
                    string("protocolVersion"),
                    object("capabilities"),
                    object("serverInfo"),
                ]
            }
        }
        Method::ServerDiscover => const { &[array("supportedVersions"), object("capabilities")] },
        Method::ToolsList => const { &[array("tools")] },
        Method::ToolsCall => const { &[array("content")] },
        Method::ResourcesList => const { &[array("resources")] },
        Method::ResourcesTemplatesList => const { &[array("resourceTemplates")] },
        Method::ResourcesRead => const { &[array("contents")] },
        Method::PromptsList => const { &[array("prompts")] },
        Method::PromptsGet => const { &[array("messages")] },
        Method::CompletionComplete => const { &[object("completion")] },
        Method::TasksList => const { &[array("tasks")] },
        Method::RootsList => const { &[array("roots")] },
        Method::SamplingCreateMessage => const { &[string("role"), string("model")] },
        Method::ElicitationCreate => const { &[string("action")] },
        // Empty results, results whose form depends on something else, and methods without any.
        _ => &[],
    }
}

/// The three requests that may be answered with questions (2026-07-28 basic §Multi-round-trip requests).
fn asks_input(method: &Method) -> bool {
    matches!(
        method,
        Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead
    )
}
