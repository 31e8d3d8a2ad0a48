//! What 2025-06-18 brought: links to resources in content, and forms for users.

use super::{Capability, Extra, Step, Way};
use crate::json::quote;
use crate::method::Method;
use crate::patch::Patch;
use crate::revision::Revision;
use crate::translate::content::carried;
use crate::translate::unaskable::Unaskable;
use crate::translate::value::Value;

/// A capability no client or server has on the earlier side of the step.
const ELICITATION: &[Capability] = &[Capability::Whole("elicitation")];

pub(super) static STEP: Step = Step {
    revision: Revision::V2025_06_18,
    down: Way {
        client: ELICITATION,
        block: Some(link_as_text),
        ask: no_forms,
        ..Way::PASS
    },
    up: Way {
        client: ELICITATION,
        ..Way::PASS
    },
};

/// The name, the address and the type, in words.
fn link_as_text(kind: &str, block: Value<'_>, _: usize) -> Option<String> {
    if kind != "resource_link" {
        return None;
    }
    let link = block.members(&["name", "uri", "mimeType", "annotations", "_meta"])?;
    let uri = link.string("uri")?;
    let mut words = match link.string("name") {
        Some(name) => format!("{name} <{uri}>"),
        None => format!("<{uri}>"),
    };
    if let Some(mime) = link.string("mimeType") {
        words += &format!(" ({mime})");
    }
    Some(format!(
        r#"{{"type":"text","text":{}{}}}"#,
        quote(&words),
        carried(&link)
    ))
}

fn no_forms(method: &Method, _: Value<'_>, _: &str, _: &mut Patch) -> Result<Extra, Unaskable> {
    match method {
        Method::ElicitationCreate => Err(Unaskable::Elicitation),
        _ => Ok(Extra::new()),
    }
}
