//! All that a call would meet before its rules: the file, its caller, its route, and whether these go together.

use std::borrow::Cow;
use std::path::PathBuf;

use config::{Lookup, Source, scalar};
use policy::Identity;
use policy::rules::Caller;
use proxy::Leads;

use super::view::View;
use super::{Mistake, Says, place, who};
use crate::ask::{Listing, Which};
use crate::document::{Auth, Plan};
use crate::reading::Reading;

/// Which file, and which parameters of the URL.
#[derive(clap::Args, Debug)]
pub(crate) struct At {
    /// The file
    #[arg(long, default_value = "gateway.yaml", requires = "who")]
    file: PathBuf,
    /// A parameter of the URL; may be given again
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter, requires = "who")]
    parameters: Vec<(String, String)>,
}

/// A file and a caller.
pub(super) struct Scene<'a> {
    at: &'a At,
    pub(super) source: Source,
    pub(super) plan: Plan,
    /// None of one who is anonymous.
    pub(super) identity: Option<Identity>,
}

/// The same at one route.
pub(super) struct Stage<'a> {
    pub(super) leads: Leads,
    pub(super) view: View,
    identity: Option<&'a Identity>,
    /// Why the caller does not come as far as the rules.
    pub(super) turned_away: Option<&'static str>,
}

impl<'a> Scene<'a> {
    /// # Errors
    /// When the file has mistakes, or knows no such caller.
    pub(super) fn of(at: &'a At, who: &str, says: &Says) -> Result<Self, Mistake> {
        let Reading {
            source, plan, said, ..
        } = Reading::of(&at.file);
        let Some(plan) = plan else {
            return Err(Mistake::InFile(said));
        };
        let identity = who::identity(who, says, &plan.auth)?;
        Ok(Self {
            at,
            source,
            plan,
            identity,
        })
    }

    /// # Errors
    /// When the route is none, or leads nowhere.
    pub(super) fn stage(&self, route: Option<&str>, upstream: Option<&str>) -> Result<Stage<'_>, Mistake> {
        let leads = place::find(&self.plan.routes, route, &self.at.parameters, upstream)?;
        let identity = self.identity.as_ref();
        let tenant = leads.parameters.iter().find(|(name, _)| name == "tenant");
        let turned_away = match (identity, tenant) {
            (None, _) if matches!(self.plan.auth, Auth::Known(_)) => {
                Some("the file asks who calls (`auth`), and whoever does not say so is answered 401")
            }
            (Some(identity), Some((_, tenant))) if !identity.is_of_tenant(tenant) => {
                Some("the caller is not of the tenant that the URL names, and is answered 404")
            }
            (_, _) => None,
        };
        let mut stage = Stage {
            view: View::default(),
            leads,
            identity,
            turned_away,
        };
        stage.view = View::of(&self.plan, &stage);
        Ok(stage)
    }
}

impl Stage<'_> {
    /// The value of a parameter of the URL.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.leads.parameters.iter();
        parameters
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// Does this with the caller as the rules see it.
    pub(super) fn as_caller<T>(&self, work: impl FnOnce(&Caller<'_>) -> T) -> T {
        work(&Caller {
            identity: self.identity,
            route: &self.leads.route.path,
            parameters: &|name| self.parameter(name).map(|value| Cow::Owned(value.to_owned())),
        })
    }
}

/// What a request would bring, its headers aside.
impl Lookup for Stage<'_> {
    fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parameter(name).map(Cow::Borrowed)
    }

    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.identity?.claim_text(name)
    }

    fn principal(&self, name: &str) -> Option<Cow<'_, str>> {
        self.identity?.property(name)
    }

    fn user(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// What somebody would see at a route, of what was kept.
///
/// # Errors
/// When the command line or the file is mistaken, or the caller would be turned away.
pub(crate) fn seen(
    at: &At,
    (who, says): (&str, &Says),
    route: Option<&str>,
    which: Which,
) -> Result<(String, Listing), Mistake> {
    let scene = Scene::of(at, who, says)?;
    let stage = scene.stage(route, None)?;
    match stage.turned_away {
        Some(why) => Err(Mistake::new(why)),
        None => Ok((stage.leads.route.path.clone(), stage.view.listing(which))),
    }
}

/// `name=value`
fn parameter(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = split.ok_or_else(|| format!("`{}` is not `NAME=VALUE`", scalar::shown(text)))?;
    Ok((name.to_owned(), value.to_owned()))
}
