//! How a header carries text that a header cannot carry: `=?base64?…?=`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::fmt;

const BEGIN: &str = "=?base64?";
const END: &str = "?=";

/// Why a header's value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// It holds a byte other than printable ASCII, which would have had to be encoded.
    Forbidden,
    /// It looks encoded, but is not Base64 (with padding) of UTF-8.
    Undecodable,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            HeaderError::Forbidden => "holds characters that must be encoded",
            HeaderError::Undecodable => "looks like `=?base64?…?=` but cannot be decoded",
        })
    }
}

impl std::error::Error for HeaderError {}

/// The text that a header's value stands for. White space around it is not part of it (RFC 9110 §5.5).
///
/// A value that looks encoded is decoded without asking whether it fits as it stands: who means the literal text
/// must encode it.
///
/// # Errors
/// If it holds anything but printable ASCII, or looks encoded and is not.
pub fn decode_value(value: &[u8]) -> Result<Cow<'_, str>, HeaderError> {
    let text = std::str::from_utf8(value).map_err(|_| HeaderError::Forbidden)?;
    let text = text.trim_matches([' ', '\t']);
    if !text.bytes().all(is_printable) {
        return Err(HeaderError::Forbidden);
    }
    if !looks_encoded(text) {
        return Ok(Cow::Borrowed(text));
    }
    // `=?base64?=` looks encoded to whoever tests its two ends apart from each other, so it is not literal text.
    let encoded = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END));
    let bytes = STANDARD.decode(encoded.ok_or(HeaderError::Undecodable)?);
    let text = String::from_utf8(bytes.map_err(|_| HeaderError::Undecodable)?);
    text.map(Cow::Owned).map_err(|_| HeaderError::Undecodable)
}

/// The value of a header that stands for this text: the text itself if a header can carry it.
pub fn encode_value(text: &str) -> Cow<'_, str> {
    let outer_space = text.starts_with(' ') || text.ends_with(' ');
    if text.bytes().all(is_printable) && !outer_space && !looks_encoded(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{BEGIN}{}{END}", STANDARD.encode(text)))
}

fn looks_encoded(text: &str) -> bool {
    text.starts_with(BEGIN) && text.ends_with(END)
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}
