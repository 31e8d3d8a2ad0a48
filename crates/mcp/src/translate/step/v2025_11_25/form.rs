//! Forms of 2025-11-25 as 2025-06-18 has them: the same questions with fewer words.

use super::super::Extra;
use crate::method::Method;
use crate::patch::Patch;
use crate::translate::unaskable::Unaskable;
use crate::translate::value::Value;

/// Rewrites a form, and refuses what is none.
pub(super) fn ask(
    method: &Method,
    params: Value<'_>,
    _: &str,
    patch: &mut Patch,
) -> Result<Extra, Unaskable> {
    if *method != Method::ElicitationCreate {
        return Ok(Extra::new());
    }
    let Some(params) = params.members(&["mode", "requestedSchema"]) else {
        return Ok(Extra::new());
    };
    if params.string("mode").as_deref() == Some("url") {
        return Err(Unaskable::Url);
    }
    let mut refused = Ok(());
    for schema in params.all("requestedSchema") {
        let schema = schema.members(&["properties"]);
        for properties in schema.iter().flat_map(|schema| schema.all("properties")) {
            properties.each_member(|property| {
                if let Err(reason) = field(property, patch) {
                    refused = Err(reason);
                }
            });
        }
    }
    refused.map(|()| Extra::new())
}

/// One field: a titled choice in the older spelling, and no default except where 2025-06-18 has one.
fn field(field: Value<'_>, patch: &mut Patch) -> Result<(), Unaskable> {
    let Some(members) = field.members(&["type", "oneOf", "default"]) else {
        return Ok(());
    };
    let kind = members.string("type");
    if kind.as_deref() == Some("array") {
        return Err(Unaskable::SeveralValues);
    }
    let choice = members.get("oneOf").and_then(choice);
    let put: Vec<(&str, &str)> = match &choice {
        Some((values, titles)) => vec![("enum", values), ("enumNames", titles)],
        None => Vec::new(),
    };
    let gone = |name: &str| match name {
        "oneOf" => choice.is_some(),
        "default" => kind.as_deref() != Some("boolean"),
        _ => false,
    };
    members.change(gone, &put, patch);
    Ok(())
}

/// The values and the titles of a titled choice, as two arrays. `None` if it is none.
fn choice(options: Value<'_>) -> Option<(String, String)> {
    let (mut values, mut titles) = (Vec::new(), Vec::new());
    let mut titled = true;
    options.each(|option| {
        let option = option.members(&["const", "title"]);
        let value = option.as_ref().and_then(|option| option.get("const"));
        let title = option.as_ref().and_then(|option| option.get("title"));
        match value {
            Some(value) if value.string().is_some() => {
                let title = title.filter(|title| title.string().is_some()).unwrap_or(value);
                values.push(value.raw());
                titles.push(title.raw());
            }
            _ => titled = false,
        }
    })?;
    titled.then(|| {
        (
            format!("[{}]", values.join(",")),
            format!("[{}]", titles.join(",")),
        )
    })
}
