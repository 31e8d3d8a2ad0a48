//! A scanner over JSON text: checks the grammar and finds where values lie, builds nothing.
//!
//! It accepts exactly what RFC 8259 calls JSON text, never recurses, and never allocates except to decode a
//! member name that is written with escapes. It is our own because no library finds the places of some members,
//! proves the rest well-formed and bounds the depth in a single pass.

use crate::span::Span;
use std::borrow::Cow;

/// Where text stops being JSON, and what would have been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
    limit: u8,
    too_deep: Option<usize>,
    name_start: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, limit: u8) -> Scanner<'a> {
        Scanner {
            text,
            at: 0,
            depth: 0,
            limit,
            too_deep: None,
            name_start: 0,
        }
    }

    /// Where the first value stands that is nested deeper than the limit, if there was one.
    ///
    /// What lies within it is passed over by counting brackets, so that the rest can still be read.
    pub(crate) fn too_deep(&self) -> Option<usize> {
        self.too_deep
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Where the name of the member begins whose value comes next.
    pub(crate) fn name_start(&self) -> usize {
        self.name_start
    }

    /// The text of a span, which must come from this scanner.
    pub(crate) fn text(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Moves to the next byte that is not white space and returns it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Syntax> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.expected("the end of the text"),
        }
    }

    /// Walks the object that stands here: `member` is called on each value, with its name, and must pass over it.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), Syntax>,
    ) -> Result<Span, Syntax> {
        self.peek();
        let start = self.at;
        self.take(b'{', "`{`")?;
        if self.depth == self.limit {
            return self.leap(start);
        }
        self.depth += 1;
        let mut more = self.peek() != Some(b'}');
        while more {
            let name = self.name()?;
            self.peek();
            member(self, name)?;
            more = self.peek() == Some(b',');
            if more {
                self.at += 1;
            }
        }
        self.take(b'}', "`,` or `}`")?;
        self.depth -= 1;
        Ok(Span::new(start, self.at))
    }

    /// Walks the array that stands here: `element` is called on each value and must pass over it.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Syntax>,
    ) -> Result<Span, Syntax> {
        self.peek();
        let start = self.at;
        self.take(b'[', "`[`")?;
        if self.depth == self.limit {
            return self.leap(start);
        }
        self.depth += 1;
        let mut more = self.peek() != Some(b']');
        while more {
            self.peek();
            element(self)?;
            more = self.peek() == Some(b',');
            if more {
                self.at += 1;
            }
        }
        self.take(b']', "`,` or `]`")?;
        self.depth -= 1;
        Ok(Span::new(start, self.at))
    }

    /// Passes over one value of any kind.
    pub(crate) fn value(&mut self) -> Result<Span, Syntax> {
        self.peek();
        let start = self.at;
        let mut open = Nesting::default();
        'value: loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                Some(bracket @ (b'{' | b'[')) => {
                    let here = self.at;
                    self.at += 1;
                    if u16::from(self.depth) + u16::from(open.depth) >= u16::from(self.limit) {
                        self.leap(here)?;
                    } else if bracket == b'{' {
                        if self.peek() == Some(b'}') {
                            self.at += 1;
                        } else {
                            open.push(true);
                            self.pass_name()?;
                            continue 'value;
                        }
                    } else if self.peek() == Some(b']') {
                        self.at += 1;
                    } else {
                        open.push(false);
                        continue 'value;
                    }
                }
                _ => return self.expected("a value"),
            }
            // A value has ended: the innermost container goes on, or ends with it.
            while let Some(object) = open.innermost() {
                match (self.peek(), object) {
                    (Some(b','), true) => {
                        self.at += 1;
                        self.pass_name()?;
                        continue 'value;
                    }
                    (Some(b','), false) => {
                        self.at += 1;
                        continue 'value;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        open.pop();
                    }
                    (_, true) => return self.expected("`,` or `}`"),
                    (_, false) => return self.expected("`,` or `]`"),
                }
            }
            return Ok(Span::new(start, self.at));
        }
    }

    /// A member's name, decoded, and the colon behind it.
    fn name(&mut self) -> Result<Cow<'a, str>, Syntax> {
        self.peek();
        let start = self.at;
        self.name_start = start;
        self.string()?;
        let quoted = self.text(Span::new(start, self.at));
        self.peek();
        self.take(b':', "`:`")?;
        // A lone surrogate names no Unicode text. Such a name stays as it is written: with its backslash it is
        // equal to none of the names we look for.
        Ok(decode(quoted).unwrap_or(Cow::Borrowed(unquoted(quoted))))
    }

    fn pass_name(&mut self) -> Result<(), Syntax> {
        self.peek();
        self.string()?;
        self.peek();
        self.take(b':', "`:`")
    }

    fn string(&mut self) -> Result<(), Syntax> {
        self.take(b'"', "a string")?;
        loop {
            self.at += plain_run(self.rest());
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.expected("no control character in a string"),
                None => return self.expected("the end of a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Syntax> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                let digits = self
                    .rest()
                    .iter()
                    .take(4)
                    .take_while(|byte| byte.is_ascii_hexdigit())
                    .count();
                self.at += digits;
                if digits < 4 {
                    return self.expected("four hexadecimal digits");
                }
            }
            _ => return self.expected("an escape"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Syntax> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Syntax> {
        let count = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.at += count;
        if count == 0 {
            self.expected("a digit")
        } else {
            Ok(())
        }
    }

    fn literal(&mut self, word: &'static str) -> Result<(), Syntax> {
        if !self.rest().starts_with(word.as_bytes()) {
            return self.expected("a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes over a container whose bracket has just been read, by counting brackets only.
    fn leap(&mut self, start: usize) -> Result<Span, Syntax> {
        self.too_deep.get_or_insert(start);
        let mut open = 1_usize;
        while open > 0 {
            match self.byte() {
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(b'{' | b'[') => open += 1,
                Some(b'}' | b']') => open -= 1,
                Some(_) => {}
                None => return self.expected("a closing bracket"),
            }
            self.at += 1;
        }
        Ok(Span::new(start, self.at))
    }

    fn take(&mut self, byte: u8, expected: &'static str) -> Result<(), Syntax> {
        if self.byte() != Some(byte) {
            return self.expected(expected);
        }
        self.at += 1;
        Ok(())
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, Syntax> {
        Err(Syntax {
            at: self.at,
            expected,
        })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}

/// Which of the containers we are in are objects: one bit each, for as many levels as a `u8` can count.
#[derive(Default)]
struct Nesting {
    objects: [u64; 4],
    depth: u8,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        let (word, bit) = Nesting::place(self.depth);
        self.objects[word] = self.objects[word] & !bit | if object { bit } else { 0 };
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn innermost(&self) -> Option<bool> {
        let (word, bit) = Nesting::place(self.depth.checked_sub(1)?);
        Some(self.objects[word] & bit != 0)
    }

    fn place(level: u8) -> (usize, u64) {
        (usize::from(level / 64), 1 << (level % 64))
    }
}

/// How many bytes pass before a quote, a backslash or a control character, eight bytes at a time.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // The high bit of each byte that is below `bound`, at least up to the first such byte (which is all we use).
    let below = |word: u64, bound: u64| word.wrapping_sub(bound * ONES) & !word;
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (u64::from(b'"') * ONES), 1);
        let backslash = below(word ^ (u64::from(b'\\') * ONES), 1);
        let control = below(word, 0x20);
        let found = (quote | backslash | control) & HIGH;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + tail.iter().position(special).unwrap_or(tail.len())
}

/// The text of a quoted string. `None` if it is no string, or holds half of a surrogate pair.
pub(crate) fn decode(quoted: &str) -> Option<Cow<'_, str>> {
    if !quoted.starts_with('"') {
        return None;
    }
    if memchr::memchr(b'\\', quoted.as_bytes()).is_none() {
        return Some(Cow::Borrowed(unquoted(quoted)));
    }
    serde_json::from_str(quoted).ok().map(Cow::Owned)
}

/// The same over bytes of a message, which were found to be UTF-8 when it was read.
pub(crate) fn decode_bytes(quoted: &[u8]) -> Option<Cow<'_, str>> {
    decode(std::str::from_utf8(quoted).ok()?)
}

/// `text` as a JSON string.
pub(crate) fn quote(text: &str) -> String {
    // What a string ends at when it is read is what must be escaped when it is written.
    if plain_run(text.as_bytes()) == text.len() {
        return ["\"", text, "\""].concat();
    }
    serde_json::Value::from(text).to_string()
}

/// The last member of that name, in the object `json` is.
pub(crate) fn member<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut scanner = Scanner::new(std::str::from_utf8(json).ok()?, u8::MAX);
    let mut found = None;
    scanner
        .object(|scanner, key| {
            let value = scanner.value()?;
            if key == name {
                found = Some(value);
            }
            Ok(())
        })
        .ok()?;
    found.map(|span| span.of(json))
}

fn unquoted(quoted: &str) -> &str {
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
}
