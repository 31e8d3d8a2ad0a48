//! What looks like a secret that was written in clear. A guess, for a note: nothing is done differently for it.

/// Words that name secrets.
const WORDS: [&str; 15] = [
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "pat",
    "credential",
    "credentials",
    "bearer",
    "authorization",
    "cookie",
    "dsn",
    "passphrase",
];

/// Words behind which no secret stands, though one is named: `API_KEY_FILE`.
const NOT: [&str; 8] = ["path", "file", "url", "uri", "id", "name", "type", "ttl"];

/// How secrets of well-known services begin.
const BEGINNINGS: [&str; 14] = [
    "sk-",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "eyJ",
    "AIza",
    "ntn_",
    "Bearer ",
    "Basic ",
];

/// Whether a value under this name is one. What is taken from elsewhere is none.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    if value.contains("${") || value.len() < 6 {
        return false;
    }
    let words = words(name);
    let named = words.iter().any(|word| WORDS.contains(&word.as_str()))
        && !words.last().is_some_and(|last| NOT.contains(&last.as_str()));
    named && !is_harmless(value)
        || BEGINNINGS.iter().any(|begin| value.starts_with(begin))
        || has_password(value)
}

/// Whether a URL holds one, as its user's password or in its query.
pub(super) fn in_url(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
    has_password(url) || parameters.into_iter().any(|(name, value)| is_secret(name, value))
}

/// The place of an argument that is one, with the name that it is given under: `--api-key x`, `--token=x`.
pub(super) fn in_arguments(arguments: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (place, argument) in arguments.iter().enumerate() {
        let option = argument.trim_start_matches('-');
        if let Some((name, value)) = option.split_once('=')
            && is_name(name)
            && is_secret(name, value)
        {
            found.push(name.to_owned());
        } else if let Some(before) = place.checked_sub(1).and_then(|place| arguments.get(place))
            && before.starts_with('-')
            && !before.contains('=')
            && !argument.starts_with('-')
            && is_name(before.trim_start_matches('-'))
            && is_secret(before.trim_start_matches('-'), argument)
        {
            found.push(before.trim_start_matches('-').to_owned());
        } else if is_secret("", argument) || in_url(argument) || in_header(argument) {
            found.push(format!("argument {}", place + 1));
        }
    }
    found
}

/// `Authorization: Bearer …`
fn in_header(argument: &str) -> bool {
    let header = argument.split_once(':');
    header.is_some_and(|(name, value)| is_name(name.trim()) && is_secret(name.trim(), value.trim()))
}

/// What can be told as the name of an option: the beginning of a URL may hold a password.
fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(is_part)
}

fn is_harmless(value: &str) -> bool {
    matches!(value, "false" | "oauth" | "default" | "disabled") || value.starts_with(['/', '.', '~'])
}

/// `postgres://user:password@host`
fn has_password(value: &str) -> bool {
    let authority = value
        .split_once("://")
        .map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or(rest));
    let user = authority
        .and_then(|authority| authority.rsplit_once('@'))
        .map(|(user, _)| user);
    let password = user
        .and_then(|user| user.split_once(':'))
        .map(|(_, password)| password);
    password.is_some_and(|password| !password.is_empty() && !password.contains("${"))
}

/// `X-Api-Key`, `apiKey` and `API_KEY` are `api` and `key`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for c in name.chars() {
        let begins = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before_is_lower);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        before_is_lower = c.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_of_secrets_are_known() {
        for (name, value, expected) in [
            ("GITHUB_TOKEN", "abcdefgh", true),
            ("apiKey", "abcdefgh", true),
            ("X-Api-Key", "abcdefgh", true),
            ("Authorization", "Bearer abcdefgh", true),
            ("ANYTHING", "ghp_abcdefgh", true),
            ("DATABASE_URL", "postgres://ada:lovelace@db/x", true),
            ("DATABASE_URL", "postgres://ada@db/x", false),
            ("GITHUB_TOKEN", "${GITHUB_TOKEN}", false),
            ("API_KEY_FILE", "/run/secrets/key", false),
            ("KEYBOARD", "qwertyuiop", false),
            ("MONKEY", "qwertyuiop", false),
            ("LOG_LEVEL", "verbose", false),
        ] {
            assert_eq!(is_secret(name, value), expected, "{name}={value}");
        }
        assert!(
            in_url("https://a.example/mcp?api_key=abcdefgh") && !in_url("https://a.example/mcp?a=abcdefgh")
        );
        let arguments = [
            "--token",
            "abcdefgh",
            "--api-key=abcdefgh",
            "--verbose",
            "sk-abcdefgh",
        ]
        .map(str::to_owned);
        assert_eq!(in_arguments(&arguments), ["token", "api-key", "verbose"]);
        for (argument, told) in [
            ("postgres://app:my-secret-pw@db/x?sslmode=require", "argument 1"),
            ("Authorization: Bearer abcdefgh", "argument 1"),
        ] {
            assert_eq!(in_arguments(&[argument.to_owned()]), [told], "{argument}");
        }
    }
}
