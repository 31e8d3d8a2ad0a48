//! Rows in columns: padded, headed and cut for a terminal, separated by tabs for everything else.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Paint, Screen};

/// Between two columns.
const GAP: usize = 2;

/// What is left to the last column at least, however narrow the terminal.
const LEAST: usize = 16;

/// Rows of equally many cells.
pub(crate) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A text and its colour. It must have passed [`harmless`](super::harmless) if somebody else wrote it.
pub(crate) struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            paint: None,
        }
    }

    pub(crate) fn painted(text: impl Into<String>, paint: Paint) -> Self {
        Self {
            text: text.into(),
            paint: Some(paint),
        }
    }
}

impl Table {
    pub(crate) fn new(heads: &[&'static str]) -> Self {
        Self {
            heads: heads.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of as many cells as there are heads.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// As text, each line with its end. A terminal's table has a head, leaves out columns that are empty in every row, and
    /// its last column is cut to what is left of the width; a pipe has every column, and nothing is cut.
    pub(crate) fn shown(&self, screen: Screen) -> String {
        let Some(width) = screen.width() else {
            let line = |row: &Vec<Cell>| {
                let cells: Vec<&str> = row.iter().map(|cell| cell.text.as_str()).collect();
                cells.join("\t") + "\n"
            };
            return self.rows.iter().map(line).collect();
        };
        let shown: Vec<(usize, usize)> = (0..self.heads.len())
            .filter_map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.text.width()).max().unwrap_or(0);
                (widest > 0).then(|| (column, widest.max(self.heads[column].width())))
            })
            .collect();
        let before: usize = shown.iter().rev().skip(1).map(|(_, widest)| widest + GAP).sum();
        let last = width.saturating_sub(before).max(LEAST);
        let mut text = String::new();
        let heads = self
            .heads
            .iter()
            .map(|head| Cell::painted(*head, Paint::Bold))
            .collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            for (place, (column, widest)) in shown.iter().enumerate() {
                let Some(cell) = row.get(*column) else { continue };
                let is_last = place + 1 == shown.len();
                let content = if is_last {
                    cut(&cell.text, last)
                } else {
                    cell.text.clone()
                };
                let pad = widest.saturating_sub(content.width()) + GAP;
                let painted = cell.paint.map(|paint| screen.paint(paint, &content));
                line.push_str(painted.as_deref().unwrap_or(&content));
                if !is_last {
                    let _ = write!(line, "{:pad$}", "");
                }
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// What of a line fits into so many columns, with `…` where something is missing.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut kept = String::new();
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if wide > left {
            break;
        }
        left -= wide;
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(width: Option<usize>) -> Screen {
        Screen {
            colours: false,
            width,
        }
    }

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "HINTS", "DOES"]);
        table.row(vec![
            Cell::new("漢字"),
            Cell::new(""),
            Cell::new("something that is long"),
        ]);
        table.row(vec![Cell::new("abcdef"), Cell::new(""), Cell::new("x")]);
        table
    }

    #[test]
    fn a_terminal_gets_columns_that_fit() {
        let expected = "NAME    DOES\n漢字    something that…\nabcdef  x\n";
        assert_eq!(table().shown(screen(Some(24))), expected);
    }

    #[test]
    fn a_pipe_gets_everything() {
        assert_eq!(
            table().shown(screen(None)),
            "漢字\t\tsomething that is long\nabcdef\t\tx\n"
        );
    }

    #[test]
    fn wide_characters_are_not_halved() {
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("漢字漢字", 8), "漢字漢字");
    }
}
