//! The kit for settings: how a file is read, judged and explained, and nothing about what is set.
//!
//! A section of the document lives in the crate that it sets. That crate is handed a [`Field`], asks it for
//! its keys and gets values that remember where they stood:
//!
//! ```
//! use config::{Field, Located, Problems, Source};
//! use std::time::Duration;
//!
//! struct Door { path: Located<String>, idle: Duration }
//!
//! fn check(section: Field<'_>) -> Option<Door> {
//!     let mut fields = section.fields()?;
//!     let path = fields.required("path").text();
//!     let idle = fields.optional("idle").duration();
//!     fields.finish();
//!     Some(Door { path: path?, idle: idle.map_or(Duration::from_secs(30), Located::into_value) })
//! }
//!
//! let source = Source::from_text("gateway.yaml", "path: /mcp\nidel: 5s\n");
//! let problems = Problems::default();
//! if let Some(node) = source.parse(&problems) {
//!     check(Field::root(&node, &problems));
//! }
//! assert_eq!(
//!     problems.render(&source),
//!     "gateway.yaml:2: `idel` is not a key we know; did you mean `idle`?\n    idel: 5s\n"
//! );
//! ```
//!
//! Nothing here stops at the first mistake but a document that is not YAML at all. The one thing read besides
//! the document itself is what its templates name, and that through [`Environment`], in the caller's hands.

mod check;
mod node;
mod problem;
pub mod scalar;
mod seal;
mod secret;
mod source;
mod template;

pub use check::{Field, Fields, Located};
pub use node::{Entry, Location, Node, Value};
pub use problem::{Problem, Problems, Severity};
pub use seal::{KeyRing, Purpose, Sealed, WeakKey, generate_key};
pub use secret::Secret;
pub use source::Source;
pub use template::{
    Environment, Kind, Lookup, Missing, ProcessEnvironment, Template, TemplateError, Unidentified,
    Unresolved, is_header_safe,
};
