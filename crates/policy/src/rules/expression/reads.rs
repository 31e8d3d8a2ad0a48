//! What an expression reads, and whether it may: names that are known, functions whose cost is bounded.

use std::collections::{BTreeSet, HashMap};

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};
use config::scalar::{self, Wrong};

use super::super::arguments::fold;
use super::super::conditions::HINTS;

/// Of each variable the members that are read.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Reads {
    pub(super) args: Fields,
    pub(super) claims: Fields,
    pub(super) params: Fields,
    pub(super) principal: Fields,
    pub(super) route: bool,
    pub(super) annotations: bool,
    pub(super) loops: Vec<Loop>,
    /// The name of every member that may be one of an argument, by the same without capitals; nothing where two names
    /// are the same so.
    names: HashMap<String, Option<String>>,
}

/// Members of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) enum Fields {
    #[default]
    None,
    These(BTreeSet<String>),
    All,
}

/// What a loop goes over, and what it looks at each time.
#[derive(Debug, Clone, Default)]
pub(super) struct Loop {
    pub(super) range: Touched,
    pub(super) body: Touched,
}

/// Which variables of any size.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Touched {
    pub(super) args: bool,
    pub(super) claims: bool,
}

/// Variables that are the same for each call of a caller.
pub(super) const OF_CALLER: [&str; 4] = ["claims", "params", "principal", "route"];
const VARIABLES: [&str; 10] = [
    "args",
    "claims",
    "principal",
    "tool",
    "prompt",
    "resource",
    "upstream",
    "route",
    "params",
    "annotations",
];
/// Variables whose members are no arguments.
const NO_ARGUMENTS: [&str; 4] = ["claims", "params", "principal", "annotations"];
/// What is known of a principal.
pub(super) const OF_PRINCIPAL: [&str; 5] = ["id", "source", "name", "tenant", "roles"];
const FUNCTIONS: [&str; 13] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "has",
    "all",
    "exists",
    "exists_one",
    "string",
    "int",
    "uint",
    "double",
    "bool",
];
const OPERATORS: [&str; 17] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::IN,
];
/// How deep an expression may be as a tree: evaluating it takes stack for each level.
const DEEPEST: usize = 40;

/// Walks an expression.
struct Walk<'p> {
    parameters: &'p [&'p str],
    reads: Reads,
    /// Variables of the loop that is walked.
    bound: Vec<String>,
    touched: Touched,
    wrong: Vec<Wrong>,
}

impl Reads {
    /// What an expression reads.
    ///
    /// # Errors
    /// All that it may not.
    pub(super) fn of(parsed: &IdedExpr, parameters: &[&str]) -> Result<Self, Vec<Wrong>> {
        let mut walk = Walk {
            parameters,
            reads: Self::default(),
            bound: Vec::new(),
            touched: Touched::default(),
            wrong: Vec::new(),
        };
        walk.walk(parsed, 0);
        if !walk.wrong.is_empty() {
            return Err(walk.wrong);
        }
        Ok(walk.reads)
    }

    /// Adds what another reads of a caller.
    pub(super) fn add(&mut self, other: &Self) {
        self.claims.add(&other.claims);
        self.params.add(&other.params);
        self.principal.add(&other.principal);
        self.route |= other.route;
    }

    /// Whether a key could be taken for one that is read and is none.
    pub(super) fn confuses(&self, key: &str) -> bool {
        let read = self.names.get(&*fold(key));
        read.is_some_and(|name| name.as_deref() != Some(key))
    }
}

impl Fields {
    fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::All, _) | (_, Self::None) => {}
            (Self::These(these), Self::These(more)) => these.extend(more.iter().cloned()),
            (Self::None | Self::These(_), Self::All | Self::These(_)) => *self = other.clone(),
        }
    }

    fn add_one(&mut self, field: &str) {
        self.add(&Self::These([field.to_owned()].into()));
    }

    pub(super) fn has(&self, field: &str) -> bool {
        match self {
            Self::None => false,
            Self::These(these) => these.contains(field),
            Self::All => true,
        }
    }
}

impl Walk<'_> {
    fn walk(&mut self, expression: &IdedExpr, depth: usize) {
        if depth > DEEPEST {
            let text = format!("the expression nests deeper than {DEEPEST} levels");
            if !self.wrong.iter().any(|wrong| wrong.text == text) {
                let hint = "for one of many values write `args.x in ['a', 'b']`";
                self.wrong.push(Wrong::new(text).hint(hint));
            }
            return;
        }
        let depth = depth + 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name, None),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) => {
                    self.name(&select.operand, &select.field);
                    self.variable(name, Some(&select.field));
                }
                _ => {
                    self.name(&select.operand, &select.field);
                    self.walk(&select.operand, depth);
                }
            },
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [
                    of,
                    IdedExpr {
                        expr: Expr::Literal(LiteralValue::String(field)),
                        ..
                    },
                ] => match &of.expr {
                    Expr::Ident(name) => {
                        self.name(of, field.inner());
                        self.variable(name, Some(field.inner()));
                    }
                    _ => {
                        self.name(of, field.inner());
                        self.walk(of, depth);
                    }
                },
                all => all.iter().for_each(|one| self.walk(one, depth)),
            },
            Expr::Call(call) => {
                self.function(&call.func_name);
                let target = call.target.as_deref();
                target
                    .into_iter()
                    .chain(&call.args)
                    .for_each(|one| self.walk(one, depth));
            }
            Expr::Comprehension(one) => {
                if let Expr::List(_) = one.accu_init.expr {
                    self.function("map");
                    return;
                }
                if !self.bound.is_empty() {
                    let wrong =
                        Wrong::new("a loop stands in a loop, and may take as long as a caller wishes");
                    self.wrong
                        .push(wrong.hint("for one of many values write `x in claims.groups`"));
                    return;
                }
                let before = std::mem::take(&mut self.touched);
                self.walk(&one.iter_range, depth);
                let range = std::mem::take(&mut self.touched);
                self.bound = [&one.iter_var, &one.accu_var]
                    .into_iter()
                    .chain(&one.iter_var2)
                    .cloned()
                    .collect();
                for part in [&one.accu_init, &one.loop_cond, &one.loop_step, &one.result] {
                    self.walk(part, depth);
                }
                self.bound.clear();
                let body = std::mem::replace(&mut self.touched, before);
                self.touched.args |= range.args | body.args;
                self.touched.claims |= range.claims | body.claims;
                self.reads.loops.push(Loop { range, body });
            }
            Expr::List(list) => list.elements.iter().for_each(|one| self.walk(one, depth)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.walk(&entry.key, depth);
                        self.walk(&entry.value, depth);
                    }
                }
            }
            Expr::Struct(one) => {
                let text = format!("`{}` is no type that we know", scalar::shown(&one.type_name));
                self.wrong.push(Wrong::new(text));
            }
        }
    }

    /// Notes the name of a member of this, unless that is no argument's.
    fn name(&mut self, of: &IdedExpr, name: &str) {
        let is_bound = |root: &str| self.bound.iter().any(|bound| bound == root);
        if root(of).is_some_and(|root| NO_ARGUMENTS.contains(&root) && !is_bound(root)) {
            return;
        }
        let names = &mut self.reads.names;
        let known = names.entry(fold(name).into_owned());
        let known = known.or_insert_with(|| Some(name.to_owned()));
        if known.as_deref() != Some(name) {
            *known = None;
        }
    }

    fn variable(&mut self, name: &str, field: Option<&str>) {
        if self.bound.iter().any(|bound| bound == name) {
            return;
        }
        let fields = match name {
            "args" => {
                self.touched.args = true;
                &mut self.reads.args
            }
            "claims" => {
                self.touched.claims = true;
                &mut self.reads.claims
            }
            "params" => match field {
                Some(field) if self.parameters.contains(&field) => &mut self.reads.params,
                Some(field) => return self.unknown("no route has a parameter", field, self.parameters),
                None => {
                    let wrong = Wrong::new("`params` alone says nothing");
                    return self.wrong.push(wrong.hint("name the parameter: `params.tenant`"));
                }
            },
            "principal" => match field {
                Some(field) if !OF_PRINCIPAL.contains(&field) => {
                    return self.unknown("a principal has no", field, &OF_PRINCIPAL);
                }
                Some(_) | None => &mut self.reads.principal,
            },
            "annotations" => {
                self.reads.annotations = true;
                return match field {
                    Some(field) if !HINTS.iter().any(|hint| hint.key == field) => {
                        self.unknown("no tool is annotated with", field, &HINTS.map(|hint| hint.key));
                    }
                    Some(_) | None => {}
                };
            }
            "route" => {
                self.reads.route = true;
                return;
            }
            _ if VARIABLES.contains(&name) => return,
            _ => return self.unknown("there is no variable", name, &VARIABLES),
        };
        match field {
            Some(field) => fields.add_one(field),
            None => *fields = Fields::All,
        }
    }

    fn function(&mut self, name: &str) {
        let is_ours = name == operators::NOT_STRICTLY_FALSE || OPERATORS.contains(&name);
        if is_ours || FUNCTIONS.contains(&name) {
            return;
        }
        let text = format!("`{}` cannot be used here", scalar::shown(name));
        let hint = match name {
            "matches" => "what it costs has no bound; use `startsWith`, `endsWith` or `contains`".to_owned(),
            "map" | "filter" => "ask with `all`, `exists` or `in`".to_owned(),
            _ => scalar::suggestion(name, &FUNCTIONS),
        };
        self.wrong.push(Wrong::new(text).hint(hint));
    }

    fn unknown(&mut self, what: &str, name: &str, known: &[&str]) {
        let text = format!("{what} `{}`", scalar::shown(name));
        self.wrong
            .push(Wrong::new(text).hint(scalar::suggestion(name, known)));
    }
}

/// The variable that this is a member of, however deep.
fn root(of: &IdedExpr) -> Option<&str> {
    let mut of = of;
    loop {
        of = match &of.expr {
            Expr::Ident(name) => return Some(name),
            Expr::Select(select) => &select.operand,
            Expr::Call(call) if call.func_name == operators::INDEX => call.args.first()?,
            _ => return None,
        };
    }
}
