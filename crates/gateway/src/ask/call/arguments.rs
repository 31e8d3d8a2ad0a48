//! The arguments of a call, from the command line, a file or standard input: JSON, kept as it was written.

use std::fmt;
use std::io::Read as _;

use serde_json::value::RawValue;

use crate::terminal::harmless;

/// The longest that is read, in bytes. What the gateway takes is less, and it says so.
const LONGEST: u64 = 64 << 20;

/// An object, as JSON text.
pub(crate) struct Arguments {
    json: Box<RawValue>,
    /// They came from standard input, which can therefore answer nothing.
    pub(super) from_stdin: bool,
}

/// Why they cannot be sent.
#[derive(Debug)]
pub(crate) enum Wrong {
    Unreadable {
        from: String,
        why: String,
    },
    NoJson {
        from: String,
        line: usize,
        column: usize,
        why: String,
        excerpt: String,
    },
    NoObject {
        from: String,
    },
}

impl Arguments {
    /// # Errors
    /// When they cannot be read, or are no JSON object.
    pub(crate) fn read(written: Option<&str>) -> Result<Self, Wrong> {
        let (from, text) = match written {
            None => ("the arguments", Ok("{}".to_owned())),
            Some("-") => ("standard input", text_of(std::io::stdin().lock())),
            Some(written) => match written.strip_prefix('@') {
                Some(path) => (path, std::fs::File::open(path).and_then(text_of)),
                None => ("the arguments", Ok(written.to_owned())),
            },
        };
        let from = harmless::line(from).into_owned();
        let text = text.map_err(|error| Wrong::Unreadable {
            from: from.clone(),
            why: error.to_string(),
        })?;
        let json: Box<RawValue> =
            serde_json::from_str(&text).map_err(|error| no_json(from.clone(), &text, &error))?;
        if !json.get().starts_with('{') {
            return Err(Wrong::NoObject { from });
        }
        Ok(Self {
            json,
            from_stdin: written == Some("-"),
        })
    }

    pub(crate) fn json(&self) -> &str {
        self.json.get()
    }
}

fn text_of(from: impl std::io::Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(std::io::Error::other(format!("more than {} MiB", LONGEST >> 20)));
    }
    Ok(text)
}

fn no_json(from: String, text: &str, error: &serde_json::Error) -> Wrong {
    let line = text
        .lines()
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    // serde_json counts bytes; a caret stands below a character.
    let before = line
        .as_bytes()
        .get(..error.column().saturating_sub(1))
        .unwrap_or(line.as_bytes());
    let column = String::from_utf8_lossy(before).chars().count();
    let begin = column.saturating_sub(30);
    let excerpt: String = line
        .chars()
        .skip(begin)
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let why = error.to_string();
    let why = why
        .rsplit_once(" at line ")
        .map_or(why.as_str(), |(why, _)| why)
        .to_owned();
    Wrong::NoJson {
        from,
        line: error.line(),
        column: column + 1,
        why,
        excerpt: format!(
            "  {}\n  {:>width$}",
            harmless::line(&excerpt),
            "^",
            width = column - begin + 1
        ),
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { from, why } => write!(f, "{from} cannot be read: {why}"),
            Self::NoJson {
                from,
                line,
                column,
                why,
                excerpt,
            } => {
                write!(
                    f,
                    "{from}: no JSON at line {line}, column {column}: {why}\n{excerpt}"
                )
            }
            Self::NoObject { from } => {
                write!(
                    f,
                    "{from}: arguments are an object, such as '{{\"text\":\"hello\"}}'"
                )
            }
        }
    }
}
