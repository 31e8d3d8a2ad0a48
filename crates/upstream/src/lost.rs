//! Whether a refusal is about the session, in words where a status should say it: real servers answer 400
//! for a session that they do not know (`protocol.md` §9).
//!
//! What a client wrote is often repeated in the refusal of it, and says nothing of the session: else one
//! client's words could end what others share.

/// What servers say of a session that they do not know; the longer words first, which clients seldom say.
const WORDS: [&[u8]; 2] = [b"session id", b"session"];

/// Whether the refusal of a message speaks of the session in the server's own words; of a GET, which has no
/// message, all words are the server's.
pub(crate) fn speaks_of_session(refusal: &[u8], message: Option<&[u8]>) -> bool {
    let mut said = WORDS.iter().filter(|words| says(refusal, words)).peekable();
    let Some(message) = message else {
        return said.peek().is_some();
    };
    if said.peek().is_none() {
        return false;
    }
    let plain = plain(message);
    said.any(|words| {
        let in_plain = plain.as_deref().is_none_or(|plain| says(plain, words));
        !in_plain && !says(message, words)
    })
}

/// The message as a server may repeat it that has read it: with nothing escaped. None if it cannot be told.
fn plain(message: &[u8]) -> Option<Vec<u8>> {
    let read: serde_json::Value = serde_json::from_slice(message).ok()?;
    serde_json::to_vec(&read).ok()
}

fn says(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len())
        .any(|window| window.eq_ignore_ascii_case(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_of_the_server_s_own_are_about_the_session() {
        let told = r#"{"params":{"name":"x"}}"#;
        let says_it = r#"{"params":{"name":"Session_begin"}}"#;
        let escaped = r#"{"params":{"name":"\u0073ession"}}"#;
        let hidden = r#"{"params":{"a":"session","a":"x"}}"#;
        for (refusal, message, about) in [
            ("No such session", told, true),
            ("Bad Request: No valid SESSION ID provided", told, true),
            ("Bad Request", told, false),
            ("Invalid message: Session_begin", says_it, false),
            ("Invalid message: session", escaped, false),
            ("Invalid message: session", hidden, false),
            ("Invalid message: session", r#"{"not JSON"#, false),
            // Of whoever speaks of sessions it is still known what few of them say.
            ("Bad Request: No valid session ID provided", says_it, true),
            ("session id", r#"{"params":{"name":"session id"}}"#, false),
        ] {
            let found = speaks_of_session(refusal.as_bytes(), Some(message.as_bytes()));
            assert_eq!(found, about, "{refusal} to {message}");
        }
        assert!(speaks_of_session(b"no such session", None));
    }
}
