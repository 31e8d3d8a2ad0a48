//! Server-sent events, as in the responses of Streamable HTTP and HTTP with SSE (WHATWG HTML §9.2).

mod write;

pub use write::{COMMENT, write_comment, write_event, write_id, write_retry};

use super::FrameError;
use bytes::{Bytes, BytesMut};

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type, if it names one; MCP uses `message`, which is also meant by none, and `endpoint`.
    pub name: Option<String>,
    /// Its data; several lines are joined by a line feed.
    pub data: Bytes,
    /// The id this very event carries. (It also is the last event id of all events until the next that has one.)
    pub id: Option<String>,
    /// After how many milliseconds to reconnect, from now on.
    pub retry: Option<u64>,
}

/// Cuts a stream of bytes into events.
///
/// An event without data is given out only if it has a name, an id or a reconnection time; comments and unknown
/// fields never are. An event of more than `max` bytes is reported once and skipped. What stands unfinished at the
/// end of the stream is no event. The iterator says `None` when it needs more bytes, and goes on after the next
/// [`SseReader::push`].
#[derive(Debug)]
pub struct SseReader {
    max: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line ending.
    searched: usize,
    begun: bool,
    /// The last line ended with a carriage return; a line feed that follows belongs to it.
    after_return: bool,
    /// Within the rest of a line that is too long to be kept.
    skipping_line: bool,
    /// Within the rest of an event that was reported.
    skipping_event: bool,
    data: Data,
    name: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
    /// How much the event takes so far.
    size: usize,
}

impl SseReader {
    /// A reader of events up to `max` bytes, line endings and comments not counted.
    pub fn new(max: usize) -> SseReader {
        SseReader {
            max,
            buffer: BytesMut::new(),
            searched: 0,
            begun: false,
            after_return: false,
            skipping_line: false,
            skipping_event: false,
            data: Data::None,
            name: None,
            id: None,
            retry: None,
            size: 0,
        }
    }

    /// Takes the bytes that came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
}

impl Iterator for SseReader {
    type Item = Result<Event, FrameError>;

    fn next(&mut self) -> Option<Result<Event, FrameError>> {
        if !self.begin() {
            return None;
        }
        loop {
            let Some(line) = self.line() else {
                return self.hold().map(Err);
            };
            if std::mem::take(&mut self.skipping_line) {
                continue;
            }
            let outcome = if line.is_empty() {
                self.dispatch().map(Ok)
            } else {
                self.field(line).map(Err)
            };
            if outcome.is_some() {
                return outcome;
            }
        }
    }
}

impl SseReader {
    /// Drops the byte order mark that may stand first. False while it cannot be told.
    fn begin(&mut self) -> bool {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        if self.begun {
            return true;
        }
        if self.buffer.starts_with(MARK) {
            _ = self.buffer.split_to(MARK.len());
        } else if MARK.starts_with(&self.buffer) {
            return false;
        }
        self.begun = true;
        true
    }

    /// The next whole line, without its ending.
    fn line(&mut self) -> Option<Bytes> {
        if self.after_return && !self.buffer.is_empty() {
            self.after_return = false;
            if self.buffer.first() == Some(&b'\n') {
                _ = self.buffer.split_to(1);
            }
        }
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'\n', b'\r', unsearched) else {
            self.searched = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + found + 1);
        self.searched = 0;
        self.after_return = line.last() == Some(&b'\r');
        line.truncate(line.len() - 1);
        Some(line.freeze())
    }

    /// Keeps an unfinished line for later, unless it makes the event too long already.
    fn hold(&mut self) -> Option<FrameError> {
        if self.buffer.first() == Some(&b':') {
            // A comment is never needed, so it need not be held to its end either.
            self.skipping_line = true;
        }
        if self.skipping_line {
            self.forget_buffer();
            return None;
        }
        if self.size + self.buffer.len() <= self.max {
            return None;
        }
        self.forget_buffer();
        self.skipping_line = true;
        self.overflow()
    }

    fn forget_buffer(&mut self) {
        self.buffer.clear();
        self.searched = 0;
    }

    fn field(&mut self, line: Bytes) -> Option<FrameError> {
        let colon = memchr::memchr(b':', &line);
        if colon == Some(0) || self.skipping_event {
            return None;
        }
        self.size = self.size.saturating_add(line.len());
        if self.size > self.max {
            return self.overflow();
        }
        let (name, value) = match colon {
            None => (line.clone(), Bytes::new()),
            Some(at) => {
                let space = usize::from(line.get(at + 1) == Some(&b' '));
                (line.slice(..at), line.slice(at + 1 + space..))
            }
        };
        match &name[..] {
            b"data" => self.data.add(value),
            b"event" => self.name = Some(String::from_utf8_lossy(&value).into_owned()),
            b"id" if !value.contains(&0) => self.id = Some(String::from_utf8_lossy(&value).into_owned()),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let time = std::str::from_utf8(&value)
                    .ok()
                    .and_then(|digits| digits.parse().ok());
                self.retry = time.or(self.retry);
            }
            _ => {}
        }
        None
    }

    /// An empty line has ended the event.
    fn dispatch(&mut self) -> Option<Event> {
        let event = Event {
            name: self.name.take().filter(|name| !name.is_empty()),
            data: self.data.take(),
            id: self.id.take(),
            retry: self.retry.take(),
        };
        self.size = 0;
        let skipped = std::mem::take(&mut self.skipping_event);
        (!skipped && event != Event::default()).then_some(event)
    }

    /// Gives the event up. The first time, that is worth telling.
    fn overflow(&mut self) -> Option<FrameError> {
        self.data = Data::None;
        (self.name, self.id, self.retry) = (None, None, None);
        // The rest of the event may come line by line; none of it is kept, each may be as long as an event.
        self.size = 0;
        let told = std::mem::replace(&mut self.skipping_event, true);
        (!told).then_some(FrameError::TooLong { max: self.max })
    }
}

/// The data so far. That of a single line, the usual case, is never copied.
#[derive(Debug)]
enum Data {
    None,
    Line(Bytes),
    Lines(BytesMut),
}

impl Data {
    fn add(&mut self, line: Bytes) {
        *self = match std::mem::replace(self, Data::None) {
            Data::None => Data::Line(line),
            Data::Line(first) => Data::Lines(join(BytesMut::from(&first[..]), &line)),
            Data::Lines(lines) => Data::Lines(join(lines, &line)),
        };
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Data::None) {
            Data::None => Bytes::new(),
            Data::Line(line) => line,
            Data::Lines(lines) => lines.freeze(),
        }
    }
}

fn join(mut lines: BytesMut, line: &[u8]) -> BytesMut {
    lines.extend_from_slice(b"\n");
    lines.extend_from_slice(line);
    lines
}
