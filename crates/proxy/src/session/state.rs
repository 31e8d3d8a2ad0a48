//! The `requestState` that a client carries back: `gw1.<key>.<sealed>` (2026-07-28 basic, multi-round-trip requests).
//!
//! It is nothing but a name of what waits, sealed, with all that it is bound to: whoever brings it must be the same
//! principal, on the same route, with the same request. Whatever is wrong with one, its bearer is told the same.

use config::{KeyRing, Purpose};
use mcp::Message;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::canonical;

const PREFIX: &str = "gw1.";

/// The longest that we take for one of ours, in bytes.
const LONGEST: usize = 1024;

/// What a `requestState` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) waits: Waits,
    /// Seconds since 1970.
    pub(crate) expires: u64,
    pub(crate) principal: Vec<u8>,
    /// Of the request that it belongs to: [`fingerprint`].
    pub(crate) request: [u8; 32],
}

/// What waits for the client's return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Waits {
    /// A call that its server is still carrying out.
    Call {
        /// The process that keeps it.
        process: u64,
        /// Which call.
        call: u128,
        /// How often its client has been asked.
        round: u32,
    },
    /// Nothing: the server refused the call until its user has been to some addresses (`-32042`).
    Visit,
}

/// The text of a state for a client.
pub(crate) fn seal(keys: &KeyRing, binding: &[u8], state: &State) -> String {
    // Writing to a vector cannot fail.
    let plain = postcard::to_stdvec(state).unwrap_or_default();
    let sealed = keys.seal(Purpose::RequestState, binding, &plain);
    format!("{PREFIX}{}.{}", sealed.kid, sealed.body)
}

/// What a text says; none when it is not ours, or was made for another place.
pub(crate) fn open(keys: &KeyRing, binding: &[u8], text: &str) -> Option<State> {
    if text.len() > LONGEST {
        return None;
    }
    let (key, body) = text.strip_prefix(PREFIX)?.split_once('.')?;
    let plain = keys.open(Purpose::RequestState, key, binding, body)?;
    postcard::from_bytes(&plain).ok()
}

/// What makes a request the same request when it comes again: its method, and its parameters save those that
/// belong to one coming only, in whatever order ([`canonical`]).
pub(crate) fn fingerprint(request: &Message) -> [u8; 32] {
    /// Members that each coming has of its own.
    const OWN: [&str; 3] = ["_meta", "inputResponses", "requestState"];
    let mut hash = Sha256::new();
    hash.update(request.method().map_or("", mcp::Method::as_str));
    let params = request.params().unwrap_or_default();
    match mcp::Object::parse(params) {
        Ok(params) => canonical::digest_object(&mut hash, &params, |name| !OWN.contains(&name)),
        Err(_) => hash.update(params),
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Secret;
    use mcp::Id;

    fn keys() -> KeyRing {
        KeyRing::new(&Secret::from("0123456789abcdef0123456789abcdef"), None).unwrap()
    }

    fn state() -> State {
        State {
            waits: Waits::Call {
                process: 1,
                call: 2,
                round: 3,
            },
            expires: 4,
            principal: b"ada".to_vec(),
            request: [5; 32],
        }
    }

    fn of(params: &str) -> [u8; 32] {
        fingerprint(&Message::request(&Id::number(1), "tools/call", Some(params)))
    }

    #[test]
    fn a_state_is_read_back_where_it_was_made_and_nowhere_else() {
        let keys = keys();
        let text = seal(&keys, b"here", &state());

        assert_eq!(open(&keys, b"here", &text), Some(state()));
        assert_eq!(open(&keys, b"there", &text), None);
        for place in 0..text.len() {
            let mut tampered = text.clone().into_bytes();
            tampered[place] = if tampered[place] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(tampered).unwrap();
            assert_eq!(open(&keys, b"here", &tampered), None, "byte {place}");
        }
        for garbage in ["", "gw1.", "gw1.a.b", "their own", &"x".repeat(5000)] {
            assert_eq!(open(&keys, b"here", garbage), None, "{garbage}");
        }
    }

    #[test]
    fn the_same_request_comes_again_in_another_order_and_with_what_is_its_own() {
        let first =
            of(r#"{"name":"pay","arguments":{"to":"Bob","sums":[1,2.50],"x":{"a":"\u0041","b":null}}}"#);
        let again = of(
            r#"{ "_meta":{"a":1}, "requestState":"s", "arguments":{"x":{"b":null,"a":"A"}, "to":"Bob", "sums":[1, 2.50]},
                "inputResponses":{"r":{}}, "name":"pay" }"#,
        );
        assert_eq!(first, again);
    }

    /// Members are as many as a client likes; were each looked for among the others, this would take minutes.
    #[test]
    fn many_members_are_compared_in_no_time() {
        let numbers = (0..200_000).map(|number| format!(r#""{number}":{number}"#));
        let numbers = numbers.collect::<Vec<_>>().join(",");
        let began = std::time::Instant::now();

        let first = of(&format!(r#"{{"name":"pay",{numbers}}}"#));
        let again = of(&format!(r#"{{{numbers},"name":"pay"}}"#));
        let other = of(&format!(r#"{{{numbers},"name":"pay","7":7}}"#));

        assert_eq!(first, again);
        assert_ne!(first, other);
        let took = began.elapsed();
        assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    }

    #[test]
    fn another_request_is_another() {
        let base = r#"{"name":"pay","arguments":{"to":"Bob","sum":12345678901234567890123}}"#;
        for other in [
            r#"{"name":"pay","arguments":{"to":"Eve","sum":12345678901234567890123}}"#,
            r#"{"name":"pay","arguments":{"to":"Bob","sum":12345678901234567890124}}"#,
            r#"{"name":"pay","arguments":{"to":"Bob","sum":"12345678901234567890123"}}"#,
            r#"{"name":"pay","arguments":{"to":["Bob"],"sum":12345678901234567890123}}"#,
            r#"{"name":"pay","arguments":{"to":"Bob"},"sum":12345678901234567890123}"#,
            r#"{"name":"play","arguments":{"to":"Bob","sum":12345678901234567890123}}"#,
        ] {
            assert_ne!(of(base), of(other), "{other}");
        }
        let read = Message::request(&Id::number(1), "prompts/get", Some(base));
        assert_ne!(of(base), fingerprint(&read), "another method");
    }
}
