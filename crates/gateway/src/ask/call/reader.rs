//! Answers of a person: lines read from a terminal, each after a question on standard error.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use super::arguments::Arguments;
use crate::terminal::Screen;

/// The longest answer, in bytes. A terminal gives out 4096 at once.
const LONGEST: u64 = 64 << 10;

/// Whoever sits there, if anybody does.
pub(super) struct Reader {
    somebody: bool,
    pub(super) screen: Screen,
}

impl Reader {
    /// Somebody sits there when both what is asked and what is answered go through a terminal.
    pub(super) fn of(arguments: &Arguments) -> Self {
        let screen = Screen::stderr();
        let reads = std::io::stdin().is_terminal() && !arguments.from_stdin;
        Self {
            somebody: screen.is_terminal() && reads,
            screen,
        }
    }

    pub(super) fn is_somebody(&self) -> bool {
        self.somebody
    }

    /// Shows something. Nobody may be looking; that is no reason to stop.
    pub(super) fn say(&self, text: &str) {
        let mut stderr = std::io::stderr();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    /// Asks for a line; `None` when there are no more (Ctrl-D).
    pub(super) async fn line(&mut self, question: &str) -> Option<String> {
        self.say(question);
        // The thread may be left reading when the call is interrupted; the process ends then.
        let read = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            let read = std::io::stdin().lock().take(LONGEST).read_line(&mut line);
            read.ok().filter(|count| *count > 0).map(|_| line)
        });
        let line = read.await.ok().flatten();
        if line.is_none() {
            self.say("\n");
        }
        line.map(|line| line.trim().to_owned())
    }
}
