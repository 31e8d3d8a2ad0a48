//! Many servers at one endpoint: what their names and URIs are there, and that each leads back to what it stands for.

mod alias;
mod names;
mod place;
mod uri;

use mcp::expose::Alias;

fn alias(text: &str) -> Alias {
    Alias::parse(text).unwrap_or_else(|| panic!("{text} is no alias"))
}
