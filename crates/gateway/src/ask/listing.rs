//! A list of an endpoint, all pages: its items as they came, and which servers were missing.

use mcp::Object;
use serde_json::value::RawValue;

use super::door::{Door, Trouble};

/// Pages that are read; a list that goes on behind them never ends.
const PAGES: usize = 1_000;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Tools,
    Prompts,
    Resources,
}

/// What is there.
pub(crate) struct Listing {
    /// JSON texts of objects, untouched.
    pub(crate) items: Vec<Box<RawValue>>,
    /// The servers that are missing, by alias.
    pub(crate) missing: Vec<String>,
}

impl Which {
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
        }
    }

    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }
}

impl Listing {
    /// Reads all pages.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub(crate) async fn read(door: &mut Door, which: Which) -> Result<Self, Trouble> {
        let mut listing = Self {
            items: Vec::new(),
            missing: Vec::new(),
        };
        let mut params = String::new();
        for _ in 0..PAGES {
            let answer = door.ask(which.method(), &params, None, &mut |_| {}).await?;
            let result = answer.result().unwrap_or_default();
            let result = Object::parse(result).map_err(|_| broken(which))?;
            let items: Vec<Box<RawValue>> = result
                .get(which.member())
                .and_then(|items| serde_json::from_slice(items).ok())
                .ok_or_else(|| broken(which))?;
            listing.items.extend(items);
            for alias in degraded(&result) {
                if !listing.missing.contains(&alias) {
                    listing.missing.push(alias);
                }
            }
            match result.get("nextCursor") {
                Some(next) if next.first() == Some(&b'"') => {
                    params = format!(r#","cursor":{}"#, String::from_utf8_lossy(next));
                }
                Some(_) | None => return Ok(listing),
            }
        }
        Err(Trouble::Broken(format!(
            "`{}` has more than {PAGES} pages",
            which.method()
        )))
    }

    /// The items as one JSON array, an item on each line.
    pub(crate) fn json(&self) -> String {
        let items: Vec<&str> = self.items.iter().map(|item| item.get()).collect();
        match items.is_empty() {
            true => "[]\n".to_owned(),
            false => format!("[\n{}\n]\n", items.join(",\n")),
        }
    }
}

fn degraded(result: &Object<'_>) -> Vec<String> {
    let meta = result.get("_meta").and_then(|meta| Object::parse(meta).ok());
    let named = meta.and_then(|meta| serde_json::from_slice(meta.get("dev.causeway/degraded")?).ok());
    named.unwrap_or_default()
}

fn broken(which: Which) -> Trouble {
    Trouble::Broken(format!("the answer to `{}` is no list", which.method()))
}
