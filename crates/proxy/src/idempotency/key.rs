//! Where a call says its key, and whose key that is.

use mcp::{Object, Refusal, code, header};
use policy::Principal;
use sha2::{Digest as _, Sha256};
use upstream::Upstream;

use super::refusal;
use super::table::Place;
use crate::call::Call;
use crate::canonical::{add, digest_object};
use crate::generation::Generation;

/// The member of `_meta` that says it.
pub(crate) const META: &str = "dev.causeway/idempotency-key";

/// The header that says it.
const HEADER: &str = "idempotency-key";

/// The longest key, in bytes.
const LONGEST: usize = 255;

/// The shortest key of a caller who does not say who it is: all that tells its calls from those of another.
const UNGUESSED: usize = 16;

/// Whether a call says a key anywhere, be it a good one or not.
pub(crate) fn is_named(call: &Call) -> bool {
    call.visit.headers.contains_key(HEADER) || call.message.meta_member(META).is_some()
}

/// The key that a call names.
///
/// # Errors
/// When it names two, or one that is none.
pub(super) fn read(call: &Call) -> Result<String, Refusal> {
    let header = match call.visit.lines(HEADER) {
        header::Values::Absent => None,
        header::Values::One(line) => Some(checked(line.trim_ascii(), call)?),
        header::Values::Several(_) => {
            return Err(invalid("`Idempotency-Key` is there more than once".into()));
        }
    };
    let body = match call.message.meta_member(META) {
        None => None,
        Some(text) => {
            let text = serde_json::from_slice::<String>(text);
            let text = text.map_err(|_| invalid(format!("`_meta[\"{META}\"]` must be a string")))?;
            Some(checked(text.as_bytes(), call)?)
        }
    };
    match (header, body) {
        (Some(header), Some(body)) if header != body => Err(invalid(format!(
            "`Idempotency-Key` and `_meta[\"{META}\"]` say different keys"
        ))),
        (Some(key), _) | (None, Some(key)) => Ok(key),
        (None, None) => Err(invalid("there is no idempotency key".into())),
    }
}

fn checked(text: &[u8], call: &Call) -> Result<String, Refusal> {
    let visible = text.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(text) {
        Ok(key) if visible && (1..=LONGEST).contains(&key.len()) => {
            let shortest = match call.visit.principal {
                Principal::Anonymous => UNGUESSED,
                Principal::Known(_) => 1,
            };
            if key.len() < shortest {
                return Err(invalid(format!(
                    "an idempotency key has at least {shortest} characters here, at random: callers do not say who they are, \
                     so it is all that tells your calls from those of others"
                )));
            }
            Ok(key.to_owned())
        }
        Ok(_) | Err(_) => Err(invalid(format!(
            "an idempotency key is 1 to {LONGEST} visible ASCII characters"
        ))),
    }
}

fn invalid(words: String) -> Refusal {
    refusal(code::INVALID_PARAMS, &words, None)
}

/// Where word of a call is left: whose it is, with which credentials, at which upstream, under which key, and in which
/// round of questions and answers.
///
/// The upstream counts by its name: that a reload made it another is no reason to make a call again. Nor do credentials
/// that come from the file, which rotate; those that are made of the call are somebody else's.
pub(super) fn place(current: &Generation, call: &Call, upstream: &Upstream, key: &str) -> Place {
    let mut hash = Sha256::new();
    add(&mut hash, b'p', call.visit.principal.binding());
    add(&mut hash, b'u', upstream.name.as_bytes());
    add(&mut hash, b'k', key.as_bytes());
    let brought = current.injection(&upstream.name);
    let brought = brought
        .iter()
        .flat_map(|injection| injection.brought(&*call.visit));
    for (kind, name, value) in brought {
        add(&mut hash, b'h', format!("{kind}:{name}").as_bytes());
        match value {
            Some(value) => add(&mut hash, b'v', value.as_bytes()),
            None => hash.update(b"-"),
        }
    }
    let params = call.message.params().unwrap_or_default();
    if let Ok(params) = Object::parse(params) {
        digest_object(&mut hash, &params, |name| {
            matches!(name, "inputResponses" | "requestState")
        });
    }
    Place(hash.finalize().into())
}
