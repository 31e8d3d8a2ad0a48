//! Who would call: an identity made of what the command line says, without a key or a token.

use config::scalar::{self, suggestion};
use policy::Identity;
use serde_json::{Map, Value};

use super::Mistake;
use crate::document::Auth;

/// What a token would say of its bearer.
#[derive(clap::Args, Debug)]
pub(crate) struct Says {
    /// The roles that its token says, with commas between them
    #[arg(long, value_delimiter = ',', requires = "who")]
    roles: Vec<String>,
    /// The tenant that its token says
    #[arg(long, requires = "who")]
    tenant: Option<String>,
    /// The scopes that its token was granted, with commas between them
    #[arg(long, value_delimiter = ',', requires = "who")]
    scopes: Vec<String>,
    /// What else its token says, as JSON
    #[arg(long, value_name = "JSON", requires = "who")]
    claims: Option<String>,
}

impl Says {
    fn is_nothing(&self) -> bool {
        self.roles.is_empty() && self.tenant.is_none() && self.scopes.is_empty() && self.claims.is_none()
    }
}

/// Who that is, as the gateway would know them; none of one who is anonymous.
///
/// # Errors
/// When the file cannot know such a caller.
pub(super) fn identity(who: &str, says: &Says, auth: &Auth) -> Result<Option<Identity>, Mistake> {
    if who == "anonymous" {
        return match says.is_nothing() {
            true => Ok(None),
            false => Err(Mistake::new("nothing is known of one who is anonymous")
                .hint("leave out `--roles`, `--tenant`, `--scopes` and `--claims`")),
        };
    }
    let Auth::Known(settings) = auth else {
        return Err(Mistake::new("the file asks nobody who they are (`auth`)")
            .hint("everybody is `anonymous` to it: `--as anonymous`"));
    };
    let shown = scalar::shown(who);
    let Some((source, subject)) = who.split_once(':').filter(|(_, subject)| !subject.is_empty()) else {
        let hint = match settings.imagine("key", who) {
            Some(_) => format!("did you mean `key:{shown}`?"),
            None => "write `key:NAME`, `SOURCE:SUBJECT` of a token, or `anonymous`".to_owned(),
        };
        return Err(Mistake::new(format!("`{shown}` does not say who calls")).hint(hint));
    };
    let Some(mut identity) = settings.imagine(source, subject) else {
        let (words, hint) = if settings.sources().contains(&source) {
            (
                format!("there is no key `{}`", scalar::shown(subject)),
                suggestion(subject, &settings.key_names()),
            )
        } else {
            (
                format!("nobody is known by `{}`", scalar::shown(source)),
                suggestion(source, &settings.sources()),
            )
        };
        return Err(Mistake::new(words).hint(hint));
    };
    if source == "key" {
        return match says.is_nothing() {
            true => Ok(Some(identity)),
            false => Err(Mistake::new("all there is to know of a key stands in the file")
                .hint("leave out `--roles`, `--tenant`, `--scopes` and `--claims`")),
        };
    }
    if let Some(claims) = &says.claims {
        identity.claims.extend(object(claims)?);
    }
    // As of a token where the file does not say which claim is the name.
    identity.name = ["name", "preferred_username", "email"]
        .iter()
        .find_map(|claim| identity.claims.get(*claim)?.as_str())
        .filter(|name| !name.is_empty())
        .map(str::to_owned);
    let words = |list: &[String]| -> Vec<String> {
        let words = list.iter().filter(|word| !word.is_empty());
        words.cloned().collect()
    };
    identity.roles = words(&says.roles);
    identity.tenant.clone_from(&says.tenant);
    match &mut identity.scopes {
        Some(scopes) => *scopes = words(&says.scopes),
        None if says.scopes.is_empty() => {}
        None => {
            let words = format!("`{source}` says nothing of scopes");
            return Err(Mistake::new(words).hint("leave out `--scopes`"));
        }
    }
    Ok(Some(identity))
}

fn object(text: &str) -> Result<Map<String, Value>, Mistake> {
    match serde_json::from_str(text) {
        Ok(Value::Object(claims)) => Ok(claims),
        Ok(_) => Err(Mistake::new("`--claims` is an object").hint(r#"--claims '{"region":"eu"}'"#)),
        Err(error) => Err(Mistake::new(format!("`--claims` is no JSON: {error}"))),
    }
}
