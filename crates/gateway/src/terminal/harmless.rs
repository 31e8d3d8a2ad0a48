//! What others wrote, made fit to be shown: nothing in it moves a cursor, changes a colour or turns the direction of reading.
//!
//! Names, descriptions, results and errors come from servers that may be hostile. An escape sequence could hide a line,
//! answer for the user or set the title of the window; a bidirectional override shows `exe.txt` as `txt.exe`.
//! Such characters are shown as what they are, `\u{1b}`, never dropped: two different names stay different.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line of it: line breaks and tabs are spaces.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| !is_break(c) && !is_harmful(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.trim_matches(is_break).chars() {
        match c {
            c if is_break(c) => {
                if !shown.ends_with(' ') {
                    shown.push(' ');
                }
            }
            c => push(&mut shown, c),
        }
    }
    Cow::Owned(shown)
}

/// All of it: line feeds and tabs stay.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    let stays = |c: char| c == '\n' || c == '\t' || !is_harmful(c);
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c => push(&mut shown, c),
        }
    }
    Cow::Owned(shown)
}

/// JSON text that means the same: such characters stand in its strings alone, where they can be written as escapes.
pub(crate) fn json(text: &str) -> Cow<'_, str> {
    let stays = |c: char| matches!(c, '\n' | '\t') || !is_harmful(c);
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if stays(c) {
            shown.push(c);
            continue;
        }
        // It stands between values alone.
        if c == '\r' {
            shown.push(' ');
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

fn push(shown: &mut String, c: char) {
    if is_harmful(c) {
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
    } else {
        shown.push(c);
    }
}

/// What ends a line, or jumps within it.
fn is_break(c: char) -> bool {
    matches!(
        c,
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Controls of the terminal, of direction and of annotation, and what is not seen at all. The joiners stay, without which
/// some languages cannot be written.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_shown_as_what_it_is() {
        for (text, expected) in [
            ("plain, ü and 漢字", "plain, ü and 漢字"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\u{9b}31mb", "a\\u{9b}31mb"),
            ("one\r\n\ttwo\n", "one two"),
            ("x\u{202e}gpj.exe", "x\\u{202e}gpj.exe"),
            ("a\u{200b}b\u{feff}c\u{e0041}", "a\\u{200b}b\\u{feff}c\\u{e0041}"),
            ("bell\u{7}\u{8}\u{7f}", "bell\\u{7}\\u{8}\\u{7f}"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
        ] {
            assert_eq!(line(text), expected, "{text:?}");
        }
        assert_eq!(lines("one\r\n\ttwo\u{1b}\r"), "one\n\ttwo\\u{1b}\\u{d}");
    }

    #[test]
    fn json_means_the_same() {
        let text = "{\"a\": \"\u{202e}\u{9b}\u{e0041}ü\",\n\r\t\"b\": 1.50}";
        let shown = json(text);

        assert!(!shown.contains('\r'), "{shown:?}");
        assert!(!shown.chars().any(|c| is_harmful(c) && !is_break(c)), "{shown:?}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&shown), value(text));
        assert!(shown.contains("1.50"), "{shown}");
    }
}
