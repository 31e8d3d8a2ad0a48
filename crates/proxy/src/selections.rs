//! Which rules speak of whom: looked for once, and not for each call, since each look is at every rule.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use policy::rules::{Caller, Rules, Selection};
use policy::{Identity, Principal};

use crate::route::{Parameters, Route};

/// Callers at their places that are remembered.
const KEPT: usize = 4096;

/// Parameters of a URL by which callers are told apart. One with more is looked at anew each time.
const PARAMETERS: usize = 8;

/// Which of a file's rules speak of whom.
pub struct Selections {
    rules: Rules,
    kept: Mutex<HashMap<Place, Kept>>,
}

/// A caller at a route. The address of an identity stands for it, and it is kept with what it stands for.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    identity: usize,
    route: usize,
    parameters: Vec<(String, String)>,
}

struct Kept {
    _identity: Option<Arc<Identity>>,
    _route: Arc<Route>,
    selection: Arc<Selection>,
}

impl Selections {
    /// Of these rules.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            kept: Mutex::default(),
        }
    }

    /// The rules themselves.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Those that speak of this caller.
    pub(crate) fn of(
        &self,
        principal: &Principal,
        route: &Arc<Route>,
        parameters: &Parameters,
    ) -> Arc<Selection> {
        let identity = match principal {
            Principal::Anonymous => None,
            Principal::Known(identity) => Some(identity),
        };
        let select = || {
            let parameter = |name: &str| parameters.get(name).map(|value| value.to_owned().into());
            Arc::new(self.rules.select(&Caller {
                identity: identity.map(|identity| &**identity),
                route: &route.path,
                parameters: &parameter,
            }))
        };
        if parameters.all().len() > PARAMETERS {
            return select();
        }
        let place = Place {
            identity: identity.map_or(0, |identity| Arc::as_ptr(identity).addr()),
            route: Arc::as_ptr(route).addr(),
            parameters: parameters.all().to_vec(),
        };
        let locked = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = locked().get(&place) {
            return Arc::clone(&kept.selection);
        }
        let selection = select();
        let mut kept = locked();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(
            place,
            Kept {
                _identity: identity.cloned(),
                _route: Arc::clone(route),
                selection: Arc::clone(&selection),
            },
        );
        selection
    }
}
