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

/// A client that was answered before the end of its body has this long to notice.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// Refuses a head that is too long, that two readers could understand differently, or that asks for
/// another protocol.
pub(crate) fn check_head(http: &ServerSession, bound: usize) -> Result<(), Failure> {
    let request = http.req_header();
    let headers = &request.headers;
    let lines: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if lines + request.raw_path().len() > bound || headers.len() > FIELDS {
        return Err(Failure::HeadTooLong(bound));
    }
    check_framing(http)?;
    let upgrades = headers.get_all(CONNECTION).iter().any(|line| {
        line.as_bytes()
            .split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    if request.method == Method::CONNECT || (headers.contains_key(UPGRADE) && upgrades) {
        return Err(Failure::Framing(
            "this connection can be neither upgraded nor tunnelled",
        ));
    }
    Ok(())
}

/// Refuses a body whose end two readers could see in different places.
fn check_framing(http: &ServerSession) -> Result<(), Failure> {
    let headers = &http.req_header().headers;
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let encodings = headers.get_all(TRANSFER_ENCODING).iter().count();
    if lengths > 1 || encodings > 1 || (encodings == 1 && announces_length(http)) {
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
    Ok(())
}

/// Whether the head as it was sent has a `Content-Length`. Beside a `Transfer-Encoding` the engine
/// removes it, so only the bytes of the head still tell.
fn announces_length(http: &ServerSession) -> bool {
    http.as_http1().is_some_and(|session| {
        session
            .get_headers_raw_bytes()
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.split(|byte| *byte == b':').next())
            .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"content-length"))
    })
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

/// Reads on for a moment when the answer came before the end of the body: closing on unread bytes
/// resets the connection, and takes the answer from a client that is still sending.
pub(crate) async fn read_on(http: &mut ServerSession, bound: usize) {
    let rest = async {
        let mut read = 0;
        while read < bound && !http.is_body_done() {
            match http.read_request_body().await {
                Ok(Some(piece)) => read += piece.len(),
                Ok(None) | Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(REST_WITHIN, rest).await;
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
