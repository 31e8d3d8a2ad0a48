//! Writing server-sent events.

use bytes::BufMut;

/// An empty comment with the empty line behind it: keeps a stream alive and means nothing.
pub const COMMENT: &[u8] = b":\n\n";

/// Writes an event. Data of several lines is written as such, so that no byte of it can begin a field or end the
/// event; JSON means the same on one line as on several.
pub fn write_event(out: &mut impl BufMut, name: Option<&str>, data: &[u8]) {
    if let Some(name) = name {
        out.put_slice(b"event: ");
        out.put_slice(first_line(name.as_bytes()));
        out.put_slice(b"\n");
    }
    let mut rest = data;
    loop {
        let line = first_line(rest);
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_slice(b"\n");
        let Some(next) = rest.get(line.len() + 1..) else {
            break;
        };
        rest = next;
    }
    out.put_slice(b"\n");
}

/// Writes the id of the event that is written next.
pub fn write_id(out: &mut impl BufMut, id: &str) {
    out.put_slice(b"id: ");
    out.put_slice(first_line(id.as_bytes()));
    out.put_slice(b"\n");
}

/// Writes how long a reader is to wait before it opens the stream again, in milliseconds. It stands alone, as no
/// event: readers that take it for one find no data in it.
pub fn write_retry(out: &mut impl BufMut, milliseconds: u64) {
    out.put_slice(b"retry: ");
    out.put_slice(milliseconds.to_string().as_bytes());
    out.put_slice(b"\n\n");
}

/// Writes a comment, which readers ignore.
pub fn write_comment(out: &mut impl BufMut, text: &str) {
    out.put_slice(b": ");
    out.put_slice(first_line(text.as_bytes()));
    out.put_slice(b"\n\n");
}

fn first_line(text: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'\n', b'\r', text).unwrap_or(text.len());
    &text[..end]
}
