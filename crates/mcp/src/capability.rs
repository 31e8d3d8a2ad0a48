//! What a client says it can do, read off the JSON it sent.

use crate::json;

/// The identifier of the tasks extension (SEP-2663).
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A view of a `ClientCapabilities` object, of any revision.
///
/// It only answers whether something was declared. What is not an object declares nothing.
#[derive(Clone, Copy, Debug)]
pub struct ClientCapabilities<'a> {
    json: &'a [u8],
}

impl<'a> ClientCapabilities<'a> {
    /// A view of that JSON text.
    pub fn new(json: &'a [u8]) -> ClientCapabilities<'a> {
        ClientCapabilities { json }
    }

    /// May be asked for a completion by a model.
    pub fn sampling(self) -> bool {
        self.object("sampling").is_some()
    }

    /// May be asked for its roots.
    pub fn roots(self) -> bool {
        self.object("roots").is_some()
    }

    /// May be asked to fill in a form. Saying neither mode means this one (2025-11-25 client/elicitation).
    pub fn elicitation_form(self) -> bool {
        self.object("elicitation").is_some_and(|modes| {
            json::member(modes, "form").is_some_and(is_object) || json::member(modes, "url").is_none()
        })
    }

    /// May be asked to send its user to a URL.
    pub fn elicitation_url(self) -> bool {
        self.object("elicitation")
            .and_then(|modes| json::member(modes, "url"))
            .is_some_and(is_object)
    }

    /// Knows tasks, in the form of 2025-11-25 or as the extension that followed.
    pub fn tasks(self) -> bool {
        self.object("tasks").is_some() || self.extension(TASKS_EXTENSION).is_some()
    }

    /// The settings of an extension, if it was declared.
    pub fn extension(self, identifier: &str) -> Option<&'a [u8]> {
        json::member(self.object("extensions")?, identifier).filter(|settings| is_object(settings))
    }

    fn object(self, name: &str) -> Option<&'a [u8]> {
        json::member(self.json, name).filter(|value| is_object(value))
    }
}

fn is_object(json: &[u8]) -> bool {
    json.starts_with(b"{")
}
