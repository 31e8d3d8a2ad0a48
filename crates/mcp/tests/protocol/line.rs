//! Messages on lines.

use mcp::{FrameError, LineReader};

/// What comes out when the chunks go in, a line or a complaint each.
fn read(max: usize, chunks: &[&str]) -> Vec<Result<String, FrameError>> {
    let mut reader = LineReader::new(max);
    let mut lines = Vec::new();
    for chunk in chunks {
        reader.push(chunk.as_bytes());
        lines.extend(
            reader
                .by_ref()
                .map(|line| line.map(|line| String::from_utf8_lossy(&line).into_owned())),
        );
    }
    lines
}

fn line(text: &str) -> Result<String, FrameError> {
    Ok(text.to_owned())
}

#[test]
fn lines_end_with_a_newline_and_may_have_a_carriage_return() {
    assert_eq!(read(9, &["a\nb\r\nc"]), [line("a"), line("b")]);
    assert_eq!(read(9, &["a", "b\r", "\n", "\n"]), [line("ab")]);
}

#[test]
fn empty_lines_are_skipped() {
    assert_eq!(read(9, &["\n\r\n\na\n\n"]), [line("a")]);
}

#[test]
fn an_overlong_line_is_reported_once_and_skipped() {
    let too_long = || Err(FrameError::TooLong { max: 3 });

    assert_eq!(read(3, &["abcd\nabc\n"]), [too_long(), line("abc")]);
    assert_eq!(
        read(3, &["abcd", "efgh", "ij\nabc\r", "\n"]),
        [too_long(), line("abc")]
    );
    assert_eq!(read(3, &["abc\r", "x\nok\n"]), [too_long(), line("ok")]);
    assert_eq!(read(3, &["abcd\n\nabcd\n"]), [too_long(), too_long()]);
}

#[test]
fn an_overlong_line_is_not_held() {
    let mut reader = LineReader::new(10);
    for _ in 0..1000 {
        reader.push(&[b'x'; 100]);
        while reader.next().is_some() {}
        assert_eq!(reader.unfinished(), 0);
    }
}

#[test]
fn an_unfinished_line_is_no_message() {
    let mut reader = LineReader::new(10);
    reader.push(b"abc");

    assert_eq!(reader.next(), None);
    assert_eq!(reader.unfinished(), 3);
}
