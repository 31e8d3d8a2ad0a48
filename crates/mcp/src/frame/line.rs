//! Newline-delimited messages, as on stdio.

use super::FrameError;
use bytes::{Bytes, BytesMut};

/// Cuts a stream of bytes into lines.
///
/// A carriage return before the newline is dropped, and so are empty lines. A line of more than `max` bytes is
/// reported once, as soon as it is known to be too long, and skipped to its end. The iterator says `None` when it
/// needs more bytes, and goes on after the next [`LineReader::push`].
#[derive(Debug)]
pub struct LineReader {
    max: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no newline.
    searched: usize,
    /// Within the rest of a line that was reported.
    skipping: bool,
}

impl LineReader {
    /// A reader of lines up to `max` bytes, the line ending not counted.
    pub fn new(max: usize) -> LineReader {
        LineReader {
            max,
            buffer: BytesMut::new(),
            searched: 0,
            skipping: false,
        }
    }

    /// Takes the bytes that came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes of an unfinished line are held. At the end of the stream they are no message.
    pub fn unfinished(&self) -> usize {
        self.buffer.len()
    }
}

impl Iterator for LineReader {
    type Item = Result<Bytes, FrameError>;

    fn next(&mut self) -> Option<Result<Bytes, FrameError>> {
        loop {
            let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                return self.hold().map(Err);
            };
            let mut line = self.buffer.split_to(self.searched + found + 1);
            self.searched = 0;
            line.truncate(line.len() - 1);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if line.len() > self.max {
                return Some(Err(FrameError::TooLong { max: self.max }));
            }
            if !line.is_empty() {
                return Some(Ok(line.freeze()));
            }
        }
    }
}

impl LineReader {
    /// Keeps an unfinished line for later, unless it is too long already.
    fn hold(&mut self) -> Option<FrameError> {
        self.searched = self.buffer.len();
        if self.skipping {
            self.forget();
            return None;
        }
        // One byte more may be the carriage return of a line that just fits.
        let fits = self.buffer.len() <= self.max
            || self.buffer.len() - 1 == self.max && self.buffer.last() == Some(&b'\r');
        if fits {
            return None;
        }
        self.forget();
        self.skipping = true;
        Some(FrameError::TooLong { max: self.max })
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.searched = 0;
    }
}
