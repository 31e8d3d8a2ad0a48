//! Rules: who may do what, where, and on what condition.
//!
//! The first rule that speaks of a call decides it; what no rule speaks of is denied. One walk decides what a list
//! shows and what a call may do ([`Selection::shows`], [`Selection::decide`]): whatever may be called is shown, and
//! what is denied whatever its arguments are is not, as far as that can be told without them. Names are those that the
//! server gives, not those that a route shows.
//!
//! What a caller sends is hostile: where it cannot be said for sure what a server will read ([`Doubt`]), a rule that
//! allows does not speak of the call, and a rule that denies does.

mod rule;

mod conditions;
mod names;
mod place;
mod who;

mod explanation;
mod selection;

mod arguments;
mod expression;
mod index;
mod reach;
mod wanted;

use std::borrow::Cow;
use std::sync::Arc;

use config::{Field, Located, Node, Problem, Value};
use sha2::{Digest as _, Sha256};

use crate::Identity;
use arguments::Arguments;
use conditions::Given;
use index::Index;

pub use arguments::Doubt;
pub use explanation::{Explanation, Found, Reason, Step};
pub use rule::Rule;
pub use selection::Selection;

/// The section `allow`. Copies are cheap and of the same rules.
#[derive(Debug, Clone)]
pub struct Rules {
    book: Arc<Book>,
}

/// What of the rest of the file rules may name.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The names of all upstreams.
    pub upstreams: &'a [&'a str],
    /// The paths of all routes, as they are written: `/t/{tenant}/mcp`.
    pub routes: &'a [&'a str],
    /// All roles that anybody can have; nothing where a token may bring any.
    pub roles: Option<&'a [&'a str]>,
    /// All sources of identities.
    pub sources: &'a [&'a str],
}

/// Who calls, and by which way.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// What is known of it; nothing of one who is anonymous.
    pub identity: Option<&'a Identity>,
    /// The path of its route, as it is written in the file.
    pub route: &'a str,
    /// The parameters of its URL.
    pub parameters: &'a dyn Fn(&str) -> Option<Cow<'a, str>>,
}

/// What is listed or called, by its original name.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A tool.
    Tool {
        /// Its name.
        name: &'a str,
        /// Its `annotations`, as JSON. None where it declares none, or where its server is not trusted to say so.
        annotations: Option<&'a [u8]>,
    },
    /// A prompt.
    Prompt {
        /// Its name.
        name: &'a str,
    },
    /// A resource, or a template of such.
    Resource {
        /// Its URI, or the template's.
        uri: &'a str,
    },
    /// A method that names none of these.
    Other,
}

/// What a rule says of those it speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They may.
    Allow,
    /// They may not.
    Deny,
    /// They may when somebody approves of it.
    Ask,
}

/// What is to be done about a call.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'r> {
    /// This.
    pub effect: Effect,
    /// The rule that says so; nothing where none speaks of the call, which is denied.
    pub rule: Option<&'r Rule>,
    /// Why the rule denied what it could not be sure of.
    pub doubt: Option<Doubt>,
    /// What a token would have to be granted for the call not to be denied (RFC 6750 §3.1, `insufficient_scope`);
    /// nothing where that would not help.
    pub scopes: &'r [String],
}

/// All rules, in order.
#[derive(Debug)]
struct Book {
    rules: Vec<Rule>,
    index: Index,
    is_dry_run: bool,
    /// Of what is written.
    fingerprint: [u8; 32],
}

/// How many rules there may be: each selection looks at all of them once.
const MOST: usize = 10_000;

impl Rules {
    /// Reads `allow`: a list of rules, or a map of `rules` and `dry_run`. Nothing where it is not written.
    pub fn check(field: &Field<'_>, known: &Known<'_>) -> Option<Self> {
        let node = field.node()?;
        let (list, is_dry_run) = match &node.value {
            Value::Null => return None,
            Value::Map(_) => {
                let mut fields = field.fields()?;
                let list = fields.required("rules");
                let dry_run = fields.optional("dry_run").flag();
                fields.finish();
                (list, dry_run.is_some_and(Located::into_value))
            }
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => (field.clone(), false),
        };
        let items = list.list()?;
        if items.is_empty() {
            let problem = Problem::new(
                Some(list.at()),
                list.path(),
                "without a rule nobody may do anything",
            );
            let hint = "write `- {}` to allow everything to everybody who may come in";
            list.problems().add(problem.hint(hint).warning());
        }
        if items.len() > MOST {
            let text = format!("there are {} rules, and at most {MOST} can be", items.len());
            list.report(
                text,
                Some("say by patterns, roles or claims what many rules have in common"),
            );
            return None;
        }
        let rules = items.iter().enumerate();
        let rules: Vec<_> = rules
            .filter_map(|(index, item)| Rule::check(item, index, known))
            .collect();
        reach::check(&rules, list.problems());
        let mut fingerprint = Sha256::new();
        print(node, &mut fingerprint);
        Some(Self {
            book: Arc::new(Book {
                index: Index::of(&rules, known),
                rules,
                is_dry_run,
                fingerprint: fingerprint.finalize().into(),
            }),
        })
    }

    /// Whether they are only to be told of, and nothing is denied by them (`dry_run: true`).
    pub fn is_dry_run(&self) -> bool {
        self.book.is_dry_run
    }

    /// All of them, in order.
    pub fn all(&self) -> &[Rule] {
        &self.book.rules
    }

    /// Those that speak of a caller. It looks at every rule; who calls more than once keeps what it gives.
    pub fn select(&self, caller: &Caller<'_>) -> Selection {
        Selection::of(&self.book, caller)
    }

    /// What each rule says of a call, with these arguments or none, up to the one that decides.
    pub fn explain(
        &self,
        caller: &Caller<'_>,
        upstream: &str,
        subject: &Subject<'_>,
        arguments: Option<&[u8]>,
    ) -> Explanation<'_> {
        selection::explain(
            &self.book,
            caller,
            upstream,
            subject,
            Given::Arguments(&Arguments::new(arguments)),
        )
    }

    /// What each rule says of a thing in a list, when nothing is known of the arguments.
    pub fn explain_listed(
        &self,
        caller: &Caller<'_>,
        upstream: &str,
        subject: &Subject<'_>,
    ) -> Explanation<'_> {
        selection::explain(&self.book, caller, upstream, subject, Given::Unknown)
    }
}

impl PartialEq for Rules {
    /// Whether the same is written.
    fn eq(&self, other: &Self) -> bool {
        (self.book.fingerprint, self.book.is_dry_run) == (other.book.fingerprint, other.book.is_dry_run)
    }
}

impl Eq for Rules {}

impl<'a> Known<'a> {
    /// The parameters of all routes.
    fn parameters(&self) -> Vec<&'a str> {
        let parts = self.routes.iter().flat_map(|route| route.split('{').skip(1));
        parts.filter_map(|part| Some(part.split_once('}')?.0)).collect()
    }
}

/// Adds what is written to a digest, each part so that no other could be taken for it.
fn print(node: &Node, digest: &mut Sha256) {
    let mut part = |kind: u8, text: &str| {
        digest.update([kind]);
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    };
    match &node.value {
        Value::Null => part(0, ""),
        Value::Bool(flag) => part(1, if *flag { "true" } else { "" }),
        Value::Number(number) => part(2, number),
        Value::Text(text) => part(3, text),
        Value::List(items) => {
            part(4, &items.len().to_string());
            items.iter().for_each(|item| print(item, digest));
        }
        Value::Map(entries) => {
            part(5, &entries.len().to_string());
            for entry in entries {
                digest.update((entry.key.len() as u64).to_le_bytes());
                digest.update(&entry.key);
                print(&entry.node, digest);
            }
        }
    }
}
