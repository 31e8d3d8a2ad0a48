//! A request id, its exact text kept.
//!
//! A client must see its own id again as it wrote it, yet two spellings of one id must meet in a table: `1` and
//! `1.0` are the same id, `1` and `"1"` are not. So an [`Id`] holds the text, and compares by type and value.

use crate::json::{self, Scanner};
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::sync::Arc;

/// The longest id we accept, as JSON text. Ids are kept in tables for as long as a call runs.
pub const LONGEST: usize = 4096;

/// A JSON-RPC id: a string, or an integer of any size.
///
/// Equal and hashed by type and value. Cloning copies at most forty bytes or counts a reference.
#[derive(Clone)]
pub struct Id(Text);

impl Id {
    /// An id of our own making.
    pub fn number(number: u64) -> Id {
        let mut bytes = [0; INLINE];
        let mut rest = &mut bytes[..];
        write!(rest, "{number}").expect("twenty digits fit");
        let length = (INLINE - rest.len()) as u8;
        Id(Text::Inline { length, bytes })
    }

    /// The id whose value is this string.
    pub fn text(text: &str) -> Id {
        Id(Text::new(&json::quote(text)))
    }

    /// Reads an id from JSON text. `None` unless it is a string or an integer, of at most [`LONGEST`] bytes.
    pub fn parse(raw: &[u8]) -> Option<Id> {
        let mut scanner = Scanner::new(std::str::from_utf8(raw).ok()?, 0);
        let span = scanner.value().ok()?;
        scanner.end().ok()?;
        Id::read(scanner.text(span)).ok()
    }

    /// Its JSON text, as it was received.
    pub fn raw(&self) -> &str {
        match &self.0 {
            Text::Inline { length, bytes } => {
                std::str::from_utf8(&bytes[..usize::from(*length)]).expect("copied from text")
            }
            Text::Shared(text) => text,
        }
    }

    /// Its value, if it is a number that fits.
    pub fn as_u64(&self) -> Option<u64> {
        let Value::Number(integer) = self.value() else {
            return None;
        };
        integer.as_u64()
    }

    /// Its value, if it is a string.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        let Value::Text(text) = self.value() else {
            return None;
        };
        Some(text)
    }

    /// From the text of one well-formed JSON value; the error says what an id must be instead.
    pub(crate) fn read(raw: &str) -> Result<Id, &'static str> {
        if raw.len() > LONGEST {
            return Err("is longer than 4096 bytes");
        }
        match raw.as_bytes().first() {
            Some(b'"') if json::decode(raw).is_none() => Err("is not Unicode text"),
            Some(b'-' | b'0'..=b'9') if Integer::read(raw).is_none() => Err("is not an integer"),
            Some(b'"' | b'-' | b'0'..=b'9') => Ok(Id(Text::new(raw))),
            _ => Err("is neither a string nor an integer"),
        }
    }

    fn value(&self) -> Value<'_> {
        let raw = self.raw();
        if let Some(text) = json::decode(raw) {
            return Value::Text(text);
        }
        Value::Number(Integer::read(raw).expect("checked when the id was made"))
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Id) -> bool {
        self.raw() == other.raw() || self.value() == other.value()
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value().hash(state);
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.raw())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Id({})", self.raw())
    }
}

/// A quoted UUID is 38 bytes long and, with two bytes of bookkeeping, lies within the id itself.
const INLINE: usize = 38;

#[derive(Clone)]
enum Text {
    Inline { length: u8, bytes: [u8; INLINE] },
    Shared(Arc<str>),
}

impl Text {
    fn new(text: &str) -> Text {
        let mut bytes = [0; INLINE];
        match bytes.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text.as_bytes());
                Text::Inline {
                    length: text.len() as u8,
                    bytes,
                }
            }
            None => Text::Shared(text.into()),
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(Integer<'a>),
}

/// The integer `± digits × 10^exponent`, its digits without zeros at either end: one form for each integer.
///
/// The digits stay in the text, on both sides of the point they may be written with.
struct Integer<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Integer<'a> {
    /// From a well-formed JSON number. `None` if it is no integer, or its exponent has more than nine digits.
    fn read(number: &'a str) -> Option<Integer<'a>> {
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent = i64::from(exponent.parse::<i32>().ok()?) - fraction.len() as i64;

        let whole = whole.trim_start_matches('0');
        let digits = fraction.trim_end_matches('0');
        let mut zeros = fraction.len() - digits.len();
        let (whole, fraction) = match digits {
            "" => {
                let kept = whole.trim_end_matches('0');
                zeros += whole.len() - kept.len();
                (kept, "")
            }
            _ if whole.is_empty() => ("", digits.trim_start_matches('0')),
            _ => (whole, digits),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Some(Integer {
                negative: false,
                whole,
                fraction,
                exponent: 0,
            });
        }
        let exponent = exponent + zeros as i64;
        (exponent >= 0).then_some(Integer {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    fn as_u64(&self) -> Option<u64> {
        if self.negative {
            return None;
        }
        let digits = self.digits().try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })?;
        let scale = 10_u64.checked_pow(u32::try_from(self.exponent).ok()?)?;
        digits.checked_mul(scale)
    }
}

impl PartialEq for Integer<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.negative == other.negative && self.exponent == other.exponent && self.digits().eq(other.digits())
    }
}

impl Eq for Integer<'_> {}

impl Hash for Integer<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.negative.hash(state);
        self.exponent.hash(state);
        self.digits().for_each(|digit| digit.hash(state));
    }
}
