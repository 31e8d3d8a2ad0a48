//! What is heard while a call runs, on standard error: its progress as one living line in a terminal, everything else as
//! lines.

use std::io::Write as _;

use mcp::{Message, Method};
use serde_json::Value;

use crate::terminal::table::cut;
use crate::terminal::{Paint, Screen, harmless};

/// Shows what is heard. Dropping it takes the living line away.
pub(super) struct Live {
    screen: Screen,
    /// The line that stands there now.
    line: Option<String>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self {
            screen: Screen::stderr(),
            line: None,
        }
    }

    /// Shows a notification; what is neither progress nor a log message is nobody's business here.
    pub(super) fn hear(&mut self, message: &Message) {
        let params: Value = message
            .params()
            .and_then(|params| serde_json::from_slice(params).ok())
            .unwrap_or_default();
        match message.method() {
            Some(Method::NotificationsProgress) => self.progress(&params),
            Some(Method::NotificationsMessage) => self.log(&params),
            Some(_) | None => {}
        }
    }

    fn progress(&mut self, params: &Value) {
        let number = |member: &str| params[member].as_f64();
        let mut line = match (number("progress"), number("total")) {
            (Some(done), Some(total)) if total > 0.0 => {
                format!(
                    "{done}/{total} ({:.0}%)",
                    (done / total * 100.0).clamp(0.0, 100.0)
                )
            }
            (Some(done), _) => format!("{done}"),
            (None, _) => return,
        };
        if let Some(text) = params["message"].as_str() {
            line = format!("{line}  {}", harmless::line(text));
        }
        match self.screen.width() {
            // One column less: a terminal that is written full jumps to the next line.
            Some(width) => self.stand(Some(cut(&line, width.saturating_sub(1)))),
            None => self.say(&format!("progress: {line}\n")),
        }
    }

    fn log(&mut self, params: &Value) {
        let level = harmless::line(params["level"].as_str().unwrap_or("info")).into_owned();
        let data = match &params["data"] {
            Value::String(text) => harmless::line(text).into_owned(),
            data => harmless::json(&data.to_string()).into_owned(),
        };
        let paint = match level.as_str() {
            "debug" | "info" | "notice" => Paint::Dim,
            "warning" => Paint::Yellow,
            _ => Paint::Red,
        };
        let standing = self.line.take();
        self.clear(standing.is_some());
        self.say(&format!(
            "{} {data}\n",
            self.screen.paint(paint, &format!("{level}:"))
        ));
        self.stand(standing);
    }

    fn stand(&mut self, line: Option<String>) {
        if let Some(line) = &line {
            self.say(&format!("\r\u{1b}[2K{}", self.screen.paint(Paint::Dim, line)));
        }
        self.line = line;
    }

    fn clear(&self, stands: bool) {
        if stands {
            self.say("\r\u{1b}[2K");
        }
    }

    /// Nobody may be reading; that is no reason to stop.
    fn say(&self, text: &str) {
        let mut stderr = std::io::stderr();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear(self.line.is_some());
    }
}
