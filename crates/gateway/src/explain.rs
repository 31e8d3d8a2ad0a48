//! What the file says of a call that nobody makes: which rule would decide it and why (`causeway explain`), and what a
//! caller would see (`causeway tools --as`). Nothing is asked or started; what servers have is known by what a gateway
//! kept of them.

mod scene;

mod who;
mod place;
mod view;
mod named;

mod verdict;
mod written;
mod told;

use std::process::ExitCode;

use policy::What;

use crate::ask::Arguments;
use crate::terminal::{Paint, Screen, harmless};
use named::Meant;
use scene::Scene;
use verdict::Verdict;

pub(crate) use scene::{At, seen};
pub(crate) use who::Says;

/// Exit status for a file or a command line with mistakes.
const MISTAKEN: u8 = 2;

/// What would be called, by whom and where.
#[derive(clap::Args, Debug)]
pub(crate) struct Explain {
    /// Who calls: `key:NAME`, `SOURCE:SUBJECT` of a token, or `anonymous`
    #[arg(long = "as", value_name = "WHO")]
    who: String,
    /// What is called: as it is listed at the route, `UPSTREAM/NAME`, or a name alone where one can be meant
    #[arg(value_name = "TOOL")]
    name: String,
    /// The arguments: JSON, `@FILE` with it, or `-` for standard input
    arguments: Option<String>,
    /// It is a prompt
    #[arg(long, conflicts_with = "resource")]
    prompt: bool,
    /// It is a resource, by its URI
    #[arg(long)]
    resource: bool,
    /// The path of the endpoint, as clients use it or as the file writes it [default: the only one, or /mcp]
    #[arg(long, value_name = "PATH")]
    route: Option<String>,
    /// Whose tool is meant
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    says: Says,
}

/// What stands in the way of an answer.
#[derive(Debug)]
pub(crate) enum Mistake {
    /// Something on the command line cannot be meant: what is wrong, and what to do.
    OnCommandLine { words: String, hint: Option<String> },
    /// The file has mistakes, line by line as shown.
    InFile(String),
}

/// Tells which rule decides, and why. Exits 0 when the call may be made, and 1 when it may not.
pub(crate) fn explain(explain: &Explain) -> ExitCode {
    match judged(explain) {
        Ok(verdict) => {
            told::show(&verdict, explain.json);
            match verdict.is_allowed() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(mistake) => mistake.told("explain"),
    }
}

fn judged(explain: &Explain) -> Result<Verdict, Mistake> {
    let what = match (explain.prompt, explain.resource) {
        (true, _) => What::Prompt,
        (false, true) => What::Resource,
        (false, false) => What::Tool,
    };
    let given = explain.arguments.as_deref();
    let given = given.map(|given| Arguments::read(Some(given))).transpose();
    let given = given.map_err(|wrong| Mistake::new(wrong.to_string()))?;
    let scene = Scene::of(&explain.at, &explain.who, &explain.says)?;
    let stage = scene.stage(explain.route.as_deref(), explain.upstream.as_deref())?;
    let meant = Meant::by(&stage.view, what, &explain.name, explain.upstream.as_deref())?;
    let given = given.as_ref().map(Arguments::json);
    Ok(Verdict::of(&scene, &stage, &meant, given))
}

impl Mistake {
    fn new(words: impl Into<String>) -> Self {
        Self::OnCommandLine {
            words: words.into(),
            hint: None,
        }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::OnCommandLine { words, .. } => Self::OnCommandLine {
                words,
                hint: Some(hint.into()),
            },
            Self::InFile(said) => Self::InFile(said),
        }
    }

    /// Says it on standard error.
    pub(crate) fn told(&self, command: &str) -> ExitCode {
        match self {
            Self::OnCommandLine { words, hint } => {
                let words = harmless::lines(words);
                eprintln!(
                    "causeway {command}: {}",
                    Screen::stderr().paint(Paint::Red, &words)
                );
                if let Some(hint) = hint {
                    eprintln!("  {}", harmless::line(hint));
                }
            }
            Self::InFile(said) => eprint!("{said}"),
        }
        ExitCode::from(MISTAKEN)
    }
}
