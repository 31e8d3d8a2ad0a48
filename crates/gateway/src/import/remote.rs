//! `npx mcp-remote URL --header …`: a wrapper for clients that only start commands. The gateway speaks with the URL itself.

/// What a command is.
pub(super) enum Command {
    /// What it says.
    Plain,
    /// The wrapper, in a way that only it can do; what that is.
    Needed(String),
    /// The wrapper, and nothing that needs it.
    Wrapped(Wrapped),
}

/// What was wrapped.
pub(super) struct Wrapped {
    pub(super) url: String,
    /// As they stand on its command line.
    pub(super) headers: Vec<(String, String)>,
    /// `http` or `sse`, when it may speak nothing else.
    pub(super) transport: Option<&'static str>,
    /// Names of tools, or patterns with `*`, that it kept from its client.
    pub(super) denied: Vec<String>,
}

/// Options that mean nothing without the wrapper, and whether a value follows.
const WITHOUT_MEANING: [(&str, bool); 6] = [
    ("--allow-http", false),
    ("--debug", false),
    ("--silent", false),
    ("--host", true),
    ("--callback-path", true),
    ("--auth-timeout", true),
];

/// Looks at a command, its arguments and the names of the variables it is given.
pub(super) fn recognise(command: &str, arguments: &[String], variables: &[String]) -> Command {
    let Some(arguments) = wrapper(command, arguments) else {
        return Command::Plain;
    };
    let mut wrapped = Wrapped {
        url: String::new(),
        headers: Vec::new(),
        transport: None,
        denied: Vec::new(),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let known = WITHOUT_MEANING.iter().find(|(option, _)| option == argument);
        match argument.as_str() {
            "--header" => {
                let header = arguments.next().and_then(|header| header.split_once(':'));
                let Some((name, value)) = header else {
                    return Command::Needed("a `--header` without a name".to_owned());
                };
                wrapped
                    .headers
                    .push((name.trim().to_owned(), value.trim().to_owned()));
            }
            "--transport" => {
                wrapped.transport = match arguments.next().map(String::as_str) {
                    Some("http-only") => Some("http"),
                    Some("sse-only") => Some("sse"),
                    _ => None,
                }
            }
            "--ignore-tool" => wrapped.denied.extend(arguments.next().cloned()),
            _ if known.is_some() => {
                if known.is_some_and(|(_, with_value)| *with_value) {
                    arguments.next();
                }
            }
            option if option.starts_with("--") => {
                let option = option.split('=').next().unwrap_or_default();
                return Command::Needed(format!("`{option}`"));
            }
            url if wrapped.url.is_empty() => wrapped.url = url.to_owned(),
            // Where it listens while somebody signs in.
            port if port.bytes().all(|byte| byte.is_ascii_digit()) => {}
            _ => return Command::Needed("arguments that are not known here".to_owned()),
        }
    }
    if !["http://", "https://", "${"]
        .iter()
        .any(|begin| wrapped.url.starts_with(begin))
    {
        return Command::Needed("no URL".to_owned());
    }
    let used = |variable: &String| {
        let holes = [format!("${{{variable}}}"), format!("${{env:{variable}}}")];
        let mut values = wrapped
            .headers
            .iter()
            .map(|(_, value)| value)
            .chain([&wrapped.url]);
        values.any(|value| holes.iter().any(|hole| value.contains(hole)))
    };
    match variables.iter().find(|variable| !used(variable)) {
        Some(variable) => Command::Needed(format!("the variable `{variable}`")),
        None => Command::Wrapped(wrapped),
    }
}

/// The arguments of mcp-remote, if it is what is started.
fn wrapper<'a>(command: &str, arguments: &'a [String]) -> Option<&'a [String]> {
    let program = command.rsplit(['/', '\\']).next().unwrap_or_default();
    let program = program.trim_end_matches(".cmd").trim_end_matches(".exe");
    if program == "mcp-remote" {
        return Some(arguments);
    }
    let mut rest = arguments;
    let runs = |word: &str| arguments.first().is_some_and(|first| first == word);
    match program {
        "npx" | "bunx" | "pnpx" => {}
        "npm" if runs("exec") || runs("x") => rest = &rest[1..],
        "pnpm" | "yarn" if runs("dlx") => rest = &rest[1..],
        "bun" if runs("x") => rest = &rest[1..],
        _ => return None,
    }
    while let Some((first, behind)) = rest.split_first() {
        match first.as_str() {
            "-y" | "--yes" | "-q" | "--quiet" | "--" | "--bun" => rest = behind,
            package if package == "mcp-remote" || package.starts_with("mcp-remote@") => return Some(behind),
            _ => return None,
        }
    }
    None
}
