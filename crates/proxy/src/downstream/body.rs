//! Reading a request's head and body: what may not pass is refused before it costs memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method};
use pingora::protocols::http::ServerSession;

use crate::failure::Failure;

/// Fields a head may have.
const FIELDS: usize = 100;

/// Refuses a head that two readers could understand differently, or that is too long.
pub(crate) fn check_head(
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    bound: usize,
) -> Result<(), Failure> {
    let lines: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if lines + target.len() > bound || headers.len() > FIELDS {
        return Err(Failure::HeadTooLong(bound));
    }
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let encodings = headers.get_all(TRANSFER_ENCODING).iter().count();
    if lengths > 1 || encodings > 1 || (lengths == 1 && encodings == 1) {
        return Err(Failure::Framing(
            "`Content-Length` and `Transfer-Encoding` must stand alone, and once",
        ));
    }
    if let Some(length) = headers.get(CONTENT_LENGTH)
        && !length.as_bytes().iter().all(u8::is_ascii_digit)
    {
        return Err(Failure::Framing("`Content-Length` must be a number"));
    }
    if let Some(encoding) = headers.get(TRANSFER_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"chunked")
    {
        return Err(Failure::Framing("`Transfer-Encoding` must be `chunked`"));
    }
    let upgrades = headers.get_all(CONNECTION).iter().any(|line| {
        line.as_bytes()
            .split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    if *method == Method::CONNECT || (headers.contains_key(UPGRADE) && upgrades) {
        return Err(Failure::Framing(
            "this connection can be neither upgraded nor tunnelled",
        ));
    }
    Ok(())
}

/// Refuses a head with both `Content-Length` and `Transfer-Encoding`. The engine obeys the second and
/// removes the first, so only the bytes of the head still tell.
pub(crate) fn frames_twice(http: &ServerSession) -> Result<(), Failure> {
    let Some(session) = http.as_http1() else {
        return Ok(());
    };
    if http.get_header(TRANSFER_ENCODING).is_none() {
        return Ok(());
    }
    let head = session.get_headers_raw_bytes();
    let names = head
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b':').next());
    let lengths = names
        .filter(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
        .count();
    if lengths > 0 {
        return Err(Failure::Framing(
            "`Content-Length` and `Transfer-Encoding` must not come together",
        ));
    }
    Ok(())
}

/// Refuses a body that is no JSON by what its head says.
pub(crate) fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(Failure::ContentType);
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return Err(Failure::ContentType);
    };
    let kind = kind
        .as_bytes()
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/json") {
        Ok(())
    } else {
        Err(Failure::ContentType)
    }
}

/// Refuses a body whose announced length is beyond the bound.
pub(crate) fn check_length(headers: &HeaderMap, bound: usize) -> Result<(), Failure> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bound as u64) {
        Err(Failure::BodyTooLong(bound))
    } else {
        Ok(())
    }
}

/// Reads the whole body. `Ok(None)` when the client left before its end.
pub(crate) async fn read(
    http: &mut ServerSession,
    bound: usize,
    within: Duration,
) -> Result<Option<Bytes>, Failure> {
    // The engine answers no `Expect`, and a client that waits for it would wait a second.
    let expects = http
        .get_header(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if expects && http.write_continue_response().await.is_err() {
        return Ok(None);
    }
    match tokio::time::timeout(within, read_all(http, bound)).await {
        Ok(body) => body,
        Err(_) => Err(Failure::BodyTooSlow),
    }
}

async fn read_all(http: &mut ServerSession, bound: usize) -> Result<Option<Bytes>, Failure> {
    // Most bodies come in one piece, which then needs no copy.
    let first = match http.read_request_body().await {
        Ok(Some(first)) => first,
        Ok(None) => return Ok(Some(Bytes::new())),
        Err(_) => return Ok(None),
    };
    let mut whole = None::<BytesMut>;
    loop {
        let length = whole.as_ref().map_or(first.len(), BytesMut::len);
        if length > bound {
            return Err(Failure::BodyTooLong(bound));
        }
        match http.read_request_body().await {
            Ok(Some(next)) => {
                let whole = whole.get_or_insert_with(|| BytesMut::from(&first[..]));
                if whole.len() + next.len() > bound {
                    return Err(Failure::BodyTooLong(bound));
                }
                whole.extend_from_slice(&next);
            }
            Ok(None) => return Ok(Some(whole.map_or(first, BytesMut::freeze))),
            Err(_) => return Ok(None),
        }
    }
}
