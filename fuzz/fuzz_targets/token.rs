//! Any token, any key set: what is read of them is bounded, and nobody is let in by either.

#![no_main]

use std::sync::OnceLock;
use std::time::SystemTime;

use config::{Field, Problems, ProcessEnvironment, Source};
use libfuzzer_sys::fuzz_target;
use policy::authn::{KeySet, OpenWebUi, Refusal, Unverified};

/// A key set is no longer than 256 KiB, and has no more than 100 keys.
fn key_set(bytes: &[u8]) {
    if let Ok(keys) = KeySet::parse(bytes) {
        assert!(bytes.len() <= 256 << 10 && keys.len() <= 100);
    }
}

/// One that nobody has the secret of.
fn open_webui() -> &'static OpenWebUi {
    static OPEN_WEBUI: OnceLock<OpenWebUi> = OnceLock::new();
    OPEN_WEBUI.get_or_init(|| {
        let text = "secret: a secret that no corpus has, of more than thirty-two letters";
        let problems = Problems::default();
        let node = Source::from_text("fuzz.yaml", text)
            .parse(&problems)
            .expect("YAML");
        OpenWebUi::check(&Field::root(&node, &problems), &ProcessEnvironment).expect("a section")
    })
}

fuzz_target!(|bytes: &[u8]| {
    key_set(bytes);
    let Ok(token) = std::str::from_utf8(bytes) else {
        return;
    };
    match Unverified::parse(token) {
        Ok(read) => {
            assert_eq!(token.matches('.').count(), 2);
            _ = read.issuer();
        }
        Err(refusal) => assert!(matches!(refusal, Refusal::TooLong | Refusal::Malformed)),
    }
    assert!(open_webui().verify(token, None, SystemTime::UNIX_EPOCH).is_err());
});
