//! Signatures of requests, for upstreams that share a secret with us.

use config::Secret;
use ring::hmac;

/// HMAC-SHA256 in lower-case hex, of the timestamp in decimal, a full stop, and the body. `timestamp` is in seconds since
/// 1970: an upstream that refuses old ones is safe from a request that somebody sends again.
pub fn signature(secret: &Secret, timestamp: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut digest = hmac::Context::with_key(&key);
    digest.update(timestamp.to_string().as_bytes());
    digest.update(b".");
    digest.update(body);
    let digest = digest.sign();
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of a header that carries it: `t=1700000000,v1=5257a8…`.
pub fn signature_header(secret: &Secret, timestamp: u64, body: &[u8]) -> String {
    format!("t={timestamp},v1={}", signature(secret, timestamp, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac whsec`.
    #[test]
    fn others_come_to_the_same() {
        assert_eq!(
            signature_header(&"whsec".into(), 1_700_000_000, br#"{"id":1}"#),
            "t=1700000000,v1=e79220cb981f992adbc8b93ac6d46028b0217ea19327d27dc9d18bf334403bde"
        );
    }

    #[test]
    fn another_time_body_or_secret_is_another_signature() {
        let signed = signature(&"secret".into(), 17, b"body");
        assert_ne!(signed, signature(&"secret".into(), 18, b"body"));
        assert_ne!(signed, signature(&"secret".into(), 17, b"bodY"));
        assert_ne!(signed, signature(&"secreT".into(), 17, b"body"));
        assert_ne!(
            signature(&"s".into(), 1, b"7.x"),
            signature(&"s".into(), 17, b"x")
        );
    }
}
