//! Any header value: what can be decoded can be encoded, to be decoded as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp::Id;
use mcp::header::{decode_value, encode_value};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = decode_value(bytes) {
        let value = encode_value(&text);
        assert_eq!(decode_value(value.as_bytes()).as_deref(), Ok(&*text));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let value = encode_value(text);
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        assert_eq!(decode_value(value.as_bytes()).as_deref(), Ok(text));
    }
    if let Some(id) = Id::parse(bytes) {
        assert_eq!(Id::parse(id.raw().as_bytes()).as_ref(), Some(&id));
        if let Some(number) = id.as_u64() {
            assert_eq!(id, Id::number(number));
        }
        if let Some(text) = id.as_text() {
            assert_eq!(id, Id::text(&text));
        }
    }
});
