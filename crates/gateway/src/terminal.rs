//! Where people read what commands print: whether it is a terminal, how wide, and in which colours.
//!
//! A terminal gets tables and colours; everything else gets plain lines, so that what a script reads does not depend on
//! who looked. `NO_COLOR`, when it is not empty, takes the colours away.

pub(crate) mod harmless;
pub(crate) mod table;

use std::io::IsTerminal;
use std::os::fd::AsFd;

/// The width of a terminal that does not say it.
const USUAL_WIDTH: usize = 80;

/// One of the two streams that a command prints to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    colours: bool,
    /// Columns; `None` where nobody looks.
    width: Option<usize>,
}

/// What a text is, as far as its colour tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
}

impl Screen {
    pub(crate) fn stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let width = stream.is_terminal().then(|| {
            let size = rustix::termios::tcgetwinsize(stream).ok();
            let columns = size.map_or(0, |size| usize::from(size.ws_col));
            if columns == 0 { USUAL_WIDTH } else { columns }
        });
        let said = |name: &str| std::env::var_os(name).unwrap_or_default();
        Self {
            colours: width.is_some() && said("NO_COLOR").is_empty() && said("TERM") != "dumb",
            width,
        }
    }

    /// Columns; `None` when it is no terminal.
    pub(crate) fn width(self) -> Option<usize> {
        self.width
    }

    pub(crate) fn is_terminal(self) -> bool {
        self.width.is_some()
    }

    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        if !self.colours || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Bold => 1,
            Paint::Dim => 2,
            Paint::Green => 32,
            Paint::Yellow => 33,
            Paint::Red => 31,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}
