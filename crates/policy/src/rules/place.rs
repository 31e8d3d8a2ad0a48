//! Where: the routes and the upstreams that a rule speaks of.

use config::{Fields, scalar};

use super::explanation::Reason;
use super::wanted::{AnyOf, Glob, Scalar};
use super::who::{all_named_covered, by_name, covers, texts};
use super::{Caller, Known};

/// All of what is said must be so; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    routes: Option<Vec<String>>,
    upstreams: Option<Vec<Glob>>,
    parameters: Vec<(String, AnyOf)>,
}

impl Place {
    /// Reads `routes`, `upstreams` and `parameters`.
    pub(super) fn check(fields: &mut Fields<'_>, known: &Known<'_>) -> Self {
        let routes = texts(&fields.optional("routes")).map(|routes| {
            let routes = routes.into_iter().map(|(field, route)| {
                if !known.routes.contains(&route.as_str()) {
                    let text = format!("`{}` is not the path of a route", scalar::shown(&route));
                    field.report(text, Some(&scalar::suggestion(&route, known.routes)));
                }
                route
            });
            routes.collect()
        });
        let upstreams = texts(&fields.optional("upstreams")).map(|upstreams| {
            let upstreams = upstreams.into_iter().map(|(field, name)| {
                let glob = Glob::new(&name);
                if !known.upstreams.iter().any(|known| glob.matches(known)) {
                    let text = format!("`{}` is not an upstream", scalar::shown(&name));
                    field.report(text, Some(&scalar::suggestion(&name, known.upstreams)));
                }
                glob
            });
            upstreams.collect()
        });
        let parameters = fields.optional("parameters");
        for (name, field) in parameters.entries().unwrap_or_default() {
            let known = known.parameters();
            if !known.contains(&name.value.as_str()) {
                let text = format!("no route has a parameter `{}`", scalar::shown(&name.value));
                field.report(text, Some(&scalar::suggestion(&name.value, &known)));
            }
        }
        Self {
            routes,
            upstreams,
            parameters: by_name(&parameters),
        }
    }

    /// Whether it speaks of the route that this caller came by.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub(super) fn says_route<'r>(&'r self, caller: &Caller<'_>) -> Result<(), Reason<'r>> {
        let is_route = |routes: &Vec<String>| routes.iter().any(|route| route == caller.route);
        if !self.routes.as_ref().is_none_or(is_route) {
            return Err(Reason::Route);
        }
        let unmet = self.parameters.iter().find(|(name, wanted)| {
            let Some(value) = (caller.parameters)(name) else {
                return true;
            };
            // A parameter is text, whatever the file compares it with.
            let text = Scalar::Text(value.as_ref().into());
            !wanted
                .iter()
                .any(|wanted| wanted.is_met_by(&text) || wanted.may_be_met_by(&text, &value))
        });
        match unmet {
            Some((name, _)) => Err(Reason::Parameter(name)),
            None => Ok(()),
        }
    }

    /// Whether it speaks of this upstream.
    pub(super) fn says_upstream(&self, upstream: &str) -> bool {
        self.upstreams
            .as_ref()
            .is_none_or(|upstreams| upstreams.iter().any(|glob| glob.matches(upstream)))
    }

    /// Whether it names upstreams.
    pub(super) fn names_upstreams(&self) -> bool {
        self.upstreams.is_some()
    }

    /// Whether it speaks of all that the other speaks of. It may say no where that is so.
    pub(super) fn covers(&self, other: &Self) -> bool {
        covers(self.routes.as_deref(), other.routes.as_deref(), |one, other| {
            one == other
        }) && covers(
            self.upstreams.as_deref(),
            other.upstreams.as_deref(),
            Glob::covers,
        ) && all_named_covered(&self.parameters, &other.parameters)
    }
}
